"""Evaluation: the mean loss of rows, and the accuracy where the targets are classes."""

import numpy as np
from numpy.typing import NDArray

from fastbp.engine import Engine
from fastbp.losses import Loss
from fastbp.rows import Rows, accuracy


def evaluate(engine: Engine, rows: Rows, loss: Loss) -> dict[str, float]:
    """What `Network.evaluate` returns."""
    outputs, losses = engine.evaluate(rows)
    with np.errstate(all="ignore"):
        found = {"loss": mean_loss(rows, losses)}
        correct = accuracy(rows, outputs, loss)
    return found if correct is None else {**found, "accuracy": correct}


def mean_loss(rows: Rows, losses: NDArray[np.float64]) -> float:
    """The mean of the losses of rows, weighted where the rows have weights."""
    if rows.weights is None or rows.totals is None:
        return float(losses.mean())
    counts = rows.weights > 0  # what weighs nothing may have a loss that is not finite
    return float((rows.weights[counts] * losses[counts]).sum() / rows.totals.sum())
