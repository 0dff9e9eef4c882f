"""Losses that are functions of whole rows: forward in the kernels, the function, and a step."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.engine import derivatives
from fastbp.engine.course import Course
from fastbp.engine.engine import Engine
from fastbp.losses import RowLoss
from fastbp.rows.rows import Rows, Slopes


def sloped(engine: Engine, data: Rows, loss: Any, dropping: bool = False) -> Rows:
    """The rows with slopes in the place of targets, where the loss is such a function.

    Called without the lock of the memory, since the function is its user's.

    dropping: whether with the dropout of the next step.
    """
    if not isinstance(loss, RowLoss):
        return data
    of = Slopes(dropping)
    outputs = engine.turns.hold(derivatives.forward, engine, data.features, of)
    targets = data.targets.copy()  # which may be the user's own, and the function write into it
    of.values, slopes = loss.of_rows(outputs, targets)
    return data._replace(targets=slopes, slopes=of)


class RowCourse(Course):
    """Epochs of batches with such a loss.

    Parameters
    ----------
    loss : RowLoss
        The network's; others as of `Course`.
    """

    single = True

    def __init__(
        self,
        loss: RowLoss,
        data: Rows,
        order: NDArray[np.int64],
        batch: int,
        rates: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(data, order, batch, rates)
        self._loss, self._values = loss, np.zeros(len(data.features))
        self._slopes: NDArray[Any] | None = None

    def ready(self, engine: Engine) -> Rows:
        """The data with the slopes of the next batch in the place of its targets."""
        epoch, step = divmod(self.done, self._steps)
        rows = self.order[epoch, step * self.batch : (step + 1) * self.batch]
        of = Slopes(True)
        outputs = engine.turns.hold(derivatives.forward, engine, self.data.features, of, rows)
        if self._slopes is None:
            self._slopes = np.zeros((len(self._values), outputs.shape[1]), outputs.dtype)
        self._values[rows], self._slopes[rows] = self._loss.of_rows(
            outputs, self.data.targets[rows]
        )
        of.values = self._values
        return self.data._replace(targets=self._slopes, slopes=of)
