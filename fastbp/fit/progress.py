"""The progress bar of a fit: tqdm's, in terminals and notebooks."""

import sys
import time

from fastbp.callbacks.fit import Fit
from fastbp.history import RATE


class Bar:
    """A bar over the epochs of a fit: what was recorded, rows a second, the time that is left.

    Parameters
    ----------
    fit : Fit
        The fit, of which epochs may be behind it already.
    """

    def __init__(self, fit: Fit) -> None:
        from tqdm.auto import tqdm  # takes longer to import than a small network to train

        self._began, self._before = time.perf_counter(), fit.samples
        self._bar = tqdm(total=fit.epochs, initial=fit.epoch, unit="epoch", file=sys.stderr)

    def advance(self, fit: Fit) -> None:
        """Show how far the fit has come."""
        shown = {name: f"{values[-1]:.4g}" for name, values in fit.history.items() if values}
        shown.setdefault(RATE, f"{fit.learning_rate:.4g}")
        seconds = time.perf_counter() - self._began
        shown["samples/s"] = f"{(fit.samples - self._before) / max(seconds, 1e-9):.4g}"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(fit.epoch - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def wanted(progress: bool | None) -> bool:
    """Whether there is to be a bar; None: where stderr is a terminal, or in a notebook."""
    if sys.stderr is None:  # pythonw has none
        return False
    return (sys.stderr.isatty() or "ipykernel" in sys.modules) if progress is None else progress
