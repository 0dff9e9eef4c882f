"""BatchFit: a fit on batches that somebody else makes, one update each."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fastbp.callbacks.base import Callback
from fastbp.engine.row_losses import sloped
from fastbp.fit.evaluation import Evaluation
from fastbp.fit.running import RunningFit
from fastbp.fit.trained import Trained
from fastbp.rows.rows import Rows
from fastbp.validation import shown

KEEP = 64  # batches after which the network is looked at and kept, to go back to

AFTER_LAST = "the network is as it was after the batch before"


class Batches:
    """Where the batches of each epoch come from.

    Parameters
    ----------
    source : iterable, or callable that returns one
        As `Network.fit_batches` takes it.
    epochs : int
        How many there are to be.
    steps : int or None
        Batches of an epoch; None where each ends when its iterator does.

    Attributes
    ----------
    limit : int or None
        `steps`.
    expected : int
        Batches of an epoch as far as anybody knows; 0 for nobody does.

    Raises
    ------
    TypeError, ValueError
        `source` gives no batches, or not enough for the epochs.
    """

    def __init__(self, source: Any, epochs: int, steps: int | None) -> None:
        if not callable(source) and not isinstance(source, Iterable):
            raise TypeError(
                "batches must be an iterable of (X, y) or a function that returns one; "
                f"got {shown(source)}"
            )
        self._source, self.limit, self.expected = source, steps, steps or _length(source)
        # An iterator is used up by one pass; all epochs go on with the one that there is.
        self._one = source if isinstance(source, Iterator) else None
        if self._one is not None and steps is None and epochs > 1:
            raise ValueError(
                f"batches is an iterator, which one epoch uses up, and epochs is {epochs}; pass "
                "something that can be gone through again (a list, a DataLoader, or a function "
                "that returns the iterator), or steps_per_epoch"
            )

    def begin(self) -> Iterator[Any]:
        """The batches of one more epoch; there may be more than are wanted."""
        if self._one is not None:
            return self._one
        source = self._source
        if isinstance(source, Iterable):
            return iter(source)
        made = source()
        if not isinstance(made, Iterable):
            raise TypeError(f"the function batches must return an iterable; got {shown(made)}")
        return iter(made)


class BatchFit(RunningFit):
    """A fit on the batches of a user, as callbacks see it.

    Differs from `RowFit` in that `steps_an_epoch` is 0 where nobody knows it yet, and `batch_size`
    the rows of the last batch.

    Parameters
    ----------
    network, core, epochs, validation, callbacks
        As of `RunningFit`.
    batches : Batches
        Where the batches come from.
    read : callable
        Checks one batch: returns its rows, and what it weighs in the mean of the epoch.
    """

    def __init__(
        self,
        network: Any,
        core: Trained,
        batches: Batches,
        read: Callable[[Any], tuple[Rows, float]],
        epochs: int,
        validation: Evaluation | None,
        callbacks: tuple[Callback, ...],
    ) -> None:
        super().__init__(network, core, epochs, 0, None, validation, callbacks)
        self._batches, self._read = batches, read
        self._steps_an_epoch, self._samples = batches.expected, 0
        self._rows: Rows | None = None  # of the last batch
        self._kept = 0  # batches of the epoch, when the network was kept

    @property
    def steps_an_epoch(self) -> int:
        return self._steps_an_epoch

    @property
    def samples(self) -> int:
        return self._samples

    def told(self) -> dict[str, Any]:
        """The arguments that exactness depends on, but for the batches themselves."""
        expected = self._batches.expected or None
        told = {"the method": "fit_batches", "steps_per_epoch": expected, "batch_size": None}
        return super().told() | told

    def some_epochs(self) -> None:
        """One epoch."""
        try:
            self._one_epoch()
        except BaseException:
            self.settle()
            raise

    def _one_epoch(self) -> None:
        limit = self._batches.limit
        done, total, weight = 0, 0.0, 0.0
        self._rows = None
        coming = self._batches.begin()
        while limit is None or done < limit:
            batch = next(coming, _END)  # what makes the batches may ask the network
            if batch is _END:
                break
            rows, counts = self._checked(batch, done)
            loss = self._update(rows, done)
            done, total, weight = done + 1, total + loss * counts, weight + counts
            self._loss, self._batch = loss, len(rows.features)
            self._samples += self._batch
            if not self.after_steps:
                self._step += 1
            elif not self.after_step(loss) and done != limit:
                self._expect_sound(done)
                return
        if done < (limit or 1):
            raise ValueError(
                f"batches ended in epoch {self.epoch + 1} of {self.epochs} after {done} of "
                f"{limit or 'its'} steps; the network is as it was after the last of them"
            )
        self._expect_sound(done)
        self._steps_an_epoch = done
        self.record({"loss": total / weight if weight else 0.0})

    def _checked(self, batch: Any, done: int) -> tuple[Rows, float]:
        try:
            return self._read(batch)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(
                f"batch {done + 1} of epoch {self.epoch + 1}: {error}; the network is as it was "
                "after the batch before"
            ) from error

    def _update(self, rows: Rows, done: int) -> float:
        """Make one step; returns the loss before it."""
        rates = None if self.rates is None else self.rates.ahead(self.step, 1)
        if done % KEEP == 0:
            self._expect_sound(done)
            self.engine.keep()
            self._kept = done
        turns = self.engine.turns
        turns.give_way()
        before = self.engine.step
        stepped = sloped(self.engine, rows, self.core.configuration.loss, True)
        try:
            loss = turns.hold(self.engine.train_step, stepped, rates)
        finally:
            if self.engine.step != before:  # also where Ctrl-C came behind the update
                self._rows = rows
        if math.isnan(loss):
            self._expect_sound(done)
            self.expect_unchanged(rows, AFTER_LAST)
            raise FloatingPointError(
                f"the loss is not finite in batch {done + 1} of epoch {self.epoch + 1}; "
                f"{AFTER_LAST} (a smaller learning rate or scaled inputs may help)"
            )
        return loss

    def is_sound(self) -> bool:
        return self._rows is None or self.core.soundness.holds(self._rows)

    def _expect_sound(self, done: int) -> None:
        if self.settle():
            return
        self._rows = None
        raise FloatingPointError(
            f"the loss is not finite after batch {done} of epoch {self.epoch + 1}; the network is "
            f"as it was after {self._kept} batches of it (a smaller learning rate or scaled inputs "
            "may help)"
        )


_END = object()


def _length(source: Any) -> int:
    """How many batches `source` says it has, or 0."""
    try:
        return len(source)
    except TypeError:  # a DataLoader without a length has a method for it, too
        return 0


def parts_of(batch: Any) -> tuple[Any, Any, Any]:
    """X, y and the sample weights or None of a batch; a DataLoader makes lists of tuples."""
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise TypeError(f"a batch must be (X, y) or (X, y, sample_weight), got {shown(batch)}")
    return batch[0], batch[1], batch[2] if len(batch) == 3 else None
