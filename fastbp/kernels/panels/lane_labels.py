"""Cross-entropy of class labels, of networks side by side."""

import numpy as np
from numba import carray

from fastbp.kernels.machine.fields import words_at
from fastbp.kernels.machine.jit import Kernel, inline
from fastbp.kernels.machine.pointers import advance, restrict
from fastbp.kernels.machine.simd import (
    add_lines,
    copy_padded,
    maximum_of_lines,
    multiply_lines,
    subtract_lines,
)
from fastbp.kernels.machine.vecmath import like, log
from fastbp.kernels.panels.lane_losses import LANE_LOSS, whole_blocks
from fastbp.kernels.panels.output_panels import odds


@inline
def _totals(z, delta, worth, rows, n, lanes):
    """delta = odds of each class against the row's likeliest.

    worth[0], (rows, lanes) = the likeliest one's logit, worth[1] = the sum of the odds.
    """
    sums = advance(worth, whole_blocks(rows * lanes))
    for row in range(rows):
        x, t = advance(z, row * n * lanes), advance(delta, row * n * lanes)
        top = advance(worth, row * lanes)
        copy_padded(x, top, lanes)
        for j in range(1, n):
            maximum_of_lines(top, advance(x, j * lanes), top)
        for j in range(n):
            subtract_lines(advance(x, j * lanes), top, advance(t, j * lanes))
    block = carray(restrict(delta), (whole_blocks(rows * n * lanes),))
    for i in range(block.size):
        block[i] = odds(block[i])
    for row in range(rows):
        t, total = advance(delta, row * n * lanes), advance(sums, row * lanes)
        copy_padded(t, total, lanes)
        for j in range(1, n):
            add_lines(total, advance(t, j * lanes), total)
    return sums


def labels_in_lanes(z, delta, worth, targets, values, parameters, rows, n, lanes, batch):
    """`output_panels.cross_entropy_labels` without smoothing; the contract is in lane_losses.py.

    Where a label is none the loss of its row is NaN.
    """
    sums = _totals(z, delta, worth, rows, n, lanes)
    count = whole_blocks(rows * lanes)
    total, tops = carray(restrict(sums), (count,)), carray(restrict(worth), (count,))
    scale = like(tops[0], 1.0 / batch)
    labels, losses = carray(words_at(targets), (rows, lanes)), carray(values, (rows, lanes))
    for row in range(rows):
        x = carray(advance(z, row * n * lanes), (n, lanes))
        for lane in range(lanes):
            label = labels[row, lane]
            known = np.uint64(label) < np.uint64(n)
            losses[row, lane] = tops[row * lanes + lane] - x[label, lane] if known else np.nan
    for i in range(count):
        tops[i] = log(total[i])
        total[i] = scale / total[i]
    for row in range(rows):
        t = advance(delta, row * n * lanes)
        for j in range(n):
            at = advance(t, j * lanes)
            multiply_lines(at, advance(sums, row * lanes), at)
        slopes = carray(t, (n, lanes))
        for lane in range(lanes):
            label = labels[row, lane]
            if np.uint64(label) < np.uint64(n):
                slopes[label, lane] -= scale
            losses[row, lane] += tops[row * lanes + lane]


cross_entropy = Kernel(labels_in_lanes, LANE_LOSS)
