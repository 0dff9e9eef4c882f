"""The progress bar of a fit: tqdm's, in terminals and notebooks."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastbp.history import History


@contextmanager
def progress_bar(progress: bool | None, epochs: int) -> Iterator[Callable[[History], None]]:
    """A function that shows how far a history has come, or one that does nothing."""
    there = sys.stderr is not None  # pythonw has none
    if there and (sys.stderr.isatty() if progress is None else progress):
        from tqdm.auto import tqdm  # takes longer to import than a small network to train

        with tqdm(total=epochs, unit="epoch", file=sys.stderr) as bar:

            def advance(history: History) -> None:
                last = {name: f"{values[-1]:.4g}" for name, values in history.items()}
                bar.set_postfix(last, refresh=False)
                bar.update(history.epochs - bar.n)

            yield advance
    else:
        yield lambda history: None
