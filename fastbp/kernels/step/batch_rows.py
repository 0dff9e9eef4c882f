"""Phase 1 of a step, by rows of the batch: gather, forward, loss and the deltas back."""

from fastbp.kernels.machine.jit import inline, inline_early
from fastbp.kernels.machine.pointers import call
from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.step.program import GRAIN, sizes_of, stopped


@inline_early
def _streams(p, layer):
    return layer.inputs * layer.ld_out * p.itemsize >= sizes_of(p).streaming


@inline
def forward(p, layers, first, last, features, features_ld, queue, training, step, row):
    """Rows [first, last) of a slab through all layers; `features`: address of row `first`.

    Of sparse rows they are the first layer's product. step, row: the step's number and that row's
    number in the batch, for dropout.
    """
    rows = last - first
    for number in range(p.layer_count):
        if stopped(p):
            return
        layer = layers[number]
        out = layer.output + first * layer.ld_out * p.itemsize
        bias = layer.weights + layer.inputs * layer.ld_out * p.itemsize
        if number >= p.sparse:
            call(
                p.gemm,
                (features, features_ld, 1, layer.weights, layer.ld_out, bias, 0,
                 out, layer.ld_out, rows, layer.outputs, layer.inputs, p.itemsize,
                 queue, _streams(p, layer)),
            )  # fmt: skip
        panel = layer.training_forward if training else layer.forward
        if panel != 0:
            slope = layer.slope + first * layer.ld_out * p.itemsize
            call(panel, (out, slope, rows, layer.outputs, layer.ld_out))
        if layer.dropped != 0:
            to = layer.dropped + first * layer.ld_out * p.itemsize
            call(
                p.drop,
                (out, to, rows, layer.ld_out, layer.drop_threshold, p.dropout_seed, number,
                 step, row),
            )  # fmt: skip
            out = to
        features, features_ld = out, layer.ld_out


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


@inline
def _turned_delta(p, layer, first, rows, queue):
    """Rows of delta_below = D W.T as (W D.T).T: the same sums, from W instead of a mirror."""
    size = p.itemsize
    rows = (rows + GRAIN - 1) // GRAIN * GRAIN  # a slab has room for whole grains
    lanes = (rows * size + LINE - 1) // LINE * LINE // size
    delta = layer.delta + first * layer.ld_out * size
    below = layer.delta_below + first * layer.ld_in * size
    turned = layer.turned + first // GRAIN * (layer.inputs + layer.outputs) * LINE
    product = turned + layer.outputs * lanes * size
    call(p.transpose, (delta, layer.ld_out, turned, lanes, rows, layer.outputs))
    call(
        p.gemm,
        (layer.weights, layer.ld_out, 1, turned, lanes, p.zeros, 0,
         product, lanes, layer.inputs, rows, layer.outputs, size, queue, 0),
    )  # fmt: skip
    call(p.transpose, (product, lanes, below, layer.ld_in, layer.inputs, rows))


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
        offset = first * layer.ld_out * p.itemsize
        if layer.dropped != 0:
            call(
                p.drop_delta,
                (layer.delta + offset, layer.dropped + offset, rows * layer.ld_out,
                 layer.drop_threshold),
            )  # fmt: skip
        if layer.backward != 0:
            call(
                layer.backward,
                (layer.delta + offset, layer.operand + offset, rows, layer.outputs, layer.ld_out),
            )
        if layer.mirror != 0:
            below = layer.delta_below + first * layer.ld_in * p.itemsize
            call(
                p.gemm,
                (layer.delta + offset, layer.ld_out, 1, layer.mirror, layer.ld_in, p.zeros, 0,
                 below, layer.ld_in, rows, layer.inputs, layer.outputs, p.itemsize,
                 queue, _streams(p, layer)),
            )  # fmt: skip
        elif layer.turned != 0:
            _turned_delta(p, layer, first, rows, queue)


@inline
def forward_rows(p, layers, first, last, order, queue, step, row):
    """Rows [first, last) of a slab as training sees them: gathered, and through all layers."""
    entry = p.entry + first * p.entry_ld * p.itemsize
    call(
        p.gather,
        (p.features, p.features_ld, 0, order, last - first,
         entry, p.entry_ld, layers[0].inputs, p.scaling),
    )  # fmt: skip
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
