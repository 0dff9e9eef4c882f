"""Tests of the SIMD primitives: reductions in a fixed order of lanes, and the vector width."""

import numpy as np
import pytest
from cases import both_dtypes
from guarded import Guarded, bits
from numba import carray
from numba.core import config

from fastbp.kernels.machine import simd, vectors
from fastbp.kernels.machine.jit import INT, REAL, Kernel, address
from fastbp.kernels.machine.pointers import advance
from fastbp.kernels.panels.panels import FLOAT64S

LENGTHS = [*range(41), 63, 64, 65, 1000]


def reduction(reduce, result=REAL):
    """A kernel out[0] = reduce(x[:n])."""

    def kernel(x, n, out):
        carray(out, (1,))[0] = reduce(x, n)

    return Kernel(kernel, (REAL, INT, result), cached=False)


SUM, MAX = reduction(simd.row_sum), reduction(simd.row_max)
SQUARES = reduction(simd.square_sum, FLOAT64S)


def reduced(kernel, values, behind):
    """The reduction of `values`, with elements `behind` them that must not count."""
    x = Guarded(np.concatenate([values, np.full(20, behind, values.dtype)]), 1)
    out = Guarded(np.zeros(1, values.dtype))
    before = x.array.copy()
    kernel.call(values.dtype)(x.at, len(values), out.at)
    assert (bits(x.array) == bits(before)).all()
    assert out.intact()
    return out.array[0]


def sum_of_lanes(values):
    """What row_sum promises: 16 running sums, then halves added pairwise."""
    rows = np.zeros((-(-len(values) // 16), 16), values.dtype)
    rows.ravel()[: len(values)] = values
    total = np.zeros(16, values.dtype)
    for row in rows:
        total = total + row
    while len(total) > 1:
        total = total[: len(total) // 2] + total[len(total) // 2 :]
    return total[0]


@both_dtypes
@pytest.mark.parametrize("n", LENGTHS)
def test_row_sum_has_the_bits_of_sixteen_lanes(n, dtype):
    rng = np.random.default_rng(n)
    values = (rng.standard_normal(n) * np.exp(rng.uniform(-9, 9, n))).astype(dtype)
    assert bits(reduced(SUM, values, np.nan)) == bits(sum_of_lanes(values))


@both_dtypes
@pytest.mark.parametrize("n", LENGTHS[1:])
def test_row_max_is_the_largest_wherever_it_lies(n, dtype):
    values = np.random.default_rng(n).standard_normal(n).astype(dtype) - 50
    assert reduced(MAX, values, np.inf) == values.max()
    for i in range(min(n, 40)):
        for top in (-1.0, np.inf):
            changed = values.copy()
            changed[i] = top
            assert reduced(MAX, changed, np.nan) == top


def test_row_max_of_nothing_or_of_minus_infinities_is_minus_infinity():
    for n in (0, 1, 16, 17):
        assert reduced(MAX, np.full(n, -np.inf, np.float32), 1.0) == -np.inf


@both_dtypes
@pytest.mark.parametrize("kernel", [SUM, MAX], ids=["row_sum", "row_max"])
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 33])
def test_one_nan_makes_the_result_nan(n, kernel, dtype):
    for i in range(n):
        for others in (1.0, np.inf, -np.inf):
            values = np.full(n, others, dtype)
            values[i] = np.nan
            assert np.isnan(reduced(kernel, values, 0.0)), (i, others)


@both_dtypes
def test_row_sum_of_infinities(dtype):
    for n in (1, 16, 20):
        values = np.ones(n, dtype)
        values[n - 1] = np.inf
        assert reduced(SUM, values, 0.0) == np.inf
    assert np.isnan(reduced(SUM, np.array([np.inf, -np.inf], dtype), 0.0))


# ---- the width of the vectors -------------------------------------------------------------------


def test_vector_bytes_is_the_width_of_a_register():
    assert vectors.vector_bytes() in (16, 32, 64)


@pytest.mark.skipif(not vectors.X86, reason="names of x86 processors")
@pytest.mark.parametrize(
    ("name", "features", "width"),
    [
        ("nehalem", None, 16),
        ("haswell", None, 32),
        ("haswell", "+avx2,+fma", 32),
        ("x86-64", "", 16),
        ("x86-64", "+avx", 32),
        ("haswell", "-avx", 16),
        ("knl", None, 64),
        ("generic", "", 16),
    ],
)
def test_vector_bytes_follows_the_processor_that_is_compiled_for(
    name, features, width, monkeypatch
):
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", features)
    assert vectors.vector_bytes.__wrapped__() == width


@both_dtypes
@pytest.mark.parametrize("n", LENGTHS)
def test_square_sum_adds_up_in_float64(n, dtype):
    values = np.random.default_rng(n).standard_normal(n).astype(dtype)
    values[n // 2 :] *= np.array(1e25, dtype)  # whose square float32 cannot hold
    x, out = Guarded(np.concatenate([values, np.full(20, np.nan, dtype)]), 1), np.zeros(1)
    SQUARES.call(dtype)(x.at, n, address(out))
    assert out[0] == pytest.approx(np.sum(values.astype(float) ** 2), rel=1e-14)


def _sums_of_products(a, b, c, out, n):
    x, y, z = carray(a, (n,)), carray(b, (n,)), carray(c, (n,))
    sums, differences = carray(out, (n,)), carray(advance(out, n), (n,))
    fused = carray(advance(out, 2 * n), (n,))
    for i in range(n):
        sums[i] = z[i] + x[i] * y[i]
        differences[i] = x[i] * y[i] - z[i]
        fused[i] = simd.fma(x[i], y[i], -z[i])


@both_dtypes
def test_the_compiler_fuses_no_product_with_a_sum_by_itself(dtype):
    """Which ones it would is another matter on every kind of processor."""
    kernel, n = Kernel(_sums_of_products, (REAL, REAL, REAL, REAL, INT), cached=False), 1003
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(n).astype(dtype) for _ in range(2))
    z, out = x * y, np.empty((3, n), dtype)
    kernel.call(dtype)(*map(address, (x, y, z, out)), n)
    np.testing.assert_array_equal(out[0], z + z)
    np.testing.assert_array_equal(out[1], np.zeros(n))
    assert vectors.vector_bytes() == 16 or np.count_nonzero(out[2]) > n // 2
