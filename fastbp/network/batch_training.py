"""The method by which a network learns from batches that somebody else makes."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastbp.callbacks import Callback
from fastbp.callbacks.base import checked_callbacks
from fastbp.fit.batches import Batches, BatchFit, parts_of
from fastbp.fit.evaluation import Metrics
from fastbp.history import History
from fastbp.network.core import Core, HasCore
from fastbp.network.fits import run, validation_of
from fastbp.network.learned import learned
from fastbp.rows import weighting
from fastbp.rows.rows import Rows
from fastbp.validation import flag, positive_int

if TYPE_CHECKING:
    from fastbp.schedules import Schedule


def fit_batches(
    network: HasCore,
    batches: Iterable[Any] | Callable[[], Iterable[Any]],
    epochs: int = 1,
    steps_per_epoch: int | None = None,
    *,
    validation_data: tuple[Any, ...] | None = None,
    mask_nan: bool = False,
    schedule: "Schedule | Callable[[int], float] | None" = None,
    metrics: Metrics | Mapping[str, Metrics] | None = None,
    callbacks: Sequence[Callback] = (),
    resume: bool = False,
    progress: bool | None = None,
) -> History:
    """Train on batches as somebody else makes them: each is one update.

    Parameters
    ----------
    batches : iterable, or callable that returns one
        Of (X, y) or (X, y, sample_weight) as `fit` takes them: a list, a generator, a
        DataLoader of PyTorch. Several epochs need what can be gone through again, or a
        function that is called for each of them. What makes the batches may use the network
        meanwhile, but not fit it.
    epochs : int
        How many to train.
    steps_per_epoch : int, optional
        Batches of an epoch: of an iterator, each epoch takes the next so many; of anything
        else, the first. None for all that there are.
    validation_data, mask_nan, schedule, metrics, callbacks, progress
        As in `fit`. A schedule needs batches with a length, or `steps_per_epoch`; metrics are
        those of the validation data.
    resume : bool
        As in `fit`; `batches` must give what they would have given to the epochs that are left.

    Returns
    -------
    History
        As of `fit`. In the mean loss of an epoch a batch counts by its rows, or by their total
        weight; where that is 0 in all batches, the loss is 0.

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used, before anything has changed; batches that end before
        `steps_per_epoch`, or a batch that cannot be used. The message tells its number, and
        the network is as it was after the update before.
    FloatingPointError
        The loss of a batch is NaN or infinite: the network is as it was before it, or where the
        update before has broken it, as it was at most 64 batches ago (the message tells).
    RuntimeError
        A callback tried to fit the network that is being fitted, or the network is one with
        ``scaling="standard"`` that has not learned it: see `learn_scaling`.
    """
    core = network._core
    turns = core.engine.turns
    with turns.fit_changing, turns.fitting(calls_out=True), learned(core):
        core.known_scaling()
        epochs = positive_int(epochs, "epochs")
        if steps_per_epoch is not None:
            steps_per_epoch = positive_int(steps_per_epoch, "steps_per_epoch")
        source = Batches(batches, epochs, steps_per_epoch)
        validation = validation_of(core, validation_data, flag(mask_nan, "mask_nan"), metrics)
        if validation is None and metrics is not None:
            raise ValueError("metrics of batches need validation_data")
        if progress is not None:
            flag(progress, "progress")
        called = checked_callbacks(callbacks)
        read = functools.partial(_read_batch, core, mask_nan=mask_nan)
        fit = BatchFit(network, core, source, read, epochs, validation, called)
        return run(core, fit, schedule, resume, progress)


def _read_batch(core: Core, batch: Any, mask_nan: bool) -> tuple[Rows, float]:
    """Check a batch: its rows, and what it counts in the mean of an epoch."""
    X, y, weights = parts_of(batch)
    rows = core.rows(X, y, "", weights, mask_nan=mask_nan)
    core.learn_names(X, "X")
    return rows, weighting.total_weight(rows, weights)
