"""Phase 1 of a step, by rows of the batch: gather, forward, loss and the deltas back.

What is done of one layer takes a range of its columns, too: of many cores several share rows
(across.py). Where there are as many columns as `ld_out` or `ld_in` rows lie one behind the other.
"""

from fastbp.kernels.machine.jit import inline, inline_early
from fastbp.kernels.machine.pointers import call
from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.step.program import GRAIN, sizes_of, stopped


@inline_early
def _streams(p, depth, width):
    """Whether so many rows and columns of W or its mirror are not in the cache that is near."""
    return depth * width * p.itemsize >= sizes_of(p).streaming


@inline_early
def _activate(p, panel, values, of, rows, column, width, outputs, ld):
    """Call a panel of elements for columns [column, column + width) of some rows."""
    if width == ld:
        call(panel, (values, of, rows, outputs, ld))
    else:
        count = min(width, outputs - column)
        for r in range(rows):
            at = r * ld * p.itemsize
            call(panel, (values + at, of + at, 1, count, width))


@inline
def forward_layer(
    p, layer, number, first, rows, column, width, features, features_ld, queue, training, step, row
):
    """Columns [column, column + width) of a layer's output for rows from `first` of a slab on.

    features: the address of its inputs; of a sparse first layer the output is there but for what
    comes behind the product. width: whole cache lines. step, row: the step's number and that row's
    number in the batch, for dropout.
    """
    size, ld = p.itemsize, layer.ld_out
    offset = (first * ld + column) * size
    out, weights = layer.output + offset, layer.weights + column * size
    if number >= p.sparse:
        call(
            p.gemm,
            (features, features_ld, 1, weights, ld, weights + layer.inputs * ld * size, 0,
             out, ld, rows, min(width, layer.outputs - column), layer.inputs, size,
             queue, _streams(p, layer.inputs, width)),
        )  # fmt: skip
    panel = layer.training_forward if training else layer.forward
    if panel != 0:
        slope = layer.slope + offset
        _activate(p, panel, out, slope, rows, column, width, layer.outputs, ld)
    if layer.dropped != 0:
        call(
            p.drop,
            (out, layer.dropped + offset, rows, width, ld, column, layer.drop_threshold,
             p.dropout_seed, number, step, row),
        )  # fmt: skip


@inline_early
def seen_output(p, layer, first):
    """The address of row `first` of what the next layer sees of a layer."""
    at = first * layer.ld_out * p.itemsize
    return layer.dropped + at if layer.dropped != 0 else layer.output + at


@inline
def forward(p, layers, first, last, features, features_ld, queue, training, step, row):
    """Rows [first, last) of a slab through all layers; `features`: address of row `first`.

    Of sparse rows they are the first layer's product. step, row: the step's number and that row's
    number in the batch, for dropout.
    """
    for number in range(p.layer_count):
        if stopped(p):
            return
        layer = layers[number]
        forward_layer(
            p, layer, number, first, last - first, 0, layer.ld_out, features, features_ld,
            queue, training, step, row,
        )  # fmt: skip
        features, features_ld = seen_output(p, layer, first), layer.ld_out


@inline_early
def output_delta(p, layer, first, last, order, targets, values, batch, totals):
    """Delta of the output layer and the row losses of rows [first, last) of a slab.

    totals: address of the batch's total weights, or 0.
    """
    offset = first * layer.ld_out * p.itemsize
    call(
        p.loss,
        (layer.output + offset, layer.delta + offset, targets, order, values,
         p.loss_parameters, last - first, layer.outputs, layer.ld_out, batch, totals),
    )  # fmt: skip


@inline_early
def turned_place(p, layer, first, rows):
    """(address of D.T of rows from `first` of a slab on, of (W D.T) behind it, lanes of both)."""
    size = p.itemsize
    lanes = (rows * size + LINE - 1) // LINE * LINE // size
    turned = layer.turned + first // GRAIN * (layer.inputs + layer.outputs) * LINE
    return turned, turned + layer.outputs * lanes * size, lanes


@inline_early
def turn_delta(p, layer, first, rows, column, columns):
    """Those columns of D transposed, for rows from `first` on: whole grains."""
    size, ld = p.itemsize, layer.ld_out
    turned, _, lanes = turned_place(p, layer, first, rows)
    call(
        p.transpose,
        (layer.delta + (first * ld + column) * size, ld, turned + column * lanes * size, lanes,
         rows, columns),
    )  # fmt: skip


@inline
def turned_delta(p, layer, first, rows, column, columns, queue):
    """Those columns of delta_below = D W.T as (W D.T).T: the same sums, from W and D.T."""
    size = p.itemsize
    turned, product, lanes = turned_place(p, layer, first, rows)
    product += column * lanes * size
    call(
        p.gemm,
        (layer.weights + column * layer.ld_out * size, layer.ld_out, 1, turned, lanes, p.zeros, 0,
         product, lanes, columns, rows, layer.outputs, size, queue, 0),
    )  # fmt: skip
    below = layer.delta_below + (first * layer.ld_in + column) * size
    call(p.transpose, (product, lanes, below, layer.ld_in, columns, rows))


@inline
def slope_delta(p, layer, first, rows, column, width):
    """Columns [column, column + width) of D back through dropout and the activation."""
    ld = layer.ld_out
    offset = (first * ld + column) * p.itemsize
    delta = layer.delta + offset
    if layer.dropped != 0:
        if width == ld:
            call(p.drop_delta, (delta, layer.dropped + offset, rows * ld, layer.drop_threshold))
        else:
            for r in range(rows):
                at = r * ld * p.itemsize
                call(
                    p.drop_delta,
                    (delta + at, layer.dropped + offset + at, width, layer.drop_threshold),
                )
    if layer.backward != 0:
        operand = layer.operand + offset
        _activate(p, layer.backward, delta, operand, rows, column, width, layer.outputs, ld)


@inline
def delta_below(p, layer, first, rows, column, width, queue):
    """Columns [column, column + width) of delta_below = D M, M the mirror."""
    size, ld = p.itemsize, layer.ld_in
    below = layer.delta_below + (first * ld + column) * size
    call(
        p.gemm,
        (layer.delta + first * layer.ld_out * size, layer.ld_out, 1,
         layer.mirror + column * size, ld, p.zeros, 0, below, ld,
         rows, min(width, layer.inputs - column), layer.outputs, size,
         queue, _streams(p, layer.outputs, width)),
    )  # fmt: skip


@inline
def backward(p, layers, first, last, queue):
    """Delta of rows [first, last) from the output layer back to the first, or to its input.

    Of training, back to the lowest layer that is trained.
    """
    rows = last - first
    for back in range(p.layer_count - p.bottom):
        if stopped(p):
            return
        layer = layers[p.layer_count - 1 - back]
        slope_delta(p, layer, first, rows, 0, layer.ld_out)
        if layer.mirror != 0:
            delta_below(p, layer, first, rows, 0, layer.ld_in, queue)
        elif layer.turned != 0:
            whole = (rows + GRAIN - 1) // GRAIN * GRAIN  # a slab has room for whole grains
            turn_delta(p, layer, first, whole, 0, layer.outputs)
            turned_delta(p, layer, first, whole, 0, layer.inputs, queue)


@inline_early
def gather_rows(p, layers, first, rows, order):
    """Rows from `first` of a slab on as training sees them; of sparse ones the first product."""
    call(
        p.gather,
        (p.features, p.features_ld, 0, order, rows,
         p.entry + first * p.entry_ld * p.itemsize, p.entry_ld, layers[0].inputs, p.scaling),
    )  # fmt: skip


@inline
def forward_rows(p, layers, first, last, order, queue, step, row):
    """Rows [first, last) of a slab as training sees them: gathered, and through all layers."""
    gather_rows(p, layers, first, last - first, order)
    entry = p.entry + first * p.entry_ld * p.itemsize
    forward(p, layers, first, last, entry, p.entry_ld, queue, True, step, row)


@inline
def rows_phase(p, layers, first, last, order, values, batch, totals, queue, step, row):
    """Phase 1 of rows [first, last) of the activations: from gather to the deltas.

    values: the address of their losses.
    """
    if p.forwarded == 0:
        forward_rows(p, layers, first, last, order, queue, step, row)
    top = layers[p.layer_count - 1]
    output_delta(p, top, first, last, order, p.targets, values, batch, totals)
    backward(p, layers, first, last, queue)
