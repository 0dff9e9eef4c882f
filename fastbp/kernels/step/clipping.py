"""The end of a step that needs more than a strip: clipping by global norm, and maximum norms.

Clipping keeps the whole gradient in the flat buffer until its norm is known, and the update comes
after that. Both wait at barriers of their own, which other steps do not have.
"""

import math

from numba import carray

from fastbp.kernels.machine.fields import float64s_at
from fastbp.kernels.machine.jit import INT, REAL, inline, kernel
from fastbp.kernels.machine.pointers import advance, call, pointer_to
from fastbp.kernels.machine.simd import fma, row_sum, square_sum
from fastbp.kernels.machine.team import share
from fastbp.kernels.machine.vecmath import like
from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.panels.panels import run
from fastbp.kernels.panels.penalties import CLIP_NORM, MAX_NORM, SETTINGS
from fastbp.kernels.product.sums import column_square_sums
from fastbp.kernels.step.program import GRAIN, opened, wait
from fastbp.kernels.step.weight_rows import mirror, penalize_run, refresh_mirrors

BLOCK = 4096  # elements of the flat gradient whose squares are added up by one thread
COLUMNS = 1024  # of W whose norms are found together, at the most


@inline
def _penalize_share(p, layers, me, coefficients):
    """Thread `me`'s rows of all layers, before the norm is taken."""
    for n in range(p.layer_count):
        layer = layers[n]
        if layer.frozen != 0:
            continue
        first, last = share(layer.inputs, GRAIN, me, p.team)
        at, weights = first * layer.ld_out * p.itemsize, (last - first) * layer.ld_out
        count = weights + (layer.ld_out if me == p.team - 1 else 0)
        penalize_run(p, layer.weights + at, layer.gradient + at, weights, count, coefficients)
    wait(p, me)


@inline
def _clear_frozen(p, layers, me, state):
    """Zeros in the place of the gradient of layers that are not trained, thread `me`'s share."""
    for n in range(p.layer_count):
        if layers[n].frozen != 0:
            first, last = share((layers[n].inputs + 1) * layers[n].ld_out, LINE, me, p.team)
            run(advance(pointer_to(layers[n].gradient, state), first), last - first)[:] = 0
    wait(p, me)


@inline
def _norm(p, gradient, count, me):
    """The Euclidean norm of the whole gradient, found by the team in an order of its own."""
    blocks = (count + BLOCK - 1) // BLOCK
    sums = carray(float64s_at(p.square_sums), (blocks,))
    first, last = share(blocks, 1, me, p.team)
    for block in range(first, last):
        at = block * BLOCK
        sums[block] = square_sum(advance(gradient, at), min(BLOCK, count - at))
    wait(p, me)
    return math.sqrt(row_sum(float64s_at(p.square_sums), blocks))


@inline
def _scale_and_update(p, layer, gradient, count, me, coefficients, factor):
    """Thread `me`'s share of `count` parameters from a layer's on."""
    first, last = share(count, LINE, me, p.team)
    mine = run(advance(gradient, first), last - first)
    if not factor >= 1:  # NaN goes on into the parameters, as in PyTorch
        for i in range(mine.size):
            mine[i] *= like(mine[i], factor)
    at = first * p.itemsize
    call(
        p.update,
        (layer.weights + at, layer.gradient + at, p.slot_bytes, last - first,
         coefficients + layer.rates),
    )  # fmt: skip


@inline
def _clip_and_update(p, layers, me, coefficients, state, bound):
    """Scale the whole gradient so that its norm is at most `bound`, and update by shares.

    The factor is that of ``torch.nn.utils.clip_grad_norm_``, its 1e-6 included.
    """
    count = p.part_bytes // p.itemsize
    gradient = pointer_to(layers[0].gradient, state)
    if p.grouped != 0:
        _clear_frozen(p, layers, me, state)
    if p.penalize != 0:
        _penalize_share(p, layers, me, coefficients)
    factor = bound / (_norm(p, gradient, count, me) + 1e-6)
    if p.grouped == 0:
        _scale_and_update(p, layers[0], gradient, count, me, coefficients, factor)
        return
    for n in range(p.layer_count):
        layer = layers[n]
        if layer.frozen == 0:
            count = (layer.inputs + 1) * layer.ld_out
            own = pointer_to(layer.gradient, state)
            _scale_and_update(p, layer, own, count, me, coefficients, factor)


@inline
def _huge_norm_factor(weights, ld, rows, bound):
    """bound / the norm of a column whose squares overflow, in units of its greatest element."""
    column = carray(weights, (rows, ld))
    top, total = like(bound, 1.0), like(bound, 0.0)
    for r in range(rows):
        top = max(top, abs(column[r, 0]))
    for r in range(rows):
        part = column[r, 0] / top
        total = fma(part, part, total)
    return bound / top / math.sqrt(total)


@inline
def _limit_columns(p, layer, column, columns, scratch, bound):
    """Scale down each of some columns of W whose norm is above `bound`; whether there is one.

    The factor is that of ``torch.renorm``, its 1e-7 included. scratch: overwritten.
    """
    size, ld = p.itemsize, layer.ld_out
    at = pointer_to(layer.weights + column * size, scratch)
    factors = run(scratch, columns)
    factors[:] = 0
    column_square_sums(at, ld, layer.inputs, columns, scratch, scratch, size)
    above = False
    for j in range(columns):
        norm = math.sqrt(factors[j])
        factors[j] = like(norm, 1.0)
        if norm > bound:
            factors[j], above = bound / (norm + like(norm, 1e-7)), True
            if norm == math.inf:
                factors[j] = _huge_norm_factor(advance(at, j), ld, layer.inputs, bound)
    if above:
        for r in range(layer.inputs):
            row = run(advance(at, r * ld), columns)
            for j in range(columns):
                row[j] *= factors[j]
    return above


@inline
def _limit_norms(p, layers, me, scratch, bound):
    """Thread `me`'s columns of all layers, in whole cache lines, and their mirrors."""
    line = LINE // p.itemsize
    for n in range(p.layer_count):
        layer = layers[n]
        if layer.frozen != 0:
            continue
        first, last = share((layer.outputs + line - 1) // line * line, line, me, p.team)
        for column in range(first, last, COLUMNS):
            columns = min(COLUMNS, last - column)
            above = _limit_columns(p, layer, column, columns, scratch, bound)
            if above or not p.updating:
                width = min(columns, layer.outputs - column)
                mirror(p, layer, 0, layer.inputs, column, width)


@kernel(INT, INT, INT, REAL)
def finish(program, me, coefficients, state):
    """What is left of a step behind phase 2, for every thread of the team.

    With `updating` 0 phase 2 has left the gradient in the flat buffer: it is clipped by its norm,
    then the parameters are updated. After that the columns of W, the weights of each unit's
    inputs, are scaled down to the maximum norm, if there is one. state: the program's, which tells
    the element type.
    """
    p, layers = opened(program)
    settings = carray(float64s_at(p.settings), (SETTINGS,))
    if not p.updating:
        _clip_and_update(p, layers, me, coefficients, state, settings[CLIP_NORM])
        wait(p, me)
    if settings[MAX_NORM] > 0:
        scratch = pointer_to(p.scratch + me * p.scratch_bytes, state)
        bound = like(carray(state, (1,))[0], settings[MAX_NORM])
        _limit_norms(p, layers, me, scratch, bound)
    else:
        refresh_mirrors(p, layers, me)
    wait(p, me)
