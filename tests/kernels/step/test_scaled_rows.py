"""Tests of the kernels that gather rows of another type and scale them."""

import numpy as np
import pytest
from cases import both_dtypes
from guarded import Guarded, bits, canaries

from fastbp.kernels.step.scaled_rows import gather_scaled


@both_dtypes
@pytest.mark.parametrize("source", gather_scaled, ids=str)
@pytest.mark.parametrize("order", [[], [4], [3, 3, 3], [2, 6, 2, 0, 5, 1, 1, 4]], ids=len)
def test_gather_scaled(order, source, dtype):
    """In float64, rounded once; zeros behind; nothing else is written."""
    index, base = Guarded(np.array(order, np.int64)), 5
    for width in (1, 3, 8, 16, 17, 31, 33, 64, 100):
        rng = np.random.default_rng(width)
        values = (100 * rng.standard_normal((base + 7, width + 2))).astype(source)
        terms = Guarded(rng.standard_normal((2, width)))
        stride = width + 15
        x, to = Guarded(values, 1), Guarded(canaries((len(order), stride), dtype), 1)
        want = np.zeros(to.array.shape, dtype)
        rows = values[base + index.array, :width].astype(float)
        want[:, :width] = (rows - terms.array[0]) * terms.array[1]
        gather_scaled[source].call(dtype)(
            x.at, width + 2, base, index.at, len(order), to.at, stride, width, terms.at
        )
        assert (bits(to.array) == bits(want)).all()
        assert (bits(x.array) == bits(values)).all()
        assert to.intact()
        assert x.intact()
        assert terms.intact()
