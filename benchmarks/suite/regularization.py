"""How long dropout, penalties and weights take over a block that the L2 cache holds."""

import ctypes

import numpy as np

from fastbp.engine.records import Weighted
from fastbp.kernels.machine.jit import address
from fastbp.kernels.panels.dropout import EVENTS, drop, drop_delta
from fastbp.kernels.panels.penalties import penalize
from fastbp.kernels.panels.weighted import weighted
from fastbp.losses import MSE, CrossEntropy
from fastbp.regularization import Regularization

from .behaviours import CALLS, COLUMNS, ROWS, loss_arrays, normal


class Dropout:
    """The masks of the outputs of a layer, and of the deltas on the way back, by rate."""

    params = ([0.2, 0.5],)
    param_names = ("rate",)
    number = 1  # the deltas are overwritten
    repeat = (10, 200, 1.0)
    warmup_time = 0  # setup has done it

    def setup(self, rate):
        self.arrays = outputs, dropped, delta = [normal(ROWS, COLUMNS) for _ in range(3)]
        threshold = round(rate * EVENTS)
        self.drop, self.drop_delta = drop.call(), drop_delta.call()
        block = ROWS, COLUMNS, COLUMNS, 0, threshold
        place = 1, 0, 0, 0  # seed, layer, step, row
        self.drop_arguments = address(outputs), address(dropped), *block, *place
        self.delta_arguments = address(delta), address(dropped), delta.size, threshold
        self.drop(*self.drop_arguments)
        self.drop_delta(*self.delta_arguments)

    def time_drop(self, rate):
        self.drop(*self.drop_arguments)

    def time_drop_delta(self, rate):
        self.drop_delta(*self.delta_arguments)


PENALTIES = {
    "l2": Regularization(l2=1e-4),
    "l1 and l2": Regularization(l1=1e-5, l2=1e-4),
    "clip_value": Regularization(clip_value=0.1),
}


class Penalties:
    """What is done to the gradient of ROWS * COLUMNS weights before their update."""

    params = (list(PENALTIES),)
    param_names = ("penalty",)
    number = 1  # the gradient is overwritten
    repeat = (10, 200, 1.0)
    warmup_time = 0  # setup has done it

    def setup(self, penalty):
        weights, gradient = normal(ROWS, COLUMNS), normal(ROWS, COLUMNS)
        self.arrays = weights, gradient, PENALTIES[penalty].settings()
        at, of, settings = map(address, self.arrays)
        self.arguments = at, of, weights.size, weights.size, settings, 0
        self.penalize = penalize.call()
        self.penalize(*self.arguments)

    def time_penalize(self, penalty):
        self.penalize(*self.arguments)


LOSSES = {"mse": MSE(), "cross_entropy of labels": CrossEntropy()}


class WeightedLosses:
    """CALLS times the losses and deltas of ROWS rows with weights; `Losses` has them without."""

    params = (list(LOSSES), [1, 10, 256])
    param_names = ("loss", "outputs")
    repeat = (10, 200, 1.0)
    warmup_time = 0  # setup has done it

    def setup(self, loss, outputs):
        chosen, labels = LOSSES[loss], loss != "mse"
        *arrays, parameters = loss_arrays(chosen, labels, outputs)
        weights, total = np.linspace(0.5, 1.5, ROWS), np.array([float(ROWS)])
        record = Weighted(chosen.panel(labels).address(), address(parameters), address(weights))
        self.memory = arrays, parameters, weights, total, record
        block = ROWS, outputs, arrays[0].shape[1], ROWS, address(total)
        self.arguments = *map(address, arrays), ctypes.addressof(record), *block
        self.loss = weighted.call()
        self.loss(*self.arguments)

    def time_loss(self, loss, outputs):
        for _ in range(CALLS):
            self.loss(*self.arguments)
