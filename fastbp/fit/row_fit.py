"""RowFit: a fit on rows that are all there, epoch by epoch in a new order."""

from typing import Any

import numpy as np

from fastbp.callbacks.base import Callback
from fastbp.fit.evaluation import Evaluation, task_losses
from fastbp.fit.running import RunningFit, Trained
from fastbp.history.state import data_sample
from fastbp.rows.rows import Rows, row_orders

ORDER_A_CALL = 1 << 20  # shuffled row numbers of several epochs: bounds their memory
FLOPS_A_CALL = 30_000_000_000  # of several epochs: progress stays visible


class RowFit(RunningFit):
    """A fit on rows.

    Parameters
    ----------
    network, core, epochs, batch, rng, validation, callbacks
        As of `RunningFit`; a batch has at most as many rows as there are.
    rows : Rows
        What the network is trained on.
    """

    def __init__(
        self,
        network: Any,
        core: Trained,
        rows: Rows,
        epochs: int,
        batch: int,
        rng: np.random.Generator | None,
        validation: Evaluation | None = None,
        callbacks: tuple[Callback, ...] = (),
    ) -> None:
        super().__init__(network, core, epochs, batch, rng, validation, callbacks)
        self._rows = rows

    @property
    def steps_an_epoch(self) -> int:
        return -(-len(self._rows.features) // self.batch_size)

    @property
    def samples(self) -> int:
        return self.epoch * len(self._rows.features)

    def _groups(self) -> tuple[str, ...]:
        return () if self.tasks is None else tuple(task.name for task in self.tasks.groups)

    def told(self) -> dict[str, Any]:
        """The arguments that exactness depends on, by their names."""
        return super().told() | {"X, y and sample_weight": data_sample(self._rows)}

    def some_epochs(self) -> None:
        """As many epochs in one call of the kernels as need nothing in between."""
        rows, batch = self._rows, self.batch_size
        count = len(rows.features)
        together = 1
        tasks = self.tasks
        plain = self.validation is None and not self.after_epochs and not self.after_steps
        watched = self.rates is not None and self.rates.schedule.monitor is not None
        if plain and not watched and tasks is None:
            flops = count * self.engine.layout.row_flops
            together = max(1, min(ORDER_A_CALL // count, FLOPS_A_CALL // flops))
        together = min(together, self.epochs - self.epoch)
        after_step = self.after_step if self.after_steps else None
        rates = None
        if self.rates is not None:
            rates = self.rates.ahead(self.step, together * self.steps_an_epoch)
        # A batch of all rows has one gradient in whatever order they come.
        drawing = self.rng if batch < count else None
        order = row_orders(count, together, batch, drawing)  # last: no error may follow it
        result = self.engine.train(rows, order, batch, rates, after_step)
        for loss in result.losses.tolist():
            if not self.after_steps:
                self._step += self.steps_an_epoch
            self.record({"loss": loss} if tasks is None else task_losses(rows, tasks))
        if result.failure is not None:
            self._step = self.epoch * self.steps_an_epoch
            raise FloatingPointError(
                f"the loss is not finite in epoch {self.epoch + 1} of {self.epochs}, "
                f"step {result.failure[1] + 1} of {self.steps_an_epoch}; the network is as it was "
                "at the end of the last good epoch (a smaller learning rate or scaled inputs "
                "may help)"
            )
