"""Random words from a key and a counter, made on the spot: SplitMix64.

Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators": one mixing of
key + counter * GAMMA.
"""

import numpy as np

from fastbp.kernels.machine.jit import inline

GAMMA = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@inline
def random_word(key, counter):
    """64 random bits; uint64 all."""
    word = key + counter * GAMMA
    word = (word ^ (word >> np.uint64(30))) * FIRST
    word = (word ^ (word >> np.uint64(27))) * SECOND
    return word ^ (word >> np.uint64(31))
