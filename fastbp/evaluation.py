"""Evaluation: the mean loss of rows, the accuracy where the targets are classes, and metrics."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastbp.engine import Engine
from fastbp.losses import Loss
from fastbp.rows import Rows, accuracy, has_classes

if TYPE_CHECKING:
    from fastbp.metrics import Metric


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
    metrics : sequence of str or callable, optional
        As the user passed them.
    usual : bool
        Whether the loss is measured, and the accuracy of classes, or the metrics alone.

    Attributes
    ----------
    rows : Rows
        As they were passed.
    prefix : str
        Likewise.
    names : tuple of str
        Of the quantities that `measure` returns, in their order.

    Raises
    ------
    TypeError, ValueError, ModuleNotFoundError
        Metrics that are none, or do not suit the targets.
    """

    def __init__(
        self,
        engine: Engine,
        loss: Loss,
        rows: Rows,
        prefix: str = "",
        metrics: Any = None,
        usual: bool = True,
    ) -> None:
        self._engine, self.rows, self.prefix, self._usual = engine, rows, prefix, usual
        self._metrics: tuple[Metric, ...] = ()
        self._classes = usual and has_classes(rows, loss)
        names = ["loss"] * usual + ["accuracy"] * self._classes
        if metrics is not None:
            from fastbp.metrics import checked_metrics, expect_suitable

            made = checked_metrics(metrics)
            expect_suitable(made, rows, loss, engine.layout.widths[-1])
            self._metrics = tuple(metric for metric in made if metric.name not in names)
            names += [metric.name for metric in self._metrics]
        self.names = tuple(f"{prefix}{name}" for name in names)

    def measure(self) -> dict[str, float]:
        """The quantities as the network is now."""
        outputs, losses = self._engine.evaluate(self.rows)
        with np.errstate(all="ignore"):
            values = [mean_loss(self.rows, losses)] if self._usual else []
            if self._classes:
                values.append(accuracy(self.rows, outputs))
        if self._metrics:
            from fastbp.metrics import measure

            values += [measure(metric, self.rows, outputs) for metric in self._metrics]
        return dict(zip(self.names, values, strict=True))


def mean_loss(rows: Rows, losses: NDArray[np.float64]) -> float:
    """The mean of the losses of rows, weighted where the rows have weights."""
    if rows.weights is None or rows.totals is None:
        return float(losses.mean())
    counts = rows.weights > 0  # what weighs nothing may have a loss that is not finite
    return float((rows.weights[counts] * losses[counts]).sum() / rows.totals.sum())
