"""The numbers behind `vecmath`: one table per function family and element type.

Polynomials are minimax fits, made with the Remez algorithm in 70-digit arithmetic and listed from
the constant term up. In float32 the rounded coefficients were then moved by single units in the
last place to bring the largest error down again. Each fit is quoted with what it approximates,
its interval and its largest relative error in the value of the function that it serves.

Logarithms are split in a high part with enough trailing zeros for exact multiples (16 bits of
float32, 42 of float64) and the rest, so that the argument reduction of Cody and Waite needs no
fused multiply-add to be right.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types


class Real(NamedTuple):
    """An element type as compiled code sees it, and the layout of its bits."""

    real: Any  # the NumPy type
    integer: Any  # the NumPy integer of the same width
    mantissa_bits: Any
    sign: Any  # the sign bit
    exponent: Any  # a mask of the exponent bits
    one: Any  # the bits of 1.0
    two_ones: Any  # twice that: two_ones - bits(2^n) are the bits of 2^-n


class Exp(NamedTuple):
    """exp and everything made of it: e^x = 2^n e^r, n = round(x / ln 2)."""

    log2_e: Any
    round_biased: Any  # adding it leaves n and twice an exponent's bias in the low bits of the sum
    ln2_high: Any
    ln2_low: Any
    lowest: Any  # e^x has underflowed to zero here ...
    highest: Any  # ... and overflowed to infinity here
    tanh_highest: Any  # tanh has been 1 for a while here
    series: Any  # (e^r - 1 - r) / r^2


class Log(NamedTuple):
    """log(2^e (1 + f)) = e ln 2 + log(1 + f), with 1 + f in [sqrt(1/2), sqrt(2)]."""

    whole: Any  # 2^mantissa_bits: an integer put in its low bits is added to its value
    whole_biased: Any  # the same and the bias of the exponent
    smallest: Any  # the smallest normal number
    scale: Any  # makes denormal numbers normal: 2^(mantissa_bits + 1)
    scale_exponent: Any
    ln2_high: Any
    ln2_low: Any
    sqrt_half: Any
    sqrt2_minus_1: Any
    series: Any  # (2 atanh(s) - 2 s) / s^3 in s^2, s = f / (2 + f)


class Tanh(NamedTuple):
    """tanh(x) = x P(x^2) / Q(x^2) for |x| <= highest."""

    highest: Any  # tanh has been 1 for a while here
    p: Any
    q: Any


class Normal(NamedTuple):
    """The normal distribution: Phi(-z) = phi(z) / (z + A(z) / B(z)) for z >= 0."""

    highest: Any  # phi has underflowed to zero here
    round_square: Any  # adding and subtracting it leaves a z whose square is exact
    density: Any  # 1 / sqrt(2 pi) ...
    density_log_rest: Any  # ... and the logarithm of what its rounding lost
    a: Any
    b: Any


def _reals(real: Any, integer: Any, mantissa_bits: int) -> Real:
    one = int(real(1).view(integer))
    bits = np.iinfo(integer)
    exponent = bits.max - (1 << mantissa_bits) + 1
    values = (mantissa_bits, bits.min, exponent, one, 2 * one)
    return Real(real, integer, *(integer(value) for value in values))


def _floats(real: Any, values: Any) -> Any:
    """The numbers of a table as `real`; tuples of numbers as tuples."""
    kind = type(values)
    converted = (_floats(real, v) if isinstance(v, tuple) else real(v) for v in values)
    return tuple(converted) if kind is tuple else kind(*converted)


REAL = {
    types.float32: _reals(np.float32, np.int32, 23),
    types.float64: _reals(np.float64, np.int64, 52),
}


EXP = {
    # Within 2^-25.4 (relative to e^r - 1) for |r| < 0.377.
    types.float32: _floats(
        np.float32,
        Exp(
            log2_e=1.4426950408889634,
            round_biased=1.5 * 2.0**23 + 2 * 127,
            ln2_high=0.69314575,
            ln2_low=1.4286068e-06,
            lowest=-104.0,
            highest=89.0,
            tanh_highest=9.1,
            series=(0.49999997, 0.16666494, 0.041667406, 0.008372625, 0.0013881318),
        ),
    ),
    # Within 2^-55.6 for |r| < 0.34662.
    types.float64: _floats(
        np.float64,
        Exp(
            log2_e=1.4426950408889634,
            round_biased=1.5 * 2.0**52 + 2 * 1023,
            ln2_high=0.6931471805598903,
            ln2_low=5.497923018708371e-14,
            lowest=-746.0,
            highest=710.0,
            tanh_highest=19.1,
            series=(
                0.5000000000000006, 0.16666666666666588, 0.04166666666657673,
                0.008333333333389566, 0.0013888888931573595, 0.00019841269718983058,
                2.4801505262613583e-05, 2.7557407554112483e-06, 2.76260425739029e-07,
                2.505377516325561e-08,
            ),
        ),
    ),
}  # fmt: skip

TANH = {
    # Within 2^-29.1 for |x| < 9.2: a weighted least-squares fit made even by iteration (Lawson).
    types.float32: _floats(
        np.float32,
        Tanh(
            highest=9.2,
            p=(
                1.0, 0.13671351969242096, 0.003857601433992386, 2.77913950412767e-05,
                3.006761417623238e-08, -1.1822514321691013e-11,
            ),
            q=(
                1.0, 0.47004684805870056, 0.027206571772694588, 0.00039197306614369154,
                1.272296344723145e-06,
            ),
        ),
    ),
    types.float64: None,  # made of exp
}  # fmt: skip

LOG = {
    # Within 2^-30.1 for sqrt(1/2) <= 1 + f <= sqrt(2).
    types.float32: _floats(
        np.float32,
        Log(
            whole=2.0**23,
            whole_biased=2.0**23 + 127,
            smallest=2.0**-126,
            scale=2.0**24,
            scale_exponent=24.0,
            ln2_high=0.69314575,
            ln2_low=1.4286068e-06,
            sqrt_half=0.7071067811865476,
            sqrt2_minus_1=0.41421356237309503,
            series=(0.66666776, 0.3997746, 0.29876277),
        ),
    ),
    # Within 2^-59.4.
    types.float64: _floats(
        np.float64,
        Log(
            whole=2.0**52,
            whole_biased=2.0**52 + 1023,
            smallest=2.0**-1022,
            scale=2.0**53,
            scale_exponent=53.0,
            ln2_high=0.6931471805598903,
            ln2_low=5.497923018708371e-14,
            sqrt_half=0.7071067811865476,
            sqrt2_minus_1=0.41421356237309503,
            series=(
                0.6666666666666736, 0.399999999994023, 0.2857142874544592,
                0.22222198230092072, 0.18183583587815144, 0.15313523060415815,
                0.14801558300796586,
            ),
        ),
    ),
}  # fmt: skip

NORMAL = {
    # Within 2^-26.5 for 0 <= z <= 14.5.
    types.float32: _floats(
        np.float32,
        Normal(
            highest=14.5,
            round_square=1.5 * 2.0**15,
            density=0.3989422804014327,
            density_log_rest=-2.8413057e-08,
            a=(1.5150015, 0.8748829, 0.27463317, 0.046014983, 0.003513872),
            b=(1.8987728, 1.9612604, 0.97800756, 0.28065917, 0.046067845, 0.0035126836),
        ),
    ),
    # Within 2^-57.4 for 0 <= z <= 39.
    types.float64: _floats(
        np.float64,
        Normal(
            highest=39.0,
            round_square=1.5 * 2.0**32,
            density=0.3989422804014327,
            density_log_rest=-6.247337834861335e-17,
            a=(
                0.7978845608028654, 1.0578855872357165, 0.7234759569651199,
                0.3258214227045082, 0.10570980668631047, 0.02570218341996853,
                0.004752153038868741, 0.0006660638084875422, 6.926699535840381e-05,
                5.092004754788318e-06, 2.3861569870271787e-07, 5.4205352804861345e-09,
            ),
            b=(
                1.0, 1.7812925386574683, 1.581376179030551, 0.9091762507487235,
                0.373442462533888, 0.11480843013192907, 0.027003992696198794,
                0.004889255050817511, 0.0006762153052299394, 6.974422647184482e-05,
                5.102845830668245e-06, 2.3861569864218514e-07, 5.420535280798014e-09,
            ),
        ),
    ),
}  # fmt: skip
