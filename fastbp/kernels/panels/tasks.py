"""Several losses of groups of outputs: each group's columns go through a loss's panel alone."""

import numba
from numba import carray

from fastbp.kernels.machine.fields import float64s_at, record
from fastbp.kernels.machine.jit import inline, kernel
from fastbp.kernels.machine.pointers import address_of, advance, call, pointer_maker, pointer_to
from fastbp.kernels.machine.simd import copy_padded, fma
from fastbp.kernels.machine.vecmath import like
from fastbp.kernels.panels.panels import LOSS

# One group. forward and backward: panels of its activation, or 0.
TASK = record(
    "loss", "parameters", "targets",
    "begin", "outputs", "ld",  # columns [begin, begin + outputs), and their stride in the scratch
    "forward", "backward",
    "sloped",         # 1: backward takes what forward has left of slopes; 0: the outputs
    "row_losses",     # float64 by row of the data: where the group's losses go
)  # fmt: skip

# What `several` is handed as its parameters. z, slope and change: a scratch of `row_bytes` for
# each row of a slab, whatever the group; values: float64 for each.
TASKS = record(
    "count", "tasks", "weights",  # float64, what the groups' losses are multiplied by
    "delta",          # where that of a slab's row 0 is
    "z", "slope", "change", "row_bytes", "values",
)  # fmt: skip
_tasks_at = pointer_maker(numba.from_dtype(TASKS))
_task_at = pointer_maker(numba.from_dtype(TASK))


@inline
def _put_back(change, delta, weight, rows, width, ld, to_ld):
    """delta[r, :width] = weight * change[r, :width]."""
    for r in range(rows):
        source = carray(advance(change, r * ld), (width,))
        target = carray(advance(delta, r * to_ld), (width,))
        for j in range(width):
            target[j] = weight * source[j]


@kernel(*LOSS)
def several(z, delta, targets, order, values, parameters, rows, n, ld, batch, totals):
    """Delta and losses of all groups by their weights; totals: one of each group, or 0.

    z holds the outputs before any activation. row_losses gets the losses of the rows as they count
    in the mean: times their weights, where there are weights.
    """
    head = carray(_tasks_at(address_of(parameters)), (1,))[0]
    tasks = carray(_task_at(head.tasks), (head.count,))
    weights = carray(float64s_at(head.weights), (head.count,))
    size = address_of(advance(z, 1)) - address_of(z)
    first = (address_of(delta) - head.delta) // (ld * size)  # row of the slab
    losses, index = carray(values, (rows,)), carray(order, (rows,))
    own = carray(float64s_at(head.values + 8 * first), (rows,))
    for r in range(rows):
        losses[r] = 0.0
        slopes = carray(advance(delta, r * ld), (ld,))
        for j in range(n, ld):
            slopes[j] = 0
    offset = first * head.row_bytes
    block, slope, change = head.z + offset, head.slope + offset, head.change + offset
    for number in range(head.count):
        t = tasks[number]
        for r in range(rows):
            to = pointer_to(block + r * t.ld * size, z)
            copy_padded(advance(z, r * ld + t.begin), to, t.outputs)
        if t.forward != 0:
            call(t.forward, (block, slope, rows, t.outputs, t.ld))
        total = totals + 8 * number if totals != 0 else 0
        call(
            t.loss,
            (block, change, t.targets, address_of(order), head.values + 8 * first,
             t.parameters, rows, t.outputs, t.ld, batch, total),
        )  # fmt: skip
        if t.backward != 0:
            operand = slope if t.sloped else block
            call(t.backward, (change, operand, rows, t.outputs, t.ld))
        share = 1.0
        if totals != 0:
            share = carray(float64s_at(total), (1,))[0] / batch
        weight = weights[number]
        row_losses = float64s_at(t.row_losses)
        for r in range(rows):
            losses[r] = fma(weight, own[r], losses[r])
            carray(advance(row_losses, index[r]), (1,))[0] = share * own[r]
        first_column = advance(delta, t.begin)
        scale = like(carray(z, (1,))[0], weight)
        _put_back(pointer_to(change, z), first_column, scale, rows, t.outputs, t.ld, ld)
