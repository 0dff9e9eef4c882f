"""RunningFit: how far a fit has come, what is recorded of it, and how it can be resumed."""

import copy
import os
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp.callbacks.base import Callback, in_order, states
from fastbp.callbacks.fit import Fit
from fastbp.fit.evaluation import Measured
from fastbp.fit.trained import Trained
from fastbp.history import RATE, History
from fastbp.history.snapshot import Snapshot
from fastbp.history.state import FitState, data_sample
from fastbp.rows.rows import Rows, expect_unchanged
from fastbp.tasks import Tasks
from fastbp.validation import shown

if TYPE_CHECKING:
    from fastbp.fit.rates import Rates
    from fastbp.schedules import Schedule


class RunningFit(Fit):
    """A fit under way; its subclasses say where its rows come from.

    Parameters
    ----------
    network : Network
        For callbacks.
    core : Trained
        What it is inside.
    epochs, batch : int
        How many epochs, and rows a step.
    rng : numpy.random.Generator or None
        What shuffles the rows; None leaves them in their order.
    validation : Measured or None
        What is measured after each epoch: the validation data, or metrics of the training data.
    callbacks : tuple of Callback
        What is called in between.

    Attributes
    ----------
    callbacks : tuple of Callback
        In the order in which they are called.
    after_epochs, after_steps : tuple of Callback
        Those of them that override `on_epoch_end` and `on_step_end`.
    rates : Rates or None
        The schedule that is followed.
    seen_to : bool
        Whether a callback has stopped the fit after it had failed.
    """

    def __init__(
        self,
        network: Any,
        core: Trained,
        epochs: int,
        batch: int,
        rng: np.random.Generator | None,
        validation: Measured | None = None,
        callbacks: tuple[Callback, ...] = (),
    ) -> None:
        self._network, self.core, self.engine = network, core, core.engine
        self._epochs, self._batch, self.rng = epochs, batch, rng
        self.validation, self.callbacks = validation, in_order(callbacks)
        self.after_epochs: tuple[Callback, ...] = ()
        self.after_steps: tuple[Callback, ...] = ()
        self.rates: Rates | None = None
        self._learning_rate = core.configuration.optimizer.lr
        self._history = History()
        self._epoch = self._step = 0
        self._loss = float("nan")
        self._failure: BaseException | None = None
        self.seen_to = False
        self._arguments: dict[str, Any] | None = None  # of the state, made when first needed

    # What a callback sees; described in `Fit`.

    @property
    def network(self) -> Any:
        return self._network

    @property
    def history(self) -> History:
        return self._history

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def epochs(self) -> int:
        return self._epochs

    @property
    def step(self) -> int:
        return self._step

    @property
    def batch_size(self) -> int:
        return self._batch

    @property
    def loss(self) -> float:
        return self._loss

    @property
    def learning_rate(self) -> float:
        return self._learning_rate

    @property
    def quantities(self) -> tuple[str, ...]:
        measured = () if self.validation is None else self.validation.names
        groups = () if self.tasks is None else self._groups()
        losses = "loss", *(f"{name}_loss" for name in groups)
        return *losses, *measured, *(() if self.rates is None else (RATE,))

    @property
    def failure(self) -> BaseException | None:
        return self._failure

    def expect(self, monitor: str, who: str) -> None:
        if monitor not in self.quantities:
            measured = any(name.startswith("val_") for name in self.quantities)
            missing = monitor.startswith("val_") and not measured
            raise ValueError(
                f"{who} watches {monitor!r}, which this fit does not record; it records "
                f"{', '.join(map(repr, self.quantities))}"
                f"{'; validation_data is missing' if missing else ''}"
            )

    def expect_watched(self, monitor: str | None, watcher: object) -> None:
        """Raise ValueError unless what a callback or a schedule watches will be recorded."""
        if monitor is not None:
            self.expect(monitor, type(watcher).__name__)

    def follow(self, schedule: "Schedule | Callable[[int], float]") -> None:
        from fastbp.fit.rates import Rates  # most fits have no schedule
        from fastbp.schedules import checked_schedule

        schedule = checked_schedule(schedule)
        if self.rates is not None:
            raise ValueError(
                f"schedule is {self.rates.schedule} already; a fit cannot follow {schedule} too"
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
        self.rates = Rates(
            schedule, self.core.configuration.optimizer.lr, steps, self.steps_an_epoch
        )

    def stop(self, reason: str) -> None:
        self.seen_to = self._failure is not None
        if self._history.stopped is None:
            self._history.stopped = str(reason)

    def snapshot(self) -> Snapshot:
        rng = None if self.rng is None else self.rng.bit_generator.state
        return Snapshot(self.engine.state.copy(), self.engine.step, copy.deepcopy(rng))

    def expect_snapshot(self, snapshot: Snapshot) -> None:
        self._expect_alike(snapshot)
        if snapshot.steps > self.engine.step:
            raise ValueError(
                f"the best parameters must have at most {self.engine.step} steps, as those of "
                f"the network, got {shown(snapshot.steps)}"
            )

    def _expect_alike(self, snapshot: Snapshot) -> None:
        now = self.engine.state
        if snapshot.state.shape != now.shape or snapshot.state.dtype != now.dtype:
            raise ValueError(
                f"the best parameters must be {now.dtype} of shape {now.shape}, got "
                f"{snapshot.state.dtype} of shape {snapshot.state.shape}"
            )

    def revert(self, snapshot: Snapshot, generator: bool = False) -> None:
        self._expect_alike(snapshot)
        self.engine.put_back(snapshot.state, snapshot.steps)
        if generator and self.rng is not None and snapshot.generator is not None:
            self.rng.bit_generator.state = snapshot.generator

    def save(self, path: str | os.PathLike[str]) -> None:
        if not self.is_sound():
            raise FloatingPointError(
                "a callback has written parameters with which the loss is not finite: they are not "
                "saved"
            )
        self.core.write(path, self.state())

    def check_save(self, path: str | os.PathLike[str]) -> None:
        self.core.check_write(path, self.state())

    # What the loop asks.

    @abstractmethod
    def some_epochs(self) -> None:
        """Train for one or more epochs, and record them."""

    @property
    def tasks(self) -> Tasks | None:
        """The network's tasks, where it has some."""
        loss = self.core.configuration.loss
        return loss if isinstance(loss, Tasks) else None

    def _groups(self) -> tuple[str, ...]:
        """The tasks whose losses are recorded."""
        return ()

    def fail(self, error: BaseException) -> None:
        """Note the exception that ended the fit."""
        self._failure = error

    def record_losses(self, losses: list[float]) -> None:
        """Take down epochs that are complete, of which there is nothing but the loss."""
        self._epoch += len(losses)
        self._loss = losses[-1]
        self._history.extend(losses)

    def record(self, quantities: dict[str, float]) -> None:
        """Take down an epoch that is complete."""
        if self.validation is not None:
            quantities |= self.validation.measure()
        self._epoch += 1
        self._loss = quantities["loss"]
        if self.rates is not None:
            quantities[RATE] = self._learning_rate = self.rates.at(self.step - 1)
            self.rates.after_epoch(quantities)
        self._history.append(quantities)
        if self.after_epochs:
            self._call_after_epoch()

    def _call_after_epoch(self) -> None:
        """Let the callbacks look at an epoch; what they write has to be sound, too."""
        try:
            for callback in self.after_epochs:
                callback.on_epoch_end(self)
        except BaseException:
            self.settle()
            raise
        if not self.settle():
            raise FloatingPointError(
                f"a callback has written parameters after epoch {self.epoch} with which the loss "
                "is not finite; the network is as it was before that epoch"
            )

    @abstractmethod
    def is_sound(self) -> bool:
        """Whether parameters are finite, and the loss on the last rows is finite with them."""

    def expect_unchanged(self, rows: Rows, then: str) -> None:
        """Raise ValueError where the rows are no longer those that were checked."""
        parts = self.core.configuration
        expect_unchanged(rows, parts.loss, parts.layout.widths, then)

    def settle(self) -> bool:
        """Go back where the network is not sound, or that cannot be told; whether it was."""
        sound = False
        try:
            sound = self.is_sound()
        finally:
            if not sound:
                self.engine.go_back()
        return sound

    def after_step(self, loss: float) -> bool:
        """Whether to go on after this step."""
        self._step += 1
        self._loss = loss
        if self.rates is not None:
            self._learning_rate = self.rates.at(self.step - 1)
        for callback in self.after_steps:
            callback.on_step_end(self)
        return self.history.stopped is None

    # How it is resumed.

    @property
    def _stateful(self) -> "tuple[Callback | Rates, ...]":
        """What may have a state to be resumed."""
        return self.callbacks if self.rates is None else (*self.callbacks, self.rates)

    def told(self) -> dict[str, Any]:
        """The arguments that exactness depends on, by their names."""
        return {
            "the method": "fit",
            "X, y and sample_weight": None,
            "batch_size": self.batch_size,
            "shuffle": self.rng is not None,
            "validation_data": _sample_of(self.validation),
            "schedule": None if self.rates is None else repr(self.rates.schedule),
            "epochs": None if self.rates is None else self.epochs,  # schedules count on them
            "quantities": list(self.quantities),
        }

    def state(self) -> FitState:
        """What an exact resume after a whole epoch needs besides the network and its generator."""
        if self._arguments is None:
            self._arguments = self.told()
        return FitState(self.history.copy(), self.step, self._arguments, states(self._stateful))

    def restore(self, state: FitState) -> None:
        """Go on where `state` was taken; to be called before `run`.

        Raises
        ------
        ValueError
            The fit has other arguments or callbacks than that whose state it is.
        """
        self._arguments = self.told()
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
        self._history = state.history.copy()
        self._epoch, self._step = self.history.epochs, state.step
        if self.epoch:
            self._loss = self.history["loss"][-1]
            self._learning_rate = self.history.get(RATE, [self.learning_rate])[-1]


def _sample_of(validation: Measured | None) -> dict[str, Any] | None:
    """What tells the validation data of a fit from others, if it has such."""
    if validation is None or not validation.prefix:
        return None
    return data_sample(validation.rows)
