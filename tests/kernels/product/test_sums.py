"""Tests of the column sums: exact on whole numbers, from any start, in any order of magnitude."""

import numpy as np
import pytest
from cases import both_dtypes
from guarded import Guarded, bits, canaries

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.product.sums import GROUP, column_square_sums, column_sums

LINE = 64
square_sums = Kernel(column_square_sums.py_func, column_sums.signature, "squares", cached=False)


def summed(x, columns, start=None, kernel=column_sums):
    """Run the kernel over the first columns of x; `start` None: onto what it overwrites."""
    x, size = Guarded(x), x.itemsize
    before = x.array.copy()
    to = Guarded(canaries((x.array.shape[1],), x.array.dtype))
    if start is None:
        to.array[:columns] = np.arange(columns)
    initial = to if start is None else Guarded(start)
    kernel.call(x.array.dtype)(
        x.at, x.array.shape[1], len(x.array), columns, initial.at, to.at, size
    )
    assert to.intact()
    assert (bits(x.array) == bits(before)).all()
    assert (
        bits(to.array[columns:]) == bits(canaries(to.array[columns:].shape, x.array.dtype))
    ).all()
    return to.array[:columns]


@both_dtypes
@pytest.mark.parametrize("rows", [1, 2, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP, 5 * GROUP + 3])
@pytest.mark.parametrize("vectors", [1, 2, 7])
def test_whole_numbers_are_summed_exactly(rows, vectors, dtype):
    columns = vectors * LINE // np.dtype(dtype).itemsize
    rng = np.random.default_rng([rows, vectors])
    x = rng.integers(-99, 100, (rows, columns + LINE)).astype(dtype)
    want = x[:, :columns].sum(axis=0)
    start = rng.integers(-99, 100, columns).astype(dtype)
    assert (summed(x, columns, start) == want + start).all()
    assert (summed(x, columns) == want + np.arange(columns)).all()
    squares = (x[:, :columns] ** 2).sum(axis=0)
    assert (summed(x, columns, start, square_sums) == squares + start).all()


@both_dtypes
def test_errors_grow_more_slowly_than_those_of_one_chain(dtype):
    columns, rows = LINE // np.dtype(dtype).itemsize, 4000
    x = np.random.default_rng(0).random((rows, columns)).astype(dtype)
    exact = x.astype(np.longdouble).sum(axis=0)
    got = summed(x, columns, np.zeros(columns, dtype))
    assert abs(got / exact - 1).max() < rows / GROUP * np.finfo(dtype).eps


@both_dtypes
def test_not_a_number_and_infinity_stay_in_their_columns(dtype):
    columns = LINE // np.dtype(dtype).itemsize
    x = np.ones((GROUP + 2, columns), dtype)
    x[3, 1], x[GROUP, 2] = np.nan, -np.inf
    got = summed(x, columns, np.zeros(columns, dtype))
    assert np.isnan(got[1])
    assert got[2] == -np.inf
    assert (np.delete(got, [1, 2]) == GROUP + 2).all()
