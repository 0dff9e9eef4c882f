"""bfloat16: pairs of rounded numbers in 32-bit words, and sums of their products in float32.

A word holds two elements that are neighbours along the sum: the first in its lower half, the second
in the upper one. `dot` is what AVX512_BF16 computes, bit by bit, also where the processor has no
such instruction: the fused product of the second elements first, then that of the first ones, each
rounded to nearest even; denormal operands and results are zeros of their sign, whatever the modes
of the floating-point unit. A NaN stays one; which one is not told.
"""

import functools
import math

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import cgutils

from fastbp.kernels.machine.jit import inline
from fastbp.kernels.machine.simd import bits_of, from_bits
from fastbp.kernels.machine.vectors import I16, I32, I64, X86, processor_target

LANES = 16  # words or sums of a vector, whatever the processor's: a cache line
WORDS, FLOATS = ir.VectorType(I32, LANES), ir.VectorType(ir.FloatType(), LANES)
DOUBLES, BITS = ir.VectorType(ir.DoubleType(), LANES), ir.VectorType(I64, LANES)
LEAST = 2.0**-126  # the least float32 that is not denormal
SIGN, UPPER = 0x80000000, 0xFFFF0000


class _BFloat(ir.types.Type):
    """LLVM's bfloat, which llvmlite lacks."""

    def _to_string(self):
        return "bfloat"

    def __eq__(self, other):
        return isinstance(other, _BFloat)

    def __hash__(self):
        return hash(_BFloat)


@inline
def rounded(x):
    """A float32 rounded to bfloat16, as operands are."""
    bits = np.int64(bits_of(x)) & 0xFFFFFFFF
    if bits & 0x7F800000 == 0:
        bits &= SIGN
    elif not math.isnan(x):
        bits = (bits + 0x7FFF + (bits >> 16 & 1)) & UPPER
    return from_bits(np.int32(bits))


PAIRS = ir.VectorType(_BFloat(), 2 * LANES)


@functools.cache
def native() -> bool:
    """Whether the processor that Numba compiles for has AVX512_BF16.

    LLVM is asked by compiling one conversion, for which it takes the instruction where it is.
    """
    if not X86:
        return False
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    text = (
        "define <16 x bfloat> @f(<16 x float> %a) "
        "{ %b = fptrunc <16 x float> %a to <16 x bfloat>\n ret <16 x bfloat> %b }"
    )
    machine = llvm.Target.from_default_triple().create_target_machine(*processor_target())
    return "vcvtneps2bf16" in machine.emit_assembly(llvm.parse_assembly(text))


def _all(value, kind=WORDS):
    return ir.Constant(kind, [value] * LANES)


def _flushed(builder, value):
    """float32 with denormal numbers as zeros of their sign."""
    bits = builder.bitcast(value, WORDS)
    small = builder.icmp_unsigned("<", builder.and_(bits, _all(0x7FFFFFFF)), _all(0x00800000))
    return builder.bitcast(builder.select(small, builder.and_(bits, _all(SIGN)), bits), FLOATS)


def _nearest(builder, value):
    """The bits of float32 rounded to bfloat16, in the upper halves; what is in the lower is not."""
    bits = builder.bitcast(_flushed(builder, value), WORDS)
    odd = builder.and_(builder.lshr(bits, _all(16)), _all(1))
    nearest = builder.add(bits, builder.add(odd, _all(0x7FFF)))
    quiet = builder.or_(bits, _all(0x00400000))
    return builder.select(builder.fcmp_unordered("uno", value, value), quiet, nearest)


def _convert(builder, second, first):
    """vcvtne2ps2bf16: `first` in the lower 16 elements, `second` in the upper ones, as words."""
    kind = ir.FunctionType(PAIRS, [FLOATS, FLOATS])
    name = "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, [second, first])


def pair_up(builder, first, second):
    """Words of two vectors of float32, of which the same lanes are neighbours along the sum."""
    if native():
        halves = ir.VectorType(I16, 2 * LANES)
        both = builder.bitcast(_convert(builder, second, first), halves)
        order = [half for lane in range(LANES) for half in (lane, LANES + lane)]
        mask = ir.Constant(ir.VectorType(I32, 2 * LANES), order)
        return builder.bitcast(builder.shuffle_vector(both, both, mask), WORDS)
    low = builder.lshr(_nearest(builder, first), _all(16))
    return builder.or_(builder.and_(_nearest(builder, second), _all(UPPER)), low)


def pair_along(builder, first, second):
    """Words of 32 numbers that follow one another along the sum."""
    if native():
        return builder.bitcast(_convert(builder, second, first), WORDS)
    order = range(2 * LANES)
    even, odd = (ir.Constant(WORDS, list(order[start::2])) for start in (0, 1))
    return pair_up(
        builder,
        builder.shuffle_vector(first, second, even),
        builder.shuffle_vector(first, second, odd),
    )


def begun(builder, sums):
    """The sums that `dot` goes on from, of any float32."""
    return sums if native() else _flushed(builder, sums)


def dot(builder, sums, a, b):
    """sums + a * b of the second elements, then of the first, as said above."""
    if native():
        kind = ir.FunctionType(FLOATS, [FLOATS, PAIRS, PAIRS])
        name = "llvm.x86.avx512bf16.dpbf16ps.512"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        a, b = builder.bitcast(a, PAIRS), builder.bitcast(b, PAIRS)
        return builder.call(function, [sums, a, b])
    sums = _fused(builder, sums, *(builder.and_(x, _all(UPPER)) for x in (a, b)))
    return _fused(builder, sums, *(builder.shl(x, _all(16)) for x in (a, b)))


def _fused(builder, sums, a, b):
    """a * b + sums rounded once, and zero where that is below LEAST; no operand is denormal.

    In float64 the product is exact. So is the sum, unless one term is so much smaller than the
    other that it cannot change the float32. Between LEAST and LEAST * (1 - 2**-25) the nearest
    float32 is LEAST, if it may have any exponent, and is not denormal.
    """
    a, b = (builder.fpext(builder.bitcast(x, FLOATS), DOUBLES) for x in (a, b))
    exact = builder.fadd(builder.fpext(sums, DOUBLES), builder.fmul(a, b))
    size = builder.bitcast(
        builder.and_(builder.bitcast(exact, BITS), _all((1 << 63) - 1, BITS)), DOUBLES
    )
    small = builder.fcmp_ordered("<", size, _all(LEAST * (1 - 2.0**-25), DOUBLES))
    rounded = builder.bitcast(builder.fptrunc(exact, FLOATS), WORDS)
    zero = builder.and_(rounded, _all(SIGN))
    return builder.bitcast(builder.select(small, zero, rounded), FLOATS)


def _at(builder, address, lanes=LANES):
    return builder.inttoptr(address, ir.VectorType(I32, lanes).as_pointer())


def load_words(builder, address):
    """A vector of words from an integer address, which begins a cache line."""
    return builder.load(_at(builder, address), align=64)


def broadcast_word(builder, address):
    """The word at an integer address in every lane."""
    word = builder.load(builder.inttoptr(address, I32.as_pointer()))
    undefined = ir.Constant(WORDS, ir.Undefined)
    first = builder.insert_element(undefined, word, I32(0))
    return builder.shuffle_vector(first, undefined, _all(0))


def store_words(builder, words, address, apart, width):
    """Write the first `width` words to an address, and further ones `apart` bytes on each."""
    for number in range(LANES // width):
        lanes = [number * width + i for i in range(width)]
        mask = ir.Constant(ir.VectorType(I32, width), lanes)
        some = builder.shuffle_vector(words, words, mask)
        at = builder.add(address, builder.mul(apart, I64(number)))
        builder.store(some, _at(builder, at, width), align=4 * width)


def transposed(builder, rows):
    """Eight vectors of words: [2 * q + p][i] of the q-th is word 2 * q + p of row i, p < 2."""
    for bit in (4, 2):  # halves of what is `bit` rows apart change places, then quarters
        low = [lane if not lane & 2 * bit else lane - 2 * bit + LANES for lane in range(LANES)]
        high = [lane + 2 * bit if not lane & 2 * bit else lane + LANES for lane in range(LANES)]
        rows = _exchanged(builder, rows, bit, low, high)
    # Lanes are now the rows' 4s and 2s, and words of four: the last round brings them into place.
    first = [(i >> 1) * 4 + (i & 1) * LANES + p for p in range(2) for i in range(8)]
    return _exchanged(builder, rows, 1, first, [lane + 2 for lane in first])


def _exchanged(builder, rows, bit, low, high):
    rows = list(rows)
    for i in range(len(rows)):
        if not i & bit:
            a, b = rows[i], rows[i + bit]
            rows[i], rows[i + bit] = (
                builder.shuffle_vector(a, b, ir.Constant(WORDS, mask)) for mask in (low, high)
            )
    return rows
