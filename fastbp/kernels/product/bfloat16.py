"""The matrix product with operands rounded to bfloat16 and sums in float32.

It takes the place of `gemm.gemm`. Operands are rounded block by block into memory of the thread's
own (`ahead.PANEL`), in words of two elements along the sum (`machine.bfloat16`). Blocks begin at
even elements, so that pairs are the same whatever the blocks.
"""

import functools

from fastbp.kernels.machine.bfloat16 import LANES
from fastbp.kernels.machine.jit import INT, REAL, inline, inline_early, kernel
from fastbp.kernels.machine.pointers import address_of, advance
from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.product import ahead
from fastbp.kernels.product.bfloat16_pack import (
    A_BYTES,
    GRAIN,
    K_BLOCK,
    KEPT,
    M_BLOCK,
    PACKED,
    pack_columns,
    pack_rows,
    pack_rows_across,
)
from fastbp.kernels.product.bfloat16_tile import A_ROWS, WORD, make_tile, tile_shape

ROWS, VECTORS = tile_shape()


def _at_row(rows, vectors):
    """A function for kernels: a tile that begins at row i."""
    tile = make_tile(rows, vectors)
    asks = vectors > 1

    @inline_early
    def at_row(i, a, across, b, panel, start, start_row, c, c_row, pairs, queue):
        tile(
            a + i // A_ROWS * across + i % A_ROWS * WORD, b, panel,
            advance(start, i * start_row), start_row, advance(c, i * c_row), c_row, pairs,
            ahead.take(queue, 2 * pairs) if asks else (0, 0, 0, 0, 0, 0, 0, 0), c, 0,
        )  # fmt: skip

    return at_row


@functools.cache
def _make_column(vectors):
    """A function for kernels: one column of tiles, `vectors` wide, rows from i on."""
    full, four, two, one = (_at_row(rows, vectors) for rows in (ROWS, 4, 2, 1))

    @inline
    def column(i, a, across, b, panel, start, start_row, c, c_row, rows, pairs, queue):
        while rows - i >= ROWS:
            full(i, a, across, b, panel, start, start_row, c, c_row, pairs, queue)
            i += ROWS
        while rows - i >= 4:
            four(i, a, across, b, panel, start, start_row, c, c_row, pairs, queue)
            i += 4
        if rows - i >= 2:
            two(i, a, across, b, panel, start, start_row, c, c_row, pairs, queue)
            i += 2
        if rows - i >= 1:
            one(i, a, across, b, panel, start, start_row, c, c_row, pairs, queue)

    return column


column_1, column_2, column_3 = (_make_column(min(vectors, VECTORS)) for vectors in (1, 2, 3))
rounding = make_tile(ROWS, VECTORS, rounds=True)  # what takes longer by itself


@inline_early
def _block(
    a, across, b, b_k, packed, apart, start, start_row, c, c_row,
    rows, columns, depth, queue, stream,
):  # fmt: skip
    """A product of rounded A, at an address, and B; packed: the address of rounded B, or 0."""
    pairs, room = (depth + 1) // 2, ahead.room_of(queue, ahead.PANEL) + A_BYTES
    j = 0
    while j < columns:
        left = (columns - j + LANES - 1) // LANES
        vectors = min(VECTORS, left if left != 4 else 2)  # a tile of 1 is slower
        bj, sj, cj = advance(b, j), advance(start, j), advance(c, j)
        of_b, panel = packed + j // LANES * apart, apart
        at_once = packed == 0 and vectors == VECTORS and rows >= ROWS and depth % 2 == 0
        if packed == 0:
            of_b, panel = room, pairs * LINE
        if packed == 0 and not at_once:
            pack_columns(bj, b_k, depth, vectors * LANES, of_b, panel)
        j += vectors * LANES
        if stream == 1 and j < columns:
            ahead.clear(queue)
            for line in range(VECTORS):
                following = address_of(advance(b, j + line * LANES))
                ahead.add(queue, following, 1, b_k * WORD, depth)
            ahead.spread(queue, rows // ROWS * depth)
        i = INT(0)
        if at_once:
            asked = ahead.take(queue, depth)
            rounding(a, of_b, panel, sj, start_row, cj, c_row, pairs, asked, bj, b_k)
            i += ROWS
        if vectors == 3:
            column_3(i, a, across, of_b, panel, sj, start_row, cj, c_row, rows, pairs, queue)
        elif vectors == 2:
            column_2(i, a, across, of_b, panel, sj, start_row, cj, c_row, rows, pairs, queue)
        else:
            column_1(i, a, across, of_b, panel, sj, start_row, cj, c_row, rows, pairs, queue)


@inline_early
def _even_part(count, most, grain):
    """How much of `count` to take at a time: equal parts of whole grains, at most `most`."""
    parts = (count + most - 1) // most
    return ((count + parts - 1) // parts + grain - 1) // grain * grain


@kernel(REAL, INT, INT, REAL, INT, REAL, INT, REAL, INT, INT, INT, INT, INT, INT, INT)
def gemm(
    a, a_row, a_k, b, b_k, start, start_row, c, c_row, rows, columns, depth, itemsize, queue, stream
):
    """c[rows, columns] = start + a[rows, depth] @ b[depth, columns]; overwrites c and the room.

    As `gemm.gemm`, of which one stride of a is 1. stream: also PACKED.
    """
    room = ahead.room_of(queue, ahead.PANEL)
    most = min(max(ahead.sizes_of(queue).k_block // GRAIN * GRAIN, GRAIN), K_BLOCK)
    height, length = _even_part(rows, M_BLOCK, ROWS), _even_part(depth, most, GRAIN)
    apart, across = (depth + 1) // 2 * LINE, length // 2 * A_ROWS * WORD
    for k in range(0, depth, length):
        turns = min(length, depth - k)
        bk = advance(b, k * b_k)
        packed = room + KEPT + k // 2 * LINE if stream == PACKED else 0
        for i in range(0, rows, height):
            count = min(height, rows - i)
            ai = advance(a, i * a_row + k * a_k)
            if a_k == 1:
                pack_rows(ai, a_row, count, turns, room, across)
            else:
                pack_rows_across(ai, a_k, turns, count, room, across)
            ci, si = advance(c, i * c_row), advance(start, i * start_row)
            _block(
                room, across, bk, b_k, packed, apart, si, start_row, ci, c_row,
                count, columns, turns, queue, stream,
            )  # fmt: skip
        start, start_row = c, c_row


@kernel(REAL, INT, INT, INT, INT)
def pack(b, b_k, depth, columns, queue):
    """The room of a thread holds b[depth, columns] for products with PACKED."""
    columns, apart = (columns + LANES - 1) // LANES * LANES, (depth + 1) // 2 * LINE
    pack_columns(b, b_k, depth, columns, ahead.room_of(queue, ahead.PANEL) + KEPT, apart)
