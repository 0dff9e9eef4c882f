"""The thread team: threads inside one kernel, meeting at a spin barrier.

Every thread of a team runs the same kernel (single program, multiple data) with its own number.
"""

import threading

import numpy as np

from fastbp.kernels.machine import parking
from fastbp.kernels.machine.beside import run_beside
from fastbp.kernels.machine.jit import Kernel, inline, inline_early
from fastbp.kernels.machine.pointers import call_c, load_acquire, spin_pause, store_release
from fastbp.kernels.machine.pool import pool

# int64 words of the team's shared block, a cache line of 8 apart.
STOP, STOP_EARLY, STOP_SEEN, PAUSE, WORDS = 0, 8, 16, 24, 32
LINE = 8  # words
# Words of a member's flags: how many barriers it has come to, then a line for each round of one,
# which are enough for `members.PLACES` members.
FLAGS = (1 + 9) * LINE
SPINS = 50  # then the core is offered to whoever else wants it: a busy one would cost time slices
YIELD_ADDRESS = parking.FUNCTIONS[parking.YIELD]


@inline
def barrier(flags, me, team, yield_address):
    """Wait until `team` members are here; what each wrote before, all see after.

    flags: address of int64 (team, FLAGS), zeros at first; me: the calling member's number. In round
    r a member tells the one 2**r behind it, and waits for the one 2**r before it (Hensgen, Finkel
    and Manber 1988): nobody waits for a line that more than two write. Numbers of barriers in the
    place of flags need no clearing, and nobody minds one who is a barrier ahead.
    """
    own, stride = flags + 8 * FLAGS * me, 8 * FLAGS
    number = load_acquire(own) + 1
    store_release(own, number)
    distance, at = 1, 8 * LINE
    while distance < team:
        to = me + distance if me + distance < team else me + distance - team
        store_release(flags + stride * to + at, number)
        spins = 0
        while load_acquire(own + at) < number:
            spins += 1
            if spins < SPINS:
                spin_pause()
            else:
                call_c(yield_address, ())
        distance, at = 2 * distance, at + 8 * LINE


@inline_early
def share(count, grain, me, team):
    """The range of `count` items that is thread `me`'s, in whole grains."""
    if team == 1:  # no divisions: a small step has many of these
        return 0, count
    grains = (count + grain - 1) // grain
    return min(count, grains * me // team * grain), min(count, grains * (me + 1) // team * grain)


def run_team(
    kernel: Kernel,
    program: int,
    team: int,
    shared: np.ndarray,
    interruptible: bool,
    brief: bool = False,
) -> None:
    """Run ``kernel(program, me)`` on `team` threads and return when all have.

    Parameters
    ----------
    kernel : Kernel
        Of two integers.
    program, team : int
        An address; at most ``members.PLACES`` threads.
    shared : ndarray
        int64[WORDS], of zeros but for PAUSE: the kernel heeds that behind each whole step. Flags
        for its barriers are the program's.
    interruptible : bool
        Whether the main thread only waits, so that a signal's Python handler runs at once; an
        exception that it raises sets the STOP word, which the kernel heeds between steps, and is
        raised again when the team has come to its end. Handlers run in no other thread.
    brief : bool
        Whether a team of one keeps the GIL.
    """
    if not interruptible or threading.get_ident() != threading.main_thread().ident:
        _run_here(kernel, program, team, brief)
        return

    def stop() -> None:
        shared[STOP] = 1

    run_beside(lambda: _run_here(kernel, program, team), stop)


def _run_here(kernel: Kernel, program: int, team: int, brief: bool = False) -> None:
    """Run the team with the calling thread as its first member."""
    if team == 1:
        kernel.call(release=not brief)(program, 0)
    else:
        pool().run(kernel.c_address(), program, team)
