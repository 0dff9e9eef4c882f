"""Dropout: random masks that a counter decides, applied to a block of rows.

Whether an element is dropped depends on (seed, layer, step, row of the batch, column) alone, not
on threads, slabs or element type. The first four are mixed one after the other by SplitMix64
(shuffle.py) into the row's 64-bit key. The column is added to its lower half and mixed by triple32
(C. Wellons 2018, "Prospecting for hash functions"; its bias, searched through for all inputs, is
0.021), a permutation of 32-bit words of three multiplications, which every processor has for
vectors; the key's upper half enters after the first of them.
"""

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from fastbp.kernels.jit import INT, REAL, kernel
from fastbp.kernels.shuffle import random_word
from fastbp.kernels.simd import LINE, Vector, Words, address_of, advance, element
from fastbp.kernels.vecmath import like

ROUNDS = ((17, 0xED5AD4BB), (11, 0xAC4C1B51), (15, 0x31848BAB))  # shift, then multiply
LAST_SHIFT = 14
EVENTS = 1 << 32  # of which `threshold` drop an element


@intrinsic
def drop_line(typingctx, source, to, key, column, threshold, scale):
    """One cache line from column `column` on: to = source * scale, or 0 where it is dropped."""
    signature = types.void(source, source, types.uint64, types.int64, types.int64, source.dtype)

    def lower(context, builder, signature, arguments):
        source, to, key, column, threshold, scale = arguments
        lanes = LINE // element(signature.args[0])[2]
        v, w = Vector(builder, signature.args[0], lanes), Words(builder, lanes)
        bits = builder.add(w.numbers(), w.broadcast(builder.add(key, column)))
        for number, (shift, factor) in enumerate(ROUNDS):
            bits = builder.mul(w.shifted_xor(bits, shift), w.constant(factor))
            if number == 0:
                bits = builder.xor(bits, w.broadcast(builder.lshr(key, key.type(32))))
        kept = builder.icmp_unsigned(
            ">=", w.shifted_xor(bits, LAST_SHIFT), w.broadcast(threshold)
        )  # fmt: skip
        scaled = builder.fmul(v.load(source), v.broadcast(scale))
        v.store(builder.select(kept, scaled, v.constant(0.0)), to)
        return context.get_dummy_value()

    return signature, lower


@kernel(REAL, REAL, INT, INT, INT, INT, INT, INT, INT)
def drop(source, to, rows, ld, threshold, seed, layer, step, row):
    """to = source / (1 - rate) with each element dropped at the rate threshold / 2**32.

    source, to: `rows` rows of ld elements, whole cache lines; they may be the same block. The
    first of them is row `row` of the batch; layer and step are counted from 0.
    """
    lanes = LINE // (address_of(advance(source, 1)) - address_of(source))
    scale = like(carray(source, (1,))[0], EVENTS / (EVENTS - threshold))
    key = random_word(random_word(np.uint64(seed), np.uint64(layer)), np.uint64(step))
    for r in range(rows):
        key_of_row = random_word(key, np.uint64(row + r))
        for column in range(0, ld, lanes):
            at = r * ld + column
            drop_line(
                advance(source, at), advance(to, at), key_of_row, column, threshold, scale
            )  # fmt: skip
