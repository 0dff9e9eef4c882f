"""Callbacks that write down what is recorded: as a table in a file, and for TensorBoard."""

import csv
import os
from typing import Any

from fastbp.callbacks.base import Callback
from fastbp.callbacks.fit import Fit
from fastbp.validation import path_text


class CSVLog(Callback):
    """Writes a row of comma-separated values after each epoch: its number, then the quantities.

    The file is made when the fit begins, and holds all rows after each epoch: what it held before
    is lost with the first. Where a fit is resumed, it begins with the rows of the epochs before.

    Parameters
    ----------
    path : str or path-like
        The file.

    Raises
    ------
    OSError
        From `fit`, before it starts, where the file cannot be written.
    """

    writes_files = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path_text(path)
        self._file: Any = None

    def on_fit_begin(self, fit: Fit) -> None:
        """Make the file, or open it: another callback may yet keep the fit from beginning."""
        self._written = 0
        self._file = open(self._path, "a", newline="", encoding="utf-8")  # noqa: SIM115 - for the fit
        self._rows = csv.writer(self._file)

    def on_epoch_end(self, fit: Fit) -> None:
        """Write a row, and first those of all epochs before it that are not written."""
        if self._written == 0:
            self._names = fit.quantities
            if os.path.isfile(self._path):  # and not a pipe
                self._file.truncate(0)
            self._rows.writerow(["epoch", *self._names])
        columns = [fit.history[name] for name in self._names]
        for epoch in range(self._written, fit.epoch):
            values = [column[epoch] for column in columns]
            self._rows.writerow([epoch + 1, *map(repr, values)])
        self._written = fit.epoch
        self._file.flush()

    def on_fit_end(self, fit: Fit) -> None:
        """Close the file."""
        if self._file is not None:
            try:
                if self._written < fit.epoch and fit.failure is None:  # resumed at its end
                    self.on_epoch_end(fit)
            finally:
                self._file.close()
                self._file = None


class TensorBoard(Callback):
    """Writes the recorded quantities as scalars that TensorBoard shows, one point an epoch.

    Parameters
    ----------
    folder : str or path-like
        Where the event files go: a folder for each run.

    Raises
    ------
    ModuleNotFoundError
        There is no tensorboardX (``pip install "fastbp[tensorboard]"``).
    OSError
        From `fit`, before it starts, where the folder cannot be written.
    """

    writes_files = True

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            import tensorboardX  # noqa: F401 - takes a second, and most fits do without
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                'TensorBoard needs tensorboardX: pip install "fastbp[tensorboard]"'
            ) from error
        self._folder = path_text(folder, "folder")
        self._writer: Any = None

    def on_fit_begin(self, fit: Fit) -> None:
        """Begin an event file; points of a resumed fit after its checkpoint are dropped."""
        from tensorboardX import SummaryWriter

        again = {"purge_step": fit.epoch + 1} if fit.epoch else {}
        self._writer = SummaryWriter(self._folder, **again)

    def on_epoch_end(self, fit: Fit) -> None:
        """Write the points of the epoch."""
        for name in fit.quantities:
            self._writer.add_scalar(name, fit.history.last(name), fit.epoch)
        self._writer.flush()

    def on_fit_end(self, fit: Fit) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
