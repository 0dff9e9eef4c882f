"""Threads that sleep in compiled code until another wakes them, by the system's own conditions.

POSIX: a mutex and a condition; Windows: a slim lock and a condition variable. Their functions are
called by address, which a table in memory holds: addresses differ from process to process, and
compiled code is kept on disk. The clock is one of them.
"""

import ctypes
import sys
import time

from fastbp.kernels.machine.fields import words_at
from fastbp.kernels.machine.jit import inline_early
from fastbp.kernels.machine.pointers import (
    address_of,
    call_c,
    exchange,
    load_acquire,
    load_ordered,
    stack_array,
)

WINDOWS = sys.platform == "win32"
# int64 words of a place to sleep; lock and condition have a cache line each, which is enough for
# those of every system.
LOCK, CONDITION, WORDS = 0, 8, 16
FOR_EVER = 0xFFFFFFFF  # milliseconds: Windows's INFINITE

if sys.platform == "win32":
    _library = ctypes.WinDLL("kernel32")
    _names = (
        "SwitchToThread",
        "AcquireSRWLockExclusive",
        "ReleaseSRWLockExclusive",
        "SleepConditionVariableSRW",
        "WakeConditionVariable",
        "QueryPerformanceCounter",
    )
    _beginnings = ("InitializeSRWLock", "InitializeConditionVariable")
else:
    _library = ctypes.CDLL(None)
    _names = (
        "sched_yield",
        "pthread_mutex_lock",
        "pthread_mutex_unlock",
        "pthread_cond_wait",
        "pthread_cond_signal",
        "clock_gettime",
    )
    _beginnings = ("pthread_mutex_init", "pthread_cond_init")

# What the table holds, and the words in it.
FUNCTIONS = [ctypes.cast(getattr(_library, name), ctypes.c_void_p).value or 0 for name in _names]
YIELD, ENTER, LEAVE, WAIT, WAKE, CLOCK = range(len(FUNCTIONS))

MONOTONIC = getattr(time, "CLOCK_MONOTONIC", 0)
AT_WORK = getattr(time, "CLOCK_THREAD_CPUTIME_ID", -1)
TICK = round(1e9 * time.get_clock_info("perf_counter").resolution) if WINDOWS else 1  # nanoseconds
_time = stack_array(2)


def prepare(place: int) -> None:
    """Make a lock and a condition of WORDS words at an address."""
    for begin, word in zip(_beginnings, (LOCK, CONDITION), strict=True):
        failure = getattr(_library, begin)(ctypes.c_void_p(place + 8 * word), None)
        if failure and not WINDOWS:  # there these functions return nothing
            raise OSError(failure, f"{begin} failed")


@inline_early
def nanoseconds(table):
    """By a clock that never goes back."""
    found = _time(words_at(table))
    clock = load_acquire(table + 8 * CLOCK)
    if WINDOWS:
        call_c(clock, (address_of(found),))
        return found[0] * TICK
    call_c(clock, (MONOTONIC, address_of(found)))
    return found[0] * 1_000_000_000 + found[1]


@inline_early
def nanoseconds_at_work(table):
    """Those that the calling thread has had a core; all where nobody tells."""
    if AT_WORK < 0:
        return nanoseconds(table)
    found = _time(words_at(table))
    call_c(load_acquire(table + 8 * CLOCK), (AT_WORK, address_of(found)))
    return found[0] * 1_000_000_000 + found[1]


@inline_early
def sleep(table, place, sleeping, state, least):
    """Until the word at `state` is `least` or less; not at all if it is.

    The word at `sleeping` tells `wake`. This one sets it and then reads `state`, the other thread
    writes `state` and then reads `sleeping`: one of both sees what the other wrote.
    """
    functions, lock, condition = table, place + 8 * LOCK, place + 8 * CONDITION
    call_c(load_acquire(functions + 8 * ENTER), (lock,))
    exchange(sleeping, 1)
    while load_ordered(state) > least:
        wait = load_acquire(functions + 8 * WAIT)
        if WINDOWS:
            call_c(wait, (condition, lock, FOR_EVER, 0))
        else:
            call_c(wait, (condition, lock))
    exchange(sleeping, 0)
    call_c(load_acquire(functions + 8 * LEAVE), (lock,))


@inline_early
def wake(table, place, sleeping):
    """Wake the thread that sleeps there, behind `exchange` or the like of its state."""
    if load_ordered(sleeping) != 0:
        lock = place + 8 * LOCK
        call_c(load_acquire(table + 8 * ENTER), (lock,))
        call_c(load_acquire(table + 8 * WAKE), (place + 8 * CONDITION,))
        call_c(load_acquire(table + 8 * LEAVE), (lock,))
