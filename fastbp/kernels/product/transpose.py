"""The transpose that fills the mirror of W: blocks of 8 x 8 in registers, edges one by one."""

from numba import carray, types
from numba.extending import intrinsic

from fastbp.kernels.machine.jit import INT, REAL, inline, kernel
from fastbp.kernels.machine.pointers import advance
from fastbp.kernels.machine.vectors import I64, Vector

SIDE = 8


@intrinsic
def transpose_square(typingctx, x, x_row, to, to_row):
    """to[c, r] = x[r, c] for r, c < 8; rows of x and `to` are x_row and to_row elements apart."""
    signature = types.void(x, types.int64, to, types.int64)

    def lower(context, builder, signature, arguments):
        x, x_row, to, to_row = arguments
        v = Vector(builder, signature.args[0], SIDE)
        rows = [v.load(builder.gep(x, [builder.mul(x_row, I64(i))])) for i in range(SIDE)]
        # Round by round the halves, quarters and eighths across the diagonal change places.
        for step in (4, 2, 1):
            low = [j if not j & step else j - step + SIDE for j in range(SIDE)]
            high = [j + step if not j & step else j + SIDE for j in range(SIDE)]
            for i in range(SIDE):
                if not i & step:
                    a, b = rows[i], rows[i + step]
                    rows[i], rows[i + step] = v.shuffle(a, b, low), v.shuffle(a, b, high)
        for i, row in enumerate(rows):
            v.store(row, builder.gep(to, [builder.mul(to_row, I64(i))]))
        return context.get_dummy_value()

    return signature, lower


@inline
def _transpose_edge(x, x_row, to, to_row, r0, r1, c0, c1):
    for c in range(c0, c1):
        target = carray(advance(to, c * to_row), (r1,))
        for r in range(r0, r1):
            target[r] = carray(advance(x, r * x_row), (c1,))[c]


@kernel(REAL, INT, REAL, INT, INT, INT)
def transpose(x, x_row, to, to_row, rows, columns):
    """to[c, r] = x[r, c] for r < rows, c < columns; overwrites `to`."""
    whole_rows, whole_columns = rows // SIDE * SIDE, columns // SIDE * SIDE
    for c in range(0, whole_columns, SIDE):
        for r in range(0, whole_rows, SIDE):
            transpose_square(advance(x, r * x_row + c), x_row, advance(to, c * to_row + r), to_row)
    _transpose_edge(x, x_row, to, to_row, whole_rows, rows, INT(0), columns)
    _transpose_edge(x, x_row, to, to_row, INT(0), whole_rows, whole_columns, columns)
