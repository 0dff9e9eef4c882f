"""Column sums of a block: the gradient of the biases, and of squares, for the norms of columns.

And sums of each column as `simd.row_sum` adds up a row, for networks side by side.
"""

from numba import types
from numba.extending import intrinsic

from fastbp.kernels.machine.jit import INT, REAL, Kernel, inline
from fastbp.kernels.machine.pointers import advance
from fastbp.kernels.machine.simd import REDUCTION_LANES, add_scaled
from fastbp.kernels.machine.vectors import I64, Vector, vector_bytes

REGISTER = vector_bytes()
GROUP = 8  # rows that are added pairwise before they join the sum


def _make_add(group, square):
    """A function for kernels: to[:lanes] = start + the pairwise sum of `group` rows of x.

    square: of their squares.
    """

    @intrinsic
    def add(typingctx, x, x_row, start, to):
        signature = types.void(x, types.int64, start, to)

        def lower(context, builder, signature, arguments):
            x, x_row, start, to = arguments
            itemsize = 4 if signature.args[0].dtype == types.float32 else 8
            v = Vector(builder, signature.args[0], REGISTER // itemsize)
            sums = [v.load(builder.gep(x, [builder.mul(x_row, I64(i))])) for i in range(group)]
            if square:
                sums = [builder.fmul(a, a) for a in sums]
            while len(sums) > 1:
                sums = [builder.fadd(a, b) for a, b in zip(sums[::2], sums[1::2], strict=True)]
            v.store(builder.fadd(v.load(start), sums[0]), to)
            return context.get_dummy_value()

        return signature, lower

    return add


def _make_column_sums(square):
    add_group, add_row = _make_add(GROUP, square), _make_add(1, square)

    def column_sums(x, x_row, rows, columns, start, to, itemsize):
        lanes = REGISTER // itemsize
        r = 0
        while r < rows:
            whole = rows - r >= GROUP
            for j in range(0, columns, lanes):
                at = advance(x, r * x_row + j)
                if whole:
                    add_group(at, x_row, advance(start, j), advance(to, j))
                else:
                    add_row(at, x_row, advance(start, j), advance(to, j))
            r += GROUP if whole else 1
            start = to

    return column_sums


# to[j] = start[j] + the sum of x[:, j] for j < columns, counted up to whole vectors. Summed row by
# row, each addition would wait for the one before it.
column_sums = Kernel(_make_column_sums(False), (REAL, INT, INT, INT, REAL, REAL, INT))
column_square_sums = inline(_make_column_sums(True))  # the same with the squares of x


@inline
def fold(x, rows, width, one):
    """x[0] = the sum of each column of x[:rows, :width], as `row_sum` adds it up; overwrites x.

    width: whole cache lines; one: 1 in the type of the elements.
    """
    for first in range(REDUCTION_LANES, rows, REDUCTION_LANES):
        count = min(REDUCTION_LANES, rows - first)
        add_scaled(x, advance(x, first * width), one, count * width)
    left, half = min(REDUCTION_LANES, rows), REDUCTION_LANES // 2
    while half > 0:
        if left > half:
            add_scaled(x, advance(x, half * width), one, (left - half) * width)
            left = half
        half //= 2
