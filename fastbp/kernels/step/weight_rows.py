"""Phase 2 of a step, by rows of every weight matrix: gradient, update, mirror, strip by strip."""

from numba import carray, types

from fastbp.kernels.machine.fields import words_at
from fastbp.kernels.machine.jit import INT, inline, inline_early
from fastbp.kernels.machine.pointers import call, pointer_maker
from fastbp.kernels.machine.sizes import Sizes
from fastbp.kernels.machine.team import share
from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.product import ahead
from fastbp.kernels.product.bfloat16_pack import PACKED, kept_whole
from fastbp.kernels.product.gemm import REGISTER, ROWS, VECTORS
from fastbp.kernels.step.copies import block_of_deltas, columns_below
from fastbp.kernels.step.program import GRAIN, decay_of_step, queue_of, share_columns, sizes_of

_int32s_at = pointer_maker(types.int32)
TILE_BYTES = ROWS * VECTORS * REGISTER  # of the result that a tile computes


def scratch_elements(widest: int, lanes: int, s: Sizes) -> int:
    """Elements of a thread's scratch: room for a strip of any layer, by a table of sizes.

    widest: the stride of the widest layer; lanes: elements of a cache line.
    """
    block = s.block + s.block // 2 + 2 * lanes  # no less than `_block` makes of it
    whole = min(widest, s.whole)
    return max(s.strip, s.least_strip * max(block, whole), 2 * s.few_strip * lanes)


@inline_early
def penalize_run(p, parameters, gradient, weights, count, coefficients):
    """L1, L2 and clipping by value, if they are on, of a run that begins with so many weights."""
    if p.penalize != 0:
        of_step = decay_of_step(p, coefficients)
        call(p.penalize, (parameters, gradient, weights, count, p.settings, of_step))


@inline_early
def update_run(p, layer, parameters, gradient, weights, count, coefficients):
    """One update of a run of a layer's parameters, by the run of their gradient.

    weights: how many of the `count` parameters are weights; those behind are biases.
    """
    penalize_run(p, parameters, gradient, weights, count, coefficients)
    own = coefficients + layer.rates
    call(p.update, (parameters, gradient, p.slot_bytes, count, own))


@inline_early
def mirror(p, layer, row, rows, column, columns):
    """Refresh the mirror of W[row : row + rows, column : column + columns]."""
    if layer.mirror != 0:
        call(
            p.transpose,
            (layer.weights + (row * layer.ld_out + column) * p.itemsize, layer.ld_out,
             layer.mirror + (column * layer.ld_in + row) * p.itemsize, layer.ld_in,
             rows, columns),
        )  # fmt: skip


@inline_early
def _among_rows(p, layer, me):
    """(number of thread `me`, how many there are) among those who share the rows of a layer's W."""
    across = layer.weight_columns
    return (me, p.team) if across == 1 else (me // across, p.team // across)


@inline_early
def weight_share(p, layer, grain, me):
    """(first, behind the last row, first, behind the last column) of W that are thread `me`'s.

    Columns in whole cache lines: all of a row, or those that the thread's group in phase 1 reads.
    """
    across = layer.weight_columns
    number, team = _among_rows(p, layer, me)
    first, last = share(layer.inputs, grain, number, team)
    begin, end = INT(0), layer.ld_out
    if across > 1:
        begin, end = share_columns(layer.outputs, p.itemsize, me % across, across)
    return first, last, begin, end


@inline
def _clear_padding(p, layer, begin, end):
    """Zeros behind rows [begin, end) of the mirror, whose memory may have held turned deltas.

    Products read them, and what they made of others would be updated and count in norms.
    """
    size = p.itemsize
    for row in range(begin, end):
        at = layer.mirror + (row * layer.ld_in + layer.inputs) * size
        carray(_int32s_at(at), ((layer.ld_in - layer.inputs) * size // 4,))[:] = 0


@inline
def refresh_mirrors(p, layers, me):
    """All mirrors anew: the weights may have been edited since the last call."""
    for number in range(p.layer_count):
        layer = layers[number]
        first, last, begin, end = weight_share(p, layer, GRAIN, me)
        end = min(end, layer.outputs)
        mirror(p, layer, first, last - first, begin, end - begin)
        if layer.mirror != 0 and last == layer.inputs:
            _clear_padding(p, layer, begin, end)


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
def _block(s, outputs, ld, size, slab_rows):
    """Columns of a strip, in whole cache lines: all, or of a wide layer about `s.block`.

    s: sizes. The padding behind whole cache lines stays zero without updates.
    """
    if outputs + s.block // 2 < 2 * s.block or (slab_rows <= s.few_rows and ld <= s.whole):
        return ld
    blocks, line = (outputs + s.block // 2) // s.block, LINE // size
    return (outputs + blocks * line - 1) // (blocks * line) * line


@inline_early
def few_outputs(layer, size):
    """Whether the outputs are too few to fill a vector, so that inputs had better fill it."""
    return layer.ld_out * size == LINE and layer.outputs < layer.inputs


@inline
def strip_of_few(p, layer, base, row, rows, depth, opening, scratch, gradient, queue):
    """Overwrite `gradient`, rows [row, row + rows) of W's, from `depth` rows of a slab at `base`.

    G.T = D.T A; each element is the same sum in the same order as in A.T D. Unless `opening`, it
    begins with what is in `gradient`.
    """
    size, ld = p.itemsize, layer.ld_out
    lanes = (rows * size + LINE - 1) // LINE * LINE // size
    below = layer.below + (base * layer.ld_in + row) * size
    if not opening:
        call(p.transpose, (gradient, ld, scratch, lanes, rows, layer.outputs))
    start, start_ld = (p.zeros, 0) if opening else (scratch, lanes)
    call(
        p.gemm,
        (layer.delta + base * ld * size, 1, ld, below, layer.ld_in, start, start_ld,
         scratch, lanes, layer.outputs, rows, depth, size, queue, 0),
    )  # fmt: skip
    words = carray(words_at(gradient), (rows * ld * size // 8,))
    for i in range(words.size):
        words[i] = 0  # the padding
    call(p.transpose, (scratch, lanes, gradient, ld, layer.outputs, rows))


@inline
def gradient_and_update(p, layer, me, slab_rows, opening, closing, coefficients):
    """Thread `me`'s share of one layer: gradient of a slab, and after the last slab the update.

    With one slab the gradient of a strip stays in the thread's scratch and never reaches memory.
    """
    if layer.frozen != 0:
        return
    size, ld = p.itemsize, layer.ld_out
    keep = not (opening and closing and p.updating)  # in the flat buffer
    updating = closing and p.updating
    few, s = not keep and few_outputs(layer, size), sizes_of(p)
    grain = s.least_strip if few else GRAIN  # its columns are read as whole cache lines
    first, last, begin, end = weight_share(p, layer, grain, me)
    block = _block(s, min(end, layer.outputs) - begin, end - begin, size, slab_rows)
    height = max(s.least_strip, s.strip // block // GRAIN * GRAIN)
    if few:
        height = s.few_strip
    scratch, queue = p.scratch + me * p.scratch_bytes, queue_of(p, me)
    for column in range(begin, min(end, layer.outputs), block):
        width = min(block, end - column)
        columns = min(width, layer.outputs - column)
        delta, delta_ld = block_of_deltas(
            s, layer, column, width, slab_rows, last - first, size, queue
        )
        packed = INT(0)
        if p.pack != 0 and not few and kept_whole(slab_rows, columns):
            packed = PACKED
            call(p.pack, (delta, delta_ld, slab_rows, columns, queue))
        for row in range(first, last, height):
            rows = min(height, last - row)
            at = (row * ld + column) * size
            to, to_ld = (layer.gradient + at, ld) if keep else (scratch, width)
            start, start_ld = (p.zeros, 0) if opening else (to, to_ld)
            ahead.clear(queue)
            if updating and p.state_bytes >= s.state_streaming:
                following = min(height, last - row - rows)
                _announce(p, layer, queue, row, rows, following, column, width, slab_rows)
            if few:
                to = scratch + height * LINE
                strip_of_few(p, layer, INT(0), row, rows, slab_rows, True, scratch, to, queue)
            else:
                below, below_ld = columns_below(
                    s, layer, row, rows, columns, slab_rows, size, queue
                )
                call(
                    p.gemm,
                    (below, 1, below_ld, delta, delta_ld, start, start_ld,
                     to, to_ld, rows, columns, slab_rows, size, queue, packed),
                )  # fmt: skip
            if updating:
                if width == ld:
                    count = rows * ld
                    update_run(p, layer, layer.weights + at, to, count, count, coefficients)
                else:
                    for r in range(rows):
                        update_run(
                            p, layer, layer.weights + at + r * ld * size, to + r * to_ld * size,
                            width, width, coefficients,
                        )  # fmt: skip
                mirror(p, layer, row, rows, column, columns)
        # The biases, one row more, are shared by those who have these columns.
        number, team = _among_rows(p, layer, me)
        begin_own, end_own = share(width, LINE // size, number, team)
        if end_own > begin_own:
            at, count = (layer.inputs * ld + column + begin_own) * size, end_own - begin_own
            to = layer.gradient + at if keep else scratch
            start = p.zeros if opening else to
            of_biases = delta + begin_own * size
            call(p.column_sums, (of_biases, delta_ld, slab_rows, count, start, to, size))
            if updating:
                update_run(p, layer, layer.weights + at, to, 0, count, coefficients)


@inline
def idle_turns(p, layers, me, slab_rows):
    """Turns of the tiles of thread `me`'s gradients in which no strip asks for lines."""
    turns, streaming = 0, sizes_of(p).state_streaming
    for number in range(p.layer_count):
        layer = layers[number]
        first, last, begin, end = weight_share(p, layer, GRAIN, me)
        size = (last - first) * (end - begin) * p.itemsize
        turns += size // TILE_BYTES * slab_rows
        if p.state_bytes >= streaming:
            touched = (1 + p.slots) * size + (last - first) * p.itemsize * slab_rows
            turns -= (touched + (size if layer.mirror != 0 else 0)) // LINE
    return turns
