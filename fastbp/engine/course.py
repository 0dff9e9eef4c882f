"""Course: the batches that training goes through, and how far it has come."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.machine.jit import address
from fastbp.rows.rows import Rows, batch_totals

Totals = NDArray[np.float64] | None


class Stretch(NamedTuple):
    """What one call of the training kernel goes through; numbers as of `kernels.step.program`.

    order, losses, penalties and carried are addresses; steps: how many it makes at the most.
    """

    order: int
    order_rows: int
    epochs: int
    rows: int
    batch: int
    losses: int
    carried: int
    steps: int
    first_row: int = 0
    totals: Totals = None
    rates: Totals = None
    penalties: int = 0
    by_rows: bool = False

    def masses(self, unit: float) -> NDArray[np.float64]:
        """What the rows of each batch weigh together; of several tasks, how many they are.

        unit: what a weight of 1 is of the user's.
        """
        if self.totals is not None and self.totals.ndim == 1:
            return self.totals[: self.steps] * unit
        an_epoch = -(-self.rows // self.batch)
        masses = np.full(self.steps, float(self.batch))
        first = self.first_row // self.batch
        masses[an_epoch - 1 - first :: an_epoch] = self.rows - (an_epoch - 1) * self.batch
        return masses


class Course:
    """Some epochs of batches.

    Parameters
    ----------
    data : Rows
        Features and targets.
    order : (epochs, rows) int64
        The rows of `data` that each epoch visits, in order, as `row_orders` makes them.
    batch : int
        Rows of a batch; the last one of an epoch may be shorter.
    rates : (steps,) float64, optional
        The learning rate of each step; None for the optimizer's own.
    by_rows : bool
        Whether batches count by their rows in the mean loss of an epoch, and not by their total
        weights.

    Attributes
    ----------
    data, order, batch
        Those of the parameters.
    done : int
        Steps made.
    failure : (int, int) or None
        Epoch and batch of a loss that was not finite.
    single : bool
        Whether each step takes a call of the kernels of its own.
    """

    single = False

    def __init__(
        self,
        data: Rows,
        order: NDArray[np.int64],
        batch: int,
        rates: NDArray[np.float64] | None = None,
        by_rows: bool = False,
    ) -> None:
        self.data, self.order, self.batch, self._rates = data, order, batch, rates
        self._epochs, self._rows = order.shape
        self._by_rows = by_rows
        self._steps = -(-self._rows // batch)  # an epoch
        self._totals = batch_totals(data, order, batch)
        self._numbers = np.zeros(4 + 2 * self._epochs)  # what is carried, losses, penalties
        self._at, self._order_at = address(self._numbers), address(order)
        self._stride = order.strides[0]
        self.done = 0
        self.failure: tuple[int, int] | None = None

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return int(self._epochs * self._steps)

    @property
    def epoch(self) -> int:
        """Whole epochs that were gone through."""
        return int(self.done // self._steps)

    @property
    def losses(self) -> NDArray[np.float64]:
        """The mean loss of each whole epoch that was gone through."""
        return self._numbers[4 : 4 + self.epoch]

    @property
    def penalties(self) -> NDArray[np.float64]:
        """What of these losses are penalties."""
        at = 4 + self._epochs
        return self._numbers[at : at + self.epoch]

    @property
    def last_loss(self) -> float:
        """The loss of the last step before its update."""
        return float(self._numbers[2])

    def ready(self, engine: Any) -> Rows:
        """The data of what comes next; called when the network's memory is free."""
        return self.data

    def ahead(self, most: int) -> Stretch:
        """What comes next, `most` steps of it."""
        epoch, step = divmod(self.done, self._steps)
        steps = min(most, self.steps - self.done)
        return Stretch(
            self._order_at + epoch * self._stride,
            self._stride // 8,
            self._epochs - epoch,
            self._rows,
            self.batch,
            self._at + 8 * (4 + epoch),
            self._at,
            steps,
            step * self.batch,
            None if self._totals is None else self._totals[self.done :],
            None if self._rates is None else self._rates[self.done : self.done + steps],
            self._at + 8 * (4 + self._epochs + epoch),
            self._by_rows,
        )
