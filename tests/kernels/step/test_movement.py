"""Tests of the kernels that move rows: their order, gather by it, and copy between strides."""

import numpy as np
import pytest
from cases import both_dtypes
from guarded import Guarded, bits, canaries

from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.step.movement import copy_rows, gather

WIDTHS = [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100]


def moved(source, order, width, gap, dtype, run):
    """Run `run(x, to)` and check that of `to` exactly source[order, :width] was written."""
    x, to = Guarded(source, 1), Guarded(canaries((len(order), width + gap), dtype), 1)
    want = to.array.copy()
    want[:, :width] = source[order, :width]
    run(x.at, to.at)
    assert (bits(to.array) == bits(want)).all()
    assert (bits(x.array) == bits(source)).all()
    assert to.intact()
    assert x.intact()


@both_dtypes
@pytest.mark.parametrize("gap", [0, 32])
@pytest.mark.parametrize(
    "order",
    [[], [0], [4], [3, 3, 3], [6, 5, 4, 3, 2, 1, 0], [2, 6, 2, 0, 5, 1, 1, 4]],
    ids=["none", "first", "one", "repeated", "backwards", "mixed"],
)
def test_gather(order, gap, dtype):
    """Rows, and zeros behind up to a whole cache line; nothing beyond it, and nothing else read."""
    index = Guarded(np.array(order, np.int64))
    lanes = LINE // np.dtype(dtype).itemsize
    for width in WIDTHS:
        source = np.random.default_rng(width).standard_normal((7, width + 2)).astype(dtype)
        stride = -(-width // lanes) * lanes
        x, to = Guarded(source, 1), Guarded(canaries((len(order), stride + gap), dtype), 1)
        want = to.array.copy()
        want[:, :width], want[:, width:stride] = source[index.array, :width], 0
        gather.call(dtype)(
            x.at - 8 * x.array.strides[0], width + 2, 8, index.at, len(order),
            to.at, stride + gap, width, 0,
        )  # fmt: skip
        assert (bits(to.array) == bits(want)).all()
        assert (bits(x.array) == bits(source)).all()
        assert to.intact()
        assert x.intact()
    assert index.array.tolist() == order


@both_dtypes
@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("rows", [0, 1, 2, 5])
def test_copy_rows(rows, gap, dtype):
    for width in WIDTHS:
        source = np.random.default_rng(width).standard_normal((rows, width + 2)).astype(dtype)
        moved(
            source, np.arange(rows), width, gap, dtype,
            lambda x, to, width=width: copy_rows.call(dtype)(
                x, width + 2, to, width + gap, rows, width
            ),
        )  # fmt: skip
