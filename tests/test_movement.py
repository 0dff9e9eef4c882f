"""Tests of the kernels that move rows: their order, gather by it, and copy between strides."""

import numpy as np
import pytest
from cases import both_dtypes
from guarded import Guarded, bits, canaries

from fastbp.kernels.jit import address
from fastbp.kernels.movement import copy_rows, gather, permutation

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
@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize(
    "order",
    [[], [0], [4], [3, 3, 3], [6, 5, 4, 3, 2, 1, 0], [2, 6, 2, 0, 5, 1, 1, 4]],
    ids=["none", "first", "one", "repeated", "backwards", "mixed"],
)
def test_gather(order, gap, dtype):
    index = Guarded(np.array(order, np.int64))
    for width in WIDTHS:
        source = np.random.default_rng(width).standard_normal((7, width + 2)).astype(dtype)
        moved(
            source, index.array, width, gap, dtype,
            lambda x, to, width=width: gather.call(dtype)(
                x, width + 2, index.at, len(order), to, width + gap, width
            ),
        )  # fmt: skip
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


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 1000])
def test_permutation_is_one_and_follows_the_draws(rows):
    fractions = Guarded(np.random.default_rng(rows).random(rows))
    order = Guarded(canaries((rows,), "float64").view(np.int64))
    permutation.call()(order.at, fractions.at, rows)
    want = []
    for i, fraction in enumerate(fractions.array):  # the textbook's: append, then swap
        j = int(fraction * (i + 1))
        want.append(i)
        want[i], want[j] = want[j], want[i]
    assert order.array.tolist() == want
    assert order.intact()


def test_permutation_of_the_largest_draws_stays_inside():
    largest = np.full(1000, np.nextafter(1.0, 0.0))
    order = np.zeros(1000, np.int64)
    permutation.call()(address(order), address(largest), 1000)
    assert (order == np.arange(1000)).all()


def test_permutations_are_drawn_evenly():
    rng, seen = np.random.default_rng(0), {}
    order = np.zeros(4, np.int64)
    for _ in range(24_000):
        permutation.call()(address(order), address(rng.random(4)), 4)
        seen[tuple(order)] = seen.get(tuple(order), 0) + 1
    assert len(seen) == 24
    assert max(abs(count - 1000) for count in seen.values()) < 150  # nearly 5 deviations
