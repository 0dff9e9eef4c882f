"""Kernels that only move rows: gather by index, and copy between strides."""

from numba import carray, types

from fastbp.kernels.machine.jit import INT, REAL, kernel
from fastbp.kernels.machine.pointers import advance, restrict
from fastbp.kernels.machine.simd import ask_for, copy_padded
from fastbp.kernels.machine.vecmath import like

ROWS_AHEAD = 16  # a row that comes from memory is asked for so many rows before it is copied
INDICES = types.CPointer(types.int64)
SCALING = types.CPointer(types.float64)  # (2, width): shifts and factors; see scaled_rows.py
GATHER = (INT, INT, INDICES, INT, REAL, INT, INT, SCALING)  # what follows x in every gather


@kernel(REAL, *GATHER)
def gather(x, x_row, base, order, rows, to, to_row, width, scaling):
    """to[r, :width] = x[base + order[r], :width] for r < rows; zeros behind, up to whole lines."""
    index, x = carray(order, (rows,)), advance(x, base * x_row)
    for r in range(rows):
        ask_for(advance(x, index[min(r + ROWS_AHEAD, rows - 1)] * x_row))
        copy_padded(advance(x, index[r] * x_row), advance(to, r * to_row), width)


@kernel(REAL, INT, REAL, INT, INT, INT, SCALING)
def copy_scaled(x, x_row, to, to_row, rows, width, scaling):
    """to[r, :width] = x[r, :width] times the factors of the scaling; overwrites `to`."""
    factors = carray(advance(scaling, width), (width,))
    for r in range(rows):
        source = carray(restrict(advance(x, r * x_row)), (width,))
        target = carray(restrict(advance(to, r * to_row)), (width,))
        for j in range(width):
            target[j] = like(target[j], source[j] * factors[j])


@kernel(REAL, INT, REAL, INT, INT, INT)
def copy_rows(x, x_row, to, to_row, rows, width):
    """to[r, :width] = x[r, :width] for r < rows; overwrites `to`."""
    for r in range(rows):
        source = carray(restrict(advance(x, r * x_row)), (width,))
        target = carray(restrict(advance(to, r * to_row)), (width,))
        for j in range(width):
            target[j] = source[j]
