"""Dropout: random masks that a counter decides, applied to a block of rows.

Whether an element is dropped depends on (seed, layer, step, row of the batch, column) alone, not
on threads, slabs or element type. The first four are mixed one after the other by SplitMix64
(shuffle.py) into the row's 64-bit key. The column is added to its lower half and mixed by triple32
(C. Wellons 2018, "Prospecting for hash functions"; its bias, searched through for all inputs, is
0.021), a permutation of 32-bit words of three multiplications, which every processor has for
vectors; the key's upper half enters after the first of them.

What is dropped becomes -0, which sums do not tell from 0 and which no other output is. So the way
back need not make the random numbers again. These zeros are told apart as integers, since the
flags of jit.py let LLVM ignore their sign.
"""

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from fastbp.kernels.machine.jit import INT, REAL, inline, kernel
from fastbp.kernels.machine.pointers import address_of, advance
from fastbp.kernels.machine.random_words import random_word
from fastbp.kernels.machine.simd import bits_of
from fastbp.kernels.machine.vecmath import like
from fastbp.kernels.machine.vectors import LINE, Vector, Words, element
from fastbp.kernels.panels.panels import run

ROUNDS = ((17, 0xED5AD4BB), (11, 0xAC4C1B51), (15, 0x31848BAB))  # shift, then multiply
LAST_SHIFT = 14
EVENTS = 1 << 32  # of which `threshold` drop an element


@intrinsic
def drop_line(typingctx, source, to, key, column, threshold, scale):
    """One cache line from column `column` on: to = source * scale, or -0 where it is dropped."""
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
        scaled = v.bits(builder.fmul(v.load(source), v.broadcast(scale)))
        zero, mark = v.bits(v.constant(0.0)), v.bits(v.constant(-0.0))
        scaled = builder.select(builder.icmp_unsigned("==", scaled, mark), zero, scaled)
        v.store(v.of_bits(builder.select(kept, scaled, mark)), to)
        return context.get_dummy_value()

    return signature, lower


@inline
def _scale(p, threshold):
    """1 / (1 - rate) in the element type of a pointer."""
    return like(carray(p, (1,))[0], EVENTS / (EVENTS - threshold))


@kernel(REAL, REAL, INT, INT, INT, INT, INT, INT, INT, INT, INT)
def drop(source, to, rows, width, ld, first, threshold, seed, layer, step, row):
    """to = source / (1 - rate) with each element dropped at the rate threshold / 2**32.

    source, to: `rows` rows of `width` elements, whole cache lines, ld elements apart. They begin in
    row `row` of the batch and column `first` of the layer; layer and step are counted from 0.
    """
    lanes = LINE // (address_of(advance(source, 1)) - address_of(source))
    scale = _scale(source, threshold)
    key = random_word(random_word(np.uint64(seed), np.uint64(layer)), np.uint64(step))
    for r in range(rows):
        key_of_row = random_word(key, np.uint64(row + r))
        for column in range(0, width, lanes):
            at = r * ld + column
            drop_line(
                advance(source, at), advance(to, at), key_of_row, first + column, threshold, scale
            )  # fmt: skip


@kernel(REAL, REAL, INT, INT)
def drop_delta(delta, dropped, n, threshold):
    """delta[:n] = delta / (1 - rate), or 0 where `drop` has left a -0 in `dropped`."""
    block, outputs, scale = run(delta, n), run(dropped, n), _scale(delta, threshold)
    mark = bits_of(like(scale, 1.0)) ^ bits_of(like(scale, -1.0))  # the sign alone
    for i in range(n):
        block[i] = like(scale, 0.0) if bits_of(outputs[i]) == mark else block[i] * scale
