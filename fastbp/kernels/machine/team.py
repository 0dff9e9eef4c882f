"""The thread team: threads inside one kernel, meeting at a spin barrier.

Every thread of a team runs the same kernel (single program, multiple data) with its own number.
"""

import threading

import numpy as np

from fastbp.kernels.machine import parking
from fastbp.kernels.machine.beside import run_beside
from fastbp.kernels.machine.jit import Kernel, inline_early
from fastbp.kernels.machine.pointers import (
    call_c,
    fetch_add,
    load_acquire,
    spin_pause,
    store_release,
)
from fastbp.kernels.machine.pool import pool

# int64 words of the team's shared block, a cache line of 8 apart.
ARRIVED, GENERATION, STOP, STOP_EARLY, STOP_SEEN, PAUSE, WORDS = 0, 8, 16, 24, 32, 40, 48
LINE = 64
SPINS = 50  # then the core is offered to whoever else wants it: a busy one would cost time slices
YIELD_ADDRESS = parking.FUNCTIONS[parking.YIELD]


@inline_early
def barrier(shared, team, yield_address):
    """Wait until `team` threads are here; what each wrote before, all see after.

    shared: address of int64[WORDS], zero at first.
    """
    if team == 1:
        return
    arrived, generation = shared + 8 * ARRIVED, shared + 8 * GENERATION
    now = load_acquire(generation)
    if fetch_add(arrived, 1) == team - 1:
        store_release(arrived, 0)
        store_release(generation, now + 1)
    else:
        spins = 0
        while load_acquire(generation) == now:
            spins += 1
            if spins < SPINS:
                spin_pause()
            else:
                call_c(yield_address, ())


@inline_early
def share(count, grain, me, team):
    """The range of `count` items that is thread `me`'s, in whole grains."""
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
        int64[WORDS], of zeros but for PAUSE: the kernel heeds that behind each whole step.
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
