"""Panels for the output layer that need whole rows: softmax, exponential, losses of rows.

The contracts stand in panels.py. These write only the n columns that count, and zeros behind.
"""

import math

import numpy as np
from numba import carray

from fastbp.kernels.machine.jit import Kernel, inline, inline_early, kernel
from fastbp.kernels.machine.pointers import advance, pointer_to, restrict, run_time, stack_array
from fastbp.kernels.machine.simd import fma, row_max, row_sum
from fastbp.kernels.machine.vecmath import exp, exp_normal, like, log
from fastbp.kernels.panels.panels import BACKWARD, FORWARD, LOSS
from fastbp.kernels.product.transpose import SIDE, transpose_square

GROUP, NARROW = 16, 256  # rows that outputs of at most so many columns are worked on together
_group_stack, _lanes_stack = stack_array(NARROW * GROUP), stack_array(GROUP)


@inline_early
def _shift(z, to, rows, n, ld):
    """to[r, :ld] = z[r] - max(z[r, :n]); z and `to` may be the same block."""
    for r in range(rows):
        top = row_max(advance(z, r * ld), n)
        source, target = carray(advance(z, r * ld), (ld,)), carray(advance(to, r * ld), (ld,))
        for j in range(ld):
            target[j] = source[j] - top


@inline
def odds(x):
    """exp(x) for x <= 0 or NaN, and 0 where that is below 4e-31.

    A class as unlikely is lost against the likely one's 1. Let through, it could be a denormal
    number, with which processors compute several times as slowly.
    """
    lowest = like(x, -70.0)
    power = exp_normal(lowest if x < lowest else x)
    return like(x, 0.0) if x < lowest else power


@inline
def _all_odds(z, to, rows, n, ld):
    """to[r, :ld] = odds of each class against the row's likeliest."""
    _shift(z, to, rows, n, ld)
    block = carray(to, (rows * ld,))
    for i in range(block.size):
        block[i] = odds(block[i])


@inline_early
def _scale_row(row, factor, n, ld):
    values = carray(row, (ld,))
    for j in range(ld):
        values[j] *= factor
    for j in range(n, ld):
        values[j] = 0


@kernel(*FORWARD)
def softmax(a, d, rows, n, ld):
    """a[r] = exp(a[r]) / sum(exp(a[r])), shifted by the row's largest for stability."""
    _shift(a, a, rows, n, ld)
    block = carray(a, (rows * ld,))
    for i in range(block.size):
        block[i] = exp(block[i])
    for r in range(rows):
        row = advance(a, r * ld)
        total = row_sum(row, n)
        _scale_row(row, like(total, 1.0) / total, n, ld)


@kernel(*BACKWARD)
def softmax_backward(delta, operand, rows, n, ld):
    """delta[r] = a * (delta[r] - sum(delta[r] * a)) with a = operand[r]: softmax's Jacobian."""
    delta, operand = restrict(delta), restrict(operand)
    for r in range(rows):
        slopes, a = carray(advance(delta, r * ld), (n,)), carray(advance(operand, r * ld), (n,))
        mean = like(slopes[0], 0.0)
        for j in range(n):
            mean = fma(slopes[j], a[j], mean)
        for j in range(n):
            slopes[j] = a[j] * (slopes[j] - mean)


@kernel(*FORWARD)
def exponential(a, d, rows, n, ld):
    """a = exp(a)."""
    for r in range(rows):
        row = carray(advance(a, r * ld), (n,))
        for j in range(n):
            row[j] = exp(row[j])


@kernel(*BACKWARD)
def exponential_backward(delta, operand, rows, n, ld):
    """delta *= operand: the exponential is its own derivative."""
    delta, operand = restrict(delta), restrict(operand)
    for r in range(rows):
        slopes, a = carray(advance(delta, r * ld), (n,)), carray(advance(operand, r * ld), (n,))
        for j in range(n):
            slopes[j] *= a[j]


@inline_early
def _sum_in_order(row, n):
    values = carray(row, (n,))
    total = like(values[0], 0.0)
    for j in range(n):
        total += values[j]
    return total


@inline_early
def _labels_by_row(z, delta, labels, index, losses, first, rows, n, ld, scale, smoothing):
    """Rows [first, rows) one by one."""
    block, to = advance(z, first * ld), advance(delta, first * ld)
    _all_odds(block, to, rows - first, n, ld)
    for r in range(first, rows):
        logits, row = advance(z, r * ld), advance(delta, r * ld)
        label = carray(advance(labels, index[r]), (1,))[0]
        # Narrow rows in the order of the groups: which rows these are depends on the team.
        total = _sum_in_order(row, n) if ld <= NARROW else row_sum(row, n)
        log_total, top = log(total), row_max(logits, n)
        _scale_row(row, scale / total, n, ld)
        slopes, z_row = carray(row, (n,)), carray(logits, (n,))
        loss = np.float64(top - z_row[label]) + np.float64(log_total)
        if smoothing > 0:
            even = like(scale, smoothing / n)
            for j in range(n):
                slopes[j] -= scale * even
            below = 0.0
            for j in range(n):
                below += z_row[j] - top
            smooth = smoothing * (float(log_total) - below / n)
            loss = fma(1 - smoothing, loss, smooth)
        slopes[label] -= scale * like(scale, 1 - smoothing)
        losses[r] = loss


@inline
def _transpose_group(x, x_row, to, to_row, rows, columns):
    for r in range(0, rows, SIDE):
        for c in range(0, columns, SIDE):
            transpose_square(advance(x, r * x_row + c), x_row, advance(to, c * to_row + r), to_row)


@inline
def _labels_by_group(z, delta, labels, index, losses, first, lanes, n, ld, scale):
    """GROUP rows at once, transposed so that each lane is a row: no sums across lanes."""
    turned = _group_stack(z)
    tops, totals = _lanes_stack(z), _lanes_stack(z)
    _transpose_group(advance(z, first * ld), ld, turned, GROUP, GROUP, ld)
    t = carray(turned, (n, GROUP))
    top, total = carray(tops, (GROUP,)), carray(totals, (GROUP,))
    for r in range(lanes):
        top[r] = t[0, r]
        total[r] = 0
    for j in range(1, n):
        for r in range(lanes):
            top[r] = t[j, r] if not t[j, r] <= top[r] else top[r]  # NaN goes on
    for r in range(lanes):
        label = carray(advance(labels, index[first + r]), (1,))[0]
        losses[first + r] = top[r] - t[label, r]
    for j in range(n):
        for r in range(lanes):
            t[j, r] = odds(t[j, r] - top[r])
            total[r] += t[j, r]
    for r in range(lanes):
        top[r] = log(total[r])
        total[r] = scale / total[r]
    for j in range(n):
        for r in range(lanes):
            t[j, r] *= total[r]
    padding = carray(advance(turned, n * GROUP), (ld * GROUP - n * GROUP,))
    for i in range(padding.size):
        padding[i] = 0
    _transpose_group(turned, GROUP, advance(delta, first * ld), ld, ld, GROUP)
    for r in range(lanes):
        label = carray(advance(labels, index[first + r]), (1,))[0]
        carray(advance(delta, (first + r) * ld), (n,))[label] -= scale
        losses[first + r] += top[r]


@kernel(*LOSS)
def cross_entropy_labels(z, delta, targets, order, values, parameters, rows, n, ld, batch, totals):
    """Loss of logits z against class labels, int64 at `targets`; parameters[0]: smoothing s.

    The target of class j is t = s / n, plus 1 - s for the label; the loss is sum(-t * log p). Where
    a label is none all losses are NaN, and delta of no use: labels were checked, but are their
    owner's, who may change them.
    """
    index, losses = carray(order, (rows,)), carray(values, (rows,))
    labels = pointer_to(targets, order)
    wrong = False
    for r in range(rows):
        # Seen as unsigned, a label below zero is a great one.
        wrong |= bool(np.uint64(carray(advance(labels, index[r]), (1,))[0]) >= np.uint64(n))
    if wrong:
        losses[:] = np.nan
        return
    smoothing = carray(parameters, (1,))[0]
    scale = like(carray(z, (1,))[0], 1.0 / batch)
    grouped = rows // GROUP * GROUP if ld <= NARROW and smoothing == 0 else 0
    lanes = run_time(GROUP)
    for first in range(0, grouped, GROUP):
        _labels_by_group(z, delta, labels, index, losses, first, lanes, n, ld, scale)
    if grouped < rows:
        _labels_by_row(z, delta, labels, index, losses, grouped, rows, n, ld, scale, smoothing)


def _of_probabilities(divergence: bool) -> Kernel:
    def panel(z, delta, targets, order, values, parameters, rows, n, ld, batch, totals):
        z, delta = restrict(z), restrict(delta)
        index, losses = carray(order, (rows,)), carray(values, (rows,))
        first = carray(z, (1,))[0]
        smoothing = carray(parameters, (1,))[0]
        keep, even = like(first, 1 - smoothing), like(first, smoothing / n)
        scale = like(first, 1.0 / batch)
        _all_odds(z, delta, rows, n, ld)
        for r in range(rows):
            logits, row = advance(z, r * ld), advance(delta, r * ld)
            total = row_sum(row, n)
            log_total, top = log(total), row_max(logits, n)
            y = carray(advance(pointer_to(targets, z), index[r] * n), (n,))
            slopes, z_row = carray(row, (n,)), carray(logits, (n,))
            loss, mass = 0.0, like(first, 0.0)
            for j in range(n):
                t = fma(keep, y[j], even)
                mass += t
                cost = log_total - (z_row[j] - top)
                if divergence:
                    cost += log(t) if t > 0 else like(t, 0.0)
                loss += t * cost
            _scale_row(row, scale * mass / total, n, ld)
            for j in range(n):
                slopes[j] = fma(-scale, fma(keep, y[j], even), slopes[j])
            losses[r] = loss

    return Kernel(panel, LOSS, f"output_panels.of_probabilities.{divergence}")


# Losses of logits z against rows of class probabilities; parameters[0]: smoothing s. The target is
# t = (1 - s) * y + s / n, and the losses are sum(-t * log p) and sum(t * (log t - log p)).
cross_entropy_probabilities, kl_divergence = _of_probabilities(False), _of_probabilities(True)


@kernel(*LOSS)
def gaussian_nll(z, delta, targets, order, values, parameters, rows, n, ld, batch, totals):
    """Loss of n / 2 means and as many log variances s against n / 2 targets a row.

    0.5 * (s + e^2 / exp(s)) with errors e, and below the log of parameters[0] along the tangent in
    s; the mean is over targets.
    """
    z, delta = restrict(z), restrict(delta)
    index, losses = carray(order, (rows,)), carray(values, (rows,))
    first, count = carray(z, (1,))[0], n // 2
    low = like(first, math.log(carray(parameters, (1,))[0]))
    one, half = like(first, 1.0), like(first, 0.5)
    scale, share = like(first, 1.0 / (batch * count)), 1.0 / count
    for r in range(rows):
        row, slopes = carray(advance(z, r * ld), (n,)), carray(advance(delta, r * ld), (ld,))
        y = carray(advance(pointer_to(targets, z), index[r] * count), (count,))
        loss = 0.0
        for j in range(count):
            error, s = row[j] - y[j], row[count + j]
            short = low - s if s < low else like(s, 0.0)
            inverse = exp(-low if s < low else -s)
            factor = inverse * (one + short)
            loss += half * fma(error * error, factor, s)
            slopes[j] = scale * error * factor
            slopes[count + j] = half * scale * fma(-error * error, inverse, one)
        for j in range(n, ld):
            slopes[j] = 0
        losses[r] = share * loss


@kernel(*LOSS)
def cosine(z, delta, targets, order, values, parameters, rows, n, ld, batch, totals):
    """1 - cos of the angle between the outputs and the targets of a row, sums in float64.

    A square of a length has 1e-12 added, as in PyTorch, so that nothing points nowhere.
    """
    z, delta = restrict(z), restrict(delta)
    index, losses = carray(order, (rows,)), carray(values, (rows,))
    for r in range(rows):
        a, slopes = carray(advance(z, r * ld), (n,)), carray(advance(delta, r * ld), (ld,))
        y = carray(advance(pointer_to(targets, z), index[r] * n), (n,))
        both, of_a, of_y = 0.0, 1e-12, 1e-12
        for j in range(n):
            output, target = np.float64(a[j]), np.float64(y[j])
            both = fma(output, target, both)
            of_a = fma(output, output, of_a)
            of_y = fma(target, target, of_y)
        lengths = math.sqrt(of_a) * math.sqrt(of_y)
        alike = both / lengths
        of_target = like(a[0], -1 / (batch * lengths))
        of_output = like(a[0], alike / (batch * of_a))
        for j in range(n):
            slopes[j] = fma(of_target, y[j], of_output * a[j])
        for j in range(n, ld):
            slopes[j] = 0
        losses[r] = 1 - alike
