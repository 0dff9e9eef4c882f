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
FIRST = 10  # meetings of the run that wakes, or starts, the other thread
ENOUGH = 0.005  # seconds of runs, behind which no other one begins
LATELY, PATIENCE = 1.0, 20  # a measurement holds for seconds, and for as many times as it took


@kernel(INT, INT)
def meet(program, me):
    """Meet the other thread; program: address of int64 (flags, meetings, function that yields)."""
    words = carray(words_at(program), (3,))
    for _ in range(words[1]):
        barrier(words[0], me, 2, words[2])


def measure() -> float:
    """Seconds of a meeting.

    It takes some ten to two hundred microseconds with a team that is awake; where others want the
    cores, as long as they have them.
    """
    room, shared = np.zeros(2 * FLAGS + LINE, np.int64), np.zeros(WORDS, np.int64)
    flags = room[-address(room) // 8 % LINE :]  # whole cache lines
    program = np.array([address(flags), FIRST, YIELD_ADDRESS], np.int64)
    run_team(meet, address(program), 2, shared, interruptible=False)
    program[1] = MEETINGS
    best, start = float("inf"), time.perf_counter()
    for _ in range(RUNS):
        begin = time.perf_counter()
        run_team(meet, address(program), 2, shared, interruptible=False)
        end = time.perf_counter()
        best = min(best, end - begin)
        if end - start > ENOUGH:
            break
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
        begin = time.monotonic()
        if self.seconds is None or begin > self._until:
            self.seconds = measure()
            end = time.monotonic()
            self._until = end + max(LATELY, PATIENCE * (end - begin))


meetings = Meetings()
