"""How long two threads of this process take to meet at a barrier, measured.

It is the time of a few cache lines' ways between two cores, and tells what a team costs. It varies:
a virtual machine's cores share an L3 cache now and lie far apart a minute later.
"""

import time

import numpy as np
from numba import carray

from fastbp.kernels.machine.fields import words_at
from fastbp.kernels.machine.jit import INT, address, kernel
from fastbp.kernels.machine.team import FLAGS, LINE, WORDS, YIELD_ADDRESS, barrier, run_team

MEETINGS, RUNS = 200, 3  # of a run; the fastest run counts, since others may want the cores
LATELY = 1.0  # seconds for which a measurement holds


@kernel(INT, INT)
def meet(program, me):
    """Meet the other thread; program: address of int64 (flags, meetings, function that yields)."""
    words = carray(words_at(program), (3,))
    for _ in range(words[1]):
        barrier(words[0], me, 2, words[2])


def measure() -> float:
    """Seconds of a meeting: some ten to two hundred microseconds, with a team that is awake."""
    room, shared = np.zeros(2 * FLAGS + LINE, np.int64), np.zeros(WORDS, np.int64)
    flags = room[-address(room) // 8 % LINE :]  # whole cache lines
    program = np.array([address(flags), MEETINGS, YIELD_ADDRESS], np.int64)
    best = float("inf")
    for _ in range(1 + RUNS):  # the first one wakes, or starts, the other thread
        begin = time.perf_counter()
        run_team(meet, address(program), 2, shared, interruptible=False)
        best = min(best, time.perf_counter() - begin)
    return best / MEETINGS


class Meetings:
    """What was measured in this process.

    Attributes
    ----------
    seconds : float or None
        Of a meeting; None where none was measured.
    """

    seconds: float | None = None
    _until = 0.0

    def refresh(self) -> None:
        """Measure, unless that was done lately."""
        if self.seconds is None or time.monotonic() > self._until:
            self.seconds = measure()
            self._until = time.monotonic() + LATELY


meetings = Meetings()
