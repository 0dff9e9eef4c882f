"""The matrix product: loops around the register tile, the same for every shape.

All three products of a layer are this one: `X @ W + b`, `delta @ W.T` with the transposed mirror
of W as B, and `X.T @ delta` by reading X along its columns.

Where rows of B lie far apart, each column of tiles reads its panel of B once from there: the first
tile packs it into memory of the thread's, whose rows follow one another.
"""

from fastbp.kernels.machine.jit import INT, REAL, inline, inline_early, kernel
from fastbp.kernels.machine.pointers import address_of, advance, pointer_to
from fastbp.kernels.machine.sizes import Sizes
from fastbp.kernels.machine.vectors import vector_bytes
from fastbp.kernels.product import ahead
from fastbp.kernels.product.tile import make_tile, tile_shape

ROWS, VECTORS = tile_shape()
REGISTER = vector_bytes()


def panel_bytes(s: Sizes) -> int:
    """Bytes of a packed panel, at the most."""
    return (s.pack_depth + s.pack_depth // 2) * VECTORS * REGISTER  # as deep as `gemm` cuts


def _at_row(rows, vectors, packs=False):
    """A function for kernels: a tile that begins at row i; packs: as of `make_tile`."""
    tile = make_tile(rows, vectors, packs)
    asks = vectors > 1

    @inline_early
    def at_row(i, a, a_row, a_k, b, b_k, panel, start, start_row, c, c_row, depth, queue):
        tile(
            advance(a, i * a_row), a_row, a_k, b, b_k, panel,
            advance(start, i * start_row), start_row, advance(c, i * c_row), c_row, depth,
            ahead.take(queue, depth) if asks else (0, 0, 0, 0, 0, 0, 0, 0),
        )  # fmt: skip

    return at_row


def _make_column(vectors):
    """A function for kernels: one column of tiles, `vectors` registers wide, all M rows."""
    full, four, two, one = (_at_row(rows, vectors) for rows in (ROWS, 4, 2, 1))
    packing, packs = _at_row(ROWS, vectors, packs=True), vectors > 1

    @inline
    def column(
        a, a_row, a_k, b, b_k, panel, panel_k, start, start_row, c, c_row, rows, depth, queue
    ):
        """panel: address of memory for this column's rows of B, panel_k elements each, or 0."""
        i = 0
        if packs and panel != 0:
            to = pointer_to(panel, b)
            packing(i, a, a_row, a_k, b, b_k, to, start, start_row, c, c_row, depth, queue)
            i, b, b_k = ROWS, to, panel_k
        while rows - i >= ROWS:
            full(i, a, a_row, a_k, b, b_k, b, start, start_row, c, c_row, depth, queue)
            i += ROWS
        while rows - i >= 4:
            four(i, a, a_row, a_k, b, b_k, b, start, start_row, c, c_row, depth, queue)
            i += 4
        if rows - i >= 2:
            two(i, a, a_row, a_k, b, b_k, b, start, start_row, c, c_row, depth, queue)
            i += 2
        if rows - i >= 1:
            one(i, a, a_row, a_k, b, b_k, b, start, start_row, c, c_row, depth, queue)

    return column


column_1, column_2, column_3 = (_make_column(vectors) for vectors in (1, 2, 3))
WIDE = 6  # registers of a tile of one row: enough chains of additions to hide their latency
wide = _at_row(1, WIDE)


@inline_early
def _block(
    a, a_row, a_k, b, b_k, panel, start, start_row, c, c_row, rows, columns, depth, itemsize,
    queue, stream,
):  # fmt: skip
    lanes = REGISTER // itemsize
    j = 0
    while j < columns:
        left = (columns - j + lanes - 1) // lanes
        if rows == 1 and left >= WIDE:
            bj, sj, cj = advance(b, j), advance(start, j), advance(c, j)
            wide(0, a, a_row, a_k, bj, b_k, bj, sj, start_row, cj, c_row, depth, queue)
            j += WIDE * lanes
            continue
        if VECTORS == 3 and left >= 3 and left != 4:  # 4 is 2 + 2: a tile of 1 is slower
            vectors = 3
        else:
            vectors = min(left, 2)
        bj, sj, cj = advance(b, j), advance(start, j), advance(c, j)
        j += vectors * lanes
        if stream and j < columns:
            ahead.clear(queue)
            for line in range(VECTORS):
                following = address_of(advance(b, j + line * lanes))
                ahead.add(queue, following, 1, b_k * itemsize, depth)
            ahead.spread(queue, rows // ROWS * depth)
        panel_k = vectors * lanes
        if vectors == 3:
            column_3(
                a, a_row, a_k, bj, b_k, panel, panel_k, sj, start_row, cj, c_row, rows, depth, queue
            )
        elif vectors == 2:
            column_2(
                a, a_row, a_k, bj, b_k, panel, panel_k, sj, start_row, cj, c_row, rows, depth, queue
            )
        else:
            column_1(
                a, a_row, a_k, bj, b_k, panel, panel_k, sj, start_row, cj, c_row, rows, depth, queue
            )


@kernel(REAL, INT, INT, REAL, INT, REAL, INT, REAL, INT, INT, INT, INT, INT, INT, INT)
def gemm(
    a, a_row, a_k, b, b_k, start, start_row, c, c_row, rows, columns, depth, itemsize, queue, stream
):
    """c[rows, columns] = start + a[rows, depth] @ b[depth, columns]; overwrites c alone.

    Strides are in elements. `columns` counts up to whole vectors, so b, start and c are padded.
    queue: see ahead.py; it knows the sizes of blocks, too. stream: 1 where b comes from memory and
    is to be prefetched by columns.
    """
    s, panel = ahead.sizes_of(queue), ahead.room_of(queue, ahead.PANEL)
    k_block = s.turned_depth if a_row == 1 else s.k_block
    if rows < s.pack_rows or b_k * itemsize < s.far:
        panel = 0
    if panel != 0:
        k_block = min(k_block, s.pack_depth)
    blocks = 1
    if depth + k_block // 2 >= 2 * k_block:  # not by a division, which takes a small product's time
        blocks = (depth + k_block // 2) // k_block
    k1 = 0
    for block in range(1, blocks + 1):
        k0, k1 = k1, depth * block // blocks if blocks > 1 else depth
        ak, bk = advance(a, k0 * a_k), advance(b, k0 * b_k)
        _block(
            ak, a_row, a_k, bk, b_k, panel, start, start_row, c, c_row,
            rows, columns, k1 - k0, itemsize, queue, stream,
        )  # fmt: skip
        start, start_row = c, c_row
