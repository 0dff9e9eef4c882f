"""Gathers of rows that are no network's yet: of another type, to be shifted and scaled.

Data stay as small as they are: uint8 images take a byte a number, and what the network reads is
made of them batch by batch, while they are in the cache.
"""

import numpy as np
from numba import carray, types

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.machine.pointers import advance, restrict
from fastbp.kernels.machine.simd import ask_for
from fastbp.kernels.step.movement import GATHER, ROWS_AHEAD

SOURCES = {"uint8": types.uint8, "float32": types.float32, "float64": types.float64}


def _gather_scaled(name, kind):
    def gather_scaled(x, x_row, base, order, rows, to, to_row, width, scaling):
        index, x = carray(order, (rows,)), advance(x, base * x_row)
        shift = carray(restrict(scaling), (width,))
        factor = carray(restrict(advance(scaling, width)), (width,))
        for r in range(rows):
            ask_for(advance(x, index[min(r + ROWS_AHEAD, rows - 1)] * x_row))
            source = carray(restrict(advance(x, index[r] * x_row)), (width,))
            target = carray(restrict(advance(to, r * to_row)), (to_row,))
            for j in range(width):
                target[j] = (np.float64(source[j]) - shift[j]) * factor[j]
            for j in range(width, to_row):
                target[j] = 0

    return Kernel(gather_scaled, (types.CPointer(kind), *GATHER), f"scaled_rows.gather.{name}")


# to[r, :width] = (x[base + order[r], :width] - shift) * factor, in float64 and rounded once; zeros
# behind, up to to_row. Key: what x holds.
gather_scaled = {np.dtype(name): _gather_scaled(name, kind) for name, kind in SOURCES.items()}
