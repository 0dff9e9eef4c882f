"""Arrays between canary values, for kernels that write through raw addresses."""

import numpy as np

from fastbp.kernels.machine.jit import address
from fastbp.kernels.machine.sizes import address_of, current
from fastbp.kernels.product import ahead

GUARD = 192  # bytes before and behind: more than any vector or tile overshoots by
CANARY = 0xA5  # of every byte; as a float a small negative number that no test computes


class Guarded:
    """A contiguous copy of an array; `shift` elements move it off the cache line.

    Attributes
    ----------
    array : ndarray
        The copy.
    at : int
        Its address.
    """

    def __init__(self, values, shift=0):
        values = np.ascontiguousarray(values)
        self._before = GUARD + shift * values.itemsize
        self._memory = np.full(values.nbytes + GUARD + self._before + 64, CANARY, np.uint8)
        self._before += -address(self._memory) % 64
        inside = self._memory[self._before : self._before + values.nbytes]
        self.array = inside.view(values.dtype).reshape(values.shape)
        self.array[...] = values
        self.at = address(inside)

    def intact(self):
        """Whether nothing around the array has been written."""
        behind = self._before + self.array.nbytes
        return bool(
            (self._memory[: self._before] == CANARY).all()
            and (self._memory[behind:] == CANARY).all()
        )


def canaries(shape, dtype):
    """An array of canary values: what a kernel must not write stays as it is."""
    return (
        np.full(np.prod(shape) * np.dtype(dtype).itemsize, CANARY, np.uint8)
        .view(dtype)
        .reshape(shape)
    )


def empty_queue(sizes=None):
    """A prefetch queue that asks for nothing, as a product takes it."""
    words = np.zeros(ahead.WORDS, np.int64)
    words[ahead.SIZES] = address_of(sizes or current())
    return words


def bits(array):
    """An array's bits as integers, so that NaN equals NaN and -0 differs from 0."""
    return np.ascontiguousarray(array).view(f"i{array.itemsize}")
