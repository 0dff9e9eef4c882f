"""Kernels that only move rows: draw their order, gather by it, copy, also past the cache."""

from numba import carray, types

from fastbp.kernels.jit import INT, REAL, kernel
from fastbp.kernels.simd import advance, restrict, stream_line

INDICES = types.CPointer(types.int64)
FRACTIONS = types.CPointer(types.float64)


@kernel(INDICES, FRACTIONS, INT)
def permutation(order, fractions, rows):
    """order[:rows] = 0 ... rows - 1, shuffled by as many random numbers in [0, 1).

    Fisher and Yates's shuffle inside out (Knuth, The Art of Computer Programming 2, 3.4.2): entry
    i is drawn from i + 1 ones. With 53 random bits no draw is off by more than rows / 2**53.
    """
    index, draws = carray(order, (rows,)), carray(fractions, (rows,))
    for i in range(rows):
        j = int(draws[i] * (i + 1))
        index[i] = index[j]
        index[j] = i


@kernel(REAL, INT, INDICES, INT, REAL, INT, INT)
def gather(x, x_row, order, rows, to, to_row, width):
    """to[r, :width] = x[order[r], :width] for r < rows; overwrites `to`."""
    index = carray(order, (rows,))
    for r in range(rows):
        source = carray(restrict(advance(x, index[r] * x_row)), (width,))
        target = carray(restrict(advance(to, r * to_row)), (width,))
        for j in range(width):
            target[j] = source[j]


@kernel(REAL, INT, REAL, INT, INT, INT)
def copy_rows(x, x_row, to, to_row, rows, width):
    """to[r, :width] = x[r, :width] for r < rows; overwrites `to`."""
    for r in range(rows):
        source = carray(restrict(advance(x, r * x_row)), (width,))
        target = carray(restrict(advance(to, r * to_row)), (width,))
        for j in range(width):
            target[j] = source[j]


@kernel(INT, INT, INT, INT, INT)
def stream_rows(source, to, row_bytes, rows, lines):
    """Copy `rows` times so many cache lines, `row_bytes` apart in both, to where nobody reads soon.

    source, to: addresses of cache lines; overwrites the lines of `to`.
    """
    for r in range(rows):
        for line in range(lines):
            offset = r * row_bytes + 64 * line
            stream_line(source + offset, to + offset)
