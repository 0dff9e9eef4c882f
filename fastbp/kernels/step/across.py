"""Phase 1 by rows and columns: groups of threads have rows, their members columns of wide layers.

Of many threads each would have few rows and read all weights for them. Here the members of a group
share its rows. Of a layer that is cut by columns each computes some of the outputs for all these
rows, and of the delta below some of the inputs; narrow layers, softmax and the loss are cut by rows
within the group. Who needs what others have computed meets them before.

Whoever sees STOP leaves out the work that follows, but meets the others as before, so that nobody
waits for ever; what is computed from what is not there is thrown away with the step.
"""

from fastbp.kernels.machine.jit import INT, inline, inline_early, kernel
from fastbp.kernels.step.batch_rows import (
    delta_below,
    forward_layer,
    gather_rows,
    output_delta,
    seen_output,
    slope_delta,
    turn_delta,
    turned_delta,
)
from fastbp.kernels.step.program import (
    GRAIN,
    meet,
    opened,
    queue_of,
    share_columns,
    share_rows,
    stopped,
)


@inline_early
def _block(p, me, across, group, own, columns, ld):
    """(first row, rows, first column, the one behind the last) of what thread `me` computes.

    across: all the group's rows of a range of so many columns; else its own rows, whole.
    """
    if across:
        column, end = share_columns(columns, p.itemsize, me % p.columns, p.columns)
        return group[0], group[1], column, end
    return own[0], own[1], INT(0), ld


@inline
def _forward(p, layers, me, group, own, order, step, row):
    """The group's rows from gather to outputs; returns whether these lie by columns at the end.

    group, own: first row in the slab and how many, of the group's rows and of the member's among
    them; order: address of the group's row numbers; row: the first one's number in the batch.
    """
    (first, _), (first_own, rows_own), queue = group, own, queue_of(p, me)
    if rows_own > 0 and not stopped(p):
        gather_rows(p, layers, first_own, rows_own, order + 8 * (first_own - first))
    entry, entry_ld, by_columns = p.entry, p.entry_ld, False
    for number in range(p.layer_count):
        layer = layers[number]
        across = layer.forward_across != 0
        if across or by_columns:
            meet(p, me)
        by_columns = across
        at, count, column, end = _block(p, me, across, group, own, layer.outputs, layer.ld_out)
        if count > 0 and end > column and not stopped(p):
            forward_layer(
                p, layer, number, at, count, column, end - column,
                entry + at * entry_ld * p.itemsize, entry_ld, queue, True, step,
                row + at - first,
            )  # fmt: skip
        entry, entry_ld = seen_output(p, layer, INT(0)), layer.ld_out
    return by_columns


@inline
def _backward(p, layers, me, group, own):
    """The group's deltas from those of the outputs, which lie by rows, as far back as they go."""
    (first, rows), queue, by_columns = group, queue_of(p, me), False
    for back in range(p.layer_count - p.bottom):
        layer = layers[p.layer_count - 1 - back]
        at, count, column, end = _block(p, me, by_columns, group, own, layer.outputs, layer.ld_out)
        if count > 0 and end > column and not stopped(p):
            slope_delta(p, layer, at, count, column, end - column)
        if layer.turned != 0:
            _turn(p, layer, me, first, rows, by_columns)
            by_columns = True
        elif layer.mirror != 0:
            across = layer.back_across != 0
            if across or by_columns:
                meet(p, me)
            by_columns = across
            at, count, column, end = _block(p, me, across, group, own, layer.inputs, layer.ld_in)
            if count > 0 and end > column and not stopped(p):
                delta_below(p, layer, at, count, column, end - column, queue)


@inline
def _turn(p, layer, me, first, rows, by_columns):
    """delta_below of a layer without a mirror, by columns: rows of W."""
    rows = (rows + GRAIN - 1) // GRAIN * GRAIN  # a slab has room for whole grains
    if not by_columns:
        meet(p, me)
    number = me % p.columns
    column, end = share_columns(layer.outputs, p.itemsize, number, p.columns)
    end = min(end, layer.outputs)
    if end > column and not stopped(p):
        turn_delta(p, layer, first, rows, column, end - column)
    meet(p, me)
    column, end = share_columns(layer.inputs, p.itemsize, number, p.columns)
    end = min(end, layer.inputs)
    if end > column and not stopped(p):
        turned_delta(p, layer, first, rows, column, end - column, queue_of(p, me))


@kernel(INT, INT, INT, INT, INT, INT, INT, INT)
def batch_across(program, me, done, slab, order, batch, totals, step):
    """Phase 1 of thread `me`: overwrites its part of activations, deltas and row losses.

    done, slab: the slab's first row in the batch, and how many it has; the rest is that of
    `slabs.batch_in_slabs`.
    """
    p, layers = opened(program)
    first, last, begin, end = share_rows(p, me, slab)
    if last == first:
        return  # nor have the others of the group any
    group, own = (first, last - first), (begin, end - begin)
    top, row, by_columns = layers[p.layer_count - 1], done + first, False
    if p.forwarded == 0:
        by_columns = _forward(p, layers, me, group, own, order + 8 * row, step, row)
    if by_columns:
        meet(p, me)
    if end > begin and not stopped(p):
        row = done + begin
        output_delta(
            p, top, begin, end, order + 8 * row, p.targets, p.row_losses + 8 * row, batch, totals
        )
    _backward(p, layers, me, group, own)
