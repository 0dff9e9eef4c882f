"""Random orders of the rows: Fisher and Yates's shuffle, with random numbers made on the spot."""

import numpy as np
from numba import carray, types

from fastbp.kernels.machine.jit import INT, kernel
from fastbp.kernels.machine.random_words import random_word
from fastbp.kernels.machine.simd import multiply_high

INT64S = types.CPointer(types.int64)


@kernel(INT64S, INT, INT)
def shuffled(order, rows, key):
    """order[:rows] = 0 ... rows - 1 in an order that the key decides; overwrites `order`.

    Each order is as likely as any other, but for the generator's period and a bias of the
    scaling below rows / 2**64.
    """
    to = carray(order, (rows,))
    bits = np.uint64(key)
    for last in range(rows):
        chosen = np.int64(multiply_high(random_word(bits, np.uint64(last)), np.uint64(last + 1)))
        to[last] = to[chosen]
        to[chosen] = last
