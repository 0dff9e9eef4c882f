"""The callback that writes files from which a fit can be resumed."""

import math
import os
import time
from typing import Any

from fastbp.callbacks.base import Callback
from fastbp.callbacks.fit import Fit
from fastbp.history.monitoring import Monitor
from fastbp.validation import flag, path_text, positive_int, real, shown


class Checkpoint(Callback):
    """Writes the network and the state of the fit, so that the fit can be resumed.

    The file is one of `Network.save`, written whole or not at all: at any moment there is a whole
    file at `path`, the old one or the new one. It holds weights, optimizer, random generator,
    history, and the state of the callbacks. ::

        fit = {"epochs": 100, "callbacks": [fastbp.callbacks.Checkpoint("run.safetensors")]}
        if os.path.exists("run.safetensors"):
            net = fastbp.load("run.safetensors")
            net.fit(X, y, **fit, resume=True)
        else:
            net = fastbp.Network([20, 64, 2], rng=0)
            net.fit(X, y, **fit)

    However often that program is killed and run again, in the end the network has the same bits.

    Parameters
    ----------
    path : str or path-like
        The file to make or replace. ``{epoch}`` in its name, as `str.format` takes it
        (``{epoch:04}``), stands for the epochs done: each has a file of its own then.
    every_epochs : int, optional
        Write after so many epochs, and after the last; 1 where `every_minutes` is not given.
    every_minutes : float, optional
        Write after the first epoch that ends so many minutes after the last writing, and after
        the last epoch.
    best_only : bool
        Of the epochs after which it would write, leave out those in which `monitor` is not better
        than in the epoch that was written last.
    monitor : str, optional
        For `best_only`: any quantity that the fit records; "val_loss" where it is not given.
    mode : str
        For `best_only`: "min" or "max", where the quantity is to go; "auto" tells by its name.

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used. From `fit`, before it starts: an activation or a loss of
        your own, a bit generator that is not one of NumPy's, a callback's state that a file cannot
        hold.
    OSError
        From `fit`, before it starts, where no file can be written there; later, when the disk
        is full: the fit ends after a whole epoch, the old file is still whole.

    Notes
    -----
    The network is written as it is at the end of an epoch, when all other callbacks have had their
    turn; there is no going on from the midst of one. A process that is killed while it writes
    leaves a file ``.fastbp-*.tmp``, which can be removed.
    """

    writes_files = True
    place = 1  # its file holds the states of the others after the same epoch

    def __init__(
        self,
        path: str | os.PathLike[str],
        every_epochs: int | None = None,
        *,
        every_minutes: float | None = None,
        best_only: bool = False,
        monitor: str | None = None,
        mode: str = "auto",
    ) -> None:
        self._folder, self._name = os.path.split(path_text(path))
        try:
            self._path(1)
        except (LookupError, ValueError, TypeError, AttributeError):
            raise ValueError(
                "path can have {epoch} in its name, and no other braces beside it; "
                f"got {shown(path)}"
            ) from None
        if every_epochs is not None and every_minutes is not None:
            raise ValueError("every_epochs and every_minutes were both given; give one of them")
        self._epochs, self._seconds = 0, math.inf
        if every_minutes is not None:
            self._seconds = 60 * real(every_minutes, "every_minutes", low=0, low_open=True)
        else:
            self._epochs = positive_int(1 if every_epochs is None else every_epochs, "every_epochs")
        self._written = 0.0  # when the file was, for every_minutes
        self._monitor: Monitor | None = None
        if flag(best_only, "best_only"):
            self._monitor = Monitor("val_loss" if monitor is None else monitor, mode)
            self.watches = self._monitor.name
        elif monitor is not None or mode != "auto":
            raise ValueError("monitor and mode are for best_only=True, which was not given")
        self._best: float | None = None  # of the epochs that were written

    def on_fit_begin(self, fit: Fit) -> None:
        """Find out whether the file can be written."""
        if fit.epoch == 0:
            self._best = None
        fit.check_save(self._path(fit.epoch + 1))
        self._written = time.monotonic()

    def on_epoch_end(self, fit: Fit) -> None:
        """Write, if it is time."""
        due = time.monotonic() - self._written >= self._seconds
        if self._epochs:
            due = fit.epoch % self._epochs == 0
        if not (due or fit.epoch == fit.epochs or fit.history.stopped is not None):
            return
        if self._monitor is not None:
            value = fit.history.last(self._monitor.name)
            if not self._monitor.better(value, self._best):
                return
            self._best = value  # before the file is written, which holds it
        fit.save(self._path(fit.epoch))
        self._written = time.monotonic()

    def state(self) -> dict[str, Any]:
        """See `Callback`."""
        return {} if self._monitor is None else {"best": self._best}

    def restore(self, state: dict[str, Any]) -> None:
        """See `Callback`."""
        if state.keys() != {"best"}:
            raise ValueError(f"the keys must be ['best'], got {sorted(state)}")
        self._best = None if state["best"] is None else real(state["best"], "best")

    def _path(self, epoch: int) -> str:
        name = self._name.format(epoch=epoch) if "{epoch" in self._name else self._name
        return os.path.join(self._folder, name)
