"""What a new thread has from the one that starts it, for members of a pool that are not new.

The modes of its floating-point unit (a process can have denormal numbers flushed to zero: then the
bits would depend on who computes them), and on Linux the cores that it may run on. There, too, a
new thread begins on an idle core, but one that is woken on the core of who wakes it, if its own is
an idle one of a virtual machine: Linux takes that for one that its host has stopped.
"""

import ctypes
import sys

import numpy as np

from fastbp.kernels.machine.fields import words_at
from fastbp.kernels.machine.jit import address, inline_early
from fastbp.kernels.machine.pointers import call_c, load_acquire

# int64 words: room for the largest fenv_t, and for 1024 cores.
MODES, CORES, WORDS = 0, 8, 24
MASK = 8 * (WORDS - CORES)  # bytes
SALT = 0x5851F42D4C957F2D

_library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
_found = [
    getattr(_library, name, None)
    for name in (
        "fegetenv",
        "fesetenv",
        "sched_getaffinity",
        "sched_setaffinity",
        "sched_getcpu",
    )
]

# For a table in memory: compiled code is kept on disk, addresses change. Zero where there is none.
FUNCTIONS = [ctypes.cast(each, ctypes.c_void_p).value or 0 if each else 0 for each in _found]
GET_MODES, SET_MODES, GET_CORES, SET_CORES, GET_CORE = range(len(FUNCTIONS))


@inline_early
def look_around(table, here):
    """Note the calling thread's at `here`, WORDS words; returns a number for the cores, or 0."""
    get_modes, get_cores = load_acquire(table + 8 * GET_MODES), load_acquire(table + 8 * GET_CORES)
    if get_modes != 0 and load_acquire(table + 8 * SET_MODES) != 0:
        call_c(get_modes, (here + 8 * MODES,))
    if get_cores == 0 or call_c(get_cores, (0, MASK, here + 8 * CORES)) < 0:
        return 0
    words, number = words_at(here), 1
    for word in range(CORES, WORDS):
        number = number * SALT + words[word]
    return number


@inline_early
def move_to(table, there, cores, now):
    """Take over what stands at `there`; returns the number of the cores that are this thread's.

    cores, now: the numbers of those there and of this thread's, 0 for unknown.
    """
    set_modes = load_acquire(table + 8 * SET_MODES)
    if set_modes != 0 and load_acquire(table + 8 * GET_MODES) != 0:
        call_c(set_modes, (there + 8 * MODES,))
    if cores != now and cores != 0:
        call_c(load_acquire(table + 8 * SET_CORES), (0, MASK, there + 8 * CORES))
    return cores


@inline_early
def core(table):
    """The number of the core that this thread is on, -1 where that is not known."""
    get_core = load_acquire(table + 8 * GET_CORE)
    return np.int64(call_c(get_core, ())) if get_core != 0 else np.int64(-1)


@inline_early
def look_for_others(table, here):
    """Behind what stands at `here`: the same cores, but for that of the calling thread."""
    words = words_at(here)
    for word in range(CORES, WORDS):
        words[WORDS + word] = words[word]
    claim(here, core(table))


@inline_early
def claim(here, number):
    """Take a core off those behind `here`; returns whether it was there."""
    if number < 0 or number >= 8 * MASK:
        return False
    words, bit = words_at(here), 1 << (number % 64)
    at = WORDS + CORES + number // 64
    found = words[at] & bit != 0
    words[at] &= ~bit
    return found


@inline_early
def move_off(table, here, thread):
    """Have a thread go on, or wake, on one of the cores behind `here`, if there are such."""
    set_cores = load_acquire(table + 8 * SET_CORES)
    call_c(set_cores, (thread, MASK, here + 8 * (WORDS + CORES)))  # fails where there is none


def noted() -> np.ndarray:
    """The calling thread's, for `take_over` in another one."""
    words = np.zeros(WORDS, np.int64)
    get_modes, get_cores = _found[GET_MODES], _found[GET_CORES]
    if get_modes:
        get_modes(ctypes.c_void_p(address(words[MODES:])))
    if get_cores and get_cores(0, MASK, ctypes.c_void_p(address(words[CORES:]))) < 0:
        words[CORES:] = 0
    return words


def take_over(words: np.ndarray) -> None:
    """Give the calling thread what another one has `noted`."""
    set_modes, set_cores = _found[SET_MODES], _found[SET_CORES]
    if set_modes:
        set_modes(ctypes.c_void_p(address(words[MODES:])))
    if set_cores and words[CORES:].any():
        set_cores(0, MASK, ctypes.c_void_p(address(words[CORES:])))
