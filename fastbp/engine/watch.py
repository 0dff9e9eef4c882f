"""Watch: how work on a thread of the pool is told to end, as Ctrl-C tells the main thread's."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.machine import team


class _Word:
    """What the watches of one thread's work have in common."""

    ended = False
    running: NDArray[np.int64] | None = None


class Watch:
    """Over the calls of the kernels that one thread makes for one network."""

    def __init__(self) -> None:
        self._word, self._told = _Word(), False

    def another(self) -> "Watch":
        """A watch for another network of the same work."""
        other = Watch()
        other._word = self._word
        return other

    @property
    def ended(self) -> bool:
        """Whether the thread was told to end."""
        return self._word.ended

    def end(self) -> None:
        """Tell the thread, from another one: its call of the kernels ends after a whole step."""
        self._word.ended = True  # before the other word: who calls the kernels looks at it after
        running = self._word.running
        if running is not None:
            running[team.STOP] = 1

    def call(self, work: Callable[[], None], shared: NDArray[np.int64]) -> None:
        """Call the kernels; KeyboardInterrupt, once, where the thread was told to end.

        What it calls behind that, to leave the network as it should be, is not disturbed.
        """
        if self._told:
            work()
            return
        self._word.running = shared
        try:
            if not self.ended:
                work()
        finally:
            self._word.running = None
        if self.ended:
            self._told = True
            raise KeyboardInterrupt
