"""Training of networks side by side: what `step.train` does with each of them alone.

Each number is computed by the chain of operations that the network alone
computes it by: products along k, losses of rows in 16 lanes, gradients of biases 8 rows at a time.
"""

import math

from numba import carray

from fastbp.kernels.lanes.program import opened
from fastbp.kernels.machine.fields import float64s_at, words_at
from fastbp.kernels.machine.jit import INT, REAL, inline, kernel
from fastbp.kernels.machine.pointers import advance, call, stack_array
from fastbp.kernels.machine.simd import copy_padded, fma
from fastbp.kernels.machine.vecmath import like
from fastbp.kernels.panels.lane_losses import LANE_BLOCK, whole_blocks
from fastbp.kernels.product.sums import fold

MOST_LANES = 16
_totals_stack, _losses_stack = stack_array(MOST_LANES), stack_array(MOST_LANES)


@inline
def _words(g, at):
    """What each network has of its own."""
    return carray(words_at(at), (g.lanes,))


@inline
def _run(panel, a, b, elements):
    """Call a panel of elements."""
    if panel != 0:
        count = whole_blocks(elements)
        call(panel, (a, b, 1, count, count))


@inline
def _gather(g, layers, row, rows):
    """Rows [row, row + rows) of the epoch, and their targets."""
    call(
        g.gather,
        (g.features, g.epoch_orders, row, rows, layers[0].inputs, layers[0].ld_in, g.lanes,
         layers[0].below),
    )  # fmt: skip
    if g.loss != 0:
        kind = g.gather_labels if g.labels != 0 else g.gather
        columns = g.target_columns
        call(kind, (g.targets, g.epoch_orders, row, rows, columns, columns, g.lanes, g.wanted))


@inline
def _forward(g, layers, rows):
    line = g.lanes * g.itemsize
    for number in range(g.layer_count):
        layer = layers[number]
        bias = layer.weights + layer.inputs * layer.ld_out * line
        across = layer.ld_out * g.lanes
        call(
            g.product,
            (layer.below, layer.ld_in * g.lanes, g.lanes, layer.weights, across, g.lanes,
             bias, 0, g.lanes, layer.output, across, rows, layer.outputs, layer.inputs, g.itemsize),
        )  # fmt: skip
        _run(layer.training_forward, layer.output, layer.slope, rows * across)


@inline
def _own_losses(g, top, row, rows, batch, values):
    """The loss of networks one after the other, each in rows of its own."""
    orders, targets = _words(g, g.epoch_orders), _words(g, g.targets)
    together = carray(float64s_at(values), (rows, g.lanes))
    own = carray(float64s_at(g.own_values), (rows,))
    for lane in range(g.lanes):
        at = lane * g.itemsize
        call(g.to_rows, (top.output + at, g.lanes, rows, top.outputs, g.own_z, g.own_ld))
        if g.own_forward != 0:
            call(g.own_forward, (g.own_z, 0, rows, top.outputs, g.own_ld))
        call(
            g.own_loss,
            (g.own_z, g.own_delta, targets[lane], orders[lane] + 8 * row, g.own_values,
             g.loss_parameters, rows, top.outputs, g.own_ld, batch, 0),
        )  # fmt: skip
        if g.own_backward != 0:
            call(g.own_backward, (g.own_delta, g.own_z, rows, top.outputs, g.own_ld))
        call(g.from_rows, (top.delta + at, g.lanes, rows, top.outputs, g.own_delta, g.own_ld))
        for r in range(rows):
            together[r, lane] = own[r]


@inline
def _output_deltas(g, top, row, rows, batch, values):
    """Deltas of the outputs, and at `values` the losses of rows."""
    if g.loss != 0:
        call(
            g.loss,
            (top.output, top.delta, g.worth, g.wanted, values, g.loss_parameters,
             rows, top.outputs, g.lanes, batch),
        )  # fmt: skip
    else:
        _own_losses(g, top, row, rows, batch, values)


@inline
def _backward(g, layers, rows, opening):
    """Deltas of all layers, and their gradients: put down, or added to what is there."""
    line = g.lanes * g.itemsize
    for back in range(g.layer_count):
        layer = layers[g.layer_count - 1 - back]
        above, below = layer.ld_out * g.lanes, layer.ld_in * g.lanes
        _run(layer.backward, layer.delta, layer.operand, rows * above)
        if layer.delta_below != 0:
            call(
                g.product,
                (layer.delta, above, g.lanes, layer.weights, g.lanes, above, g.zeros, 0, 0,
                 layer.delta_below, below, rows, layer.inputs, layer.outputs, g.itemsize),
            )  # fmt: skip
        start, start_row, start_column = layer.gradient, above, g.lanes
        biases = layer.gradient + layer.inputs * layer.ld_out * line
        if opening:
            start, start_row, start_column = g.zeros, INT(0), INT(0)
        call(
            g.product,
            (layer.below, g.lanes, below, layer.delta, above, g.lanes,
             start, start_row, start_column, layer.gradient, above,
             layer.inputs, layer.outputs, rows, g.itemsize),
        )  # fmt: skip
        start = g.zeros if opening else biases
        call(g.column_sums, (layer.delta, above, rows, above, start, biases, g.itemsize))


@inline
def _gradients(g, layers, row, batch, fresh):
    """The gradient of a batch slab by slab, and its losses; fresh: its rows are to be gathered."""
    top, line = layers[g.layer_count - 1], 8 * g.lanes
    for done in range(0, batch, g.slab):
        rows = min(g.slab, batch - done)
        if fresh:
            _gather(g, layers, row + done, rows)
        _forward(g, layers, rows)
        _output_deltas(g, top, row + done, rows, batch, g.values + done * line)
        _backward(g, layers, rows, done == 0)
    fold(float64s_at(g.values), batch, g.lanes, 1.0)


@kernel(INT, INT, INT, INT, REAL)
def spread_coefficients(rows, lanes, first, count, to):
    """to[k, i] = coefficient k of lane i % lanes, for i < LANE_BLOCK.

    rows: the address of int64 (lanes), addresses of each network's float64 (steps, count); first:
    elements from there to those of the step.
    """
    own = carray(words_at(rows), (lanes,))
    for lane in range(lanes):
        numbers = carray(float64s_at(own[lane] + 8 * first), (count,))
        for k in range(count):
            at = carray(advance(to, k * LANE_BLOCK + lane), (1,))
            at[0] = like(at[0], numbers[k])
    for k in range(count):
        line = advance(to, k * LANE_BLOCK)
        for i in range(lanes, LANE_BLOCK, lanes):
            copy_padded(line, advance(line, i), lanes)


@inline
def _update(g, layers, step):
    """The update of all parameters, as one run."""
    if g.penalize != 0:
        for n in range(g.layer_count):
            layer = layers[n]
            weights = layer.inputs * layer.ld_out * g.lanes
            count = weights + layer.ld_out * g.lanes
            call(g.penalize, (layer.weights, layer.gradient, weights, count, g.settings, 0))
    count = g.coefficient_count
    call(g.spread_coefficients, (g.coefficients, g.lanes, step * count, count, g.spread))
    call(g.update, (g.state, g.gradients, g.parameters * g.itemsize, g.parameters, g.spread))


@inline
def _find_failures(g, totals):
    """Whether the loss of some network is not finite; marks these."""
    active, failed = _words(g, g.active), _words(g, g.failed)
    found = False
    for lane in range(g.lanes):
        if active[lane] != 0 and not math.isfinite(totals[lane]):
            failed[lane] = 1
            found = True
    return found


@inline
def _carry(g, totals, mass, losses):
    """Leave behind what has come together of an epoch, and the losses of the last step."""
    active, carried = _words(g, g.active), _words(g, g.carried)
    for lane in range(g.lanes):
        if active[lane] != 0:
            to = carray(float64s_at(carried[lane]), (4,))
            to[0], to[1], to[2], to[3] = totals[lane], mass, losses[lane], 0.0


@inline
def _end_epoch(g, epoch, totals, mass):
    active, losses = _words(g, g.active), _words(g, g.losses)
    for lane in range(g.lanes):
        if active[lane] != 0:
            of_epochs = carray(float64s_at(losses[lane]), (g.epochs,))
            of_epochs[epoch] = totals[lane] / mass if mass > 0 else 0.0
        totals[lane] = 0.0


@inline
def _turn_orders(g, epoch):
    """Where the row numbers of an epoch lie."""
    orders, strides = _words(g, g.orders), _words(g, g.order_rows)
    of_epoch = _words(g, g.epoch_orders)
    for lane in range(g.lanes):
        of_epoch[lane] = orders[lane] + 8 * epoch * strides[lane]


@inline
def _move(g, kind, state, lane):
    """Parameters and slots of one network, into its lane or back."""
    call(
        kind,
        (state, g.state + lane * g.itemsize, g.offsets, g.places, g.parameter_count, g.slots,
         g.own_parameters, g.parameters, g.lanes),
    )  # fmt: skip


@inline
def _train(g, layers):
    """Steps until something ends them; `made` counts them."""
    totals = carray(_totals_stack(float64s_at(0)), (MOST_LANES,))
    losses = carray(_losses_stack(float64s_at(0)), (MOST_LANES,))
    carried = _words(g, g.carried)
    for lane in range(g.lanes):
        before = carray(float64s_at(carried[lane]), (4,))
        totals[lane], losses[lane] = before[0], before[2]
    mass = carray(float64s_at(carried[0]), (4,))[1]
    values = carray(float64s_at(g.values), (g.lanes,))
    for epoch in range(g.epochs):
        _turn_orders(g, epoch)
        for row in range(g.first_row if epoch == 0 else 0, g.rows, g.batch):
            batch = min(g.batch, g.rows - row)
            _gradients(g, layers, row, batch, g.still == 0 or g.made == 0)
            if _find_failures(g, values):
                failed = _words(g, g.failed)
                for lane in range(g.lanes):
                    losses[lane] = values[lane] / batch if failed[lane] != 0 else losses[lane]
                g.failed_epoch, g.failed_step = epoch, row // g.batch
                _carry(g, totals, mass, losses)
                return
            weight = float(batch)
            for lane in range(g.lanes):
                loss = values[lane] / batch
                totals[lane], losses[lane] = fma(loss, weight, totals[lane]), loss
            mass += weight
            _update(g, layers, g.made)
            g.made += 1
            if g.made == g.most_steps and row + batch < g.rows:
                _carry(g, totals, mass, losses)
                return
        _end_epoch(g, epoch, totals, mass)
        mass = 0.0
        _carry(g, totals, mass, losses)
        if g.made == g.most_steps:
            return


@kernel(INT)
def train_lanes(group):
    """Epochs of batches; overwrites states, epoch losses and the record's last fields.

    As `step.train`, with networks in the place of one: the call ends before a step in which the
    loss of any is not finite. failed says of which, failed_epoch and failed_step where.
    """
    g, layers = opened(group)
    states, active, counters = (
        _words(g, g.states), _words(g, g.active), _words(g, g.step_counters),
    )  # fmt: skip
    for lane in range(g.lanes):
        _move(g, g.load, states[lane], lane)
    _train(g, layers)
    for lane in range(g.lanes):
        if active[lane] != 0:
            _move(g, g.store, states[lane], lane)
            carray(words_at(counters[lane]), (1,))[0] += g.made
