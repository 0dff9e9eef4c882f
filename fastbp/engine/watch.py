"""Watch: how work on a thread of the pool is told to end, as Ctrl-C tells the main thread's."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.machine import team


class Watch:
    """Over the calls of the kernels that one thread makes for one network.

    Attributes
    ----------
    ended : bool
        Whether the thread was told to end.
    """

    def __init__(self) -> None:
        self._told = False
        self._running: NDArray[np.int64] | None = None
        self.ended = False

    def end(self) -> None:
        """Tell the thread, from another one: its call of the kernels ends after a whole step."""
        self.ended = True  # before the word: who calls the kernels looks at this behind it
        running = self._running
        if running is not None:
            running[team.STOP] = 1

    def call(self, work: Callable[[], None], shared: NDArray[np.int64]) -> None:
        """Call the kernels; KeyboardInterrupt, once, where the thread was told to end.

        What it calls behind that, to leave the network as it should be, is not disturbed.
        """
        if self._told:
            work()
            return
        self._running = shared
        try:
            if not self.ended:
                work()
        finally:
            self._running = None
        if self.ended:
            self._told = True
            raise KeyboardInterrupt
