"""Random orders of the rows: Fisher and Yates's shuffle, with random numbers made on the spot."""

import numpy as np
from numba import carray, types

from fastbp.kernels.machine.jit import INT, kernel
from fastbp.kernels.machine.random_words import random_word
from fastbp.kernels.machine.simd import multiply_high

INT64S = types.CPointer(types.int64)


@kernel(INT64S, INT, INT, INT64S)
def shuffled(orders, epochs, rows, keys):
    """orders (epochs, rows): 0 ... rows - 1, each time as one of the keys decides; overwritten.

    Each order is as likely as any other, but for the generator's period and a bias of the
    scaling below rows / 2**64.
    """
    all_orders, bits = carray(orders, (epochs, rows)), carray(keys, (epochs,))
    for epoch in range(epochs):
        to, key = all_orders[epoch], np.uint64(bits[epoch])
        for last in range(rows):
            word = random_word(key, np.uint64(last))
            chosen = np.int64(multiply_high(word, np.uint64(last + 1)))
            to[last] = to[chosen]
            to[chosen] = last
