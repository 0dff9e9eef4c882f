"""Kernels that only move rows: gather by index, and copy between strides."""

from numba import carray, types

from fastbp.kernels.jit import INT, REAL, kernel
from fastbp.kernels.simd import advance, copy_padded, restrict

INDICES = types.CPointer(types.int64)


@kernel(REAL, INT, INDICES, INT, REAL, INT, INT)
def gather(x, x_row, order, rows, to, to_row, width):
    """to[r, :width] = x[order[r], :width] for r < rows; zeros behind, up to whole cache lines."""
    index = carray(order, (rows,))
    for r in range(rows):
        copy_padded(advance(x, index[r] * x_row), advance(to, r * to_row), width)


@kernel(REAL, INT, REAL, INT, INT, INT)
def copy_rows(x, x_row, to, to_row, rows, width):
    """to[r, :width] = x[r, :width] for r < rows; overwrites `to`."""
    for r in range(rows):
        source = carray(restrict(advance(x, r * x_row)), (width,))
        target = carray(restrict(advance(to, r * to_row)), (width,))
        for j in range(width):
            target[j] = source[j]
