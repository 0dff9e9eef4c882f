"""What is done to the gradient before the update, element by element: L1, L2, clipping by value."""

import numpy as np
from numba import carray

from fastbp.kernels.machine.fields import float64s_at
from fastbp.kernels.machine.jit import INT, REAL, inline, kernel
from fastbp.kernels.machine.pointers import advance, stack_array
from fastbp.kernels.machine.simd import fma, row_sum
from fastbp.kernels.machine.vecmath import like
from fastbp.kernels.panels.panels import FLOAT64S, run

# The float64 settings that the kernels of regularization share.
L1, L2, CLIP_VALUE, CLIP_NORM, MAX_NORM, SETTINGS = range(6)


@inline
def setting(p, settings, k):
    """Setting k in the element type."""
    return like(carray(p, (1,))[0], carray(settings, (SETTINGS,))[k])


@inline
def clipped(x, bound):
    """x cut to [-bound, bound]; NaN stays."""
    return bound if x > bound else -bound if x < -bound else x


@kernel(REAL, REAL, INT, INT, FLOAT64S, INT)
def penalize(p, g, weights, n, settings, of_step):
    """g[:weights] += l1 * sign(p) + l2 * p, then all of g[:n] cut to [-clip_value, clip_value].

    sign(0) = 0. clip_value is infinite where nothing is to be cut. of_step: the address of what is
    added to l2 in this step, or 0.
    """
    l1, l2 = setting(p, settings, L1), setting(p, settings, L2)
    if of_step != 0:
        l2 += like(l2, carray(float64s_at(of_step), (1,))[0])
    bound, zero = setting(p, settings, CLIP_VALUE), like(l1, 0.0)
    if l1 == 0 and l2 == 0:
        weights = 0
    parameters, gradient = run(p, weights), run(g, weights)
    for i in range(weights):
        w = parameters[i]
        slope = fma(l2, w, gradient[i]) + (l1 if w > 0 else -l1 if w < 0 else zero)
        gradient[i] = clipped(slope, bound)
    rest = run(advance(g, weights), n - weights)
    for i in range(rest.size):
        rest[i] = clipped(rest[i], bound)


WIDTH = 256  # columns whose squares are added up together
_sums_stack = stack_array(WIDTH)


@kernel(REAL, INT, INT, INT, FLOAT64S)
def add_squares(p, rows, columns, ld, to):
    """to[0] = the sum of the squares of p[:rows, :columns], whose rows are ld elements apart."""
    total, place = 0.0, _sums_stack(to)
    for first in range(0, columns, WIDTH):
        width = min(WIDTH, columns - first)
        sums = carray(place, (width,))
        sums[:] = 0
        for r in range(rows):
            row = carray(advance(p, r * ld + first), (width,))
            for j in range(width):
                value = np.float64(row[j])
                sums[j] = fma(value, value, sums[j])
        total += row_sum(place, width)
    carray(to, (1,))[0] = total
