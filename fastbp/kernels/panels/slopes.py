"""Slopes of outputs that come from elsewhere, in the place of a loss's panel."""

import numba
from numba import carray

from fastbp.kernels.machine.bfloat16 import rounded
from fastbp.kernels.machine.fields import float64s_at, record
from fastbp.kernels.machine.jit import INT, REAL, Kernel, inline, kernel
from fastbp.kernels.machine.pointers import address_of, advance, pointer_maker, pointer_to
from fastbp.kernels.machine.vecmath import like
from fastbp.kernels.panels.panels import LOSS

# What `given` is handed as its parameters. values: float64 by row of the data, the losses of the
# rows, of which the slopes are; or 0, and the slopes are those of one number, used as they are.
GIVEN = record("values")
_given_at = pointer_maker(numba.from_dtype(GIVEN))


@kernel(*LOSS)
def given(z, delta, targets, order, values, parameters, rows, n, ld, batch, totals):
    """delta = the slopes at `targets`, (rows, n) of the element type; the rows' losses, or 0."""
    found = carray(_given_at(address_of(parameters)), (1,))[0].values
    index, losses = carray(order, (rows,)), carray(values, (rows,))
    scale = like(carray(z, (1,))[0], 1.0 / batch if found != 0 else 1.0)
    for r in range(rows):
        slopes = carray(advance(pointer_to(targets, z), index[r] * n), (n,))
        row = carray(advance(delta, r * ld), (ld,))
        for j in range(n):
            row[j] = scale * slopes[j]
        for j in range(n, ld):
            row[j] = 0
        if found != 0:
            losses[r] = carray(float64s_at(found + 8 * index[r]), (1,))[0]
        else:
            losses[r] = 0.0


@kernel(*LOSS)
def unit(z, delta, targets, order, values, parameters, rows, n, ld, batch, totals):
    """delta = 1 in column number `targets`, 0 elsewhere: of that output itself."""
    losses = carray(values, (rows,))
    for r in range(rows):
        row = carray(advance(delta, r * ld), (ld,))
        for j in range(ld):
            row[j] = 0
        row[targets] = 1
        losses[r] = 0.0


def _make_outer(operand):
    def outer(a, a_row, d, d_row, weights, biases, rows, inputs, outputs):
        for r in range(rows):
            of = carray(advance(a, r * a_row), (inputs,))
            slopes = carray(advance(d, r * d_row), (outputs,))
            own = carray(advance(biases, r * outputs), (outputs,))
            for j in range(outputs):
                own[j] = slopes[j]
            for i in range(inputs):
                to = carray(advance(weights, (r * inputs + i) * outputs), (outputs,))
                factor = operand(of[i])
                for j in range(outputs):
                    to[j] = factor * operand(slopes[j])

    return outer


# weights[r, i, j] = a[r, i] * d[r, j] and biases[r, j] = d[r, j], both without padding; the other
# with a and d of the weights rounded to bfloat16.
OUTER = (REAL, INT, REAL, INT, REAL, REAL, INT, INT, INT)
outer = Kernel(_make_outer(inline(lambda x: x)), OUTER, "outer")
outer_rounded = Kernel(_make_outer(rounded), OUTER, "outer_rounded")
