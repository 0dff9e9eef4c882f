"""Evaluation: the mean loss of rows, and the accuracy where the targets are classes."""

import numpy as np

from fastbp.engine import Engine
from fastbp.losses import Loss
from fastbp.rows import Rows, accuracy


def evaluate(engine: Engine, rows: Rows, loss: Loss) -> dict[str, float]:
    """What `Network.evaluate` returns."""
    outputs, losses = engine.evaluate(rows)
    with np.errstate(all="ignore"):
        found = {"loss": float(losses.mean())}
        correct = accuracy(rows, outputs, loss)
    return found if correct is None else {**found, "accuracy": correct}
