"""The thread team: plain Python threads inside one kernel, meeting at a spin barrier.

Every thread of a team runs the same kernel (single program, multiple data) with its own number.
"""

import _thread
import contextlib
import ctypes
import functools
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fastbp.kernels.machine.jit import inline_early
from fastbp.kernels.machine.pointers import (
    call_c,
    fetch_add,
    load_acquire,
    spin_pause,
    store_release,
)

# int64 words of the team's shared block, a cache line of 8 apart.
ARRIVED, GENERATION, STOP, STOP_EARLY, STOP_SEEN, PAUSE, WORDS = 0, 8, 16, 24, 32, 40, 48
LINE = 64
SPINS = 50  # then the core is offered to whoever else wants it: a busy one would cost time slices

if sys.platform == "win32":
    _yield = ctypes.WinDLL("kernel32").SwitchToThread
else:
    _yield = ctypes.CDLL(None).sched_yield
YIELD_ADDRESS = ctypes.cast(_yield, ctypes.c_void_p).value


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
                call_c(yield_address)


@inline_early
def share(count, grain, me, team):
    """The range of `count` items that is thread `me`'s, in whole grains."""
    grains = (count + grain - 1) // grain
    return min(count, grains * me // team * grain), min(count, grains * (me + 1) // team * grain)


def available_cores() -> int:
    """How many cores this process may use: its affinity mask and its cgroup's quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _cgroup_quota()))


@functools.cache  # to read the files takes as long as to predict a hundred rows
def _cgroup_quota() -> int:
    """Whole cores that the control group grants, or a large number where there is no limit."""
    unlimited = 1 << 20
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota == "max":
            return unlimited
    except (OSError, ValueError):
        folder = Path("/sys/fs/cgroup/cpu")
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        except OSError:
            return unlimited
    granted = int(quota) / int(period)
    return max(1, int(granted)) if granted > 0 else unlimited


def run_team(
    kernel: Callable[[int, int], None],
    program: int,
    team: int,
    shared: np.ndarray,
    interruptible: bool,
) -> None:
    """Run ``kernel(program, me)`` on `team` threads and return when all have.

    shared: int64[WORDS], of zeros but for PAUSE: the kernel heeds that behind each whole step.
    With `interruptible` or a team of several, the calling thread only waits, so that a signal's
    Python handler runs at once; an exception that it raises sets the STOP word, which the kernel
    heeds between steps, and is raised again when the team has come to its end.
    """
    if team == 1 and not interruptible:
        kernel(program, 0)
    else:
        _run_beside(kernel, program, team, shared)


def _run_beside(
    kernel: Callable[[int, int], None], program: int, team: int, shared: np.ndarray
) -> None:
    """Run the team on other threads than the calling one, which waits for them and for signals."""
    # Handlers run in the main thread alone, between any two of its instructions. So all that must
    # not be torn apart is done by another thread, and whoever takes the ticket first decides
    # whether that one begins at all.
    ticket: list[bool] = [True]
    outcome: list[BaseException | None] = []  # one entry when the team has come to its end
    finished = _thread.allocate_lock()
    finished.acquire()

    def conduct() -> None:
        with contextlib.suppress(IndexError):
            ticket.pop()
            try:
                _run_members(kernel, program, team)
                outcome.append(None)
            except BaseException as error:  # noqa: BLE001 - raised by the caller's thread
                outcome.append(error)
            finished.release()

    interruption: BaseException | None = None
    begun = False
    while True:
        try:
            if not begun:
                begun = True
                _thread.start_new_thread(conduct, ())
            while not outcome:  # the lock alone may be taken just before a handler raises
                finished.acquire(timeout=0.05)
            break
        except BaseException as raised:
            # Memory that the kernel writes must outlive it: stop it first, then go.
            interruption = interruption or raised
            shared[STOP] = 1
            if ticket:
                with contextlib.suppress(IndexError):
                    ticket.pop()
                    raise
    failure = interruption or outcome[0]
    if failure is not None:
        raise failure


def _run_members(kernel: Callable[[int, int], None], program: int, team: int) -> None:
    """Start all members but the first, which runs here, and wait for them."""
    ready, cancelled = threading.Event(), threading.Event()
    # Not Thread.join: it would enter this thread, which threading knows nothing of, in its lists.
    left = threading.Semaphore(0)

    def member(me: int) -> None:
        ready.wait()
        if not cancelled.is_set():  # a member that is missing would be waited for at the barrier
            kernel(program, me)
        left.release()

    threads = [threading.Thread(target=member, args=(me,), daemon=True) for me in range(1, team)]
    try:
        for thread in threads:
            thread.start()
    except BaseException:
        cancelled.set()
        raise
    finally:
        ready.set()
    kernel(program, 0)
    for _ in threads:
        left.acquire()
