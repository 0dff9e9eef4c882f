"""Fit: one call of `Network.fit`, the loop over its epochs and what happens between them."""

import copy
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp import model_files
from fastbp.callbacks.base import Callback, in_order, overriding, states
from fastbp.engine import Engine
from fastbp.evaluation import Evaluation, task_losses
from fastbp.fit_state import FitState, data_sample
from fastbp.history import RATE, History
from fastbp.progress import Bar, wanted
from fastbp.rows import Rows, row_orders
from fastbp.tasks import Tasks
from fastbp.validation import shown

if TYPE_CHECKING:
    from fastbp.network_base import NetworkBase
    from fastbp.rates import Rates
    from fastbp.schedules import Schedule

ORDER_A_CALL = 1 << 20  # shuffled row numbers of several epochs: bounds their memory
FLOPS_A_CALL = 30_000_000_000  # of several epochs: progress stays visible


class Snapshot(NamedTuple):
    """A network as it was between two steps; `Fit.snapshot` makes it."""

    state: NDArray[Any]  # parameters and optimizer slots
    steps: int
    generator: Mapping[str, Any] | None = None


class Fit:
    """A fit under way, as callbacks see it.

    Parameters
    ----------
    network : Network
        The network, whose arguments of `fit` are checked.
    engine : Engine
        The network's.
    rows : Rows or None
        What it is trained on; None where they come as batches.
    epochs, batch : int
        How many epochs, and rows a step, of which there are at most as many as rows.
    rng : numpy.random.Generator or None
        What shuffles the rows; None leaves them in their order, and so does a batch of all rows.
    validation : Evaluation or None
        What is measured after each epoch: the validation data, or metrics of the training data.
    callbacks : tuple of Callback
        What is called in between.

    Attributes
    ----------
    network : Network
        The network; between two steps it can be used and changed.
    history : History
        What was recorded.
    epoch, epochs : int
        Epochs completed, and how many there are to be.
    step, steps_an_epoch : int
        Steps made in this fit (in the fit that it resumes, too), and how many an epoch has.
    batch_size : int
        Rows a step, the last one of an epoch excepted.
    loss : float
        Mean loss of the last epoch; after a step, the loss of this step. NaN before the first.
    failure : BaseException or None
        In `on_fit_end`, the exception that ended the fit.
    """

    def __init__(
        self,
        network: "NetworkBase",
        engine: Engine,
        rows: Rows | None,
        epochs: int,
        batch: int,
        rng: np.random.Generator | None,
        validation: Evaluation | None = None,
        callbacks: tuple[Callback, ...] = (),
    ) -> None:
        self.network, self._engine, self._rows = network, engine, rows
        self.epochs, self.batch_size, self._rng = epochs, batch, rng
        self._validation, self._callbacks = validation, in_order(callbacks)
        self._learning_rate = network.optimizer.lr
        self.history = History()
        self.epoch = self.step = 0
        self.steps_an_epoch = 0 if rows is None else -(-len(rows.features) // batch)
        self.loss = float("nan")
        self.failure: BaseException | None = None
        self._arguments: dict[str, Any] | None = None  # of the state, made when first needed
        self._after_epochs: tuple[Callback, ...] = ()
        self._after_steps: tuple[Callback, ...] = ()
        self._rates: Rates | None = None

    @property
    def learning_rate(self) -> float:
        """That of the last step, or before the first the optimizer's; `follow` decides on it."""
        return self._learning_rate

    def follow(self, schedule: "Schedule | Callable[[int], float]") -> None:
        """Let the learning rate follow a schedule; for callbacks, in `on_fit_begin`.

        Raises
        ------
        TypeError, ValueError
            It is no schedule, there is one already, or steps have been made.
        """
        from fastbp.rates import Rates  # most fits have no schedule
        from fastbp.schedules import checked_schedule

        schedule = checked_schedule(schedule)
        if self._rates is not None:
            raise ValueError(
                f"schedule is {self._rates.schedule} already; a fit cannot follow {schedule} too"
            )
        if self.step:
            raise ValueError(
                f"a fit can follow {schedule} from its first step on only; it has made {self.step}"
            )
        if not self.steps_an_epoch:
            raise ValueError(
                "a schedule needs to know how many steps an epoch has: give steps_per_epoch, or "
                "batches with a length"
            )
        steps = self.epochs * self.steps_an_epoch
        self._rates = Rates(schedule, self.network.optimizer.lr, steps, self.steps_an_epoch)

    def stop(self, reason: str) -> None:
        """End the fit after this step or epoch; `History.stopped` keeps the first reason given.

        An epoch that is not complete is not recorded.
        """
        if self.history.stopped is None:
            self.history.stopped = str(reason)

    def snapshot(self) -> Snapshot:
        """A copy of the parameters, the optimizer's state and the step count."""
        rng = None if self._rng is None else self._rng.bit_generator.state
        return Snapshot(self._engine.state.copy(), self._engine.step, copy.deepcopy(rng))

    def expect_snapshot(self, snapshot: Snapshot) -> None:
        """Raise ValueError for a snapshot of another network; it may come from a file."""
        now = self._engine.state
        if snapshot.state.shape != now.shape or snapshot.state.dtype != now.dtype:
            raise ValueError(
                f"the best parameters must be {now.dtype} of shape {now.shape}, got "
                f"{snapshot.state.dtype} of shape {snapshot.state.shape}"
            )
        if snapshot.steps > self._engine.step:
            raise ValueError(
                f"the best parameters must have at most {self._engine.step} steps, as those of "
                f"the network, got {shown(snapshot.steps)}"
            )

    def revert(self, snapshot: Snapshot, generator: bool = False) -> None:
        """Put the network back where it was, and with `generator` what shuffles the rows, too."""
        self._engine.state[:] = snapshot.state
        self._engine.step = snapshot.steps
        if generator and self._rng is not None and snapshot.generator is not None:
            self._rng.bit_generator.state = snapshot.generator

    def state(self) -> FitState:
        """What an exact resume after a whole epoch needs besides the network and its generator."""
        if self._arguments is None:
            self._arguments = self._told()
        states_now = states(self._stateful)
        return FitState(self.history.copy(), self.step, self._arguments, states_now)

    def restore(self, state: FitState) -> None:
        """Go on where `state` was taken; to be called before `run`.

        Raises
        ------
        ValueError
            The fit has other arguments or callbacks than that whose state it is.
        """
        self._arguments = self._told()
        state.expect(self._arguments, self.epochs)
        want = [name for name, _ in state.callbacks]
        have = [name for name, _ in states(self._stateful)]
        if have != want:
            raise ValueError(
                f"callbacks that have a state must be those of the fit that is resumed, {want}; "
                f"got {have}"
            )
        stateful = [one for one in self._stateful if one.state()]
        for one, (name, kept) in zip(stateful, state.callbacks, strict=True):
            try:
                one.restore(kept)
            except (TypeError, ValueError, LookupError, AttributeError) as error:
                raise ValueError(
                    f"the state of {name} in the file is not usable: {error}"
                ) from error
        self.history = state.history.copy()
        self.epoch, self.step = self.history.epochs, state.step
        if self.epoch:
            self.loss = self.history["loss"][-1]
            self._learning_rate = self.history.get(RATE, [self.learning_rate])[-1]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network as `Network.save` does, and the state of this fit, to be resumed.

        To be called in `Callback.on_epoch_end`: a fit is resumed after a whole epoch.
        """
        with self.network._turn:
            model_files.write(path, self.network._model(self.state()))

    def check_save(self, path: str | os.PathLike[str]) -> None:
        """Raise what `save` would raise now; it writes nothing but an empty temporary file."""
        with self.network._turn:
            model_files.check(path, self.network._model(self.state()))

    def _told(self) -> dict[str, Any]:
        """The arguments that exactness depends on, by their names."""
        return {
            "the method": "fit",
            "X, y and sample_weight": None if self._rows is None else data_sample(self._rows),
            "batch_size": self.batch_size,
            "shuffle": self._rng is not None,
            "validation_data": sample_of(self._validation),
            "schedule": None if self._rates is None else repr(self._rates.schedule),
            "epochs": None if self._rates is None else self.epochs,  # schedules count on them
            "quantities": list(self.quantities),
        }

    @property
    def _stateful(self) -> "tuple[Callback | Rates, ...]":
        """What may have a state to be resumed."""
        return self._callbacks if self._rates is None else (*self._callbacks, self._rates)

    def run(self, progress: bool | None) -> History:
        """Train; returns what was recorded."""
        bar = Bar(self) if wanted(progress) else None
        try:
            if not self._callbacks:
                self._all_epochs(bar)
            else:
                self._with_callbacks(bar)
        except FloatingPointError:
            if self.failure is None or self.history.stopped is None:
                raise
        finally:
            if bar is not None:
                bar.close()
        return self.history

    def _with_callbacks(self, bar: Bar | None) -> None:
        self._after_epochs = overriding(self._callbacks, "on_epoch_end")
        self._after_steps = overriding(self._callbacks, "on_step_end")
        begun: list[Callback] = []

        def end(callback: Callback) -> None:
            if callback in begun:
                with self.network._between_steps():
                    callback.on_fit_end(self)

        with ExitStack() as ends:  # calls all of them, whatever one of them raises
            for callback in reversed(self._callbacks):
                ends.callback(end, callback)
            try:
                with self.network._between_steps():
                    for callback in self._callbacks:
                        begun.append(callback)
                        callback.on_fit_begin(self)
                self._all_epochs(bar)
            except BaseException as error:
                self.failure = error
                raise

    @property
    def samples(self) -> int:
        """How many rows the network has been trained on, those of a resumed fit included."""
        return 0 if self._rows is None else self.epoch * len(self._rows.features)

    @property
    def quantities(self) -> tuple[str, ...]:
        """The names of what is recorded of each epoch."""
        measured = () if self._validation is None else self._validation.names
        groups = () if self._tasks is None or self._rows is None else self._tasks.groups
        losses = "loss", *(f"{task.name}_loss" for task in groups)
        return *losses, *measured, *(() if self._rates is None else (RATE,))

    @property
    def _tasks(self) -> Tasks | None:
        loss = self.network.loss
        return loss if isinstance(loss, Tasks) else None

    def expect(self, monitor: str, who: str) -> None:
        """Raise ValueError unless the quantity that `who` watches will be recorded."""
        if monitor not in self.quantities:
            measured = any(name.startswith("val_") for name in self.quantities)
            missing = monitor.startswith("val_") and not measured
            raise ValueError(
                f"{who} watches {monitor!r}, which this fit does not record; it records "
                f"{', '.join(map(repr, self.quantities))}"
                f"{'; validation_data is missing' if missing else ''}"
            )

    def _all_epochs(self, bar: Bar | None) -> None:
        if self._rates is not None and self._rates.schedule.monitor is not None:
            self.expect(self._rates.schedule.monitor, type(self._rates.schedule).__name__)
        while self.epoch < self.epochs and self.history.stopped is None:
            self._some_epochs()
            if bar is not None:
                bar.advance(self)

    def _some_epochs(self) -> None:
        """As many epochs in one call of the kernels as need nothing in between."""
        rows, batch = self._rows, self.batch_size
        assert rows is not None
        count = len(rows.features)
        together = 1
        tasks = self._tasks
        plain = self._validation is None and not self._after_epochs and not self._after_steps
        watched = self._rates is not None and self._rates.schedule.monitor is not None
        if plain and not watched and tasks is None:
            flops = count * self._engine.layout.row_flops
            together = max(1, min(ORDER_A_CALL // count, FLOPS_A_CALL // flops))
        together = min(together, self.epochs - self.epoch)
        after_step = self._after_step if self._after_steps else None
        rates = None
        if self._rates is not None:
            rates = self._rates.ahead(self.step, together * self.steps_an_epoch)
        # A batch of all rows has one gradient in whatever order they come.
        drawing = self._rng if batch < count else None
        order = row_orders(count, together, batch, drawing)  # last: no error may follow it
        result = self._engine.train(rows, order, batch, rates, after_step)
        for loss in result.losses.tolist():
            if not self._after_steps:
                self.step += self.steps_an_epoch
            self._record({"loss": loss} if tasks is None else task_losses(rows, tasks))
        if result.failure is not None:
            self.step = self.epoch * self.steps_an_epoch
            raise FloatingPointError(
                f"the loss is not finite in epoch {self.epoch + 1} of {self.epochs}, "
                f"step {result.failure[1] + 1} of {self.steps_an_epoch}; the network is as it was "
                "at the end of the last good epoch (a smaller learning rate or scaled inputs "
                "may help)"
            )

    def _record(self, quantities: dict[str, float]) -> None:
        """Take down an epoch that is complete."""
        if self._validation is not None:
            quantities |= self._validation.measure()
        self.epoch += 1
        self.loss = quantities["loss"]
        if self._rates is not None:
            quantities[RATE] = self._learning_rate = self._rates.at(self.step - 1)
            self._rates.after_epoch(quantities)
        self.history.append(quantities)
        if self._after_epochs:
            with self.network._between_steps():
                for callback in self._after_epochs:
                    callback.on_epoch_end(self)

    def _after_step(self, loss: float) -> bool:
        """Whether to go on after this step."""
        self.step += 1
        self.loss = loss
        if self._rates is not None:
            self._learning_rate = self._rates.at(self.step - 1)
        with self.network._between_steps():
            for callback in self._after_steps:
                callback.on_step_end(self)
        return self.history.stopped is None


def sample_of(validation: Evaluation | None) -> dict[str, Any] | None:
    """What tells the validation data of a fit from others, if it has such."""
    if validation is None or not validation.prefix:
        return None
    return data_sample(validation.rows)
