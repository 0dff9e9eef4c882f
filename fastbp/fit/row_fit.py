"""RowFit: a fit on rows that are all there, epoch by epoch in a new order."""

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastbp.callbacks.base import Callback
from fastbp.engine.course import Course
from fastbp.fit.evaluation import Evaluation, task_losses
from fastbp.fit.running import RunningFit, Trained
from fastbp.fit.soundness import Reach
from fastbp.history.state import data_sample
from fastbp.rows.rows import Rows, row_orders

ORDER_A_CALL = 1 << 20  # shuffled row numbers of several epochs: bounds their memory
FLOPS_A_CALL = 30_000_000_000  # of several epochs: progress stays visible
LAST_GOOD = "the network is as it was at the end of the last good epoch"


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
        self._reach: Reach | None = None

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

    @property
    def _plain(self) -> bool:
        """Whether nobody looks on between epochs."""
        watched = self.rates is not None and self.rates.schedule.monitor is not None
        looked_at = self.validation or self.after_epochs or self.after_steps
        return not (looked_at or watched or self.tasks)

    def some_epochs(self) -> None:
        """As many epochs in one call of the kernels as need nothing in between."""
        rows, batch = self._rows, self.batch_size
        count = len(rows.features)
        together = 1
        if self._plain:
            flops = count * self.engine.layout.row_flops
            together = max(1, min(ORDER_A_CALL // count, FLOPS_A_CALL // flops))
        together = min(together, self.epochs - self.epoch)
        rates = None
        if self.rates is not None:
            rates = self.rates.ahead(self.step, together * self.steps_an_epoch)
        self.engine.keep()
        # A batch of all rows has one gradient in whatever order they come. What is drawn for epochs
        # of which no step is made, since to compile was interrupted, is not drawn.
        drawing = self.rng if batch < count else None
        drawn: Any = None if drawing is None else drawing.bit_generator.state
        course = None
        try:
            course = Course(rows, row_orders(count, together, batch, drawing), batch, rates)
            self.engine.train(course, self.after_step if self.after_steps else None)
        except BaseException:
            if course is not None and course.done > 0:
                losses = self._losses(course)
                if self.settle() and self._plain:
                    self._take_down(losses)
            elif drawing is not None:
                drawing.bit_generator.state = drawn
            raise
        losses = self._losses(course)
        if course.failure is None and self.is_sound():
            self._take_down(losses)
        elif together == 1:
            self._give_up(course)
        else:
            self._one_by_one(course, rates)

    def is_sound(self) -> bool:
        judge = self.core.soundness
        if self._reach is None:
            self._reach = judge.reach(self._rows)
        return judge.holds(self._rows, self._reach)

    def _losses(self, course: Course) -> list[dict[str, float]]:
        """The losses of the whole epochs of a course; those of tasks stand with the rows."""
        tasks = self.tasks
        if tasks is None:
            return [{"loss": loss} for loss in course.losses.tolist()]
        return [task_losses(self._rows, tasks)] if course.epoch else []

    def _take_down(self, losses: list[dict[str, float]]) -> None:
        """Record epochs."""
        for of_epoch in losses:
            if not self.after_steps:
                self._step += self.steps_an_epoch
            self.record(of_epoch)

    def _one_by_one(self, failed: Course, rates: NDArray[np.float64] | None) -> None:
        """Go through the epochs of a course anew, up to the one that has to be given up."""
        self.engine.go_back()
        steps = self.steps_an_epoch
        for epoch in range(len(failed.order)):
            self.engine.keep()
            of_epoch = None if rates is None else rates[epoch * steps : (epoch + 1) * steps]
            course = Course(self._rows, failed.order[epoch : epoch + 1], self.batch_size, of_epoch)
            self.engine.train(course)
            losses = self._losses(course)
            if course.failure is not None or not self.is_sound():
                self._give_up(course)
            self._take_down(losses)

    def _give_up(self, course: Course) -> NoReturn:
        """Go back to the beginning of an epoch that failed, and say so."""
        self.engine.go_back()
        self._step = self.epoch * self.steps_an_epoch
        self.expect_unchanged(self._rows, LAST_GOOD)
        where = f"in epoch {self.epoch + 1} of {self.epochs}"
        if course.failure is not None:
            where += f", step {course.failure[1] + 1} of {self.steps_an_epoch}"
        else:
            where = f"after the last update {where}"
        raise FloatingPointError(
            f"the loss is not finite {where}; {LAST_GOOD} (a smaller learning rate or scaled "
            "inputs may help)"
        )
