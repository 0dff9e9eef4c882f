"""How long activations, losses and updates take over a block that the L2 cache holds."""

import math

import numpy as np

import fastbp
from fastbp import losses
from fastbp.activations import ACTIVATIONS
from fastbp.kernels.machine.jit import address
from fastbp.layout.aligned import aligned_zeros, row_stride

ROWS, COLUMNS = 256, 256
CALLS = 20  # of a loss in a sample: one alone is shorter than what surrounds it
BLOCK = ROWS, COLUMNS, COLUMNS  # rows, columns, and elements from row to row


def normal(*shape):
    """Return normal numbers, float32, the same each time; they begin at a cache line."""
    numbers = aligned_zeros(math.prod(shape), np.dtype(np.float32)).reshape(shape)
    return np.random.default_rng(0).standard_normal(dtype=np.float32, out=numbers)


class Activations:
    """The panels over the outputs of a layer in training, by activation."""

    params = ([name for name, entry in ACTIVATIONS.items() if entry.forward is not None],)
    param_names = ("activation",)
    number = 1  # an activation overwrites its argument
    repeat = (10, 200, 1.0)
    warmup_time = 0  # setup has done it

    def setup(self, activation):
        entry = ACTIVATIONS[activation]
        self.forward, self.backward = entry.training_forward.call(), entry.backward.call()
        self.values, self.slopes, self.delta = (normal(ROWS, COLUMNS) for _ in range(3))
        operand = self.values if entry.from_output else self.slopes
        self.forward_arguments = address(self.values), address(self.slopes), *BLOCK
        self.backward_arguments = address(self.delta), address(operand), *BLOCK
        self.forward(*self.forward_arguments)
        self.backward(*self.backward_arguments)
        self.values[:] = self.delta[:] = normal(ROWS, COLUMNS)

    def time_forward(self, activation):
        self.forward(*self.forward_arguments)

    def time_backward(self, activation):
        self.backward(*self.backward_arguments)


LOSSES = {
    "mse": losses.MSE(),
    "mae": losses.MAE(),
    "huber": losses.Huber(),
    "binary_cross_entropy": losses.BinaryCrossEntropy(),
    "poisson": losses.Poisson(),
    "quantile": losses.Quantile(0.9),
    "log_cosh": losses.LogCosh(),
    "hinge": losses.Hinge(),
    "focal": losses.Focal(),
    "kl_divergence": losses.KLDivergence(),
    "cosine": losses.Cosine(),
    "cross_entropy of labels": losses.CrossEntropy(),
    "cross_entropy of probabilities": losses.CrossEntropy(),
    "cross_entropy smoothed": losses.CrossEntropy(label_smoothing=0.1),
}


def loss_arrays(loss, labels, outputs):
    """What a panel of a loss is handed: outputs, deltas, targets, order, losses and parameters."""
    ld = row_stride(outputs, 4)
    targets = np.full((ROWS, outputs), 1 / outputs, np.float32)
    if labels:
        targets = np.arange(ROWS) % outputs
    parameters = np.ones(1 + outputs)  # the loss's own, then the outputs' weights
    parameters[0] = loss.parameter()
    deltas = np.zeros((ROWS, ld), np.float32)
    return normal(ROWS, ld), deltas, targets, np.arange(ROWS), np.zeros(ROWS), parameters


class Losses:
    """CALLS times the losses and deltas of ROWS rows, by loss and number of outputs."""

    params = (list(LOSSES), [1, 10, 256])
    param_names = ("loss", "outputs")
    repeat = (10, 200, 1.0)
    warmup_time = 0  # setup has done it

    def setup(self, loss, outputs):
        chosen = LOSSES[loss]
        labels = loss in ("cross_entropy of labels", "cross_entropy smoothed")
        self.arrays = loss_arrays(chosen, labels, outputs)  # their memory
        ld = self.arrays[0].shape[1]
        self.arguments = *map(address, self.arrays), ROWS, outputs, ld, ROWS, 0
        self.loss = chosen.panel(labels).call()
        self.loss(*self.arguments)

    def time_loss(self, loss, outputs):
        for _ in range(CALLS):
            self.loss(*self.arguments)


OPTIMIZERS = {
    "sgd": fastbp.SGD(),
    "momentum": fastbp.SGD(momentum=0.9),
    "nesterov": fastbp.SGD(momentum=0.9, nesterov=True),
    "adam": fastbp.Adam(),
    "amsgrad": fastbp.Adam(amsgrad=True),
    "adamw": fastbp.AdamW(),
    "rmsprop": fastbp.RMSprop(),
    "rmsprop, momentum": fastbp.RMSprop(momentum=0.9),
    "rmsprop, centered": fastbp.RMSprop(centered=True),
    "rmsprop, centered, momentum": fastbp.RMSprop(centered=True, momentum=0.9),
    "adagrad": fastbp.Adagrad(),
    "nadam": fastbp.Nadam(),
}


class Updates:
    """One update of ROWS * COLUMNS parameters, by optimizer."""

    params = (list(OPTIMIZERS),)
    param_names = ("optimizer",)
    number = 1  # an update changes parameters and slots
    repeat = (10, 200, 1.0)
    warmup_time = 0  # setup has done it

    def setup(self, optimizer):
        chosen = OPTIMIZERS[optimizer]
        state = np.zeros((1 + chosen.slots, ROWS * COLUMNS), np.float32)
        state[0] = gradient = normal(ROWS * COLUMNS)
        coefficients = chosen.coefficients(np.array([1.0]), chosen.lr)
        self.arrays = state, gradient, coefficients  # their memory
        at, of, with_ = map(address, self.arrays)
        self.arguments = at, of, state[0].nbytes, gradient.size, with_
        self.update = chosen.panel.call()
        self.update(*self.arguments)

    def time_update(self, optimizer):
        self.update(*self.arguments)
