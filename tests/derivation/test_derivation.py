"""Derivatives made from source: against differences, and what is refused with its line."""

import inspect
import math

import numba
import numpy as np
import pytest
from expect import raises

from fastbp import derivation

SLOPE, LIMIT = 0.3, np.float64(1.5)
STEP = 1e-5


@numba.njit
def square(z):
    return z * z


def shifted(z, by=2, factor=1.0):
    return factor * z + by


def branches(z):
    """Docstring, chained comparisons, elif, early returns."""
    if -0.5 < z <= 0.5 and not (z > 0.3 and z < 0.31):
        return z**3
    elif z < -1 or z > 1.2:
        s = math.sin(z)
    else:
        s = z % 0.7 + SLOPE * z
    t = s
    t *= 2
    t -= s / (1 + z * z)
    return t if z > 0 else -t


def loops(z):
    total, power = 0.0, z
    for i in range(2, 5):
        if i == 3:
            continue
        total += power / i
        power = power * z
    count = 0
    while count < 3:
        total = total + z
        count += 1
    return total


def swapped(z):
    a, b = z, z * z
    a, b = b, a
    return a - 3 * b


def truths(z):
    above = z > 0.2
    both = above and z < 1
    return above * z**2 + (2.0 if both else z) * (z < 3)


def calls(z):
    return square(z) + shifted(square(z), factor=3.0) * shifted(z, 0.5) + np.float64(z) + float(z)


def overwritten(z, y=3):
    y = y * z  # now it has a tangent
    return y * z


def assigned(z):
    if z > 1:
        q = z
    elif z < 0:
        q = 2 * z
    else:
        return z
    for i in range(3):
        p = i * z
        q += p
    while True:
        if q > 0:
            r = q
        else:
            break
        q -= r + 1
    return q


def closure():
    slope = 0.7
    return lambda z: slope * z if z < LIMIT else math.exp(-z)


FUNCTIONS = [
    branches, loops, swapped, truths, calls, overwritten, assigned, closure(), lambda z: 2.0 + z,
    lambda z: z**-2 + z**0 + z**7 - (-z) + +z, lambda z: abs(z) ** 1.7 + 1.3**z + abs(z) ** z,
    lambda z: (z * z + 1) ** 0.5 + pow(z, 2) + np.power(z, 3) + math.pow(2, z),
    lambda z: 1 / (2 - z) + z / (z * z + 1) - 3 // (z + 7) - z // 1,
    lambda z: np.exp(z) + np.expm1(z) + np.exp2(z) + math.exp(-z),
    lambda z: np.log(abs(z)) + np.log1p(z * z) + np.log2(abs(z)) + np.log10(abs(z)),
    lambda z: np.sin(z) + np.cos(z) + np.tan(z / 4) + np.sqrt(abs(z)),
    lambda z: np.sinh(z) + np.cosh(z) + np.tanh(z) + np.arctan(z) + math.atan(z),
    lambda z: np.arcsin(z / 9) + math.acos(z / 9) + np.arcsinh(z) + math.atanh(z / 9),
    lambda z: math.erf(z) + math.erfc(z) + math.acosh(z * z + 2) + math.fabs(z),
    lambda z: max(z, 0) + min(1, z, 2 * z) + np.maximum(z, 0.1) - np.minimum(-z, 1.0),
    lambda z: np.clip(z, -0.3, 0.9) + np.where(z > 0.2, z * z, 2 * z) + np.sign(z) + np.floor(z),
    lambda z: math.hypot(z, 2) + np.square(z) + np.negative(z) + np.add(z, 1) + math.pi * z,
    lambda z: min(z, 1) if z > 0 else (z if z < -1 else 0.5 * z),
]  # fmt: skip
POINTS = [-2.3, -1.1, -0.42, -0.05, 0.13, 0.44, 0.83, 1.31, 2.6]


@pytest.mark.parametrize("f", FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_derivatives_are_the_differences_and_values_the_functions(f):
    df, same = derivation.derivative(f, 1, fast=False), derivation.value(f, 1, fast=False)
    for z in map(np.float64, POINTS):
        want = (f(z + STEP) - f(z - STEP)) / (2 * STEP)
        assert df(z) == pytest.approx(want, rel=1e-7, abs=1e-8)
        assert same(z) == pytest.approx(f(z), rel=1e-14)


def test_of_two_numbers_it_is_by_the_first():
    def loss(a, y):
        short = a - y
        return y * short * short if short > 0 else math.log1p(-short) * y

    df = derivation.derivative(loss, 2, fast=False)
    for a, y in ((0.3, 1.1), (2.0, 0.7)):
        want = (loss(a + STEP, y) - loss(a - STEP, y)) / (2 * STEP)
        with np.errstate(invalid="ignore"):  # of the branch that is not taken
            assert df(a, y) == pytest.approx(want, rel=1e-8)


def series(z):
    total = 0.0
    for power in range(4):
        total += 0.5**power * z**power
    return total


def test_powers_of_zero_with_exponents_that_vary_have_slopes():
    zero, two = np.float64(0), np.float64(2)
    by_base = derivation.derivative(lambda a, y: a**y, 2, fast=False)
    by_exponent = derivation.derivative(lambda a, y: y**a, 2, fast=False)
    with np.errstate(all="ignore"):  # of what is not taken
        assert derivation.derivative(series, 1, fast=False)(zero) == pytest.approx(0.5)
        assert by_base(zero, zero) == by_exponent(two, zero) == by_exponent(zero, zero) == 0


def test_compiled_they_are_of_the_type_of_their_argument():
    first, second = (derivation.derivative(f, 1) for f in (branches, loops))
    mixed = derivation.value(truths, 1)

    @numba.njit
    def all_of(z):
        return first(z), second(z), mixed(z)

    for dtype, rtol in ((np.float64, 1e-13), (np.float32, 1e-5)):
        got = all_of(dtype(0.44))
        want = [derivation.derivative(f, 1, fast=False)(dtype(0.44)) for f in (branches, loops)]
        np.testing.assert_allclose(got, [*want, truths(dtype(0.44))], rtol=rtol)
        (types,) = {str(t) for t in all_of.nopython_signatures[-1].return_type}
        assert types == np.dtype(dtype).name


def unknown(z):
    y = z + 1

    return math.gamma(y)


def itself(z):
    return itself(z - 1) if z > 0 else z


def endless(z):
    if z > 0:
        return z


def array(z):
    return POINTS[0] * z


def raising(z):
    if z > 9:
        raise ValueError
    return z


def both(z):
    kind = z
    if z > 0:
        kind = z > 1
    return kind * z


def without(z):
    if z > 0:
        q = z
    elif z < -1:
        return z
    else:
        z = 2 * z
    return q


def later(z):
    for _ in range(3):
        q = z
    return q


REFUSED = {
    without: (7, "'q' may have no value"),
    later: (3, "'q' may have no value"),
    unknown: (3, "the derivative of 'math.gamma' is not known"),
    itself: (None, "itself calls itself"),
    endless: (0, "an end without a return"),
    array: (1, "'POINTS[0]' is not understood"),
    raising: (2, "'raise ValueError' is not understood"),
    both: (3, "'kind' is now a number and now a truth value"),
}


@pytest.mark.parametrize("f", REFUSED, ids=lambda f: f.__name__)
def test_what_is_refused_is_told_with_its_line(f):
    after, why = REFUSED[f]
    line = "" if after is None else f"line {inspect.getsourcelines(f)[1] + after}, in {f.__name__}"
    with raises(derivation.UnwritableError, line, why):
        derivation.derivative(f, 1)


@pytest.mark.parametrize(
    ("f", "why"),
    [
        (lambda z: np.exp(z, z), "has not the number of arguments"),
        (lambda z: shifted(z, nothing=1), "unexpected keyword"),
        (lambda z: shifted(*[z]), "are not understood"),
        (lambda z: z & 1, "'z & 1' is not understood"),
        (lambda z: nowhere(z) + 1, "'nowhere' is not known"),  # noqa: F821
        (lambda z: z + "a", "is no number"),
        (lambda z: z and 1, "is not of truth values"),
        (lambda z, *more: z, "it must take 1 numbers"),
        (lambda: 1, "it must take 1 numbers"),
        (math.sin, "is no function of Python"),
    ],
    ids=range(10),
)
def test_expressions_that_are_refused(f, why):
    with raises(derivation.UnwritableError, why):
        derivation.derivative(f, 1)


def test_a_source_that_is_gone_or_changed(tmp_path, monkeypatch):
    names = {}
    exec("def f(z):\n    return z", names)
    with raises(derivation.UnwritableError, "its source cannot be read, or has changed"):
        derivation.derivative(names["f"], 1)
    path = tmp_path / "changing_module.py"
    path.write_text("def f(z):\n    return z * 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    import changing_module

    path.write_text("def f(z):\n    return z * 2 + z\n")
    with raises(derivation.UnwritableError, "its source cannot be read, or has changed"):
        derivation.derivative(changing_module.f, 1)


def test_constants_are_those_of_the_moment(monkeypatch):
    def f(z):
        return SLOPE * z

    assert derivation.derivative(f, 1, fast=False)(1.0) == SLOPE
    monkeypatch.setitem(globals(), "SLOPE", 5.0)
    assert derivation.derivative(f, 1, fast=False)(1.0) == 5.0


def test_erf_to_its_last_digits():
    def erf(z):
        return math.erf(z)

    def erfc(z):
        return math.erfc(z)

    near, far = derivation.value(erf, 1), derivation.value(erfc, 1)
    slope = derivation.derivative(erf, 1)

    @numba.njit
    def three(z):
        return near(z), far(z), slope(z)

    for z in (-7.0, -2.0, -0.26, -0.249, -1e-8, 0.0, 1e-300, 0.3, 0.5, 0.7, 3.0, 5.5, 20.0):
        density = 2 / math.sqrt(math.pi) * math.exp(-z * z)
        want = math.erf(z), math.erfc(z), density
        np.testing.assert_allclose(three(z), want, rtol=1e-13)
        np.testing.assert_allclose(three(np.float32(z)), want, rtol=1e-5, atol=1e-37)
