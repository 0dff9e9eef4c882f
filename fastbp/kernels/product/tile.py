"""The register tile: the inner loop that every product of fastbp ends in.

Contract: C[rows, vectors * lanes] = I + A[rows, K] @ B[K, vectors * lanes].
A is read one scalar at a time with any strides, so a transposed A costs no copy; B, I and C are
touched by whole vectors along their rows. I is what the sums start from: a bias row (row stride
0), C itself, or a row of zeros. Each element of C is one chain of fused multiply-adds in the
order of k, whatever the tile, so the choice of tiles changes no bit.

A tile that packs leaves the rows of B that it reads in a panel, one behind the other: the tiles
below it read that. The copy goes out between the multiplications and takes no time of its own.

While it computes, a tile asks for cache lines that will be needed later: every 2**slow turns of k
below `turns` for the next line of a table from line `first` on.
"""

from typing import NamedTuple

from numba import types
from numba.extending import intrinsic

from fastbp.kernels.machine.vectors import ARM64, I64, Vector, prefetch, vector_bytes


class TileShape(NamedTuple):
    """The largest tile: its accumulators, one row of B and one of A must fit the registers."""

    rows: int
    vectors: int


def tile_shape() -> TileShape:
    """The tile of this processor; what it leaves over is done by tiles of 4, 2 and 1 rows."""
    if vector_bytes() == 64:
        return TileShape(8, 3)  # 24 + 3 + 1 of 32 registers
    if vector_bytes() == 32:
        return TileShape(6, 2)  # 12 + 2 + 1 of 16
    if ARM64:
        return TileShape(8, 3)  # NEON: 24 + 3 + 1 of 32, and fmla takes one lane of A's
    return TileShape(4, 2)  # SSE: 8 + 2 + 1, and one for the product, of 16


def prefetch_line(builder, k, fields, slow):
    """Ask for line first + (k >> slow) of a table; what these are, ahead.py tells."""
    table, width, inverse, stride, numbers, first = fields
    line = builder.add(first, builder.ashr(k, slow))
    row = builder.lshr(builder.mul(line, inverse), I64(32))
    column = builder.sub(line, builder.mul(row, width))
    entry = builder.block
    with builder.if_then(builder.icmp_signed("!=", numbers, I64(0))):
        at = builder.inttoptr(numbers, I64.as_pointer())
        listed = builder.load(builder.gep(at, [row]))
        inside = builder.block
    number = builder.phi(I64)
    number.add_incoming(row, entry)
    number.add_incoming(listed, inside)
    offset = builder.add(builder.mul(number, stride), builder.shl(column, I64(6)))
    prefetch(builder, builder.add(table, offset))


def make_tile(rows, vectors, packs=False):
    """A function for kernels that computes one tile; the contract stands above.

    panel: of a tile that packs, where it puts K rows of `vectors` vectors; another ignores it.
    """

    @intrinsic
    def tile(typingctx, a, a_row, a_k, b, b_k, panel, start, start_row, c, c_row, depth, ahead):
        n = types.int64
        signature = types.void(a, n, n, b, n, b, start, n, c, n, n, types.UniTuple(n, 8))

        def lower(context, builder, signature, arguments):
            a, a_row, a_k, b, b_k, panel, start, start_row, c, c_row, depth, ahead = arguments
            itemsize = 4 if signature.args[0].dtype == types.float32 else 8
            v = Vector(builder, signature.args[0], vector_bytes() // itemsize)
            cells = [(i, j) for i in range(rows) for j in range(vectors)]

            def at(pointer, row_stride, i, j):
                offset = builder.mul(row_stride, I64(i))
                return builder.gep(pointer, [builder.add(offset, I64(j * v.lanes))])

            # One register for each row of A: seen as multiples of one stride, their addresses
            # become a chain of additions, longer than the multiplications of a narrow tile. On ARM
            # each link would load by `ld1r`, which takes a multiplier's slot; `ldr` does not.
            a_rows = [v.opaque(builder.gep(a, [builder.mul(a_row, I64(i))])) for i in range(rows)]
            entry = builder.block
            sums = {cell: v.load(at(start, start_row, *cell)) for cell in cells}
            loop, done = (builder.append_basic_block(name) for name in ("k", "done"))
            builder.cbranch(builder.icmp_signed(">", depth, I64(0)), loop, done)

            builder.position_at_end(loop)
            k = builder.phi(I64)
            chains = {cell: builder.phi(v.type) for cell in cells}
            # Ahead of all loads: where a branch parts these from the multiplications, numbers of A
            # need a register each, and NEON would have to spill sums.
            if vectors > 1:  # a narrow tile is bound by its loads as it is
                *fields, slow, turns = (builder.extract_value(ahead, i) for i in range(8))
                between = builder.and_(k, builder.sub(builder.shl(I64(1), slow), I64(1)))
                due = builder.icmp_signed("==", between, I64(0))
                with builder.if_then(
                    builder.and_(due, builder.icmp_signed("<", k, turns)), likely=False
                ):
                    prefetch_line(builder, k, fields, slow)
            b_row = builder.gep(b, [builder.mul(k, b_k)])
            a_offset = builder.mul(k, a_k)
            row = [v.load(builder.gep(b_row, [I64(j * v.lanes)])) for j in range(vectors)]
            if packs:
                packed = builder.gep(panel, [builder.mul(k, I64(vectors * v.lanes))])
                for j in range(vectors):
                    v.store(row[j], builder.gep(packed, [I64(j * v.lanes)]))
            longer = {}
            for i in range(rows):
                copies = v.broadcast(builder.load(builder.gep(a_rows[i], [a_offset])))
                for j in range(vectors):
                    longer[i, j] = v.fma(copies, row[j], chains[i, j])
            next_k = builder.add(k, I64(1))
            turned = builder.block
            k.add_incoming(I64(0), entry)
            k.add_incoming(next_k, turned)
            for cell in cells:
                chains[cell].add_incoming(sums[cell], entry)
                chains[cell].add_incoming(longer[cell], turned)
            builder.cbranch(builder.icmp_signed("<", next_k, depth), loop, done)

            builder.position_at_end(done)
            totals = {cell: builder.phi(v.type) for cell in cells}
            for cell in cells:
                totals[cell].add_incoming(sums[cell], entry)
                totals[cell].add_incoming(longer[cell], turned)
            for cell in cells:
                v.store(totals[cell], at(c, c_row, *cell))
            return context.get_dummy_value()

        return signature, lower

    return tile
