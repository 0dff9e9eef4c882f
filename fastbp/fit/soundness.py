"""Soundness: whether parameters are finite, and the loss on the training rows is finite with them.

The losses of an epoch are taken before its updates: they do not tell what the last one has made of
the network. A bound does, from the sums of absolute weights and the greatest input, for what a row
of a batch costs. Only where it is too large to tell, all rows are predicted.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.activations import ACTIVATIONS
from fastbp.configuration import Configuration
from fastbp.data.sparse import SparseRows
from fastbp.engine.engine import Engine
from fastbp.fit.evaluation import Evaluation
from fastbp.losses import Loss
from fastbp.rows.rows import Rows
from fastbp.tasks import Tasks

# What is below these bounds stays finite in float32: sums of products, and the squares of errors
# times weights, summed over a block of outputs.
HIDDEN, OUTPUT, FACTOR = 1e30, 1e12, 1e6
FEW = 1 << 14  # values, of which a copy is soon made
LOG_RATE = 60.0  # exp of it is far from infinite, also summed over outputs and rows


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
        grows = any(name == "exponential" for _, name in _heads(parts))
        self._limit = LOG_RATE if grows else OUTPUT

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
        measured = Evaluation(self._engine, self._parts.loss, rows).measure()
        return math.isfinite(measured["loss"])

    def _is_certain(self, reach: Reach) -> bool:
        """Whether a bound proves it."""
        output, hidden = self._engine.turns.hold(self._engine.bounds, reach.inputs)
        return hidden < HIDDEN and output < self._limit and reach.targets < OUTPUT

    def _reach_of_features(self, rows: Rows) -> float:
        """The greatest absolute value that enters the first layer."""
        if isinstance(rows.features, SparseRows):
            return _reach(rows.features.values)
        reach, scaling = _reach(rows.features), self._engine.scaling
        if scaling is None:
            return reach
        return float((reach + np.abs(scaling.shift).max()) * scaling.factor.max())


def _heads(parts: Configuration) -> list[tuple[Loss, str]]:
    """Each loss, and the name of the activation of its outputs."""
    if isinstance(parts.loss, Tasks):
        return [(task.loss, task.activation.name) for task in parts.loss.groups]
    return [(parts.loss, parts.activations[-1].name)]


def _can_tell(parts: Configuration) -> bool:
    """Whether the bound is one for these activations and losses."""
    known = all(ACTIVATIONS.get(one.name) is one for one in parts.activations)
    weights = parts.loss_weights or ()
    if isinstance(parts.loss, Tasks):
        weights = tuple(task.weight for task in parts.loss.groups)
        known &= all(
            ACTIVATIONS.get(task.activation.name) is task.activation for task in parts.loss.groups
        )
    parameters = [loss.parameter() for loss, _ in _heads(parts)]
    return known and max((*weights, *parameters), default=0.0) <= FACTOR


def _reach_of_targets(rows: Rows) -> float:
    if rows.tasks:
        return max(_reach_of_targets(task) for task in rows.tasks)
    return 0.0 if rows.labels else _reach(rows.targets)


def _reach(values: NDArray[Any]) -> float:
    """The greatest absolute value, but for NaN; of integers that of their dtype."""
    if values.dtype.kind in "iub":
        return float(np.iinfo(values.dtype).max) if values.dtype.kind != "b" else 1.0
    if values.size <= FEW:
        greatest = float(np.abs(values).max(initial=0))
        if not math.isnan(greatest):
            return greatest
    least, most = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
    return 0.0 if np.isnan(least) else max(-float(least), float(most))
