"""The callback that ends a fit when a recorded quantity no longer improves."""

from typing import Any

import numpy as np

from fastbp.callbacks.base import Callback
from fastbp.callbacks.fit import Fit
from fastbp.history.monitoring import Monitor
from fastbp.history.snapshot import Snapshot
from fastbp.validation import flag, natural, positive_int, real, shown


class EarlyStopping(Callback):
    """Ends the fit when a quantity has not improved for some epochs (Prechelt 1998).

    Parameters
    ----------
    monitor : str
        Any quantity that the fit records: "loss", "val_loss", "val_accuracy", a metric ...
    patience : int
        How many epochs without improvement there may be in a row; at least 1.
    min_delta : float
        By how much the quantity must be better than its best so far, at least 0.
    mode : str
        "min" or "max": where the quantity is to go; "auto" tells by its name.
    restore_best : bool
        At the end of a fit, be it stopped or not, put the network back where it was after the
        best epoch: parameters, optimizer state and step count. Costs their copy in memory, and the
        copying after each epoch that is better. So it is after an exception and Ctrl-C.

    Attributes
    ----------
    best : float or None
        The best value.
    best_epoch : int
        When it came, counted from 1.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        self._monitor = Monitor(monitor, mode, real(min_delta, "min_delta", low=0))
        self.watches = self._monitor.name
        self._patience = positive_int(patience, "patience")
        self._restore_best = flag(restore_best, "restore_best")
        self._reset()

    def _reset(self) -> None:
        self.best: float | None = None
        self.best_epoch = self._waited = 0
        self._kept: Snapshot | None = None

    @property
    def _settings(self) -> dict[str, Any]:
        """What a resumed fit must have, too."""
        return {
            "monitor": self._monitor.name,
            "mode": self._monitor.mode,
            "min_delta": self._monitor.change,
            "patience": self._patience,
            "restore_best": self._restore_best,
        }

    def on_fit_begin(self, fit: Fit) -> None:
        """Begin anew unless the fit is resumed."""
        if fit.epoch == 0:
            self._reset()
        elif self._kept is not None:
            kept, self._kept = self._kept, None  # which nothing may go back to before it is checked
            fit.expect_snapshot(kept)
            self._kept = kept

    def on_epoch_end(self, fit: Fit) -> None:
        """See whether the quantity has improved."""
        value = fit.history.last(self._monitor.name)
        if self._monitor.better(value, self.best):
            self.best, self.best_epoch, self._waited = value, fit.epoch, 0
            if self._restore_best:
                self._kept = fit.snapshot()
            return
        self._waited += 1
        if self._waited >= self._patience:
            name, change = self._monitor.name, self._monitor.change
            by = f" by more than {change:g}" if change else ""
            best = "" if self.best is None else f"; best {self.best:.6g} in epoch {self.best_epoch}"
            epochs = f"{self._waited} epoch{'s' if self._waited > 1 else ''}"
            fit.stop(f"{name} has not improved{by} for {epochs}{best}")

    def on_fit_end(self, fit: Fit) -> None:
        """Put back the best epoch."""
        if self._kept is not None and self._kept.steps != fit.network.steps:
            fit.revert(self._kept)
        self._kept = None

    def state(self) -> dict[str, Any]:
        """See `Callback`."""
        kept = self._kept
        return {
            "settings": self._settings,
            "best": self.best,
            "epoch": self.best_epoch,
            "waited": self._waited,
            "parameters": None if kept is None else kept.state,
            "steps": 0 if kept is None else kept.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See `Callback`."""
        if state.keys() != self.state().keys():
            raise ValueError(f"the keys must be {sorted(self.state())}, got {sorted(state)}")
        before = state["settings"]
        for name, now in self._settings.items():
            if not isinstance(before, dict) or before.get(name) != now:
                old = before.get(name) if isinstance(before, dict) else before
                raise ValueError(f"its {name} was {shown(old)}, now it is {shown(now)}")
        best, parameters = state["best"], state["parameters"]
        best = None if best is None else real(best, "best")
        epoch, waited = natural(state["epoch"], "epoch"), natural(state["waited"], "waited")
        steps = natural(state["steps"], "steps")
        if parameters is not None and not isinstance(parameters, np.ndarray):
            raise ValueError("parameters must be an array")
        self.best, self.best_epoch, self._waited = best, epoch, waited
        self._kept = None if parameters is None else Snapshot(parameters, steps)
