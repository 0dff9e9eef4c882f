"""Panels: behaviours over blocks of a batch, compiled alone and called by address.

A block is `rows` rows of `n` elements, `ld` elements apart. Element-wise panels run over the
block as one run of rows * ld elements, padding included: what lies in the padding columns never
reaches a number outside of them.

Contracts, all pointers to the network's dtype unless said otherwise:

- forward(a, d, rows, n, ld): a = f(a). Panels made `with_derivative` also write d = f'(a before).
- backward(delta, operand, rows, n, ld): delta *= f', found from the operand: the activation's
  output, or what its forward panel left in d.
- loss(z, delta, targets, order, values, parameters, rows, n, ld, batch, totals): z holds the
  outputs (or logits, if the loss says so); delta = d(mean loss)/dz over a batch of `batch` rows,
  values[r] = the loss of row r; target of row r: row order[r] of `targets`. values, parameters:
  float64. totals: for weighted losses (weighted.py), which others do not read.
- update(p, g, slot_bytes, n, coefficients): p changed by gradient g; slot k of p lies (k + 1) *
  slot_bytes behind it. coefficients: float64, this step's row of
  `BaseOptimizer.coefficients`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray, types

from fastbp.kernels.machine.jit import INT, REAL, Kernel, inline, inline_early, kernel
from fastbp.kernels.machine.pointers import address_of, advance, pointer_to, restrict, stack_array
from fastbp.kernels.machine.simd import ask_for, copy_padded, fma, row_sum
from fastbp.kernels.machine.vecmath import like
from fastbp.kernels.panels.lane_losses import elementwise_in_lanes

FLOAT64S = types.CPointer(types.float64)
INT64S = types.CPointer(types.int64)
FORWARD = (REAL, REAL, INT, INT, INT)
BACKWARD = (REAL, REAL, INT, INT, INT)
LOSS = (REAL, REAL, INT, INT64S, FLOAT64S, FLOAT64S, INT, INT, INT, INT, INT)
UPDATE = (REAL, REAL, INT, INT, FLOAT64S)
Check = Callable[[np.dtype[Any]], None] | None  # of a user's functions, see `Kernel`


@inline_early
def run(pointer, n):
    """An array over n elements that nothing else in the panel overlaps; once a panel: it calls."""
    return carray(restrict(pointer), (n,))


@inline_early
def slot(p, slot_bytes, k, n):
    """Slot k of the parameters at p."""
    return run(pointer_to(address_of(p) + (k + 1) * slot_bytes, p), n)


def forward_panel(
    name: str, f: Callable[..., Any], cached: bool = True, check: Check = None
) -> Kernel:
    """The panel a = f(a) of a scalar function."""

    def panel(a, d, rows, n, ld):
        block = carray(a, (rows * ld,))
        for i in range(block.size):
            block[i] = f(block[i])

    return Kernel(panel, FORWARD, f"{name}.forward", cached, check)


def forward_with_derivative_panel(
    name: str,
    f: Callable[..., Any],
    df: Callable[..., Any],
    cached: bool = True,
    check: Check = None,
) -> Kernel:
    """The panel a, d = f(a), f'(a) of a scalar function whose output does not tell its slope."""

    def panel(a, d, rows, n, ld):
        block, slope = run(a, rows * ld), run(d, rows * ld)
        for i in range(block.size):
            z = block[i]
            slope[i] = df(z)
            block[i] = f(z)

    return Kernel(panel, FORWARD, f"{name}.forward_with_derivative", cached, check)


def backward_panel(
    name: str, df: Callable[..., Any], cached: bool = True, check: Check = None
) -> Kernel:
    """The panel delta *= df(operand)."""

    def panel(delta, operand, rows, n, ld):
        block, of = run(delta, rows * ld), run(operand, rows * ld)
        for i in range(block.size):
            block[i] *= df(of[i])

    return Kernel(panel, BACKWARD, f"{name}.backward", cached, check)


@kernel(*BACKWARD)
def multiply(delta, operand, rows, n, ld):
    """delta *= operand, where the forward panel has left the slopes."""
    block, slope = run(delta, rows * ld), run(operand, rows * ld)
    for i in range(block.size):
        block[i] *= slope[i]


BLOCK = 256  # elements that an element-wise loss works on together, whole rows where they fit
_targets_stack, _values_stack, _scales_stack, _settings_stack = (
    stack_array(BLOCK) for _ in range(4)
)


@inline
def _fill_scales(to, scale, rows, width, stride):
    """to[r, :width] = scale and zero behind, so that padding gets no slope."""
    for r in range(rows):
        scales = carray(advance(to, r * stride), (stride,))
        for j in range(stride):
            scales[j] = scale if j < width else like(scale, 0.0)


@inline
def _fill_weights(to, weights, rows, width, stride):
    """to[r, :width] = weights[:width], of float64, and zero behind."""
    of = carray(weights, (width,))
    for r in range(rows):
        row = carray(advance(to, r * stride), (stride,))
        for j in range(stride):
            row[j] = like(row[j], of[j]) if j < width else like(row[j], 0.0)


def elementwise_loss_panel(
    name: str,
    value: Callable[..., Any],
    slope: Callable[..., Any],
    masked: bool = False,
    cached: bool = True,
    check: Check = None,
    by_column: bool = False,
) -> Kernel:
    """The panel of a loss that is a mean over elements: value(z, y, p), slope(z, y, p) = d/dz.

    p is the loss's first parameter (0 if it has none), in the element type, or of output j
    parameters[1 + n + j] if `by_column`. With `masked`, what has NaN for a target counts for
    nothing, and parameters[1 + j] multiplies the loss of output j.
    Where a user's functions (`check`) are not finite in the padding, or for an output that weighs
    nothing, that is zero all the same.
    """
    own = check is not None

    def panel(z, delta, targets, order, values, parameters, rows, n, ld, batch, totals):
        index, losses = carray(order, (rows,)), carray(values, (rows,))
        p = like(carray(z, (1,))[0], carray(parameters, (1,))[0])
        scale, share = like(p, 1.0 / (batch * n)), 1.0 / n
        z, delta = restrict(z), restrict(delta)
        wanted, worth, scales = _targets_stack(z), _values_stack(z), _scales_stack(z)
        settings = _settings_stack(z)
        together = max(1, BLOCK // ld)  # rows
        for column in range(0, n, BLOCK):
            stride = min(BLOCK, ld - column)
            width = min(stride, n - column)
            if masked:
                _fill_weights(scales, advance(parameters, 1 + column), together, width, stride)
            else:
                _fill_scales(scales, scale, together, width, stride)
            if by_column:
                own_column = advance(parameters, 1 + n + column)
                _fill_weights(settings, own_column, together, width, stride)
            for first in range(0, rows, together):
                count = min(together, rows - first)
                for r in range(count):
                    following = index[min(first + r + BLOCK // 16, rows - 1)]
                    ask_for(advance(pointer_to(targets, z), following * n + column))
                    y = advance(pointer_to(targets, z), index[first + r] * n + column)
                    copy_padded(y, advance(wanted, r * stride), width)
                at = first * ld + column
                size = count * stride
                out, slopes = carray(advance(z, at), (size,)), carray(advance(delta, at), (size,))
                y_block, factors = carray(wanted, (size,)), carray(scales, (size,))
                block, of_columns = carray(worth, (size,)), carray(settings, (size,))
                for i in range(size):
                    setting = of_columns[i] if by_column else p
                    if masked:
                        known = y_block[i] == y_block[i]
                        if own:
                            known = known and factors[i] != 0
                        worth_i = factors[i] * value(out[i], y_block[i], setting)
                        slope_i = scale * factors[i] * slope(out[i], y_block[i], setting)
                        block[i] = worth_i if known else like(p, 0.0)
                        slopes[i] = slope_i if known else like(p, 0.0)
                    else:
                        block[i] = value(out[i], y_block[i], setting)
                        slope_i = factors[i] * slope(out[i], y_block[i], setting)
                        if own:
                            slope_i = slope_i if factors[i] != 0 else like(p, 0.0)
                        slopes[i] = slope_i
                for r in range(count):
                    total = np.float64(row_sum(advance(worth, r * stride), width))
                    before = losses[first + r] if column > 0 else 0.0
                    losses[first + r] = fma(share, total, before)

    called = f"{name}.masked_loss" if masked else f"{name}.loss"
    called = f"{called}.by_column" if by_column else called
    made = Kernel(panel, LOSS, called, cached, check)
    if not (masked or by_column):
        made.in_lanes = elementwise_in_lanes(name, value, slope, cached, check)
    return made
