"""Steps of small networks: each thread goes through both phases alone, with parts of the batch.

A part has a gradient of its own. They are added up in order, so the bits do not depend on the team.
"""

import math

from numba import carray

from fastbp.kernels.machine.fields import float64s_at
from fastbp.kernels.machine.jit import INT, inline, inline_early, kernel
from fastbp.kernels.machine.pointers import call, load_acquire, store_release
from fastbp.kernels.machine.simd import row_sum
from fastbp.kernels.machine.team import STOP_EARLY, share
from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.step.batch_rows import rows_phase
from fastbp.kernels.step.program import (
    GRAIN,
    opened,
    queue_of,
    sizes_of,
    stopped,
    tell_stop,
    wait,
)
from fastbp.kernels.step.weight_rows import few_outputs, mirror, strip_of_few, update_run


@inline
def _add_gradient(p, layer, base, rows, opening, to, me):
    """The whole gradient of a layer from `rows` rows of the activations: put at `to`, or added."""
    size, ld, queue = p.itemsize, layer.ld_out, queue_of(p, me)
    delta = layer.delta + base * ld * size
    if few_outputs(layer, size):
        scratch, height = p.scratch + me * p.scratch_bytes, sizes_of(p).few_strip
        for row in range(0, layer.inputs, height):
            count = min(height, layer.inputs - row)
            at = to + row * ld * size
            strip = at if opening else scratch + height * LINE
            strip_of_few(p, layer, base, row, count, rows, scratch, strip, queue)
            if not opening:
                call(p.add_parts, (at, strip - at, 2, count * ld))
    else:
        start, start_ld = (p.zeros, 0) if opening else (to, ld)
        call(
            p.gemm,
            (layer.below + base * layer.ld_in * size, 1, layer.ld_in, delta, ld, start, start_ld,
             to, ld, layer.inputs, layer.outputs, rows, size, queue, 0),
        )  # fmt: skip
    biases = to + layer.inputs * ld * size
    call(p.column_sums, (delta, ld, rows, ld, p.zeros if opening else biases, biases, size))


@inline
def _part(p, layers, me, number, parts, order, batch, totals, step):
    """Part `number` of a long batch, slab by slab: its gradient and the sum of its losses."""
    total, queue = 0.0, queue_of(p, me)
    begin, end = share(batch, GRAIN, number, parts)
    for done in range(begin, end, p.slab):
        if stopped(p):
            return total
        rows = min(p.slab, end - done)
        first = me * p.slab
        at, values = order + 8 * done, p.row_losses + 8 * done
        rows_phase(p, layers, first, first + rows, at, values, batch, totals, queue, step, done)
        total += row_sum(float64s_at(values), rows)
        for n in range(p.bottom, p.layer_count):
            to = layers[n].gradient + number * p.part_bytes
            _add_gradient(p, layers[n], first, rows, done == begin, to, me)
    return total


@inline
def _join_run(p, layer, parameters, gradient, weights, count, parts, coefficients):
    """A run of parameters: the sum of the parts' gradients, in order, and the update.

    weights: how many of the `count` parameters are weights; those behind are biases.
    """
    if parts > 1:
        call(p.add_parts, (gradient, p.part_bytes, parts, count))
    if p.updating:
        update_run(p, layer, parameters, gradient, weights, count, coefficients)


@inline
def join(p, layer, me, parts, coefficients):
    """Thread `me`'s rows of one layer; its last thread has the biases too."""
    if layer.frozen != 0:
        return
    first, last = share(layer.inputs, GRAIN, me, p.team)
    at = first * layer.ld_out * p.itemsize
    weights = (last - first) * layer.ld_out
    count = weights + (layer.ld_out if me == p.team - 1 else 0)
    to, gradient = layer.weights + at, layer.gradient + at
    _join_run(p, layer, to, gradient, weights, count, parts, coefficients)
    if p.updating:
        mirror(p, layer, first, last - first, 0, layer.outputs)


@inline
def _join_all(p, layers, parts, coefficients):
    """All parameters as one run, for a thread that is alone and need not tell biases apart."""
    count = p.part_bytes // p.itemsize
    _join_run(p, layers[0], p.state, layers[0].gradient, count, count, parts, coefficients)
    if p.updating:
        for n in range(p.layer_count):
            mirror(p, layers[n], 0, layers[n].inputs, 0, layers[n].outputs)


@inline_early
def _parts(p, layers, me, order, batch, totals, coefficients, step):
    """See `batch_in_parts`; returns (mean loss, whether the step was made)."""
    part_losses = carray(float64s_at(p.part_losses), (p.parts,))
    parts = min(p.parts, (batch + GRAIN - 1) // GRAIN)  # none is empty
    first, last = share(parts, 1, me, p.team)
    for number in range(first, last):
        part_losses[number] = _part(p, layers, me, number, parts, order, batch, totals, step)
    if stopped(p):
        store_release(p.shared + 8 * STOP_EARLY, 1)
    wait(p)
    if load_acquire(p.shared + 8 * STOP_EARLY) != 0:
        return 0.0, False
    total = 0.0
    for number in range(parts):
        total += part_losses[number]
    if not math.isfinite(total):
        return total / batch, False
    if p.team == 1 and p.penalize == 0 and p.grouped == 0:
        _join_all(p, layers, parts, coefficients)
    else:
        for n in range(p.layer_count):
            join(p, layers[n], me, parts, coefficients)
    if me == 0:
        tell_stop(p, True)
    wait(p)
    return total / batch, True


@kernel(INT, INT, INT, INT, INT, INT, INT, INT, INT)
def batch_in_parts(program, me, order, batch, totals, following, coefficients, step, outcome):
    """`slabs.batch_in_slabs` of a small network: a thread has whole parts of the batch."""
    p, layers = opened(program)
    to = carray(float64s_at(outcome), (2,))
    to[0], to[1] = _parts(p, layers, me, order, batch, totals, coefficients, step)
