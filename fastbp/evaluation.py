"""Evaluation: the mean loss of rows, and the accuracy where the targets are classes."""

import numpy as np
from numpy.typing import NDArray

from fastbp.engine import Engine
from fastbp.losses import Loss
from fastbp.rows import Rows, accuracy, has_classes


class Evaluation:
    """Rows on which a network is measured, once or again and again.

    Parameters
    ----------
    engine : Engine
        The network's.
    loss : Loss
        Likewise.
    rows : Rows
        What it is measured on.
    prefix : str
        Of the names of the quantities.

    Attributes
    ----------
    rows : Rows
        As they were passed.
    names : tuple of str
        Of the quantities that `measure` returns, in their order.
    """

    def __init__(self, engine: Engine, loss: Loss, rows: Rows, prefix: str = "") -> None:
        self._engine, self.rows = engine, rows
        self._classes = has_classes(rows, loss)
        self.names = tuple(f"{prefix}{name}" for name in ("loss", "accuracy")[: 1 + self._classes])

    def measure(self) -> dict[str, float]:
        """The quantities as the network is now."""
        outputs, losses = self._engine.evaluate(self.rows)
        with np.errstate(all="ignore"):
            values = [mean_loss(self.rows, losses)]
            if self._classes:
                values.append(accuracy(self.rows, outputs))
        return dict(zip(self.names, values, strict=True))


def mean_loss(rows: Rows, losses: NDArray[np.float64]) -> float:
    """The mean of the losses of rows, weighted where the rows have weights."""
    if rows.weights is None or rows.totals is None:
        return float(losses.mean())
    counts = rows.weights > 0  # what weighs nothing may have a loss that is not finite
    return float((rows.weights[counts] * losses[counts]).sum() / rows.totals.sum())
