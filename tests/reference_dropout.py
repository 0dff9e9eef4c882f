"""The masks of dropout in plain Python and NumPy: whether the output of a unit is dropped.

SplitMix64: Steele, Lea and Flood, OOPSLA (2014). triple32: C. Wellons, "Prospecting for hash
functions" (2018), here with one half of a key added to its input and one half in its midst.
"""

import numpy as np

WORD = (1 << 64) - 1


def splitmix64(key, counter):
    """Output `counter` of the generator with state `key`, counted from 0 for the state itself."""
    x = (key + counter * 0x9E3779B97F4A7C15) & WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def random_words(seed, layer, step, row, columns):
    """(columns,) uint32: the random numbers of one row of the batch."""
    key = splitmix64(splitmix64(splitmix64(seed, layer), step), row)
    low, high = np.uint32(key & 0xFFFFFFFF), np.uint32(key >> 32)
    with np.errstate(over="ignore"):
        x = np.arange(columns, dtype=np.uint32) + low
        x = (x ^ (x >> np.uint32(17))) * np.uint32(0xED5AD4BB) ^ high
        x = (x ^ (x >> np.uint32(11))) * np.uint32(0xAC4C1B51)
        x = (x ^ (x >> np.uint32(15))) * np.uint32(0x31848BAB)
    return x ^ (x >> np.uint32(14))


def mask(rate, seed, layer, step, rows, columns):
    """(rows, columns): what a layer's outputs are multiplied by, 0 or 1 / (1 - rate)."""
    threshold = round(rate * 2**32)
    words = np.array([random_words(seed, layer, step, row, columns) for row in range(rows)])
    return np.where(words < threshold, 0.0, 1 / (1 - threshold / 2**32))
