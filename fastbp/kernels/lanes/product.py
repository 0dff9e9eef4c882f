"""The matrix products of networks side by side: an element is a line, one lane for each network.

Every lane is the chain of fused multiply-adds that `product.gemm` makes of its network, so the
numbers are the same. No element is copied across lanes, and no vector has padding.
"""

from numba import types
from numba.extending import intrinsic

from fastbp.kernels.machine.jit import INT, REAL, inline, kernel
from fastbp.kernels.machine.pointers import advance
from fastbp.kernels.machine.vectors import I64, LINE, Vector, vector_bytes
from fastbp.kernels.product.tile import tile_shape

REGISTER = vector_bytes()
# Columns of the widest tile, of four rows: 16 accumulators of 32 registers, or 8 of 16.
WIDE = 4 if tile_shape().vectors == 3 else 2


def _make_tile(rows, columns):
    """A function for kernels that computes one tile of `product`, one register of each line."""

    @intrinsic
    def tile(
        typingctx, a, a_row, a_k, b, b_k, b_column, start, start_row, start_column, c, c_row, depth
    ):
        n = types.int64
        signature = types.void(a, n, n, b, n, n, start, n, n, c, n, n)

        def lower(context, builder, signature, arguments):
            (
                a, a_row, a_k, b, b_k, b_column, start, start_row, start_column, c, c_row, depth
            ) = arguments  # fmt: skip
            itemsize = 4 if signature.args[0].dtype == types.float32 else 8
            v, line = Vector(builder, signature.args[0], REGISTER // itemsize), LINE // itemsize
            cells = [(i, j) for i in range(rows) for j in range(columns)]

            def at(pointer, stride, number):
                return builder.gep(pointer, [builder.mul(stride, I64(number))])

            # A register for each row of A and column of B, see `product.tile`.
            a_rows = [v.opaque(at(a, a_row, i)) for i in range(rows)]
            b_columns = [v.opaque(at(b, b_column, j)) for j in range(columns)]
            entry = builder.block
            sums = {(i, j): v.load(at(at(start, start_row, i), start_column, j)) for i, j in cells}
            loop, done = (builder.append_basic_block(name) for name in ("k", "done"))
            builder.cbranch(builder.icmp_signed(">", depth, I64(0)), loop, done)

            builder.position_at_end(loop)
            k = builder.phi(I64)
            chains = {cell: builder.phi(v.type) for cell in cells}
            a_offset, b_offset = builder.mul(k, a_k), builder.mul(k, b_k)
            row = [v.load(builder.gep(column, [b_offset])) for column in b_columns]
            longer = {}
            for i in range(rows):
                factor = v.load(builder.gep(a_rows[i], [a_offset]))
                for j in range(columns):
                    longer[i, j] = v.fma(factor, row[j], chains[i, j])
            next_k = builder.add(k, I64(1))
            k.add_incoming(I64(0), entry)
            k.add_incoming(next_k, loop)
            for cell in cells:
                chains[cell].add_incoming(sums[cell], entry)
                chains[cell].add_incoming(longer[cell], loop)
            builder.cbranch(builder.icmp_signed("<", next_k, depth), loop, done)

            builder.position_at_end(done)
            for i, j in cells:
                total = builder.phi(v.type)
                total.add_incoming(sums[i, j], entry)
                total.add_incoming(longer[i, j], loop)
                longer[i, j] = total
            for i, j in cells:
                v.store(longer[i, j], builder.gep(at(c, c_row, i), [I64(j * line)]))
            return context.get_dummy_value()

        return signature, lower

    return tile


def _make_column(columns):
    """A function for kernels: one column of tiles, all rows."""
    tall = 4 if columns == WIDE else 8
    full, two, one = (_make_tile(rows, columns) for rows in (tall, 2, 1))

    @inline
    def column(
        a, a_row, a_k, b, b_k, b_column, start, start_row, start_column, c, c_row, rows, depth
    ):
        i = 0
        while rows - i >= tall:
            full(
                advance(a, i * a_row), a_row, a_k, b, b_k, b_column,
                advance(start, i * start_row), start_row, start_column,
                advance(c, i * c_row), c_row, depth,
            )  # fmt: skip
            i += tall
        while rows - i >= 2:
            two(
                advance(a, i * a_row), a_row, a_k, b, b_k, b_column,
                advance(start, i * start_row), start_row, start_column,
                advance(c, i * c_row), c_row, depth,
            )  # fmt: skip
            i += 2
        if rows > i:
            one(
                advance(a, i * a_row), a_row, a_k, b, b_k, b_column,
                advance(start, i * start_row), start_row, start_column,
                advance(c, i * c_row), c_row, depth,
            )  # fmt: skip

    return column


_wide, _two, _one = (_make_column(columns) for columns in (WIDE, 2, 1))


@kernel(REAL, INT, INT, REAL, INT, INT, REAL, INT, INT, REAL, INT, INT, INT, INT, INT)
def product(
    a, a_row, a_k, b, b_k, b_column, start, start_row, start_column, c, c_row,
    rows, columns, depth, itemsize,
):  # fmt: skip
    """c[rows, columns] = start + a[rows, depth] b[depth, columns], of lines; overwrites c alone.

    Strides are in elements. The lines of a row of c follow each other.
    """
    lanes = REGISTER // itemsize
    line = LINE // itemsize
    for lane in range(0, line, lanes):
        ap, bp, sp, cp = advance(a, lane), advance(b, lane), advance(start, lane), advance(c, lane)
        j = 0
        while columns - j >= WIDE:
            _wide(
                ap, a_row, a_k, advance(bp, j * b_column), b_k, b_column,
                advance(sp, j * start_column), start_row, start_column,
                advance(cp, j * line), c_row, rows, depth,
            )  # fmt: skip
            j += WIDE
        while columns - j >= 2:
            _two(
                ap, a_row, a_k, advance(bp, j * b_column), b_k, b_column,
                advance(sp, j * start_column), start_row, start_column,
                advance(cp, j * line), c_row, rows, depth,
            )  # fmt: skip
            j += 2
        if columns > j:
            _one(
                ap, a_row, a_k, advance(bp, j * b_column), b_k, b_column,
                advance(sp, j * start_column), start_row, start_column,
                advance(cp, j * line), c_row, rows, depth,
            )  # fmt: skip
