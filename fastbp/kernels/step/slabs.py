"""One step: two phases and two barriers, over the slabs of a batch, which the team shares.

Phase 1, by rows of the batch: gather, forward through all layers, loss, deltas back. Phase 2, by
rows of every weight matrix: the gradient of a strip of rows, the update of these rows at once,
and their columns of the mirror (W transposed) that the next phase 1 reads. A batch longer than a
slab goes through both phases slab by slab, its gradient adding up in a flat buffer.

Every number is computed by one thread in one order, so the bits depend neither on the team nor, for
slabs of multiples of 8 rows, on how the batch is cut: the losses of rows are added up once, behind
the last slab.
"""

import math

from numba import carray

from fastbp.kernels.machine.fields import float64s_at
from fastbp.kernels.machine.jit import INT, inline_early, kernel
from fastbp.kernels.machine.pointers import call, load_acquire, store_release
from fastbp.kernels.machine.simd import row_sum
from fastbp.kernels.machine.team import STOP_EARLY, STOP_SEEN, share
from fastbp.kernels.product import ahead
from fastbp.kernels.step.batch_rows import rows_phase
from fastbp.kernels.step.program import GRAIN, opened, queue_of, stopped, tell_stop, wait
from fastbp.kernels.step.weight_rows import gradient_and_update, idle_turns


@inline_early
def _slabs(p, layers, me, order, batch, totals, following, coefficients, step):
    """See `batch_in_slabs`; returns (mean loss, whether the step was made)."""
    total, done, queue = 0.0, 0, queue_of(p, me)
    ahead.clear(queue)
    while done < batch:
        slab = min(p.slab, batch - done)
        first, last = share(slab, GRAIN, me, p.team)
        if last > first:
            row = done + first
            values = p.row_losses + 8 * row
            rows_phase(
                p, layers, first, last, order + 8 * row, values, batch, totals, queue, step, row
            )
            # Who was stopped on the way says so. The word is written before this barrier alone and
            # read behind it alone, so that all members see the same.
            if stopped(p):
                store_release(p.shared + 8 * STOP_EARLY, 1)
        wait(p)
        if load_acquire(p.shared + 8 * STOP_EARLY) != 0:
            return 0.0, False
        opening, closing = done == 0, done + slab == batch
        if closing:
            # Every thread adds up all losses, in one order, and so comes to the same decision.
            total = row_sum(float64s_at(p.row_losses), batch)
            if not math.isfinite(total):
                return total / batch, False
        after = min(p.slab, batch - done - slab if not closing else min(batch, following))
        first, last = share(after, GRAIN, me, p.team)
        turns = idle_turns(p, layers, me, slab)
        ahead.announce(queue, order + 8 * (done + slab + first), last - first, turns)
        for back in range(p.layer_count - p.sparse):
            layer = layers[p.layer_count - 1 - back]
            gradient_and_update(p, layer, me, slab, opening, closing, coefficients)
        if p.sparse:
            call(
                p.sparse_step,
                (p.features, layers[0].delta, me, order + 8 * done, slab, opening, closing,
                 coefficients, order + 8 * batch, min(p.batch, following)),
            )  # fmt: skip
        if me == 0:
            tell_stop(p, closing)
        wait(p)
        done += slab
        if not closing and load_acquire(p.shared + 8 * STOP_SEEN) != 0:
            return 0.0, False
    return total / batch, True


@kernel(INT, INT, INT, INT, INT, INT, INT, INT, INT)
def batch_in_slabs(program, me, order, batch, totals, following, coefficients, step, outcome):
    """One step of thread `me`: overwrites parameters, slots, and float64[2] at `outcome`.

    outcome: the mean loss; 1 if the step was made. It is not when the loss is not finite, or when
    the team was asked to stop. order, totals, coefficients: addresses of the batch's row numbers,
    total weights (or 0) and numbers of the update; following: how many rows come after this
    batch; step: the step's number.
    """
    p, layers = opened(program)
    to = carray(float64s_at(outcome), (2,))
    to[0], to[1] = _slabs(p, layers, me, order, batch, totals, following, coefficients, step)
