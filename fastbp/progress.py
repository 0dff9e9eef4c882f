"""The progress bar of a fit: tqdm's, in terminals and notebooks."""

import sys

from fastbp.history import History


class Bar:
    """A bar over the epochs of a fit.

    Parameters
    ----------
    epochs : int
        How many there are.
    done : int
        How many of them are behind it already.
    """

    def __init__(self, epochs: int, done: int = 0) -> None:
        from tqdm.auto import tqdm  # takes longer to import than a small network to train

        self._bar = tqdm(total=epochs, initial=done, unit="epoch", file=sys.stderr)

    def advance(self, history: History) -> None:
        """Show how far a history has come."""
        last = {name: f"{values[-1]:.4g}" for name, values in history.items()}
        self._bar.set_postfix(last, refresh=False)
        self._bar.update(history.epochs - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def wanted(progress: bool | None) -> bool:
    """Whether there is to be a bar; None: where stderr is a terminal. pythonw has no stderr."""
    return sys.stderr is not None and (sys.stderr.isatty() if progress is None else progress)
