"""Tests of the blocked transpose: every edge, strides wider than the rows, nothing else written."""

import numpy as np
import pytest
from cases import both_dtypes
from guarded import Guarded, bits, canaries

from fastbp.kernels.product.transpose import SIDE, transpose

SIZES = [0, 1, 2, SIDE - 1, SIDE, SIDE + 1, 2 * SIDE, 2 * SIDE + 3, 41]


@both_dtypes
@pytest.mark.parametrize("shift", [0, 1], ids=["aligned", "unaligned"])
@pytest.mark.parametrize("gap", [0, 5])
@pytest.mark.parametrize("rows", SIZES)
def test_transposes_and_overwrites_nothing_else(rows, gap, shift, dtype):
    rng = np.random.default_rng(rows)
    for columns in SIZES:
        x = Guarded(rng.standard_normal((rows, columns + gap)).astype(dtype), shift)
        to = Guarded(canaries((columns, rows + gap), dtype), shift)
        want = to.array.copy()
        want[:, :rows] = x.array[:, :columns].T
        before = x.array.copy()
        transpose.call(dtype)(x.at, columns + gap, to.at, rows + gap, rows, columns)
        assert (bits(to.array) == bits(want)).all()
        assert (bits(x.array) == bits(before)).all()
        assert to.intact()
        assert x.intact()


@both_dtypes
def test_every_bit_pattern_survives(dtype):
    patterns = np.random.default_rng(0).integers(0, 256, 16 * 24 * 8, np.uint8).view(dtype)
    x = Guarded(patterns[: 16 * 24].reshape(16, 24))  # signalling NaN and denormals among them
    to = Guarded(np.zeros((24, 16), dtype))
    transpose.call(dtype)(x.at, 24, to.at, 16, 16, 24)
    assert (bits(to.array) == bits(x.array).T).all()
