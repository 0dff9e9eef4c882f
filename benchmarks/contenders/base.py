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
        *hidden, (weights, bias) = [
            (np.asarray(W, np.float64), np.asarray(b, np.float64)) for W, b in self.parameters()
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


def initial(layers):
    """Return the (inputs, outputs) weights and (outputs,) biases that all contenders begin with."""
    rng = np.random.default_rng(1)
    return [
        (
            rng.standard_normal((inputs, outputs), dtype=np.float32) * np.float32(inputs**-0.5),
            np.zeros(outputs, np.float32),
        )
        for inputs, outputs in itertools.pairwise(layers)
    ]
