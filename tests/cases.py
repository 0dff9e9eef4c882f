"""What the tests against the reference share: losses, optimizers and options, data, networks."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from reference import Reference
from reference_activations import ACTIVATIONS

import fastbp
from fastbp import losses, optimizers

HIDDEN = sorted(ACTIVATIONS)
OUTPUTS = [*HIDDEN, "softmax", "exponential"]
DTYPES = ["float32", "float64"]

LOSS_CLASSES = {
    "mse": "MSE",
    "mae": "MAE",
    "huber": "Huber",
    "cross_entropy": "CrossEntropy",
    "binary_cross_entropy": "BinaryCrossEntropy",
    "poisson": "Poisson",
}
OPTIMIZER_CLASSES = {
    "sgd": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
    "nadam": "Nadam",
}


@dataclass(frozen=True)
class Case:
    """A loss or an optimizer by name, with options; for a loss the kind of targets it takes."""

    name: str
    options: dict = field(default_factory=dict)
    targets: str = "real"

    def __str__(self):
        options = [f"{k}={v}" for k, v in self.options.items()]
        return "-".join([self.name, *options, *([] if self.targets == "real" else [self.targets])])

    def loss(self):
        return getattr(losses, LOSS_CLASSES[self.name])(**self.options)

    def optimizer(self):
        return getattr(optimizers, OPTIMIZER_CLASSES[self.name])(**self.options)


LOSSES = [
    Case("mse"),
    Case("mae"),
    Case("huber"),
    Case("huber", {"delta": 0.25}),
    Case("cross_entropy", targets="labels"),
    Case("cross_entropy", {"label_smoothing": 0.1}, "labels"),
    Case("cross_entropy", targets="probabilities"),
    Case("cross_entropy", {"label_smoothing": 0.3}, "probabilities"),
    Case("binary_cross_entropy", targets="bits"),
    Case("binary_cross_entropy", targets="fractions"),
    Case("poisson", targets="counts"),
]

SOLVERS = [
    Case("sgd", {"lr": 0.05}),
    Case("sgd", {"lr": 0.05, "weight_decay": 0.1}),
    Case("sgd", {"lr": 0.02, "momentum": 0.9}),
    Case("sgd", {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    Case("adam"),
    Case("adam", {"lr": 0.01, "weight_decay": 0.1}),
    Case("adam", {"lr": 0.01, "beta1": 0.5, "beta2": 0.8, "eps": 1e-3, "amsgrad": True}),
    Case("adam", {"lr": 0.01, "eps": 1e-2, "epsilon_hat": True}),
    Case("adamw"),
    Case("adamw", {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.3, "amsgrad": True}),
    Case("adamw", {"lr": 0.01, "eps": 1e-2, "amsgrad": True, "epsilon_hat": True}),
    Case("rmsprop"),
    Case("rmsprop", {"lr": 3e-4, "rho": 0.7, "momentum": 0.9}),
    Case("rmsprop", {"lr": 5e-4, "eps": 1e-3, "centered": True}),
    Case("rmsprop", {"lr": 5e-4, "eps": 1e-3, "momentum": 0.5, "centered": True}),
    Case("rmsprop", {"lr": 5e-4, "eps": 1e-3, "momentum": 0.5, "weight_decay": 0.1}),
    Case("adagrad"),
    Case("adagrad", {"lr": 0.1, "eps": 1e-3}),
    Case("adagrad", {"lr": 0.1, "eps": 1e-3, "weight_decay": 0.1}),
    Case("nadam"),
    Case("nadam", {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-4, "momentum_decay": 0.1}),
    Case("nadam", {"lr": 0.01, "weight_decay": 0.1}),
    Case("nadam", {"lr": 0.01, "weight_decay": 0.1, "decoupled": True}),
    Case("sgd", {"lr": 0.05, "weight_decay": 0.1, "decoupled": True}),
    Case("sgd", {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1, "decoupled": True}),
    Case(
        "sgd",
        {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "decoupled": True},
    ),
]

every_loss = pytest.mark.parametrize("loss", LOSSES, ids=str)
every_optimizer = pytest.mark.parametrize("optimizer", SOLVERS, ids=str)
every_activation = pytest.mark.parametrize("activation", HIDDEN)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)

MSE, ADAM = LOSSES[0], Case("adam", {"lr": 0.01})
GENTLE = Case("adam", {"lr": 3e-3})  # in 200 steps of 1e-2 float32 rounding grows a hundredfold


def data(rows, columns, outputs, targets="real", seed=0):
    """Standard normal X (rows, columns) and targets of the given kind for so many outputs."""
    rng = np.random.default_rng(seed)
    X, shape = rng.standard_normal((rows, columns)), (rows, outputs)
    if targets == "real":
        return X, rng.standard_normal(shape)
    if targets == "labels":
        return X, rng.integers(outputs, size=rows)
    if targets == "probabilities":
        return X, rng.dirichlet(np.ones(outputs), size=rows)
    if targets == "bits":
        return X, rng.integers(2, size=shape).astype(float)
    if targets == "fractions":
        return X, rng.random(shape)
    assert targets == "counts"
    return X, rng.poisson(2.0, size=shape).astype(float)


def sparse_rows(count, columns, density, dtype="float64"):
    """A CSR array of random entries. SciPy has random_array from 1.12 on only."""
    sparse, rng = pytest.importorskip("scipy.sparse"), np.random.default_rng(0)
    return sparse.csr_array(sparse.random(count, columns, density, "csr", dtype, random_state=rng))


def parameters(layers, seed=0):
    """Weights and biases that keep activations near one; biases are not zero."""
    rng = np.random.default_rng([seed, 1])
    shapes = list(pairwise(layers))
    weights = [rng.standard_normal(shape) / np.sqrt(shape[0]) for shape in shapes]
    return weights, [0.5 * rng.standard_normal(n) for _, n in shapes]


def network(
    layers,
    activation="tanh",
    loss=MSE,
    optimizer=ADAM,
    output_activation=None,
    dtype="float64",
    seed=0,
    threads=1,
    **regularization,
):
    """The network under test with the parameters of `parameters`, on one thread."""
    net = fastbp.Network(
        layers,
        activation=activation,
        loss=loss.loss(),
        output_activation=output_activation,
        optimizer=optimizer.optimizer(),
        dtype=dtype,
        rng=0,
        threads=threads,
        **regularization,
    )
    weights, biases = parameters(layers, seed)
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        net.weights[layer][:] = W
        net.biases[layer][:] = b
    return net


def twins(
    layers,
    activation="tanh",
    loss=MSE,
    optimizer=ADAM,
    output_activation=None,
    dtype="float64",
    seed=0,
    reference_dtype="float64",
    **regularization,
):
    """The network under test and its reference, with the same parameters to the last bit."""
    net = network(
        layers, activation, loss, optimizer, output_activation, dtype, seed, **regularization
    )
    drops = {"dropout": net.regularization.dropout, "dropout_seed": net._core.engine.dropout_seed}
    ref = Reference(
        [np.array(W, reference_dtype) for W in net.weights],
        [np.array(b, reference_dtype) for b in net.biases],
        activation,
        loss.name,
        output_activation,
        optimizer.name,
        loss.options,
        optimizer.options,
        regularization | drops,
    )
    return net, ref


def assert_close(got, want, rtol):
    """Lists of arrays agree within rtol of the largest entry of each array.

    An array of rounding errors only (below a thousandth of the largest of all, or below 1e-4 as
    the gradients of a softmax over one class are) is compared on that scale instead.
    """
    floor = max(1e-3 * max(np.abs(w).max() for w in want), 1e-4)
    for layer, (g, w) in enumerate(zip(got, want, strict=True)):
        assert g.shape == w.shape
        error = np.abs(g - w).max()
        bound = rtol * max(np.abs(w).max(), floor)
        assert error <= bound, f"array {layer}: error {error:.2e}, at most {bound:.2e} allowed"


def assert_same_parameters(net, ref, rtol):
    assert_close([*net.weights, *net.biases], [*ref.weights, *ref.biases], rtol)
