"""What all contenders share: weights, order of the rows, settings, the loss that is compared."""

import itertools
from abc import ABC, abstractmethod

import numpy as np

from fastbp.rows.rows import row_orders

SETTINGS = {
    "sgd": {"lr": 1e-2},
    "adam": {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "rmsprop": {"lr": 1e-3, "rho": 0.9, "eps": 1e-8},
}
COMPARED = 8  # of many networks, whose losses are compared


class NotPossibleError(Exception):
    """A library cannot train this workload; the message says why."""


class Contender(ABC):
    """One library, about to train one workload.

    Parameters
    ----------
    workload : Workload
        What to train.
    threads : int
        How many threads the library may use.
    """

    def __init__(self, workload, threads):
        for given, known in (
            (workload.activation, ("relu", "tanh")),
            (workload.loss, ("cross_entropy", "mse")),
            (workload.optimizer, SETTINGS),
        ):
            if given not in known:
                raise NotPossibleError(f"{given} is not written for the contenders")
        self.workload, self.threads = workload, threads
        self.settings = SETTINGS[workload.optimizer]
        self.X, self.y = workload.data()
        self.shuffler = np.random.default_rng(2)

    @abstractmethod
    def run(self, epochs):
        """Train; return when all updates have been made."""

    @abstractmethod
    def parameters(self):
        """Return the (inputs, outputs) weights and (outputs,) biases of each layer, as arrays."""

    def next_order(self):
        """Return the row numbers of the next epoch, shuffled: (rows,) int64.

        fastbp's own shuffle serves all: it costs an eighth of NumPy's. Where a batch holds all
        rows nobody shuffles: their order is of no matter.
        """
        return row_orders(len(self.X), 1, self.workload.batch_size, self.shuffler)[0]

    def loss(self):
        """Return the mean loss over all rows with the parameters as they are."""
        return self.loss_with(self.parameters())

    def loss_with(self, parameters):
        """Return the mean loss over all rows with these parameters."""
        *hidden, (weights, bias) = [
            (np.asarray(W, np.float64), np.asarray(b, np.float64)) for W, b in parameters
        ]
        A = self.X.astype(np.float64)
        for W, b in hidden:
            A = A @ W + b
            A = np.tanh(A) if self.workload.activation == "tanh" else np.maximum(A, 0)
        outputs = A @ weights + bias
        if self.workload.loss == "mse":
            return float(np.mean((outputs - self.y.reshape(outputs.shape)) ** 2))
        outputs -= outputs.max(axis=1, keepdims=True)
        chosen = outputs[np.arange(len(outputs)), self.y]
        return float(np.mean(np.log(np.exp(outputs).sum(axis=1)) - chosen))


def initial(layers, seed=1):
    """Return the (inputs, outputs) weights and (outputs,) biases that all contenders begin with."""
    rng = np.random.default_rng(seed)
    return [
        (
            rng.standard_normal((inputs, outputs), dtype=np.float32) * np.float32(inputs**-0.5),
            np.zeros(outputs, np.float32),
        )
        for inputs, outputs in itertools.pairwise(layers)
    ]


class ManyContender(Contender):
    """One library, about to train many networks of one shape, each from weights of its own.

    Attributes
    ----------
    count : int
        How many it trains in a round; those that take long train some of them.
    """

    most = None  # networks of a round; None for all

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        self.count = min(workload.networks, self.most or workload.networks)
        self.weights = [initial(workload.layers, [1, number]) for number in range(self.count)]
        self.shufflers = [np.random.default_rng([2, number]) for number in range(self.count)]

    @abstractmethod
    def parameters_of(self, number):
        """Return the weights and biases of each layer of one of the networks."""

    def parameters(self):
        return self.parameters_of(0)

    def orders(self, epochs):
        """Return the row numbers of the next epochs of each network: (networks, epochs, rows)."""
        rows, batch = len(self.X), self.workload.batch_size
        return np.stack([row_orders(rows, epochs, batch, one) for one in self.shufflers])

    def loss(self):
        """Return the mean over the first networks, which all contenders train."""
        return float(np.mean([self.loss_with(self.parameters_of(i)) for i in range(COMPARED)]))
