"""What a strip's gradient reads again and again, copied from rows that lie far apart.

A copy stays in its cache, comes by whole pages, and is made once for many tiles. Where there is no
room for it, or too few tiles to read it, the product reads the numbers where they are.
"""

from fastbp.kernels.machine.jit import inline
from fastbp.kernels.machine.simd import copy_lines
from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.product import ahead
from fastbp.kernels.product.gemm import REGISTER, VECTORS


@inline
def block_of_deltas(s, layer, column, width, slab_rows, inputs, size, queue):
    """(address, row stride) of D[:slab_rows, column : column + width], of which `inputs` rows of W
    get their gradient; s: sizes.
    """
    delta, ld = layer.delta + column * size, layer.ld_out
    room = ahead.room_of(queue, ahead.DELTA)
    if room == 0:
        return delta, ld
    packed_ld = width + LINE // size  # off powers of two
    row_bytes = packed_ld * size
    if ld * size < s.far or inputs < 2 * s.pack_rows or slab_rows * row_bytes > s.delta_bytes:
        return delta, ld
    for row in range(slab_rows):
        copy_lines(delta + row * ld * size, room + row * row_bytes, width * size // LINE)
    return room, packed_ld


@inline
def columns_below(s, layer, row, rows, columns, slab_rows, size, queue):
    """(address, row stride) of A[:slab_rows, row : row + rows], the activations of a strip.

    columns: of the strip, each few of which read all of it.
    """
    below, ld = layer.below + row * size, layer.ld_in
    room = ahead.room_of(queue, ahead.BELOW)
    if room == 0:
        return below, ld
    lines = (rows * size + LINE - 1) // LINE
    packed_ld = lines * LINE // size
    if (
        ld * size < s.far
        or row + packed_ld > ld  # a strip need not begin with a line
        or columns * size <= 2 * VECTORS * REGISTER
        or slab_rows * lines * LINE > s.below_bytes
    ):
        return below, ld
    for number in range(slab_rows):
        copy_lines(below + number * ld * size, room + number * lines * LINE, lines)
    return room, packed_ld
