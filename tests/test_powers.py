"""Powers with whole exponents: their error against mpmath, and bits that no machine changes."""

import hashlib
from decimal import Decimal

import mpmath
import numpy as np
import pytest

from fastbp import powers as powers_module
from fastbp.powers import powers

EXPONENTS = np.array(
    [0, 1, 2, 3, 63, 100, 255, 256, 257, 1000, 65535, 65536, 1e5, 1e6 + 3, 2.0**40]
)
BASES = [
    0.0, 1e-300, 0.3, 0.5, 0.9, 0.999, 1 - 2.0**-53, 1.0, 1 + 2.0**-52, 1.0001, 2.0, 3, 1e300,
    Decimal("0.9998367253526752782703589434"),
]  # fmt: skip


@pytest.mark.parametrize("base", BASES)
def test_error_is_a_rounding_a_digit_of_the_exponent(base):
    with mpmath.workprec(300), np.errstate(over="ignore"):
        exact = mpmath.mpf(str(base)) if isinstance(base, Decimal) else mpmath.mpf(base)
        for exponent, got in zip(EXPONENTS, powers(base, EXPONENTS), strict=True):
            want = exact ** int(exponent)
            if want > 1.7e308 or want < 1e-290:
                assert got == (np.inf if want > 1 else pytest.approx(0, abs=1e-290))
                continue
            digits = max(-(-int(exponent).bit_length() // 8), 1)
            assert abs(mpmath.mpf(float(got)) - want) <= (digits - 0.49) * 2.0**-52 * want


def test_a_power_does_not_depend_on_what_is_asked_for_with_it():
    steps = np.arange(70_000.0)
    together = powers(0.9999, steps)
    for part in (steps[:1], steps[200:300], steps[65_530:65_540], steps[::-1]):
        np.testing.assert_array_equal(powers(0.9999, part), together[part.astype(np.int64)])


def test_bits_are_those_of_every_machine():
    """Of NumPy's ``base**n`` this hash is another one with AVX-512 than without."""
    found = [powers(base, np.arange(3000.0)) for base in (0.9, 0.999, 1.0001)]
    digest = hashlib.sha256(b"".join(one.astype("<f8").tobytes() for one in found)).hexdigest()
    assert digest.startswith("ca5a99234074bf09")


def test_short_fits_make_short_tables(monkeypatch):
    """A sweep of thousands of networks may have as many bases; a whole table takes 0.1 ms."""
    made, table = [], powers_module._table
    monkeypatch.setattr(powers_module, "_table", lambda *key: made.append(key) or table(*key))
    for last, expected in ((0, [1]), (1, [2]), (70, [128]), (255, [256]), (600, [256, 4])):
        made.clear()
        powers(0.97, np.arange(last + 1.0))
        assert made == [(0.97, level, count) for level, count in enumerate(expected)]
    assert len(powers(0.97, np.empty(0))) == 0
