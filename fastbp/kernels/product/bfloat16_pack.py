"""Blocks of matrices rounded to bfloat16, in words of two elements along the sum, by panels.

A panel is some rows of A, or columns of B, and its words of one pair of elements stand behind those
of the pair before. Behind an odd number of elements comes a zero.
"""

from numba import types
from numba.extending import intrinsic

from fastbp.kernels.machine.bfloat16 import (
    LANES,
    pair_along,
    pair_up,
    store_words,
    transposed,
)
from fastbp.kernels.machine.jit import INT, inline, inline_early
from fastbp.kernels.machine.pointers import advance
from fastbp.kernels.machine.vectors import I64, Vector
from fastbp.kernels.product.bfloat16_tile import A_ROWS, WORD

# A thread's memory: a block of A, which stays in the L2 cache; 48 columns of a block of B; and a
# whole B that is rounded once for many products. GRAIN: elements of whole pairs and vectors.
M_BLOCK, K_BLOCK, GRAIN = 256, 1024, 2 * LANES
A_BYTES, B_BYTES = M_BLOCK * K_BLOCK * WORD // 2, 3 * LANES * K_BLOCK * WORD // 2
KEPT, KEPT_BYTES = A_BYTES + B_BYTES, 3 << 17
ROOM = KEPT + KEPT_BYTES
PACKED = 2  # for `stream` of a product: B is the one that was rounded before


@inline_early
def kept_whole(depth, columns):
    """Whether a B has so few bytes."""
    return (depth + 1) // 2 * ((columns + LANES - 1) // LANES * LANES) * WORD <= KEPT_BYTES


def _make_pair_rows(vectors, width):
    """A function for kernels: words of two rows of float32, so many vectors of each."""

    @intrinsic
    def pair_rows(typingctx, x, next_row, to, apart):
        """Words of x and of the row `next_row` elements behind it, by `width`, so far apart."""

        def lower(context, builder, signature, arguments):
            x, next_row, to, apart = arguments
            v = Vector(builder, signature.args[0], LANES)
            for j in range(vectors):
                first = builder.gep(x, [I64(j * LANES)])
                second = v.load(builder.gep(first, [next_row]))
                at = builder.add(to, builder.mul(apart, I64(j * LANES // width)))
                words = pair_up(builder, v.load(first), second)
                store_words(builder, words, at, apart, width)
            return context.get_dummy_value()

        return types.void(x, *[types.int64] * 3), lower

    return pair_rows


def _make_pair_some(width):
    @intrinsic
    def pair_some(typingctx, x, next_row, count, others, to, apart):
        """The same of one vector: `count` elements of x and `others` of the next; then zeros."""

        def lower(context, builder, signature, arguments):
            x, next_row, count, others, to, apart = arguments
            v = Vector(builder, signature.args[0], LANES)
            second = v.load_first(builder.gep(x, [next_row]), others, 0.0)
            words = pair_up(builder, v.load_first(x, count, 0.0), second)
            store_words(builder, words, to, apart, width)
            return context.get_dummy_value()

        return types.void(x, *[types.int64] * 5), lower

    return pair_some


def _make_pack_across(width):
    """A function for kernels: panels of `width` columns of what is summed along its columns."""
    pair_3, pair_2, pair_1 = (_make_pair_rows(vectors, width) for vectors in (3, 2, 1))
    pair_some = _make_pair_some(width)
    step, vector = width * WORD, LANES // width

    @inline
    def pack_across(x, x_row, depth, columns, to, apart):
        """Panels of x[depth, columns], `apart` bytes apart; reads no element behind them.

        Overwrites whole vectors of columns.
        """
        last = depth // 2 * 2
        for j in range(0, columns, 3 * LANES):
            some = min(columns - j, INT(3 * LANES))
            whole, word = some // LANES, to + j // width * apart
            rest, behind = some - whole * LANES, word + whole * vector * apart
            for k in range(0, last, 2):
                at = advance(x, k * x_row + j)
                if whole == 3:
                    pair_3(at, x_row, word, apart)
                elif whole == 2:
                    pair_2(at, x_row, word, apart)
                elif whole == 1:
                    pair_1(at, x_row, word, apart)
                if rest > 0:
                    pair_some(advance(at, whole * LANES), x_row, rest, rest, behind, apart)
                    behind += step
                word += step
            if last < depth:
                for i in range(0, some, LANES):
                    at = advance(x, last * x_row + j + i)
                    pair_some(at, INT(0), min(some - i, INT(LANES)), INT(0), word, apart)
                    word += vector * apart

    return pack_across


pack_rows_across, pack_columns = _make_pack_across(A_ROWS), _make_pack_across(LANES)


def _make_pair_square(whole):
    @intrinsic
    def pair_square(typingctx, x, x_row, rows, count, to):
        """16 pairs of a panel of 8 rows, of which there are `rows`, at least 1; then any words.

        Of each row there are `count` elements, with `whole` 32; then zeros.
        """

        def lower(context, builder, signature, arguments):
            x, x_row, rows, count, to = arguments
            v, words = Vector(builder, signature.args[0], LANES), []
            last = builder.sub(rows, I64(1))
            for i in range(A_ROWS):
                inside = builder.icmp_signed("<", I64(i), rows)
                row = builder.mul(x_row, builder.select(inside, I64(i), last))
                first = builder.gep(x, [row])
                second = builder.gep(first, [I64(LANES)])
                if whole:
                    halves = v.load(first), v.load(second)
                else:
                    rest = builder.sub(count, I64(LANES))
                    halves = v.load_first(first, count, 0.0), v.load_first(second, rest, 0.0)
                words.append(pair_along(builder, *halves))
            for q, row in enumerate(transposed(builder, words)):
                at = builder.add(to, I64(q * LANES * WORD))
                store_words(builder, row, at, I64(0), LANES)
            return context.get_dummy_value()

        return types.void(x, *[types.int64] * 4), lower

    return pair_square


_whole_square, _some_square = _make_pair_square(True), _make_pair_square(False)


@inline
def pack_rows(x, x_row, rows, depth, to, apart):
    """Panels of 8 rows of x[rows, depth], `apart` bytes apart; reads no element behind them.

    Overwrites whole panels, and those of pairs up to a multiple of 16.
    """
    whole = depth // (2 * LANES) * (2 * LANES)
    for i in range(0, rows, A_ROWS):
        at, word, some = advance(x, i * x_row), to + i // A_ROWS * apart, rows - i
        for k in range(0, whole, 2 * LANES):
            _whole_square(advance(at, k), x_row, some, INT(2 * LANES), word)
            word += A_ROWS * LANES * WORD
        if whole < depth:
            _some_square(advance(at, whole), x_row, some, depth - whole, word)
