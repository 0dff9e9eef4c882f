"""The step: two phases and two barriers, many steps in one call, everything by address.

Phase 1, by rows of the batch: gather, forward through all layers, loss, deltas back. Phase 2, by
rows of every weight matrix: the gradient of a strip of rows, the update of these rows at once,
and their columns of the mirror (W transposed) that the next phase 1 reads. A batch longer than a
slab goes through both phases slab by slab, its gradient adding up in a flat buffer.

Every number is computed by one thread in one order, so the bits do not depend on the team. The
code here moves addresses alone: products, behaviours and element types are the kernels' it calls.
"""

import math

import numba
import numpy as np
from numba import carray, types

from fastbp.kernels import ahead
from fastbp.kernels.gemm import REGISTER, ROWS, VECTORS
from fastbp.kernels.jit import INT, inline, kernel
from fastbp.kernels.simd import call, load_acquire, pointer_maker, row_sum, store_release
from fastbp.kernels.team import STOP, STOP_EARLY, STOP_SEEN, barrier, share

GRAIN = 8  # rows that a thread takes at the least
STRIP = 8192  # elements of a gradient strip, which the L1 cache or nearly so can hold
LEAST_STRIP = 16  # rows of a strip: whole cache lines of the activations and of the mirror
TILE_BYTES = ROWS * VECTORS * REGISTER  # of the result that a tile computes
FEW_STRIP = 256  # rows of a strip of a layer of few outputs
BLOCK = 256  # columns of a strip of a wide layer: what is read again and again stays in L2
LINE = 64  # bytes of a cache line


def _record(*names: str) -> np.dtype:
    return np.dtype([(name, np.int64) for name in names])


# One layer. Capital letters of the comments: addresses of arrays of the network's dtype.
LAYER = _record(
    "inputs", "outputs", "ld_in", "ld_out",  # widths, and row strides in elements
    "weights",        # W (inputs + 1, ld_out): the last row holds the biases
    "mirror",         # M (outputs, ld_in): W transposed; 0 for the first layer
    "gradient",       # like W
    "below",          # A (slab, ld_in): the layer's input
    "output",         # A (slab, ld_out)
    "delta",          # D (slab, ld_out): d(loss)/d(pre-activation)
    "delta_below",    # D (slab, ld_in); 0 for the first layer
    "slope",          # S (slab, ld_out): where training_forward leaves the slopes, or 0
    "forward", "training_forward", "backward",  # panels; 0: none
    "operand",        # of the backward panel: output or slope
)  # fmt: skip

# One call of a kernel: the batch loop's bounds, the data, and the kernels that it calls.
PROGRAM = _record(
    "layers", "layer_count", "itemsize", "team", "shared", "yield_address",
    "slab",           # rows of activations that there is room for, with parts for every thread
    "parts",          # of a long batch, each one thread's; 0: the team shares every slab
    "part_bytes", "part_losses",  # from a part's gradient to the next one's; float64 (parts,)
    "batch", "rows", "epochs",
    "features", "features_ld", "targets", "target_bytes",  # target_bytes: of a row
    "order",          # int64 (epochs * rows)
    "updating",       # 1: phase 2 updates; 0: it leaves the gradient in the flat buffer
    "on_logits",      # 1: the loss takes the outputs before the output activation
    "gemm", "gather", "copy_rows", "stream_rows", "transpose", "loss", "update",
    "column_sums", "add_parts",
    "check", "not_finite",  # for `predict` of unchecked features, else 0; int64 that it sets to 1
    "loss_parameters", "row_losses", "epoch_losses",  # float64
    "coefficients", "coefficient_count",  # float64 (steps, count)
    "slot_bytes", "slots", "scratch", "scratch_bytes", "zeros",
    "queues",         # int64 (team, ahead.WORDS)
    "streaming",      # bytes of W from which on it is prefetched
    "state", "snapshot", "state_bytes",  # snapshot 0: none is taken
    "predictions",    # (rows, outputs) without padding
    "step_counter",   # int64: thread 0 adds 1 for every step made
    "failed_epoch", "failed_step",  # written by thread 0; -1 where no batch failed
)  # fmt: skip

_program_at = pointer_maker(numba.from_dtype(PROGRAM))
_layers_at = pointer_maker(numba.from_dtype(LAYER))
_float64s_at = pointer_maker(types.float64)
_words_at = pointer_maker(types.int64)


@inline
def _streams(p, layer):
    return layer.inputs * layer.ld_out * p.itemsize >= p.streaming


@inline
def _stopped(p):
    return load_acquire(p.shared + 8 * STOP) != 0


@inline
def _forward(p, layers, first, last, features, features_ld, queue, training):
    """Rows [first, last) of a slab through all layers; `features`: address of row `first`."""
    rows = last - first
    for number in range(p.layer_count):
        if _stopped(p):
            return
        layer = layers[number]
        out = layer.output + first * layer.ld_out * p.itemsize
        bias = layer.weights + layer.inputs * layer.ld_out * p.itemsize
        call(
            p.gemm,
            (features, features_ld, 1, layer.weights, layer.ld_out, bias, 0,
             out, layer.ld_out, rows, layer.outputs, layer.inputs, p.itemsize,
             queue, _streams(p, layer)),
        )  # fmt: skip
        panel = layer.training_forward if training else layer.forward
        final = number == p.layer_count - 1
        if panel != 0 and not (final and p.on_logits and training):
            slope = layer.slope + first * layer.ld_out * p.itemsize
            call(panel, (out, slope, rows, layer.outputs, layer.ld_out))
        features, features_ld = out, layer.ld_out


@inline
def _loss(p, layer, first, last, order, targets, values, batch):
    """Delta of the output layer and the row losses of rows [first, last) of a slab."""
    offset = first * layer.ld_out * p.itemsize
    call(
        p.loss,
        (layer.output + offset, layer.delta + offset, targets, order, values,
         p.loss_parameters, last - first, layer.outputs, layer.ld_out, batch),
    )  # fmt: skip


@inline
def _backward(p, layers, first, last, queue):
    """Delta of rows [first, last) from the output layer back to the first."""
    rows = last - first
    for back in range(p.layer_count):
        if _stopped(p):
            return
        layer = layers[p.layer_count - 1 - back]
        offset = first * layer.ld_out * p.itemsize
        if layer.backward != 0 and not (back == 0 and p.on_logits):
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


@inline
def _update(p, parameters, gradient, count, coefficients):
    call(p.update, (parameters, gradient, p.slot_bytes, count, coefficients))


@inline
def _save(p, start, row_bytes, rows, row_lines):
    """Copy the parameters from address `start` on, and their slots, into the snapshot."""
    for part in range(1 + p.slots):
        source = start + part * p.slot_bytes
        to = source - p.state + p.snapshot
        call(p.stream_rows, (source, to, row_bytes, rows, row_lines))


@inline
def _mirror(p, layer, row, rows, column, columns):
    """Refresh the mirror of W[row : row + rows, column : column + columns]."""
    if layer.mirror != 0:
        call(
            p.transpose,
            (layer.weights + (row * layer.ld_out + column) * p.itemsize, layer.ld_out,
             layer.mirror + (column * layer.ld_in + row) * p.itemsize, layer.ld_in,
             rows, columns),
        )  # fmt: skip


@inline
def _queue(p, me):
    return p.queues + me * ahead.WORDS * 8


@inline
def _announce(p, layer, queue, row, rows, following, column, width, slab_rows):
    """Prefetch what the update of a strip will touch while its gradient is computed.

    following: the rows of the strip after it, whose activations come next.
    """
    size, across = p.itemsize, layer.ld_in * p.itemsize
    lines = (following * size + LINE - 1) // LINE
    ahead.add(queue, layer.below + (row + rows) * size, lines, across, slab_rows * lines)
    at, lines = (row * layer.ld_out + column) * size, width * size // LINE
    for part in range(1 + p.slots):
        start = layer.weights + part * p.slot_bytes + at
        ahead.add(queue, start, lines, layer.ld_out * size, rows * lines)
    if layer.mirror != 0:
        mirror = layer.mirror + (column * layer.ld_in + row) * size
        lines = (rows * size + LINE - 1) // LINE
        ahead.add(queue, mirror, lines, across, width * lines)
    ahead.spread(queue, rows * width * size // TILE_BYTES * slab_rows)


@inline
def _block(outputs, ld, size):
    """Columns of a strip, in whole cache lines: all, or of a wide layer about BLOCK.

    The padding behind whole cache lines stays zero without updates.
    """
    blocks, line = (outputs + BLOCK // 2) // BLOCK, LINE // size
    if blocks <= 1:
        return ld
    return (outputs + blocks * line - 1) // (blocks * line) * line


@inline
def _few(layer, size):
    """Whether the outputs are too few to fill a vector, so that inputs had better fill it."""
    return layer.ld_out * size == LINE and layer.outputs < layer.inputs


@inline
def _strip_of_few(p, layer, base, row, rows, depth, scratch, gradient, queue):
    """Overwrite `gradient`, rows [row, row + rows) of W's, from `depth` rows of a slab at `base`.

    G.T = D.T A; each element is the same sum in the same order as in A.T D.
    """
    size, ld = p.itemsize, layer.ld_out
    lanes = (rows * size + LINE - 1) // LINE * LINE // size
    below = layer.below + (base * layer.ld_in + row) * size
    call(
        p.gemm,
        (layer.delta + base * ld * size, 1, ld, below, layer.ld_in, p.zeros, 0,
         scratch, lanes, layer.outputs, rows, depth, size, queue, 0),
    )  # fmt: skip
    words = carray(_words_at(gradient), (rows * ld * size // 8,))
    for i in range(words.size):
        words[i] = 0  # the padding
    call(p.transpose, (scratch, lanes, gradient, ld, layer.outputs, rows))


@inline
def _gradient(p, layer, me, slab_rows, opening, closing, saving, coefficients):
    """Thread `me`'s rows of one layer: gradient of a slab, and after the last slab the update.

    With one slab the gradient of a strip stays in the thread's scratch and never reaches memory.
    saving: what is updated goes into the snapshot first.
    """
    size, ld = p.itemsize, layer.ld_out
    keep = not (opening and closing and p.updating)  # in the flat buffer
    updating = closing and p.updating
    few = not keep and _few(layer, size)
    grain = LEAST_STRIP if few else GRAIN  # its columns are read as whole cache lines
    first, last = share(layer.inputs, grain, me, p.team)
    block = _block(layer.outputs, ld, size)
    height = max(LEAST_STRIP, STRIP // block // GRAIN * GRAIN)
    if few:
        height = FEW_STRIP
    scratch, queue = p.scratch + me * p.scratch_bytes, _queue(p, me)
    for column in range(0, layer.outputs, block):
        width = min(block, ld - column)
        columns = min(width, layer.outputs - column)
        delta = layer.delta + column * size
        for row in range(first, last, height):
            rows = min(height, last - row)
            at = (row * ld + column) * size
            to, to_ld = (layer.gradient + at, ld) if keep else (scratch, width)
            start, start_ld = (p.zeros, 0) if opening else (to, to_ld)
            ahead.clear(queue)
            if updating and p.state_bytes >= p.streaming:
                following = min(height, last - row - rows)
                _announce(p, layer, queue, row, rows, following, column, width, slab_rows)
            if few:
                to = scratch + FEW_STRIP * LINE
                _strip_of_few(p, layer, 0, row, rows, slab_rows, scratch, to, queue)
            else:
                call(
                    p.gemm,
                    (layer.below + row * size, 1, layer.ld_in, delta, ld, start, start_ld,
                     to, to_ld, rows, columns, slab_rows, size, queue, 0),
                )  # fmt: skip
            if updating:
                if saving:
                    _save(p, layer.weights + at, ld * size, rows, width * size // LINE)
                if width == ld:
                    _update(p, layer.weights + at, to, rows * ld, coefficients)
                else:
                    for r in range(rows):
                        _update(
                            p, layer.weights + at + r * ld * size, to + r * to_ld * size,
                            width, coefficients,
                        )  # fmt: skip
                _mirror(p, layer, row, rows, column, columns)
        if me == p.team - 1:  # the biases: one row more
            at = (layer.inputs * ld + column) * size
            to = layer.gradient + at if keep else scratch
            start = p.zeros if opening else to
            call(p.column_sums, (delta, ld, slab_rows, width, start, to, size))
            if updating:
                if saving:
                    _save(p, layer.weights + at, 0, 1, width * size // LINE)
                _update(p, layer.weights + at, to, width, coefficients)


@inline
def _idle_turns(p, layers, me, slab_rows):
    """Turns of the tiles of thread `me`'s gradients in which no strip asks for lines."""
    turns = 0
    for number in range(p.layer_count):
        layer = layers[number]
        first, last = share(layer.inputs, GRAIN, me, p.team)
        size = (last - first) * layer.ld_out * p.itemsize
        turns += size // TILE_BYTES * slab_rows
        if p.state_bytes >= p.streaming:
            touched = (1 + p.slots) * size + (last - first) * p.itemsize * slab_rows
            turns -= (touched + (size if layer.mirror != 0 else 0)) // LINE
    return turns


@inline
def _wait(p):
    barrier(p.shared, p.team, p.yield_address)


@inline
def _rows(p, layers, first, last, order, batch, queue):
    """Phase 1 of rows [first, last) of the activations: from gather to the deltas."""
    below = layers[0].below + first * layers[0].ld_in * p.itemsize
    call(
        p.gather,
        (p.features, p.features_ld, order, last - first,
         below, layers[0].ld_in, layers[0].inputs),
    )  # fmt: skip
    _forward(p, layers, first, last, below, layers[0].ld_in, queue, True)
    top, values = layers[p.layer_count - 1], p.row_losses + 8 * first
    _loss(p, top, first, last, order, p.targets, values, batch)
    _backward(p, layers, first, last, queue)


@inline
def _add_gradient(p, layer, base, rows, opening, to, me):
    """The whole gradient of a layer from `rows` rows of the activations: put at `to`, or added."""
    size, ld, queue = p.itemsize, layer.ld_out, _queue(p, me)
    delta = layer.delta + base * ld * size
    if _few(layer, size):
        scratch = p.scratch + me * p.scratch_bytes
        for row in range(0, layer.inputs, FEW_STRIP):
            count = min(FEW_STRIP, layer.inputs - row)
            at = to + row * ld * size
            strip = at if opening else scratch + FEW_STRIP * LINE
            _strip_of_few(p, layer, base, row, count, rows, scratch, strip, queue)
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
def _part(p, layers, me, number, parts, order, batch):
    """Part `number` of a long batch, slab by slab: its gradient and the sum of its losses."""
    total, queue = 0.0, _queue(p, me)
    begin, end = share(batch, GRAIN, number, parts)
    for done in range(begin, end, p.slab):
        if _stopped(p):
            return total
        rows = min(p.slab, end - done)
        first = me * p.slab
        _rows(p, layers, first, first + rows, order + 8 * done, batch, queue)
        total += row_sum(_float64s_at(p.row_losses + 8 * first), rows)
        for n in range(p.layer_count):
            to = layers[n].gradient + number * p.part_bytes
            _add_gradient(p, layers[n], first, rows, done == begin, to, me)
    return total


@inline
def _join_run(p, weights, gradient, count, parts, saving, coefficients):
    """A run of parameters: the sum of the parts' gradients, in order, and the update."""
    if parts > 1:
        call(p.add_parts, (gradient, p.part_bytes, parts, count))
    if p.updating:
        if saving:
            _save(p, weights, 0, 1, count * p.itemsize // 64)
        _update(p, weights, gradient, count, coefficients)


@inline
def _join(p, layer, me, parts, saving, coefficients):
    """Thread `me`'s rows of one layer; its last thread has the biases too."""
    first, last = share(layer.inputs, GRAIN, me, p.team)
    at = first * layer.ld_out * p.itemsize
    count = (last - first + (1 if me == p.team - 1 else 0)) * layer.ld_out
    _join_run(p, layer.weights + at, layer.gradient + at, count, parts, saving, coefficients)
    if p.updating:
        _mirror(p, layer, first, last - first, 0, layer.outputs)


@inline
def _join_all(p, layers, parts, saving, coefficients):
    """All parameters as one run, for a thread that is alone."""
    count = p.part_bytes // p.itemsize
    _join_run(p, p.state, layers[0].gradient, count, parts, saving, coefficients)
    if p.updating:
        for n in range(p.layer_count):
            _mirror(p, layers[n], 0, layers[n].inputs, 0, layers[n].outputs)


@inline
def _batch_in_parts(p, layers, me, order, batch, saving, coefficients):
    """`_batch` of a small network with a long batch: a thread works alone on whole parts."""
    part_losses = carray(_float64s_at(p.part_losses), (p.parts,))
    parts = min(p.parts, (batch + GRAIN - 1) // GRAIN)  # none is empty
    first, last = share(parts, 1, me, p.team)
    for number in range(first, last):
        part_losses[number] = _part(p, layers, me, number, parts, order, batch)
    if _stopped(p):
        store_release(p.shared + 8 * STOP_EARLY, 1)
    _wait(p)
    if load_acquire(p.shared + 8 * STOP_EARLY) != 0:
        return 0.0, False
    total = 0.0
    for number in range(parts):
        total += part_losses[number]
    if not math.isfinite(total):
        return total / batch, False
    if p.team == 1:
        _join_all(p, layers, parts, saving, coefficients)
    else:
        for n in range(p.layer_count):
            _join(p, layers[n], me, parts, saving, coefficients)
    if me == 0:
        store_release(p.shared + 8 * STOP_SEEN, load_acquire(p.shared + 8 * STOP))
    _wait(p)
    return total / batch, True


@inline
def _batch(p, layers, me, order, batch, following, saving, coefficients):
    """One batch: returns (mean loss, whether the step was made).

    A step is not made when the loss is not finite, or when the team was asked to stop.
    following: how many rows of `order` come after this batch; saving: take the snapshot.
    """
    total, done, queue = 0.0, 0, _queue(p, me)
    ahead.clear(queue)
    if p.parts > 0:
        return _batch_in_parts(p, layers, me, order, batch, saving, coefficients)
    while done < batch:
        slab = min(p.slab, batch - done)
        first, last = share(slab, GRAIN, me, p.team)
        if last > first:
            _rows(p, layers, first, last, order + 8 * (done + first), batch, queue)
            # Who was stopped on the way says so. The word is written before this barrier alone and
            # read behind it alone, so that all members see the same.
            if _stopped(p):
                store_release(p.shared + 8 * STOP_EARLY, 1)
        _wait(p)
        if load_acquire(p.shared + 8 * STOP_EARLY) != 0:
            return 0.0, False
        # Every thread adds up all losses, in one order, and so comes to the same decision.
        total += row_sum(_float64s_at(p.row_losses), slab)
        opening, closing = done == 0, done + slab == batch
        after = min(p.slab, batch - done - slab if not closing else min(batch, following))
        first, last = share(after, GRAIN, me, p.team)
        turns = _idle_turns(p, layers, me, slab)
        ahead.announce(queue, order + 8 * (done + slab + first), last - first, turns)
        if closing and not math.isfinite(total):
            return total / batch, False
        for back in range(p.layer_count):
            layer = layers[p.layer_count - 1 - back]
            _gradient(p, layer, me, slab, opening, closing, saving, coefficients)
        if me == 0:
            store_release(p.shared + 8 * STOP_SEEN, load_acquire(p.shared + 8 * STOP))
        _wait(p)
        done += slab
        if not closing and load_acquire(p.shared + 8 * STOP_SEEN) != 0:
            return total / batch, False
    return total / batch, True


@inline
def _refresh_mirrors(p, layers, me):
    """All mirrors anew: the weights may have been edited since the last call."""
    for number in range(p.layer_count):
        layer = layers[number]
        first, last = share(layer.inputs, GRAIN, me, p.team)
        _mirror(p, layer, first, last - first, 0, layer.outputs)


@inline
def _begin(p, layers, me):
    """What comes before the first batch: an empty queue, and all mirrors anew."""
    feature_bytes = p.features_ld * p.itemsize
    ahead.begin(_queue(p, me), p.features, feature_bytes, p.targets, p.target_bytes)
    _refresh_mirrors(p, layers, me)
    _wait(p)


@kernel(INT, INT)
def train(program, me):
    """Epochs of batches; overwrites parameters, slots, epoch_losses and the record's last fields.

    Ends early, after whole steps, when STOP is set, or when a batch's loss
    is not finite: then failed_epoch and failed_step say where, and the snapshot, which an epoch's
    first update takes, holds the state at the beginning of that epoch.
    """
    p = carray(_program_at(program), (1,))[0]
    layers = carray(_layers_at(p.layers), (p.layer_count,))
    _begin(p, layers, me)
    epoch_losses = carray(_float64s_at(p.epoch_losses), (p.epochs,))
    done = 0
    for epoch in range(p.epochs):
        total = 0.0
        for row in range(0, p.rows, p.batch):
            batch = min(p.batch, p.rows - row)
            order = p.order + 8 * (epoch * p.rows + row)
            coefficients = p.coefficients + 8 * p.coefficient_count * done
            following = p.epochs * p.rows - epoch * p.rows - row - batch
            saving = p.snapshot != 0 and row == 0
            loss, made = _batch(p, layers, me, order, batch, following, saving, coefficients)
            if not made:
                if me == 0 and not math.isfinite(loss):
                    p.failed_epoch, p.failed_step = epoch, row // p.batch
                return
            done += 1
            total += loss * batch
            if me == 0:
                carray(_words_at(p.step_counter), (1,))[0] += 1
            if load_acquire(p.shared + 8 * STOP_SEEN) != 0:
                return
        if me == 0:
            epoch_losses[epoch] = total / p.rows


@kernel(INT, INT)
def differentiate(program, me):
    """The split step: mean loss and whole gradient of one batch of `rows`; parameters stay."""
    p = carray(_program_at(program), (1,))[0]
    layers = carray(_layers_at(p.layers), (p.layer_count,))
    _begin(p, layers, me)
    loss, _ = _batch(p, layers, me, p.order, p.rows, 0, False, p.coefficients)
    if me == 0:
        carray(_float64s_at(p.epoch_losses), (1,))[0] = loss


@kernel(INT, INT)
def predict(program, me):
    """Overwrites `predictions`, and row_losses where there are targets; no thread waits.

    Each thread takes its share of all rows through its own part of the slab, piece by piece, and
    ends early when STOP is set or when a feature is not finite, which it looks for while the rows
    are in its cache.
    """
    p = carray(_program_at(program), (1,))[0]
    layers = carray(_layers_at(p.layers), (p.layer_count,))
    top, queue = layers[p.layer_count - 1], _queue(p, me)
    active = min(p.team, p.slab // GRAIN)
    if me >= active:
        return
    piece = p.slab // active // GRAIN * GRAIN
    at = me * piece  # where this thread's part of the slab begins
    out = top.output + at * top.ld_out * p.itemsize
    first, last = share(p.rows, GRAIN, me, active)
    ahead.begin(queue, 0, 0, 0, 0)
    for row in range(first, last, piece):
        if _stopped(p):
            return
        rows = min(piece, last - row)
        features = p.features + row * p.features_ld * p.itemsize
        if p.check != 0:
            call(p.check, (features, rows * p.features_ld, p.not_finite))
            if load_acquire(p.not_finite) != 0:
                return
        training = p.targets != 0  # the loss may want the outputs before their activation
        ahead.clear(queue)
        _forward(p, layers, at, at + rows, features, p.features_ld, queue, training)
        if training:
            values = p.row_losses + 8 * row
            _loss(p, top, at, at + rows, p.order + 8 * row, p.targets, values, 1)
            if p.on_logits and top.forward != 0:
                call(top.forward, (out, 0, rows, top.outputs, top.ld_out))
        call(
            p.copy_rows,
            (out, top.ld_out, p.predictions + row * top.outputs * p.itemsize, top.outputs,
             rows, top.outputs),
        )  # fmt: skip
