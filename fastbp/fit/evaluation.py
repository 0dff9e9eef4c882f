"""Evaluation: the mean loss of rows, the accuracy where the targets are classes, and metrics."""

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastbp.engine.engine import Engine
from fastbp.engine.prediction import predict_checked
from fastbp.losses import BaseLoss, RowLoss
from fastbp.rows.rows import Rows, accuracy, expect_unchanged, has_classes
from fastbp.tasks import Tasks, by_name

if TYPE_CHECKING:
    from fastbp.metrics import Metric

Metrics = Sequence[str | Callable[[Any, Any], float]]  # as users pass them


class Measured(Protocol):
    """What is measured of a network after each epoch.

    Attributes
    ----------
    rows : Rows
        On which.
    prefix : str
        Of the names of the quantities.
    names : tuple of str
        Of the quantities.
    """

    rows: Rows
    prefix: str
    names: tuple[str, ...]

    def measure(self) -> dict[str, float]:
        """The quantities as the network is now."""


class Evaluation:
    """Rows on which a network is measured, once or again and again.

    Parameters
    ----------
    engine : Engine
        The network's.
    loss : BaseLoss
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
        loss: BaseLoss,
        rows: Rows,
        prefix: str = "",
        metrics: Any = None,
        usual: bool = True,
    ) -> None:
        self._engine, self.rows, self.prefix, self._usual = engine, rows, prefix, usual
        self._loss, self._tasks = loss, loss if isinstance(loss, Tasks) else None
        if self._tasks is None:
            self._parts = [_Part(rows, loss, engine.layout.widths[-1], metrics, usual)]
            names = self._parts[0].names
        else:
            given = by_name(metrics, self._tasks, "metrics")
            self._parts = [
                _Part(part, task.loss, task.outputs, given.get(task.name), usual, f"{task.name}_")
                for task, part in zip(self._tasks.groups, rows.tasks, strict=True)
            ]
            names = ["loss"] * usual + [name for part in self._parts for name in part.names]
        self.names = tuple(f"{prefix}{name}" for name in names)

    def measure(self) -> dict[str, float]:
        """The quantities as the network is now."""
        turns, engine = self._engine.turns, self._engine
        of_rows = isinstance(self._loss, RowLoss)
        with turns.reading, turns.lock:
            turns.served()
            if of_rows:
                outputs, losses = predict_checked(engine, self.rows.features), np.empty(0)
            else:
                outputs, losses = engine.evaluate(self.rows)
        if isinstance(self._loss, RowLoss):  # whose function runs without the lock
            losses, _ = self._loss.of_rows(outputs.copy(), self.rows.targets.copy())
        if not np.isfinite(losses).all():
            name = "validation_data " if self.prefix else ""
            expect_unchanged(self.rows, self._loss, self._engine.layout.widths, name=name)
        if self._tasks is None:
            values = self._parts[0].measure(outputs, losses)
        else:
            values = self._of_tasks(self._tasks, outputs)
        return dict(zip(self.names, values, strict=True))

    def _of_tasks(self, tasks: Tasks, outputs: NDArray[Any]) -> list[float]:
        found = [
            part.measure(own, part.rows.losses)
            for part, own in zip(self._parts, tasks.split(outputs).values(), strict=True)
        ]
        total = [tasks.total([values[0] for values in found])] if self._usual else []
        return [*total, *itertools.chain(*found)]


class _Part:
    """What is measured of one loss; `outputs`: how many it has; arguments as of `Evaluation`."""

    def __init__(
        self, rows: Rows, loss: BaseLoss, outputs: int, metrics: Any, usual: bool, prefix: str = ""
    ) -> None:
        self.rows, self._judged, self._loss, self._usual = rows, rows.judged, loss, usual
        self._metrics: tuple[Metric, ...] = ()
        self._classes = usual and has_classes(self._judged, loss)
        names = ["loss"] * usual + ["accuracy"] * self._classes
        if metrics is not None:
            from fastbp.metrics import checked_metrics, expect_suitable

            made = checked_metrics(metrics)
            expect_suitable(made, self._judged, loss, outputs)
            self._metrics = tuple(metric for metric in made if metric.name not in names)
            names += [metric.name for metric in self._metrics]
        self.names = [f"{prefix}{name}" for name in names]

    def measure(self, outputs: NDArray[Any], losses: NDArray[np.float64] | None) -> list[float]:
        values = []
        with np.errstate(all="ignore"):
            if self._usual and losses is not None:
                values.append(mean_loss(self.rows, losses))
            if self._classes:
                values.append(accuracy(self._judged, outputs, self._loss.threshold))
        if self._metrics:
            from fastbp.metrics import measure

            values += [
                measure(metric, self._judged, outputs, self._loss) for metric in self._metrics
            ]
        return values


def task_losses(rows: Rows, tasks: Tasks) -> dict[str, float]:
    """The losses of an epoch that training has left with the rows; 0 where nothing counts."""
    losses = []
    for part in rows.tasks:
        assert part.losses is not None
        mass = part.losses.size if part.totals is None else part.totals.sum()
        losses.append(float(part.losses.sum() / mass) if mass else 0.0)
    names = [f"{task.name}_loss" for task in tasks.groups]
    return {"loss": tasks.total(losses), **dict(zip(names, losses, strict=True))}


def mean_loss(rows: Rows, losses: NDArray[np.float64]) -> float:
    """The mean of the losses of rows, weighted where they have weights; 0 where nothing counts."""
    if rows.weights is None or rows.totals is None:
        return float(losses.mean())
    if not rows.totals.any():
        return 0.0
    counts = rows.weights > 0  # what weighs nothing may have a loss that is not finite
    return float((rows.weights[counts] * losses[counts]).sum() / rows.totals.sum())
