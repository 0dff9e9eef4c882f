"""What a call of a kernel does: many steps, one gradient, or predictions; everything by address.

The code here moves addresses alone: products, behaviours and element types are the kernels' it
calls, and whether a batch goes by `slabs.py` or by `parts.py` is written in the program.
"""

import math

from numba import carray

from fastbp.kernels.machine.fields import float64s_at, words_at
from fastbp.kernels.machine.jit import INT, inline, inline_early, kernel
from fastbp.kernels.machine.pointers import address_of, call, load_acquire, stack_array
from fastbp.kernels.machine.team import STOP_SEEN, share
from fastbp.kernels.product import ahead
from fastbp.kernels.step.batch_rows import forward, output_delta
from fastbp.kernels.step.penalty import penalty, sum_squares
from fastbp.kernels.step.program import GRAIN, opened, queue_of, stopped, wait
from fastbp.kernels.step.weight_rows import refresh_mirrors

_outcome = stack_array(2)


@inline_early
def _batch(p, program, me, order, batch, totals, following, coefficients, step):
    """See `slabs.batch_in_slabs`; returns (mean loss, whether the step was made)."""
    place = _outcome(float64s_at(0))
    outcome = carray(place, (2,))
    call(
        p.batch_kernel,
        (program, me, order, batch, totals, following, coefficients, step,
         address_of(place)),
    )  # fmt: skip
    return outcome[0], outcome[1] != 0


@inline_early
def _carry(carried, total, mass, loss, penalties):
    """Leave behind what has come together of an epoch, and the loss of the last step."""
    to = carray(carried, (4,))
    to[0], to[1], to[2], to[3] = total, mass, loss, penalties


@inline
def _begin(p, layers, me):
    """What comes before the first batch: an empty queue, and all mirrors anew."""
    ahead.begin(queue_of(p, me), p.features, p.feature_bytes, p.targets, p.target_bytes)
    refresh_mirrors(p, layers, me)
    wait(p, me)


@kernel(INT, INT)
def train(program, me):
    """Epochs of batches; overwrites parameters, slots, epoch_losses and the record's last fields.

    Begins in the first epoch at `first_row`. Ends early, after whole steps, when `most_steps` are
    made, when STOP is set, or PAUSE and `least_steps` are made, or when a batch's loss is not
    finite: then failed_epoch and failed_step say where.
    """
    p, layers = opened(program)
    # These move on while others may still be in the step before.
    before, carried = carray(words_at(p.step_counter), (1,))[0], float64s_at(p.carried)
    total, mass = carray(carried, (2,))[0], carray(carried, (2,))[1]
    penalties = carray(carried, (4,))[3]
    _begin(p, layers, me)
    epoch_losses = carray(float64s_at(p.epoch_losses), (p.epochs,))
    done, loss = 0, 0.0
    for epoch in range(p.epochs):
        ending = False
        for row in range(p.first_row if epoch == 0 else 0, p.rows, p.batch):
            batch = min(p.batch, p.rows - row)
            order = p.order + 8 * (epoch * p.order_rows + row)
            coefficients = p.coefficients + 8 * p.coefficient_count * done
            totals = p.totals + 8 * p.total_count * done
            following = p.epochs * p.rows - epoch * p.rows - row - batch
            sum_squares(p, layers, me, done)
            loss, made = _batch(
                p, program, me, order, batch, totals, following, coefficients, before + done
            )
            if not made:
                if me == 0:
                    if not math.isfinite(loss):
                        p.failed_epoch, p.failed_step = epoch, row // p.batch
                    _carry(carried, total, mass, loss, penalties)
                return
            if p.finish != 0:
                call(p.finish, (program, me, coefficients, p.state))
            extra = penalty(p, coefficients, done) if me == 0 else 0.0
            loss += extra
            done += 1
            # Of several tasks each has a total; what their losses make together counts by rows.
            own = p.total_count == 1 and p.by_rows == 0
            weight = carray(float64s_at(totals), (1,))[0] if own else float(batch)
            total, mass = total + loss * weight, mass + weight
            penalties += extra * weight
            if me == 0:
                carray(words_at(p.step_counter), (1,))[0] += 1
            seen = load_acquire(p.shared + 8 * STOP_SEEN)
            ending = done == p.most_steps or seen & 1 != 0 or (seen != 0 and done >= p.least_steps)
            if ending:
                if row + batch < p.rows:
                    if me == 0:
                        _carry(carried, total, mass, loss, penalties)
                    return
                break
        if me == 0:
            epoch_losses[epoch] = total / mass if mass > 0 else 0.0
            if p.epoch_penalties != 0:
                of_epochs = carray(float64s_at(p.epoch_penalties), (p.epochs,))
                of_epochs[epoch] = penalties / mass if mass > 0 else 0.0
            _carry(carried, 0.0, 0.0, loss, 0.0)
        if ending:
            return
        total, mass, penalties = 0.0, 0.0, 0.0


@kernel(INT, INT)
def differentiate(program, me):
    """The split step: mean loss and whole gradient of one batch of `rows`; parameters stay."""
    p, layers = opened(program)
    _begin(p, layers, me)
    step = carray(words_at(p.step_counter), (1,))[0]  # of dropout, where there is any
    loss, _ = _batch(p, program, me, p.order, p.rows, p.totals, 0, p.coefficients, step)
    if me == 0:
        carray(float64s_at(p.epoch_losses), (1,))[0] = loss


@kernel(INT, INT)
def predict(program, me):
    """Overwrites `predictions`, and row_losses where there are targets; no thread waits.

    Each thread takes its share of all rows through its own part of the slab, piece by piece, and
    ends early when STOP is set or when a feature is not finite, which it looks for while the rows
    are in its cache.
    """
    p, layers = opened(program)
    top, queue = layers[p.layer_count - 1], queue_of(p, me)
    active = min(p.team, p.slab // GRAIN)
    if me >= active:
        return
    piece = p.slab // active // GRAIN * GRAIN
    at = me * piece  # where this thread's part of the slab begins
    out = top.output + at * top.ld_out * p.itemsize
    first, last = share(p.rows, GRAIN, me, active)
    ahead.begin(queue, 0, 0, 0, 0)
    for row in range(first, last, piece):
        if stopped(p):
            return
        rows = min(piece, last - row)
        features, features_ld = p.features + row * p.feature_bytes, p.features_ld
        if p.gather != 0:
            entry = p.entry + at * p.entry_ld * p.itemsize
            call(
                p.gather,
                (p.features, features_ld, row, p.order, rows,
                 entry, p.entry_ld, layers[0].inputs, p.scaling),
            )  # fmt: skip
            features, features_ld = entry, p.entry_ld
        if p.check != 0:
            call(p.check, (features, rows * features_ld, p.not_finite))
            if load_acquire(p.not_finite) != 0:
                return
        training = p.targets != 0  # the loss may want the outputs before their activation
        ahead.clear(queue)
        forward(p, layers, at, at + rows, features, features_ld, queue, training, 0, 0)
        if training:
            values = p.row_losses + 8 * row
            output_delta(p, top, at, at + rows, p.order + 8 * row, p.targets, values, 1, 0)
            if top.forward != 0 and top.training_forward == 0:  # the loss took logits
                call(top.forward, (out, 0, rows, top.outputs, top.ld_out))
        call(
            p.copy_rows,
            (out, top.ld_out, p.predictions + row * top.outputs * p.itemsize, top.outputs,
             rows, top.outputs),
        )  # fmt: skip
