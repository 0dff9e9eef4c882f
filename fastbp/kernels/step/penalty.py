"""The value of an L2 penalty that is part of a step's loss: the weights' squares before the update.

Each thread adds up its share of blocks before the step, whose barriers make them visible to thread
0 behind it. A thread may then be in the next step already, but not further: two sets take turns.
"""

from numba import carray

from fastbp.kernels.machine.fields import float64s_at
from fastbp.kernels.machine.jit import inline
from fastbp.kernels.machine.pointers import call
from fastbp.kernels.machine.simd import row_sum
from fastbp.kernels.machine.team import share
from fastbp.kernels.step.program import decay_of_step

ROWS = 64  # of W, whose squares are added up together, by one thread


@inline
def sum_squares(p, layers, me, step):
    """Overwrites the sums of thread `me`'s blocks of all weights, if the loss wants them."""
    if p.square_sum != 0:
        to = p.squares + 8 * p.square_count * (step & 1)
        for n in range(p.layer_count):
            layer = layers[n]
            blocks = (layer.inputs + ROWS - 1) // ROWS
            first, last = share(blocks, 1, me, p.team)
            for block in range(first, last):
                row = block * ROWS
                call(
                    p.square_sum,
                    (layer.weights + row * layer.ld_out * p.itemsize,
                     min(ROWS, layer.inputs - row), layer.outputs, layer.ld_out, to + 8 * block),
                )  # fmt: skip
            to += 8 * blocks


@inline
def penalty(p, coefficients, step):
    """Half the decay times the sum of the squares, 0 where the loss does not want it."""
    if p.square_sum == 0:
        return 0.0
    decay = carray(float64s_at(decay_of_step(p, coefficients)), (1,))[0]
    squares = float64s_at(p.squares + 8 * p.square_count * (step & 1))
    return 0.5 * decay * row_sum(squares, p.square_count)
