"""The progress bar of many fits."""

import statistics
import sys
from collections.abc import Sequence
from typing import Protocol

from fastbp.history import History


class Shown(Protocol):
    """A fit, as the bar sees it: how many epochs there are, what is recorded, whether it ended."""

    @property
    def epochs(self) -> int: ...  # noqa: D102

    @property
    def history(self) -> History | None: ...  # noqa: D102

    @property
    def ended(self) -> bool: ...  # noqa: D102


class ManyBar:
    """A bar over the epochs of all networks: how many are done, and the median of their losses.

    Parameters
    ----------
    tasks : sequence of Task or Sent
        The fits.
    """

    def __init__(self, tasks: Sequence[Shown]) -> None:
        from tqdm.auto import tqdm  # takes longer to import than a small network to train

        self._under_way, self._count = list(tasks), len(tasks)
        self._done = self._failed = self._epochs_of_done = 0
        self._losses: list[float] = []
        total = sum(task.epochs for task in tasks)
        self._bar = tqdm(total=total, unit="epoch", file=sys.stderr)

    def show(self) -> None:
        """Show how far they have come."""
        left, now = [], 0
        for task in self._under_way:
            if task.ended:
                self._take_down(task)
            else:
                left.append(task)
                now += 0 if task.history is None else task.history.epochs
        self._under_way = left
        shown = {"networks": f"{self._done}/{self._count}"}
        if self._losses:
            shown["loss"] = f"{statistics.median(self._losses):.4g}"
        if self._failed:
            shown["failed"] = str(self._failed)
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(self._epochs_of_done + now - self._bar.n)

    def _take_down(self, task: Shown) -> None:
        self._done += 1
        self._epochs_of_done += task.epochs  # also those that it was stopped before
        history = task.history
        if history is not None and history.failure is not None:
            self._failed += 1
        elif history is not None and history.epochs:
            self._losses.append(history.last("loss"))

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
