"""How large what a network computes can get at the most, from its weights alone."""

from numba import carray, types

from fastbp.kernels.machine.jit import INT, REAL, inline, kernel
from fastbp.kernels.machine.pointers import advance, pointer_to
from fastbp.kernels.panels.panels import run
from fastbp.kernels.step.program import opened

COLUMNS = 1024  # of W that are worked on together, at the most; scratch has room for them
STRETCH, SHIFT = 1.06, 2.0  # of activations: abs(f(z)) <= STRETCH * abs(z) + SHIFT


@inline
def _greater(value, top):
    """The greater of the two; NaN where either is."""
    return value if value > top or value != value else top


@inline
def _largest(weights, rows, ld, columns, sums, bound):
    """The greatest bound of one output of some columns of W, whose last row holds the biases."""
    total = run(sums, columns)
    total[:] = 0
    for r in range(rows):
        row = carray(advance(weights, r * ld), (columns,))
        for j in range(columns):
            total[j] += abs(row[j])
    biases = carray(advance(weights, rows * ld), (columns,))
    top = 0.0
    for j in range(columns):
        value = bound * total[j] + abs(biases[j])
        top = _greater(value, top)
    return top


@kernel(INT, REAL, types.CPointer(types.float64))
def bounds(program, scratch, result):
    """result[0], a bound of abs(inputs), becomes one of the last layer before its activation.

    result[1] becomes the greatest bound of any hidden layer's; NaN or infinity where a parameter
    is. Activations are those of which STRETCH and SHIFT are true. scratch: overwritten.
    """
    p, layers = opened(program)
    found = carray(result, (2,))
    bound, hidden = found[0], 0.0
    for n in range(p.layer_count):
        layer, top = layers[n], 0.0
        weights = pointer_to(layer.weights, scratch)
        for column in range(0, layer.ld_out, COLUMNS):
            columns = min(COLUMNS, layer.ld_out - column)
            value = _largest(
                advance(weights, column), layer.inputs, layer.ld_out, columns, scratch, bound
            )
            top = _greater(value, top)
        if n > 0:
            hidden = _greater(bound, hidden)
        bound = top if n == p.layer_count - 1 else STRETCH * top + SHIFT
    found[0], found[1] = bound, hidden
