"""The callback that writes files from which a fit can be resumed."""

import math
import os
import time
from typing import TYPE_CHECKING

from fastbp.callbacks.base import Callback
from fastbp.validation import path_text, positive_int, real, shown

if TYPE_CHECKING:
    from fastbp.fitting import Fit


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

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used. From `fit`, before it starts: an activation of your own, a
        bit generator that is not one of NumPy's, a callback's state that a file cannot hold.
    OSError
        From `fit`, before it starts, where no file can be written there; later, when the disk
        is full: the fit ends after a whole epoch, the old file is still whole.

    Notes
    -----
    The network is written as it is at the end of an epoch, when all other callbacks have had their
    turn; there is no going on from the midst of one. A process that is killed while it writes
    leaves a file ``.fastbp-*.tmp``, which can be removed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        every_epochs: int | None = None,
        *,
        every_minutes: float | None = None,
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

    def on_fit_begin(self, fit: "Fit") -> None:
        """Find out whether the file can be written."""
        fit.check_save(self._path(fit.epoch + 1))
        self._written = time.monotonic()

    def on_epoch_end(self, fit: "Fit") -> None:
        """Write, if it is time."""
        due = time.monotonic() - self._written >= self._seconds
        if self._epochs:
            due = fit.epoch % self._epochs == 0
        if due or fit.epoch == fit.epochs or fit.history.stopped is not None:
            fit.save(self._path(fit.epoch))
            self._written = time.monotonic()

    def _path(self, epoch: int) -> str:
        name = self._name.format(epoch=epoch) if "{epoch" in self._name else self._name
        return os.path.join(self._folder, name)


def in_order(callbacks: tuple[Callback, ...]) -> tuple[Callback, ...]:
    """Checkpoints last: their files hold the states of the others after the same epoch."""
    return tuple(sorted(callbacks, key=lambda callback: isinstance(callback, Checkpoint)))
