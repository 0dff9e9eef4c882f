"""RowFit: a fit on rows that are all there, epoch by epoch in a new order."""

import math
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastbp.callbacks.base import Callback
from fastbp.engine import work
from fastbp.engine.course import Course
from fastbp.engine.row_losses import RowCourse
from fastbp.fit.evaluation import Measured, task_losses
from fastbp.fit.running import RunningFit
from fastbp.fit.soundness import Reach
from fastbp.fit.trained import Trained
from fastbp.history.state import data_sample
from fastbp.losses import RowLoss
from fastbp.rows.rows import Rows, drawn_keys, row_orders

ORDER_A_CALL = 1 << 20  # shuffled row numbers of several epochs: bounds their memory
# Of several epochs, about a second of one core: progress stays visible, little is done again where
# an epoch fails, and few times all parameters are copied and checked, as each call does.
FLOPS_A_CALL = 200_000_000_000
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
        validation: Measured | None = None,
        callbacks: tuple[Callback, ...] = (),
    ) -> None:
        super().__init__(network, core, epochs, batch, rng, validation, callbacks)
        self._rows = rows
        self._reach: Reach | None = None
        self._drawing: tuple[np.random.Generator, Any] | None = None  # and its state before
        self._begun = 0  # the network's steps when it was kept last
        self._drawn: tuple[Course, NDArray[np.float64] | None] | None = None  # and its rates

    @property
    def steps_an_epoch(self) -> int:
        return -(-len(self._rows.features) // self.batch_size)

    @property
    def samples(self) -> int:
        return self.epoch * len(self._rows.features)

    @property
    def drawing(self) -> np.random.Generator | None:
        """What draws the orders: a batch of all rows has one gradient in whatever they come."""
        return self.rng if self.batch_size < len(self._rows.features) else None

    @property
    def operations(self) -> int:
        """About how many there are in all epochs."""
        of_step = work.step_flops(self.engine.layout, self._rows.features, self.batch_size)
        return self.epochs * self.steps_an_epoch * (of_step + work.STEP_FLOPS)

    def _groups(self) -> tuple[str, ...]:
        return () if self.tasks is None else tuple(task.name for task in self.tasks.groups)

    def told(self) -> dict[str, Any]:
        """The arguments that exactness depends on, by their names."""
        sample = data_sample(self._rows)
        if self.core.configuration.regularization.alpha:  # else twice the weights changes nothing
            sample["unit"] = self._rows.unit
        return super().told() | {"X, y and sample_weight": sample}

    @property
    def _plain(self) -> bool:
        """Whether nobody looks on between epochs."""
        watched = self.rates is not None and self.rates.schedule.monitor is not None
        looked_at = self.validation or self.after_epochs or self.after_steps
        return not (looked_at or watched or self.tasks)

    def _together(self) -> int:
        """How many epochs may go in one call of the kernels."""
        if not self._plain:
            return 1
        count = len(self._rows.features)
        flops = count * self.engine.layout.row_flops
        return max(1, min(ORDER_A_CALL // count, FLOPS_A_CALL // flops))

    def _rates_of(self, steps: int) -> NDArray[np.float64] | None:
        """The learning rates of the next so many steps; None for the optimizer's own."""
        return None if self.rates is None else self.rates.ahead(self.step, steps)

    def _orders(self, epochs: int) -> NDArray[np.int64]:
        """The orders of the rows in the next epochs, as `row_orders` makes them."""
        drawing = None if self._drawing is None else self._drawing[0]
        return row_orders(len(self._rows.features), epochs, self.batch_size, drawing)

    def _course(self, order: NDArray[np.int64], rates: NDArray[np.float64] | None) -> Course:
        """What the engine is to go through."""
        loss = self.core.configuration.loss
        if isinstance(loss, RowLoss):
            return RowCourse(loss, self._rows, order, self.batch_size, rates)
        return Course(self._rows, order, self.batch_size, rates)

    def _train(self, course: Course) -> None:
        """Go through it."""
        self.engine.train(course, self.after_step if self.after_steps else None)

    def draw(self, others: int = 0) -> Course | None:
        """Keep the network, and draw what `some_epochs` goes through when it is called next.

        Others may go through it before: `some_epochs` goes on where it is.

        Parameters
        ----------
        others : int
            How many draw at the same time, whose orders are in memory, too.

        Returns
        -------
        Course or None
            The epochs that need nothing in between; None where there is code of the user's.
        """
        together = min(max(1, self._together() // (1 + others)), self.epochs - self.epoch)
        rates = self._rates_of(together * self.steps_an_epoch)
        drawing = self.drawing
        self.engine.keep()
        self._begun = self.engine.step
        self._drawing = None if drawing is None else (drawing, drawing.bit_generator.state)
        try:
            course = self._course(self._orders(together), rates)
        except BaseException:
            self._rewind(0)
            raise
        self._drawn = course, rates
        return None if self.after_steps or course.single else course

    def some_epochs(self) -> None:
        """As many epochs in one call of the kernels as need nothing in between."""
        drawn, self._drawn = self._drawn, None
        if drawn is None:
            self._drawing = None
        try:
            if drawn is None:
                self.draw()
                drawn, self._drawn = self._drawn, None
            assert drawn is not None
            course, rates = drawn
            losses = self._gone_through(course)
        except BaseException:  # what is drawn for epochs of which no step is made is not drawn
            if self.engine.step == self._begun:
                self._rewind(0)
            raise
        if losses is not None:
            self._take_down(losses)
            return
        for epoch in range(len(course.order)):  # anew, one by one, up to the one that fails
            self.engine.keep()
            self._begun = self.engine.step
            steps = slice(epoch * self.steps_an_epoch, (epoch + 1) * self.steps_an_epoch)
            of_epoch = None if rates is None else rates[steps]
            again = self._course(course.order[epoch : epoch + 1], of_epoch)
            self._take_down(self._gone_through(again, epoch) or [])

    def _gone_through(self, course: Course, before: int = 0) -> list[dict[str, float]] | None:
        """Go through epochs at whose beginning the network was kept.

        before: how many of the epochs that were drawn are done.

        Returns
        -------
        list or None
            The losses of whole epochs; None where one of several failed, which is an error of a
            single one.
        """
        sound = False
        try:
            self._train(course)
            losses = self._losses(course)
            finite = all(math.isfinite(of_epoch["loss"]) for of_epoch in losses)
            sound = course.failure is None and finite and self.is_sound()
            if not sound:
                self.engine.go_back()
                if len(course.order) == 1:
                    self._rewind(before)
        except BaseException:
            if not sound:
                try:
                    losses = self._left_off(course, before)
                except BaseException:  # another signal's: never half
                    self._take_down(self._left_off(course, before))
                    raise
                self._take_down(losses)
            raise
        if sound:
            return losses
        if len(course.order) > 1:
            return None
        self._give_up(course)

    def _left_off(self, course: Course, before: int) -> list[dict[str, float]]:
        """Have the network and what is drawn fit each other, in whose midst an exception came.

        Returns the losses to be recorded; it may be called again where it raises.
        """
        made, done = self.engine.step - self._begun, before
        losses: list[dict[str, float]] = []
        try:
            if made:
                course.done = made
                losses = self._losses(course)
                if self.settle():
                    done -= -made // self.steps_an_epoch
        finally:
            self._rewind(done)
        return losses if done > before and self._plain else []

    def settle(self) -> bool:
        sound = super().settle()
        if not sound:
            self._rewind(0)
        return sound

    def _rewind(self, epochs: int) -> None:
        """Put the generator where it was when so many epochs of those drawn last were drawn."""
        if self._drawing is not None:
            drawing, state = self._drawing
            drawing.bit_generator.state = state
            if epochs:
                drawn_keys(drawing, epochs)

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
        if not losses or not self._plain or self.rates is not None:
            self._take_down_each(losses)
            return
        self._step += len(losses) * self.steps_an_epoch
        self.record_losses([of_epoch["loss"] for of_epoch in losses])

    def _take_down_each(self, losses: list[dict[str, float]]) -> None:
        """Record epochs one by one."""
        for of_epoch in losses:
            if not self.after_steps:
                self._step += self.steps_an_epoch
            self.record(of_epoch)

    def _give_up(self, course: Course) -> NoReturn:
        """Say that an epoch failed, to whose beginning the network has gone back."""
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
