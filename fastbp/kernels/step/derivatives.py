"""Outputs as training sees them, updates by given gradients, and derivatives of single rows."""

from numba import carray

from fastbp.kernels.machine.fields import words_at
from fastbp.kernels.machine.jit import INT, inline, kernel
from fastbp.kernels.machine.pointers import call
from fastbp.kernels.machine.team import share
from fastbp.kernels.product import ahead
from fastbp.kernels.step.batch_rows import backward, forward_rows, output_delta
from fastbp.kernels.step.parts import join
from fastbp.kernels.step.program import GRAIN, opened, queue_of, stopped, wait
from fastbp.kernels.step.weight_rows import refresh_mirrors


@kernel(INT, INT)
def forward_batch(program, me):
    """Overwrites the activations of the slab and `predictions`, with the next step's dropout.

    What `train` and `differentiate` leave out where `forwarded` says so, if the slab holds the
    whole batch.
    """
    p, layers = opened(program)
    top, queue = layers[p.layer_count - 1], queue_of(p, me)
    step = carray(words_at(p.step_counter), (1,))[0]
    ahead.begin(queue, 0, 0, 0, 0)
    for done in range(0, p.rows, p.slab):
        first, last = share(min(p.slab, p.rows - done), GRAIN, me, p.team)
        if last > first and not stopped(p):
            row = done + first
            forward_rows(p, layers, first, last, p.order + 8 * row, queue, step, row)
            out = top.output + first * top.ld_out * p.itemsize
            to = p.predictions + row * top.outputs * p.itemsize
            call(p.copy_rows, (out, top.ld_out, to, top.outputs, last - first, top.outputs))


@kernel(INT, INT)
def apply(program, me):
    """One step by the gradient in the flat buffer, with all that comes behind one."""
    p, layers = opened(program)
    for number in range(p.layer_count):
        join(p, layers[number], me, 1, p.coefficients)
    wait(p, me)
    if p.finish != 0:
        call(p.finish, (program, me, p.coefficients, p.state))
    if me == 0:
        carray(words_at(p.step_counter), (1,))[0] += 1


@inline
def _each(p, layers, at, row, rows):
    """The gradients of rows that lie at `at` in the slab and are `row` and on of all rows."""
    size = p.itemsize
    for number in range(p.layer_count):
        layer = layers[number]
        biases = row * layer.outputs * size
        call(
            p.outer,
            (layer.below + at * layer.ld_in * size, layer.ld_in,
             layer.delta + at * layer.ld_out * size, layer.ld_out,
             layer.sample_weights + layer.inputs * biases, layer.sample_biases + biases,
             rows, layer.inputs, layer.outputs),
        )  # fmt: skip


@kernel(INT, INT)
def differentiate_rows(program, me):
    """Overwrites `predictions` by slopes of inputs, or where there are such samples' gradients.

    As in `step.predict`, each thread takes its rows through its own part of the slab. Where outputs
    are differentiated one by one there are several ways back for one way forward.
    """
    p, layers = opened(program)
    refresh_mirrors(p, layers, me)
    wait(p, me)
    bottom, top, queue = layers[0], layers[p.layer_count - 1], queue_of(p, me)
    active = min(p.team, p.slab // GRAIN)
    if me >= active:
        return
    piece = p.slab // active // GRAIN * GRAIN
    at, size = me * piece, p.itemsize
    first, last = share(p.rows, GRAIN, me, active)
    ahead.begin(queue, 0, 0, 0, 0)
    for row in range(first, last, piece):
        if stopped(p):
            return
        rows, order = min(piece, last - row), p.order + 8 * row
        forward_rows(p, layers, at, at + rows, order, queue, 0, row)
        for number in range(p.passes):
            values = p.row_losses + 8 * row
            output_delta(
                p, top, at, at + rows, order, p.targets + number, values, p.batch, p.totals
            )
            backward(p, layers, at, at + rows, queue)
            if p.predictions != 0:
                across = p.passes * bottom.inputs
                call(
                    p.copy_scaled,
                    (bottom.delta_below + at * bottom.ld_in * size, bottom.ld_in,
                     p.predictions + (row * across + number * bottom.inputs) * size, across,
                     rows, bottom.inputs, p.scaling),
                )  # fmt: skip
        if p.predictions == 0:
            _each(p, layers, at, row, rows)
