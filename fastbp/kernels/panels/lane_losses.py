"""Losses of networks side by side: an element is a line, one lane for each network.

Contract: loss(z, delta, worth, targets, values, parameters, rows, n, lanes, batch), where z, delta
and worth are (rows, n, lanes) and have room for whole LANE_BLOCKs of elements. z holds the outputs
(or logits), delta = d(mean loss)/dz over a batch of `batch` rows, worth is overwritten. targets:
the address of as many elements, or of int64 labels (rows, lanes). values: float64 (rows, lanes),
the losses of rows. The numbers of a lane are those that its network's own panel computes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray, types

from fastbp.kernels.machine.jit import INT, REAL, Kernel, inline
from fastbp.kernels.machine.pointers import advance, pointer_to, restrict
from fastbp.kernels.machine.vecmath import like
from fastbp.kernels.product.sums import fold

LANE_BLOCK = 64  # elements: a run of networks side by side is so many, or a multiple
FLOAT64S = types.CPointer(types.float64)
LANE_LOSS = (REAL, REAL, REAL, INT, FLOAT64S, FLOAT64S, INT, INT, INT, INT)


@inline
def whole_blocks(elements):
    """So many elements or more, in whole blocks."""
    return (elements + LANE_BLOCK - 1) // LANE_BLOCK * LANE_BLOCK


def elementwise_in_lanes(
    name: str, value: Callable[..., Any], slope: Callable[..., Any], cached: bool, check: Any
) -> Kernel:
    """That of `panels.elementwise_loss_panel`."""

    def panel(z, delta, worth, targets, values, parameters, rows, n, lanes, batch):
        p = like(carray(z, (1,))[0], carray(parameters, (1,))[0])
        scale, share = like(p, 1.0 / (batch * n)), 1.0 / n
        count = whole_blocks(rows * n * lanes)
        out, slopes = carray(restrict(z), (count,)), carray(restrict(delta), (count,))
        y = carray(restrict(pointer_to(targets, z)), (count,))
        block = carray(restrict(worth), (count,))
        for i in range(count):
            block[i] = value(out[i], y[i], p)
            slopes[i] = scale * slope(out[i], y[i], p)
        for r in range(rows if n > 1 else 0):
            fold(advance(worth, r * n * lanes), n, lanes, like(p, 1.0))
        for r in range(rows):
            losses = carray(advance(values, r * lanes), (lanes,))
            sums = carray(advance(worth, r * n * lanes), (lanes,))
            for lane in range(lanes):
                losses[lane] = share * np.float64(sums[lane])

    return Kernel(panel, LANE_LOSS, f"{name}.loss_in_lanes", cached, check)
