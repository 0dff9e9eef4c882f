"""Tests of `fastbp.kernels.machine.vecmath`: errors in ulp, special values, vector code, same bits.

An ulp is the spacing of floating-point numbers at the exact result, which below the smallest
normal number is that of the denormal ones.
"""

import functools
import math
import re
from collections.abc import Callable
from typing import NamedTuple

import mpmath
import numba
import numpy as np
import pytest
from mpmath import mp, mpf
from numba import types
from numba.core.errors import TypingError

from fastbp.kernels.machine import vecmath
from fastbp.kernels.machine.jit import FLAGS

njit = numba.njit(**FLAGS)

DTYPES = [np.float32, np.float64]
INF, NAN = math.inf, math.nan


class Case(NamedTuple):
    """A function, what it is tested against, where, and how wrong it may be."""

    name: str
    exact: Callable  # in arbitrary precision
    double: Callable  # in float64, for arrays
    float32_ulp: float
    float64_ulp: float
    intervals: tuple  # where float64 is tested
    domain: tuple = (-1e4, 1e4)  # where arbitrary precision is practical


CASES = {
    case.name: case
    for case in (
        Case("exp", mp.exp, np.exp, 1.2, 1.2, ((-746, 710), (-1, 1))),
        Case("expm1", mp.expm1, np.expm1, 2, 2, ((-40, 710), (-3, 3), (-0.01, 0.01))),
        Case(
            "log", mp.log, np.log, 1, 1, ((0, 1e300), (0, 1e-300), (0.5, 2), (0.99, 1.01)), (0, INF)
        ),
        Case(
            "log1p", mp.log1p, np.log1p, 1.5, 1.5, ((-1, 3), (3, 1e300), (-0.01, 0.01)), (-1, INF)
        ),
        Case("tanh", mp.tanh, np.tanh, 5, 3, ((-20, 20), (-1, 1), (-0.01, 0.01))),
        Case(
            "sigmoid",
            lambda x: 1 / (1 + mp.exp(-x)),
            lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-abs(x))),
            2,
            2,
            ((-746, 40), (-5, 5), (-0.01, 0.01)),
        ),
        Case(
            "softplus",
            lambda x: mp.log1p(mp.exp(x)),
            lambda x: np.logaddexp(0, x),
            2,
            2,
            ((-746, 746), (-40, 40), (-3, 3)),
        ),
        Case(
            "normal_pdf",
            mpmath.npdf,
            lambda x: np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
            1.2,
            1.2,
            ((-39, 39), (-3, 3), (-0.01, 0.01)),
        ),
        Case(
            "normal_cdf",
            lambda x: mp.erfc(-x / mp.sqrt(2)) / 2,
            lambda x: np.vectorize(math.erfc)(-x / math.sqrt(2)) / 2,
            4,
            4,
            ((-39, 9), (-5, 5), (-0.01, 0.01)),
        ),
    )
}

SPECIAL = [
    # name, argument, result; the results are exact
    ("exp", 0, 1), ("exp", INF, INF), ("exp", -INF, 0), ("exp", 1e4, INF), ("exp", -1e4, 0),
    ("expm1", 0, 0), ("expm1", INF, INF), ("expm1", -INF, -1), ("expm1", 1e4, INF),
    ("expm1", -1e4, -1),
    ("log", 0, -INF), ("log", -0.0, -INF), ("log", 1, 0), ("log", INF, INF), ("log", -INF, NAN),
    ("log", -1, NAN), ("log", -1e-45, NAN),
    ("log1p", 0, 0), ("log1p", -1, -INF), ("log1p", INF, INF), ("log1p", -INF, NAN),
    ("log1p", -1.5, NAN),
    ("tanh", 0, 0), ("tanh", INF, 1), ("tanh", -INF, -1), ("tanh", 1e4, 1), ("tanh", -1e4, -1),
    ("sigmoid", 0, 0.5), ("sigmoid", INF, 1), ("sigmoid", -INF, 0), ("sigmoid", 1e4, 1),
    ("sigmoid", -1e4, 0),
    ("softplus", INF, INF), ("softplus", -INF, 0), ("softplus", 1e4, 1e4), ("softplus", -1e4, 0),
    ("normal_pdf", INF, 0), ("normal_pdf", -INF, 0), ("normal_pdf", 1e4, 0),
    ("normal_cdf", 0, 0.5), ("normal_cdf", INF, 1), ("normal_cdf", -INF, 0),
    ("normal_cdf", 1e4, 1), ("normal_cdf", -1e4, 0),
]  # fmt: skip


@functools.cache
def compiled(name):
    """A loop over arrays x, y: y = function(x), with the product's compiler flags."""
    function = getattr(vecmath, name)

    def loop(x, y):
        for i in range(x.size):
            y[i] = function(x[i])

    return njit(loop)


def values(name, x):
    y = np.full_like(x, 123)
    compiled(name)(x, y)
    return y


def edges(dtype):
    """Numbers at the ends of the range of a type, and small whole ones, of both signs."""
    limits = np.finfo(dtype)
    sizes = [0, limits.tiny / 2, limits.tiny, limits.eps, 0.5, 0.5**0.5, 1, 2**0.5, 2, 3]
    sizes = np.array(sizes, dtype)
    near = [np.nextafter(sizes, dtype(-INF)), sizes, np.nextafter(sizes, dtype(INF))]
    x = np.concatenate([*near, [limits.max]])
    return np.concatenate([x, -x])


def float32_error(y, exact):
    """|y - exact| in ulp of float32, for exact results in float64."""
    exact = np.where(np.abs(exact) >= 2.0**128, np.copysign(INF, exact), exact)
    ulp = np.ldexp(1.0, np.maximum(np.frexp(exact)[1], -125) - 24)
    same = (y == exact) | (np.isnan(y) & np.isnan(exact))
    return np.where(same, 0, np.nan_to_num(np.abs(y - exact) / ulp, nan=INF))


def float64_error(y, exact):
    """|y - exact| in ulp of float64, for an exact result in arbitrary precision."""
    if mpmath.isnan(exact) or mpmath.isinf(exact) or abs(exact) >= mpf(2) ** 1024:
        expected = float(exact)
        return 0 if y == expected or (math.isnan(y) and math.isnan(expected)) else INF
    ulp = mpf(2) ** (max(mp.frexp(abs(exact))[1], -1021) - 53)
    return float(abs(mpf(float(y)) - exact) / ulp) if math.isfinite(y) else INF


@pytest.mark.parametrize("name", CASES)
def test_float32_errors_are_within_the_bound_over_all_numbers(name):
    case = CASES[name]
    # Every 4099th float32 there is, and the numbers of size 2^-7 to 2^7 ten times as densely.
    bits = np.arange(0, 2**32, 4099, dtype=np.uint32)
    sizes = np.arange(0x3C000000, 0x43000000, 401, dtype=np.uint32)
    x = np.concatenate([v.view(np.float32) for v in (bits, sizes, sizes | 0x80000000)])
    x = np.concatenate([x[np.isfinite(x)], edges(np.float32)])
    with np.errstate(all="ignore"):
        error = float32_error(values(name, x), case.double(x.astype(np.float64)))
    worst = error.argmax()
    assert error[worst] <= case.float32_ulp, x[worst]


@pytest.mark.parametrize("name", CASES)
def test_float64_errors_are_within_the_bound(name):
    case = CASES[name]
    rng = np.random.default_rng(7)
    x = [edges(np.float64)]
    for low, high in case.intervals:
        x.append(rng.uniform(low, high, 1000))
        # Of all sizes down to 1e-300, too.
        x.append(low + (high - low) * 10.0 ** rng.uniform(-300, 0, 200))
    x = np.concatenate(x)
    x = x[(case.domain[0] < x) & (x < case.domain[1])]
    with mp.workprec(160):
        exact = [case.exact(mpf(float(v))) for v in x]
        error = [float64_error(y, e) for y, e in zip(values(name, x), exact, strict=True)]
    worst = np.argmax(error)
    assert error[worst] <= case.float64_ulp, x[worst]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "x", "expected"), SPECIAL)
def test_special_values(name, x, expected, dtype):
    np.testing.assert_array_equal(values(name, np.full(21, x, dtype)), dtype(expected))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_nan_gives_nan(name, dtype):
    bits = np.array(NAN, dtype).view(f"u{dtype().itemsize}")
    payloads = bits + np.arange(0, 21, dtype=bits.dtype)  # NaN has many bit patterns
    x = np.concatenate([payloads.view(dtype), -payloads.view(dtype)])
    assert np.isnan(values(name, x)).all()


@pytest.mark.parametrize(
    ("dtype", "highest", "smallest_result"),
    [(np.float32, 88.72283, 1.4e-45), (np.float64, 709.782712893384, 4.94e-324)],
)
def test_exp_is_finite_to_the_last_argument_and_gives_denormal_numbers(
    dtype, highest, smallest_result
):
    highest = dtype(highest)
    lowest = dtype(math.log(smallest_result))
    x = np.array([highest, np.nextafter(highest, dtype(INF)), lowest, lowest - 1], dtype)
    last, over, smallest, under = values("exp", x)
    assert np.finfo(dtype).max * 0.9999 < last < INF
    assert over == INF
    assert smallest == np.finfo(dtype).smallest_subnormal
    assert under == 0


@pytest.mark.parametrize(("dtype", "limit"), [(np.float32, 87), (np.float64, 708)])
def test_exp_normal_has_the_bits_of_exp(dtype, limit):
    x = np.concatenate([np.linspace(-limit, limit, 1_000_001), [-0.0, NAN]]).astype(dtype)
    bits = f"u{dtype().itemsize}"
    np.testing.assert_array_equal(values("exp_normal", x).view(bits), values("exp", x).view(bits))


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_is_odd_and_never_beyond_one(dtype):
    x = np.linspace(0, 25, 100_001).astype(dtype)
    y = values("tanh", x)
    np.testing.assert_array_equal(values("tanh", -x), -y)
    assert y.max() == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sigmoid", "normal_cdf"])
def test_probabilities_are_within_zero_and_one(name, dtype):
    y = values(name, np.linspace(-120, 120, 100_001).astype(dtype))
    assert y.min() >= 0
    assert y.max() <= 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_bits_do_not_depend_on_the_place_in_the_array(name, dtype):
    """Vectors of the loop, narrower vectors after it and the scalar remainder agree."""
    rng = np.random.default_rng(3)
    x = rng.normal(0, 10, 37).astype(dtype)
    x[::6] = edges(dtype)[:7]
    bits = f"u{dtype().itemsize}"
    whole = values(name, x).view(bits)
    np.testing.assert_array_equal(values(name, np.tile(x, 11)).view(bits), np.tile(whole, 11))
    for n in (1, 2, 3, 5, 8, 16, 19, 31):
        for start in (0, 1, 37 - n):
            part = values(name, x[start : start + n].copy()).view(bits)
            np.testing.assert_array_equal(part, whole[start : start + n])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_a_loop_becomes_vector_code_and_calls_no_library(name, dtype):
    values(name, np.ones(1, dtype))
    array = numba.typeof(np.ones(1, dtype))
    code = compiled(name).inspect_llvm((array, array))
    kind = "f32" if dtype is np.float32 else "f64"
    lanes = [int(n) for n in re.findall(rf"call .*@llvm\.fmuladd\.v(\d+){kind}\(", code)]
    assert lanes
    assert min(lanes) * dtype().itemsize >= 16
    declared = re.findall(r"^declare .*@([\w.]+)\(", code, re.MULTILINE)
    # Numba's wrapper for callers from Python needs the others.
    assert [f for f in declared if not f.startswith(("llvm.", "NRT_", "Py"))] == []


@pytest.mark.parametrize("kind", [types.float32, types.float64])
@pytest.mark.parametrize("name", CASES)
def test_the_type_of_the_argument_is_kept(name, kind):
    function = getattr(vecmath, name)
    call = njit(lambda x: function(x + x))
    call.compile((kind,))
    assert call.nopython_signatures[0].return_type == kind


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("constant", [1, 0.1])
def test_like_gives_a_constant_the_type_of_its_first_argument(dtype, constant):
    call = njit(lambda x: vecmath.like(x, constant))
    assert call(dtype(7)) == dtype(constant)
    assert call.nopython_signatures[0].return_type == numba.typeof(dtype(7))


@pytest.mark.parametrize("dtype", DTYPES)
def test_flushed_makes_zeros_of_denormal_numbers_alone(dtype):
    limits = np.finfo(dtype)
    below = np.nextafter(limits.tiny, limits.dtype.type(0))
    gone = np.array([below, -below, limits.smallest_subnormal, 0], dtype)
    assert (values("flushed", gone) == 0).all()
    kept = np.array([limits.tiny, -limits.tiny, 1, limits.max, -INF, NAN], dtype)
    np.testing.assert_array_equal(values("flushed", kept), kept)


def test_other_types_are_refused_when_compiled_and_python_calls_always():
    with pytest.raises(TypingError, match="exp"):
        njit(lambda x: vecmath.exp(x + 1))(1)
    with pytest.raises(NotImplementedError, match="exp can only be called from compiled code"):
        vecmath.exp(1.0)
