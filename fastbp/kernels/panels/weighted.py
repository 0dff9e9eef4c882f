"""A loss whose rows have weights: another loss's panel, and behind it the weights."""

import numba
from numba import carray

from fastbp.kernels.machine.fields import float64s_at, record
from fastbp.kernels.machine.jit import kernel
from fastbp.kernels.machine.pointers import address_of, advance, call, pointer_maker
from fastbp.kernels.machine.vecmath import like
from fastbp.kernels.panels.panels import LOSS

# What `weighted` is handed as its parameters: the panel of the loss and its parameters, and the
# weights, float64, by row of the data.
WEIGHTED = record("loss", "parameters", "weights")
_weighted_at = pointer_maker(numba.from_dtype(WEIGHTED))


@kernel(*LOSS)
def weighted(z, delta, targets, order, values, parameters, rows, n, ld, batch, totals):
    """The loss's delta and row losses, times weight * batch / total weight of the batch.

    So that the mean over the batch is the weighted mean; where all weights are one, the factor is
    exactly one. What weighs nothing is zero, even where its loss is not finite.
    """
    w = carray(_weighted_at(address_of(parameters)), (1,))[0]
    call(
        w.loss,
        (address_of(z), address_of(delta), targets, address_of(order), address_of(values),
         w.parameters, rows, n, ld, batch, totals),
    )  # fmt: skip
    total = carray(float64s_at(totals), (1,))[0]
    index, losses = carray(order, (rows,)), carray(values, (rows,))
    for r in range(rows):
        weight = carray(float64s_at(w.weights + 8 * index[r]), (1,))[0]
        counts = weight > 0 and total > 0
        factor = weight * batch / total if counts else 0.0
        losses[r] = factor * losses[r] if counts else 0.0
        slopes = carray(advance(delta, r * ld), (ld,))
        scale = like(slopes[0], factor)
        for j in range(ld):
            slopes[j] = scale * slopes[j] if counts else like(scale, 0.0)
