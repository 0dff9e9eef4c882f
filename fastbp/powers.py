"""Powers with whole exponents, to the same bits on every machine.

NumPy computes ``x**n`` with vectors of its own where the processor has AVX-512 and by the C library
elsewhere: one result of twenty differs in its last bit, and with it every float64 network whose
rates or bias corrections are powers of the step's number.

Here a power is the product of one number a digit of its exponent, each taken from a table that is
computed with integers and rounded once.
"""

import functools
import math
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

DIGIT = 8  # bits of an exponent's digit
WORD = 128  # bits that a product of a table is cut to: 2**64 of them lose less than half of these


def powers(
    base: float | Decimal, exponents: NDArray[np.float64] | NDArray[np.int64]
) -> NDArray[np.float64]:
    """``base**exponents``, off by one rounding up to 255, by three up to 65535, and so on.

    Parameters
    ----------
    base : float or Decimal
        Finite, at least 0.
    exponents : ndarray
        Whole numbers from 0 on.
    """
    left = exponents.astype(np.int64)
    most, level = int(left.max(initial=0)), 0
    digit = 2**DIGIT - 1
    found: NDArray[np.float64] = _table(base, 0, _count(most))[left & digit]
    while most := most >> DIGIT:
        left >>= DIGIT
        level += 1
        found *= _table(base, level, _count(most))[left & digit]
    return found


def _count(most: int) -> int:
    """How many numbers of a table hold those of all lowest digits up to `most`."""
    return 1 << min(most.bit_length(), DIGIT)


@functools.lru_cache(maxsize=4096)  # 8 MB at the most; a sweep has bases of its own in each network
def _table(base: float | Decimal, level: int, count: int) -> NDArray[np.float64]:
    """``base**(k * 2**(level * DIGIT))`` of the first `count` digits k, each rounded once."""
    factor = _scaled(*base.as_integer_ratio())
    for _ in range(level * DIGIT):
        factor = _product(factor, factor)
    value, values = (1 << (WORD - 1), 1 - WORD), []
    for _ in range(count):
        values.append(_rounded(*value))
        value = _product(value, factor)
    return np.array(values)


def _scaled(numerator: int, denominator: int) -> tuple[int, int]:
    """(m, e) with m 2**e the quotient, cut to `WORD` bits or one more."""
    exponent = numerator.bit_length() - denominator.bit_length() - WORD
    if exponent < 0:
        return (numerator << -exponent) // denominator, exponent
    return numerator // (denominator << exponent), exponent


def _product(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """The product of two numbers (m, e), cut to `WORD` bits."""
    product = a[0] * b[0]
    surplus = max(product.bit_length() - WORD, 0)
    return product >> surplus, a[1] + b[1] + surplus


def _rounded(mantissa: int, exponent: int) -> float:
    try:
        return math.ldexp(mantissa, exponent)
    except OverflowError:
        return math.inf
