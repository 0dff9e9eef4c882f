"""The loop: epochs until the last one or until somebody stops it, and the callbacks around them."""

from contextlib import ExitStack

from fastbp.callbacks.base import Callback, overriding
from fastbp.fit.progress import Bar, wanted
from fastbp.fit.running import RunningFit
from fastbp.history import History


def run(fit: RunningFit, progress: bool | None) -> History:
    """Train; returns what was recorded."""
    fit.core.history = fit.history
    bar = Bar(fit) if wanted(progress) else None
    try:
        if not fit.callbacks:
            _all_epochs(fit, bar)
        else:
            _with_callbacks(fit, bar)
    except BaseException as error:
        if isinstance(error, FloatingPointError) and fit.seen_to:
            return fit.history
        error.history = fit.history  # type: ignore[attr-defined]  # exceptions take any
        raise
    finally:
        if bar is not None:
            bar.close()
    return fit.history


def _with_callbacks(fit: RunningFit, bar: Bar | None) -> None:
    fit.after_epochs = overriding(fit.callbacks, "on_epoch_end")
    fit.after_steps = overriding(fit.callbacks, "on_step_end")
    begun: list[Callback] = []

    def end(callback: Callback) -> None:
        if callback in begun:
            callback.on_fit_end(fit)

    with ExitStack() as ends:  # calls all of them, whatever one of them raises
        for callback in reversed(fit.callbacks):
            ends.callback(end, callback)
        try:
            for callback in fit.callbacks:
                fit.expect_watched(callback.watches, callback)
                begun.append(callback)
                callback.on_fit_begin(fit)
            _all_epochs(fit, bar)
        except BaseException as error:
            fit.fail(error)
            raise


def _all_epochs(fit: RunningFit, bar: Bar | None) -> None:
    if fit.rates is not None:
        fit.expect_watched(fit.rates.schedule.monitor, fit.rates.schedule)
    while fit.epoch < fit.epochs and fit.history.stopped is None:
        fit.some_epochs()
        if bar is not None:
            bar.advance(fit)
