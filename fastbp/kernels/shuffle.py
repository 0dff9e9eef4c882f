"""Random orders of the rows: Fisher and Yates's shuffle, with random numbers made on the spot.

The random number with a key and a counter is SplitMix64's (Steele, Lea & Flood 2014, "Fast
splittable pseudorandom number generators"): one mixing of key + counter * GAMMA.
"""

import numpy as np
from numba import carray, types

from fastbp.kernels.jit import INT, inline, kernel
from fastbp.kernels.simd import multiply_high

INT64S = types.CPointer(types.int64)
GAMMA = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@inline
def random_word(key, counter):
    """64 random bits; uint64 all."""
    word = key + counter * GAMMA
    word = (word ^ (word >> np.uint64(30))) * FIRST
    word = (word ^ (word >> np.uint64(27))) * SECOND
    return word ^ (word >> np.uint64(31))


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
