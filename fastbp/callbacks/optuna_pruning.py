"""The callback by which Optuna ends the fits of trials that do not promise much."""

from typing import Any

from fastbp.callbacks.base import Callback
from fastbp.callbacks.fit import Fit
from fastbp.validation import shown


class OptunaPruning(Callback):
    """Reports a quantity to a trial of Optuna after each epoch, and ends the fit where it prunes.

    The fit ends after a whole epoch with ``optuna.TrialPruned``, which an objective passes on; the
    network is usable, and `Network.history` has all epochs. In `fastbp.fit_many` it is the
    network's `History.failure`; there each network needs a trial, and this callback, of its own.

    Parameters
    ----------
    trial : optuna.trial.Trial
        Of a study with one objective, whose direction says which values are better.
    monitor : str
        Any quantity that the fit records: "loss", "val_loss", "val_accuracy", a metric ...

    Raises
    ------
    TypeError
        `trial` is none.

    Notes
    -----
    Epochs are the trial's steps, counted from 1. A study decides by its pruner when there is
    enough to judge by. With `workers` a trial reports from another process, so that its study needs
    a storage that is reached from there: ``optuna.create_study(storage="sqlite:///study.db")``.

    Examples
    --------
    >>> import fastbp
    >>> def objective(trial):
    ...     net = fastbp.Network([4, trial.suggest_int("width", 4, 64), 1], rng=0)
    ...     pruning = fastbp.callbacks.OptunaPruning(trial)
    ...     net.fit(X, y, epochs=50, validation_data=(Xv, yv), callbacks=[pruning])
    ...     return net.history.last("val_loss")
    """

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        for method in ("report", "should_prune"):
            if not callable(getattr(trial, method, None)):
                raise TypeError(
                    f"trial must be a trial of Optuna, with report and should_prune; "
                    f"got {shown(trial)}"
                )
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be the name of a quantity; got {shown(monitor)}")
        self._trial, self._monitor = trial, monitor
        self.watches = monitor

    def on_epoch_end(self, fit: Fit) -> None:
        """Report the epoch, and end the fit where the trial is to be pruned."""
        value = fit.history.last(self._monitor)
        self._trial.report(value, fit.epoch)
        if self._trial.should_prune():
            from optuna import TrialPruned

            raise TrialPruned(f"{self._monitor} is {value:.6g} after epoch {fit.epoch}")

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has; TypeError where the trial's reports would stay in the copy."""
        storage = getattr(getattr(self._trial, "study", None), "_storage", None)
        if type(storage).__name__ == "InMemoryStorage":
            raise TypeError(
                "OptunaPruning has a trial whose study is in this process's memory alone, and a "
                "copy would report to a copy of it: pass each network its own by fastbp.each, and "
                "with workers= create the study with a storage, as sqlite:///study.db"
            )
        return vars(self).copy()
