"""Products of second derivatives with a direction: Gauss-Newton's, and the whole Hessian's.

Pearlmutter's R-operator (1994): beside each number goes its derivative along the direction, through
the same products and panels. For Gauss-Newton that is a way forward; what the loss's second
derivative makes of it goes back as any delta does. For the Hessian the way back has both, too.
"""

from numba import carray

from fastbp.kernels.machine.fields import words_at
from fastbp.kernels.machine.jit import INT, inline, kernel
from fastbp.kernels.machine.pointers import call, load_acquire, store_release
from fastbp.kernels.machine.team import STOP_EARLY, share
from fastbp.kernels.product import ahead
from fastbp.kernels.step.batch_rows import backward, output_delta
from fastbp.kernels.step.program import GRAIN, layers_at, opened, queue_of, stopped, wait
from fastbp.kernels.step.weight_rows import gradient_and_update, refresh_mirrors


@inline
def _copy(source, to, size):
    """A block of whole words."""
    words, copies = carray(words_at(source), (size // 8,)), carray(words_at(to), (size // 8,))
    for i in range(words.size):
        copies[i] = words[i]


@inline
def _product(p, a, a_ld, b, b_ld, start, start_ld, to, to_ld, rows, columns, depth, queue):
    call(
        p.gemm,
        (a, a_ld, 1, b, b_ld, start, start_ld, to, to_ld, rows, columns, depth, p.itemsize,
         queue, 0),
    )  # fmt: skip


@inline
def _forward(p, layers, tangents, first, last, order, queue):
    """Activations, and the derivative of each along the direction.

    Where there are second derivatives, the tangents' slopes are f''(z) times that of z.
    """
    rows, size = last - first, p.itemsize
    call(
        p.gather,
        (p.features, p.features_ld, 0, order, rows,
         p.entry + first * p.entry_ld * size, p.entry_ld, layers[0].inputs, p.scaling),
    )  # fmt: skip
    for number in range(p.layer_count):
        layer, tangent = layers[number], tangents[number]
        inputs, outputs, ld_in, ld = layer.inputs, layer.outputs, layer.ld_in, layer.ld_out
        below, offset = layer.below + first * ld_in * size, first * ld * size
        out, change, biases = layer.output + offset, tangent.output + offset, inputs * ld * size
        _product(p, below, ld_in, layer.weights, ld, layer.weights + biases, 0,
                 out, ld, rows, outputs, inputs, queue)  # fmt: skip
        _product(p, below, ld_in, tangent.weights, ld, tangent.weights + biases, 0,
                 change, ld, rows, outputs, inputs, queue)  # fmt: skip
        if number > 0:
            before = tangents[number - 1].output + first * ld_in * size
            _product(p, before, ld_in, layer.weights, ld, change, ld,
                     change, ld, rows, outputs, inputs, queue)  # fmt: skip
        if tangent.forward != 0:
            bend = tangent.slope + offset
            _copy(out, bend, rows * ld * size)
            call(tangent.forward, (bend, bend, rows, outputs, ld))
            call(p.multiply, (bend, change, rows, outputs, ld))
        if layer.training_forward != 0:
            call(layer.training_forward, (out, layer.slope + offset, rows, outputs, ld))
        if layer.backward != 0:
            call(layer.backward, (change, layer.operand + offset, rows, outputs, ld))


@inline
def _curve(p, top, tangent, to, first, last, order):
    """At `to`: the second derivative of the loss in the outputs, times their change."""
    rows, offset = last - first, first * top.ld_out * p.itemsize
    if p.curve_whole != 0:
        _copy(tangent.output + offset, to + offset, rows * top.ld_out * p.itemsize)
    call(
        p.curve,
        (top.output + offset, to + offset, p.targets, order, p.row_losses + 8 * first,
         p.curve_parameters, rows, top.outputs, top.ld_out, p.rows, p.totals),
    )  # fmt: skip
    if p.curve_whole == 0:
        call(p.multiply, (to + offset, tangent.output + offset, rows, top.outputs, top.ld_out))


@inline
def _backward(p, layers, tangents, first, last, queue):
    """Deltas, and the derivative of each along the direction."""
    rows, size = last - first, p.itemsize
    for back in range(p.layer_count):
        number = p.layer_count - 1 - back
        layer, tangent = layers[number], tangents[number]
        inputs, outputs, ld_in, ld = layer.inputs, layer.outputs, layer.ld_in, layer.ld_out
        offset, at = first * ld * size, first * ld_in * size
        delta, change = layer.delta + offset, tangent.delta + offset
        bend = tangent.slope + offset
        if tangent.forward != 0:
            call(p.multiply, (bend, delta, rows, outputs, ld))
        if layer.backward != 0:
            call(layer.backward, (delta, layer.operand + offset, rows, outputs, ld))
            call(layer.backward, (change, layer.operand + offset, rows, outputs, ld))
        if tangent.forward != 0:
            call(p.add_parts, (change, bend - change, 2, rows * ld))
        if number > 0:
            below, changing = layer.delta_below + at, tangent.delta_below + at
            _product(p, change, ld, layer.mirror, ld_in, p.zeros, 0,
                     changing, ld_in, rows, inputs, outputs, queue)  # fmt: skip
            _product(p, delta, ld, tangent.mirror, ld_in, changing, ld_in,
                     changing, ld_in, rows, inputs, outputs, queue)  # fmt: skip
            _product(p, delta, ld, layer.mirror, ld_in, p.zeros, 0,
                     below, ld_in, rows, inputs, outputs, queue)  # fmt: skip


@inline
def _rows(p, layers, tangents, first, last, order, queue):
    """Phase 1 of rows [first, last) of the slab."""
    top, change = layers[p.layer_count - 1], tangents[p.layer_count - 1]
    _forward(p, layers, tangents, first, last, order, queue)
    if p.curving == 0:
        _curve(p, top, change, top.delta, first, last, order)
        backward(p, layers, first, last, queue)
        return
    _curve(p, top, change, change.delta, first, last, order)
    values = p.row_losses + 8 * first
    output_delta(p, top, first, last, order, p.targets, values, p.rows, p.totals)
    _backward(p, layers, tangents, first, last, queue)


@inline
def _add_changed(p, layer, before, me, slab, queue):
    """What the change of a layer's input adds to the change of its gradient: that times delta."""
    size, ld = p.itemsize, layer.ld_out
    first, last = share(layer.inputs, GRAIN, me, p.team)
    if last > first:
        to = layer.gradient + first * ld * size
        call(
            p.gemm,
            (before + first * size, 1, layer.ld_in, layer.delta, ld, to, ld,
             to, ld, last - first, layer.outputs, slab, size, queue, 0),
        )  # fmt: skip


@kernel(INT, INT)
def curvature(program, me):
    """The flat gradient is overwritten by the product of the direction with second derivatives."""
    p, layers = opened(program)
    tangents = carray(layers_at(p.tangents), (p.layer_count,))
    queue = queue_of(p, me)
    ahead.begin(queue, 0, 0, 0, 0)
    refresh_mirrors(p, layers, me)
    refresh_mirrors(p, tangents, me)
    wait(p, me)
    for done in range(0, p.rows, p.slab):
        slab = min(p.slab, p.rows - done)
        first, last = share(slab, GRAIN, me, p.team)
        if last > first:
            _rows(p, layers, tangents, first, last, p.order + 8 * (done + first), queue)
            if stopped(p):  # as in slabs.py
                store_release(p.shared + 8 * STOP_EARLY, 1)
        wait(p, me)
        if load_acquire(p.shared + 8 * STOP_EARLY) != 0:
            return
        opening, closing = done == 0, done + slab == p.rows
        for number in range(p.layer_count):
            layer = tangents[number] if p.curving != 0 else layers[number]
            gradient_and_update(p, layer, me, slab, opening, closing, p.coefficients)
            if p.curving != 0 and number > 0:
                _add_changed(p, layers[number], tangents[number - 1].output, me, slab, queue)
        wait(p, me)
