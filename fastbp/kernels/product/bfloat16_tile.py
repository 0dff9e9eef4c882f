"""The register tile of products whose operands are rounded to bfloat16.

Contract: C[rows, vectors * 16] = I + A[rows, K] @ B[K, vectors * 16]. A and B are words of two
elements along K (`machine.bfloat16`) in panels of 8 rows of A and of 16 columns of B: the words of
one pair of elements stand behind those of the pair before. I and C are as in `tile.py`, and so are
the lines that a tile asks for: a turn of its loop counts as two of K. Each element of C is one
chain of sums in the order of the words, whatever the tile.
"""

from numba import types
from numba.extending import intrinsic

from fastbp.kernels.machine.bfloat16 import (
    LANES,
    begun,
    broadcast_word,
    dot,
    load_words,
    native,
    pair_up,
    store_words,
)
from fastbp.kernels.machine.vectors import I64, LINE, Vector
from fastbp.kernels.product.tile import TileShape, prefetch_line

WORD = 4  # bytes
A_ROWS = 8  # of a panel of A


def tile_shape() -> TileShape:
    """The largest tile; what it leaves over is done by tiles of 4, 2 and 1 rows."""
    return TileShape(8, 3) if native() else TileShape(4, 1)


def _ask(builder, turn, ahead):
    """Ask for the lines of elements 2 * turn and 2 * turn + 1, if they are due."""
    *fields, slow, turns = (builder.extract_value(ahead, i) for i in range(8))
    k = builder.shl(turn, I64(1))
    between = builder.and_(k, builder.sub(builder.shl(I64(1), slow), I64(1)))
    due = builder.icmp_signed("==", between, I64(0))
    inside = builder.icmp_signed("<", k, turns)
    with builder.if_then(builder.and_(due, inside), likely=False):
        prefetch_line(builder, k, fields, slow)
        with builder.if_then(builder.icmp_signed("==", slow, I64(0))):
            prefetch_line(builder, builder.add(k, I64(1)), fields, slow)


def make_tile(rows, vectors, rounds=False):
    """A function for kernels that computes one tile; the contract stands above.

    rounds: B is rounded on the way, from rows of float32, and its panels are left behind.
    """

    @intrinsic
    def tile(typingctx, a, b, panel, start, start_row, c, c_row, pairs, ahead, x, x_row):
        """a, b: addresses; panel: bytes from one of B to the next; x: B as it is."""
        n = types.int64
        signature = types.void(n, n, n, start, n, c, n, n, types.UniTuple(n, 8), x, n)

        def lower(context, builder, signature, arguments):
            a, b, panel, start, start_row, c, c_row, pairs, ahead, x, x_row = arguments
            v = Vector(builder, signature.args[3], LANES)
            cells = [(i, j) for i in range(rows) for j in range(vectors)]

            def at(pointer, row_stride, i, j):
                offset = builder.mul(row_stride, I64(i))
                return builder.gep(pointer, [builder.add(offset, I64(j * LANES))])

            entry = builder.block
            sums = {cell: begun(builder, v.load(at(start, start_row, *cell))) for cell in cells}
            loop, done = (builder.append_basic_block(name) for name in ("k", "done"))
            builder.branch(loop)

            builder.position_at_end(loop)
            turn = builder.phi(I64)
            chains = {cell: builder.phi(v.type) for cell in cells}
            if (
                vectors > 1
            ):  # first of all: behind the loads, LLVM would take the sums behind it, too
                _ask(builder, turn, ahead)
            a_row = builder.add(a, builder.mul(turn, I64(A_ROWS * WORD)))
            b_row = builder.add(b, builder.mul(turn, I64(LINE)))
            panels = [builder.add(b_row, builder.mul(panel, I64(j))) for j in range(vectors)]
            if rounds:
                first = builder.gep(x, [builder.mul(turn, builder.shl(x_row, I64(1)))])
                row = []
                for j, at_panel in enumerate(panels):
                    upper = builder.gep(first, [I64(j * LANES)])
                    second = v.load(builder.gep(upper, [x_row]))
                    row.append(pair_up(builder, v.load(upper), second))
                    store_words(builder, row[j], at_panel, I64(0), LANES)
            else:
                row = [load_words(builder, at_panel) for at_panel in panels]
            longer = {}
            for i in range(rows):
                copies = broadcast_word(builder, builder.add(a_row, I64(i * WORD)))
                for j in range(vectors):
                    longer[i, j] = dot(builder, chains[i, j], copies, row[j])
            following = builder.add(turn, I64(1))
            turned = builder.block
            turn.add_incoming(I64(0), entry)
            turn.add_incoming(following, turned)
            for cell in cells:
                chains[cell].add_incoming(sums[cell], entry)
                chains[cell].add_incoming(longer[cell], turned)
            builder.cbranch(builder.icmp_signed("<", following, pairs), loop, done)

            builder.position_at_end(done)
            for cell in cells:
                v.store(longer[cell], at(c, c_row, *cell))
            return context.get_dummy_value()

        return signature, lower

    return tile
