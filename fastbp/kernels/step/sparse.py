"""Sparse rows as input: the first layer's product, gradient and update, from what is not zero.

Rows are stored as CSR: the entries of row r are numbers starts[r] to starts[r + 1] of `values` and
`indices` (columns). The layer's input is never laid out; its product takes a row of W for every
entry, and a row of W that no entry of a batch touches has a gradient of zero.

Its update is then the same whenever it is made: it reads nothing but the row itself, its slots and
the step's coefficients. So it is put off until a batch needs the row, and all steps since are made
at once, while the row is in the cache; so is the update by a gradient that is not zero, which
waits in the flat buffer. The numbers are those of the dense network, of which every step has to
read and write all parameters and slots. What the next batch needs is brought up to date in phase
2; all of W at the end of the call.
"""

import numpy as np
from numba import carray, types

from fastbp.kernels.machine.fields import words_at
from fastbp.kernels.machine.jit import INT, REAL, inline, inline_early, kernel
from fastbp.kernels.machine.pointers import address_of, advance, call, pointer_maker, pointer_to
from fastbp.kernels.machine.simd import add_scaled, ask_for, copy_padded
from fastbp.kernels.machine.team import share
from fastbp.kernels.machine.vecmath import like
from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.step.movement import GATHER, INDICES
from fastbp.kernels.step.program import GRAIN, layers_at, program_at, sparse_at, wait
from fastbp.kernels.step.weight_rows import update_run

int32s_at = pointer_maker(types.int32)


@inline_early
def _bounds(s, row):
    """The numbers of a row's first entry and of the next row's, of entries that there are.

    They were checked, as columns were, but are their owner's, who may change them.
    """
    starts = carray(words_at(s.starts), (row + 2,))
    return max(starts[row], 0), min(starts[row + 1], s.entries)


@inline_early
def _column(s, k):
    """The column of entry k."""
    if s.wide:
        return carray(words_at(s.indices), (k + 1,))[k]
    return np.int64(carray(int32s_at(s.indices), (k + 1,))[k])


@kernel(INT, *GATHER)
def product(sparse, _x_row, base, order, rows, to, to_row, width, _scaling):
    """to[r] = bias + the sum of x[j] W[j] over the entries of row base + order[r], in their order.

    NaN where a column is none. A gather by its arguments, of which it needs no row stride and no
    scaling.
    """
    s = carray(sparse_at(sparse), (1,))[0]
    index = carray(order, (rows,))
    p = carray(program_at(s.program), (1,))[0]
    weights = pointer_to(carray(layers_at(p.layers), (1,))[0].weights, to)
    values = pointer_to(s.values, to)
    for r in range(rows):
        out = advance(to, r * to_row)
        copy_padded(advance(weights, width * to_row), out, to_row)
        first, last = _bounds(s, base + index[r])
        for k in range(first, last):
            value, column = carray(values, (k + 1,))[k], _column(s, k)
            if not 0 <= column < width:
                column, value = 0, like(value, np.nan)
            add_scaled(out, advance(weights, column * to_row), value, to_row)


@inline_early
def _steps_had(made):
    """How many steps of this call a row of W has had, from its word in `made`."""
    return made if made >= 0 else ~made


@inline
def _catch_up(s, p, layer, made, row, steps):
    """The updates that a row of W has missed of the call's first `steps`.

    Of these the first is by its gradient, if that is waiting, and the others by one of zero.
    """
    had = _steps_had(made[row])
    if had == steps:
        return
    ld = layer.ld_out
    at = row * ld * p.itemsize
    if made[row] < 0:
        coefficients = p.coefficients + 8 * p.coefficient_count * had
        update_run(p, layer, layer.weights + at, layer.gradient + at, ld, ld, coefficients)
        had += 1
    if not s.rests:
        gradient = p.zeros
        for step in range(had, steps):
            if p.penalize != 0:  # writes into it
                gradient = layer.gradient + at
                carray(words_at(gradient), (ld * p.itemsize // 8,))[:] = 0
            coefficients = p.coefficients + 8 * p.coefficient_count * step
            update_run(p, layer, layer.weights + at, gradient, ld, ld, coefficients)
    made[row] = steps


@inline
def _ask_for_row(at, row_bytes):
    """Prefetch a row of W, of a slot or of the gradient that begins at address `at`."""
    for line in range(0, row_bytes, LINE):
        ask_for(words_at(at + line))


@inline
def _prepare(s, p, layer, made, first, last, order, rows, steps):
    """Bring what `rows` rows of the data need of rows [first, last) of W up to date."""
    index, row_bytes = carray(order, (rows,)), layer.ld_out * p.itemsize
    for r in range(rows):
        begin, end = _bounds(s, index[r])
        ahead, ahead_end = _bounds(s, index[min(r + 1, rows - 1)])
        for k in range(begin, end):
            if ahead < ahead_end:
                column = _column(s, ahead)
                if first <= column < last and _steps_had(made[column]) < steps:
                    at = column * row_bytes
                    for part in range(1 + p.slots):
                        _ask_for_row(layer.weights + part * p.slot_bytes + at, row_bytes)
                    if made[column] < 0:
                        _ask_for_row(layer.gradient + at, row_bytes)
                ahead += 1
            column = _column(s, k)
            if first <= column < last:
                _catch_up(s, p, layer, made, column, steps)


@inline
def _add_gradient(s, p, layer, delta, made, first, last, order, rows, steps):
    """Add `rows` rows of the batch to the gradient of rows [first, last) of W.

    steps: how many the call has made; a row of the gradient begins when it is first touched. Where
    the gradient is wanted whole, its rows have begun, and steps is -1.
    """
    index, ld = carray(order, (rows,)), layer.ld_out
    gradient, values = pointer_to(layer.gradient, delta), pointer_to(s.values, delta)
    zeros = pointer_to(p.zeros, delta)
    for r in range(rows):
        begin, end = _bounds(s, index[r])
        for k in range(begin, end):
            column = _column(s, k)
            if first <= column < last:
                to = advance(gradient, column * ld)
                if steps >= 0 and made[column] != ~steps:
                    made[column] = ~steps
                    copy_padded(zeros, to, ld)
                add_scaled(to, advance(delta, r * ld), carray(values, (k + 1,))[k], ld)


@inline
def _settle(s, p, layer, made, first, last, steps):
    """Bring rows [first, last) of W up to date."""
    for row in range(first, last):
        _catch_up(s, p, layer, made, row, steps)


@inline
def _update_biases(p, layer, delta, rows, opening, updating, coefficients):
    at, width = layer.inputs * layer.ld_out * p.itemsize, layer.ld_out
    to = layer.gradient + at
    start = p.zeros if opening else to
    call(p.column_sums, (address_of(delta), width, rows, width, start, to, p.itemsize))
    if updating:
        update_run(p, layer, layer.weights + at, to, 0, width, coefficients)


@kernel(INT, REAL, INT, INDICES, INT, INT, INT, INT, INDICES, INT)
def sparse_step(
    sparse, delta, me, order, rows, opening, closing, coefficients, next_order, next_rows
):
    """Phase 2 of a sparse layer: thread `me`'s rows of W, as `gradient_and_update` of a dense one.

    delta: (rows, ld) of the slab, whose rows have the numbers `order`; next_order, next_rows: at
    least the rows of the batch after this one. The gradient stays in the flat buffer; without
    `updating` it is whole there, elsewhere rows that are not touched hold what was there before.
    """
    s = carray(sparse_at(sparse), (1,))[0]
    p = carray(program_at(s.program), (1,))[0]
    layer = carray(layers_at(p.layers), (1,))[0]
    if layer.frozen != 0:
        return
    first, last = share(layer.inputs, GRAIN, me, p.team)
    made = carray(words_at(s.made), (layer.inputs,))
    row_bytes, steps = layer.ld_out * p.itemsize, -1
    if p.updating:
        steps = (coefficients - p.coefficients) // (8 * p.coefficient_count)
    elif opening:
        to = pointer_to(layer.gradient + first * row_bytes, delta)
        carray(to, ((last - first) * layer.ld_out,))[:] = 0
    _add_gradient(s, p, layer, delta, made, first, last, order, rows, steps)
    updating = closing and p.updating
    if updating:
        if p.finish != 0:  # which goes through all of W
            _settle(s, p, layer, made, first, last, steps + 1)
        else:
            _prepare(s, p, layer, made, first, last, next_order, next_rows, steps + 1)
    if me == p.team - 1:
        _update_biases(p, layer, delta, rows, opening, updating, coefficients)


@kernel(INT, INT)
def train(program, me):
    """`step.train` with sparse rows; then thread `me`'s rows of W get the updates put off."""
    p = carray(program_at(program), (1,))[0]
    before = carray(words_at(p.step_counter), (1,))[0]
    call(p.train, (program, me))
    wait(p, me)  # for thread 0, who counts the steps
    s, layer = carray(sparse_at(p.features), (1,))[0], carray(layers_at(p.layers), (1,))[0]
    if p.updating and layer.frozen == 0:
        first, last = share(layer.inputs, GRAIN, me, p.team)
        steps = carray(words_at(p.step_counter), (1,))[0] - before
        _settle(s, p, layer, carray(words_at(s.made), (layer.inputs,)), first, last, steps)
