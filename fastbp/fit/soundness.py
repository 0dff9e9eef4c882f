"""Soundness: whether parameters are finite, and the loss on the training rows is finite with them.

The losses of an epoch are taken before its updates: they do not tell what the last one has made of
the network. A bound does, from the greatest weight and input: in a layer of n inputs no sum is
above n times both. Where that is too large to tell, sums of absolute weights give a closer one, and
where that is too large, too, all rows are predicted.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.choices import is_built_in
from fastbp.configuration import Configuration
from fastbp.data.sparse import SparseRows
from fastbp.engine.engine import Engine
from fastbp.fit.evaluation import Evaluation
from fastbp.losses import BaseLoss, GaussianNLL, RowLoss
from fastbp.rows.rows import Rows
from fastbp.tasks import Tasks

# What is below these bounds stays finite in float32: sums of products, and logits; errors, whose
# squares times weights are summed over a block of outputs, and targets; weights of losses.
HIDDEN, OUTPUT, FACTOR = 1e30, 1e15, 1e4
STRETCH, SHIFT = 1.06, 2.0  # of activations: abs(f(z)) <= STRETCH * abs(z) + SHIFT
FEW, PIECE = 1 << 14, 1 << 17  # values of which a copy is soon made; that are worked on at a time
LOG_RATE = 60.0  # exp of it is far from infinite, also summed over outputs and rows
# Of outputs and targets of the Gaussian likelihood: squares of errors are divided by variances, and
# multiplied by what log variances fall short of, as the bound on what a variance is tells.
LIKELY, LEAST_VARIANCE = 1e6, 1e-12


class Reach(NamedTuple):
    """The greatest absolute values of what enters the first layer, and of targets."""

    inputs: float
    targets: float


class Soundness:
    """The judge of one network.

    Parameters
    ----------
    parts : Configuration
        What the network is made of.
    engine : Engine
        Its memory.
    """

    def __init__(self, parts: Configuration, engine: Engine) -> None:
        self._parts, self._engine = parts, engine
        self._can_tell = _can_tell(parts)
        self._limit = min(_limit(loss, name) for loss, name in _heads(parts))
        likely = any(isinstance(loss, GaussianNLL) for loss, _ in _heads(parts))
        self._most_target = LIKELY if likely else OUTPUT
        self._inputs = parts.layout.widths[:-1]

    def reach(self, rows: Rows) -> Reach:
        """The greatest absolute values of these rows."""
        return Reach(self._reach_of_features(rows), _reach_of_targets(rows))

    def holds(self, rows: Rows, reach: Reach | None = None) -> bool:
        """Whether the network is sound on these rows; to be asked after training.

        reach: what `reach` returns, where that is known.
        """
        if self._can_tell and self._is_certain(reach or self.reach(rows)):
            return True
        weights = [self._engine.layout.weights, self._engine.layout.biases]
        for layer in range(self._engine.layout.layers):
            for of_layer in weights:
                if not np.isfinite(of_layer(self._engine.state, layer)).all():
                    return False
        try:
            measured = Evaluation(self._engine, self._parts.loss, rows).measure()
        except Exception as error:
            # Rows that were changed, or a function of the user's that fails: they do not tell.
            if isinstance(error, ValueError) or isinstance(self._parts.loss, RowLoss):
                return False
            raise
        return math.isfinite(measured["loss"])

    def _is_certain(self, reach: Reach) -> bool:
        """Whether a bound proves it."""
        if not reach.targets < self._most_target:
            return False
        layers = self._engine.layout.layers
        top = greatest(self._engine.slot(0))
        if self._stays_finite(
            reach.inputs, [top * width for width in self._inputs], [top] * layers
        ):
            return True
        return math.isfinite(top) and self._stays_finite(reach.inputs, *self._sums())

    def _stays_finite(self, inputs: float, sums: list[float], biases: list[float]) -> bool:
        """Whether no layer can leave the bounds.

        inputs: the greatest of the network's; sums, biases: for each layer, at least what the
        absolute values of one column of W add up to, and the greatest bias.
        """
        bound, before = inputs, 0.0
        for of_column, bias in zip(sums, biases, strict=True):
            if not bound < HIDDEN:
                return False
            before = bound * of_column + bias
            bound = STRETCH * before + SHIFT
        return before < self._limit

    def _sums(self) -> tuple[list[float], list[float]]:
        """For each layer the greatest sum of the absolute values of a column, and bias."""
        layout, state = self._engine.layout, self._engine.state
        sums, biases = [], []
        for layer in range(layout.layers):
            weights = layout.weights(state, layer)
            height = max(1, PIECE // weights.shape[1])
            pieces = range(0, len(weights), height)
            total = sum(np.abs(weights[at : at + height]).sum(axis=0, dtype=float) for at in pieces)
            sums.append(float(np.max(total)))
            biases.append(greatest(layout.biases(state, layer)))
        return sums, biases

    def _reach_of_features(self, rows: Rows) -> float:
        """The greatest absolute value that enters the first layer."""
        if isinstance(rows.features, SparseRows):
            return _reach(rows.features.values)
        reach, scaling = _reach(rows.features), self._engine.scaling
        if scaling is None:
            return reach
        return float((reach + np.abs(scaling.shift).max()) * scaling.factor.max())


def _heads(parts: Configuration) -> list[tuple[BaseLoss, str]]:
    """Each loss, and the name of the activation of its outputs."""
    if isinstance(parts.loss, Tasks):
        return [(task.loss, task.activation.name) for task in parts.loss.groups]
    return [(parts.loss, parts.activations[-1].name)]


def _limit(loss: BaseLoss, activation: str) -> float:
    """What the outputs before their activation must stay below."""
    if activation == "exponential":
        return LOG_RATE
    if isinstance(loss, GaussianNLL):
        return LIKELY
    return HIDDEN if loss.on_logits else OUTPUT


def _can_tell(parts: Configuration) -> bool:
    """Whether the bound is one for these activations and losses."""
    activations, weights = [*parts.activations], parts.loss_weights or ()
    losses = [loss for loss, _ in _heads(parts)]
    if isinstance(parts.loss, Tasks):
        weights = tuple(task.weight for task in parts.loss.groups)
        activations += [task.activation for task in parts.loss.groups]
    parameters = [loss.parameter() for loss in losses]
    known = all(map(is_built_in, [*activations, *losses]))
    narrow = any(isinstance(one, GaussianNLL) and one.eps < LEAST_VARIANCE for one in losses)
    return known and not narrow and max((*weights, *parameters), default=0.0) <= FACTOR


def greatest(values: NDArray[Any]) -> float:
    """The greatest absolute value, NaN where one is."""
    if values.size <= FEW:
        return float(np.abs(values).max())
    flat = values.reshape(-1)
    pieces = [flat[at : at + PIECE] for at in range(0, flat.size, PIECE)]
    return float(np.max([(piece.max(), -piece.min()) for piece in pieces]))


def _reach_of_targets(rows: Rows) -> float:
    if rows.tasks:
        return max(_reach_of_targets(task) for task in rows.tasks)
    return 0.0 if rows.labels else _reach(rows.targets)


def _reach(values: NDArray[Any]) -> float:
    """The greatest absolute value, but for NaN; of integers that of their dtype."""
    if values.dtype.kind in "iub":
        return float(np.iinfo(values.dtype).max) if values.dtype.kind != "b" else 1.0
    if not values.size:
        return 0.0
    found = greatest(values)
    if not math.isnan(found):
        return found
    return float(np.fmax.reduce(np.abs(values), axis=None, initial=0.0))
