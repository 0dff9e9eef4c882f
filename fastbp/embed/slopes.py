"""Slopes in compiled code: of inputs, and of outputs that the caller has computed."""

import numpy as np
from numba import carray, types

from fastbp.embed.accepted import (
    expect_features,
    expect_gradients,
    expect_outputs,
    labelled,
)
from fastbp.embed.calls import (
    begin,
    check_rows,
    coefficients,
    compiled,
    copy_gradient,
    enter,
    filled,
    finite,
    leave,
    opened,
)
from fastbp.kernels.machine.fields import float64s_at, words_at
from fastbp.kernels.machine.pointers import call, pointer_maker
from fastbp.kernels.step.program import program_at

_bytes_at = pointer_maker(types.uint8)


@compiled
def input_gradient(state, X, y, out):
    """Overwrite `out` by the derivative of the mean loss of these rows by every input.

    Parameters
    ----------
    state : State
    X : (rows, inputs) array of the network's dtype, C-contiguous
        At most `state.rows` rows.
    y : (rows, outputs) array of it, or labels (rows,) of int64
    out : (rows, inputs) array of it, C-contiguous

    Returns
    -------
    float
        The mean loss.
    """
    expect_features(state, X)
    expect_outputs(state, out)
    labels = labelled(state, y)
    check_rows(state, X, y)
    rows = X.shape[0]
    if rows > opened(state).rows:
        raise ValueError("X has more rows than the state has room for")
    if out.shape[0] != rows or out.shape[1] != opened(state).inputs:
        raise ValueError("out must have the shape of X")
    enter(state, False)
    record = opened(state)
    program = record.input_labels if labels else record.input_values
    p = carray(program_at(program), (1,))[0]
    p.rows = p.batch = rows
    p.features, p.targets, p.predictions = X.ctypes.data, y.ctypes.data, out.ctypes.data
    call(record.differentiate_rows, (program, 0))
    losses, total = carray(float64s_at(p.row_losses), (rows,)), 0.0
    for r in range(rows):
        total += losses[r]
    leave(state, False)
    return total / rows


@compiled
def check_slopes(state, X, slopes):
    """Raise for slopes of outputs that do not go with the rows."""
    if X.shape[1] != opened(state).inputs or slopes.shape[1] != opened(state).outputs:
        raise ValueError("X must have a column for each input, slopes for each output")
    if X.shape[0] != slopes.shape[0]:
        raise ValueError("X and slopes must have the same number of rows")
    if not 0 < X.shape[0] <= opened(state).rows:
        raise ValueError("X must have at least one row, and no more than the state has room for")


@compiled
def forward(state, X, out):
    """Overwrite `out` by the outputs of a batch, as training sees them: with dropout.

    Its activations are kept until the state is used otherwise, for `backward` and `step` of the
    same rows: the weights may not be assigned in between.

    Parameters
    ----------
    state : State
    X : (rows, inputs) array of the network's dtype, C-contiguous
        At most `state.rows` rows.
    out : (rows, outputs) array of it, C-contiguous
    """
    expect_features(state, X)
    expect_outputs(state, out)
    check_slopes(state, X, out)
    enter(state, False)
    record, rows, at = opened(state), X.shape[0], X.ctypes.data
    p = filled(record, record.forwarding, at, 0, record.numbers, rows)
    p.predictions = out.ctypes.data
    call(record.forward_batch, (record.forwarding, 0))
    if p.slab >= rows and p.parts <= 1:
        size = X.size * X.itemsize
        kept, given = carray(_bytes_at(record.kept), (size,)), carray(_bytes_at(at), (size,))
        kept[:] = given
        record.forwarded = size
        record.forwarded_step = carray(words_at(record.steps), (1,))[0]
    leave(state, False)


@compiled
def known(record, X):
    """1 where the activations of these rows are in the slab, else 0."""
    size = X.size * X.itemsize
    step = carray(words_at(record.steps), (1,))[0]
    if record.was_forwarded != size or record.forwarded_step != step:
        return 0
    kept = carray(_bytes_at(record.kept), (size,))
    given = carray(_bytes_at(X.ctypes.data), (size,))
    differ = np.uint8(0)
    for k in range(size):
        differ |= kept[k] ^ given[k]
    return 1 if differ == 0 else 0


@compiled
def backward(state, X, slopes, gradients):
    """Overwrite `gradients` by those of any number that was computed from the outputs of `forward`.

    Parameters
    ----------
    state : State
    X : (rows, inputs) array of the network's dtype, C-contiguous
        The rows that `forward` had; of others the way forward is repeated.
    slopes : (rows, outputs) array of it, C-contiguous
        The derivative of that number by every output.
    gradients : (parameters,) array of it, C-contiguous
        In the order of `loss_and_gradients`.
    """
    expect_features(state, X)
    expect_features(state, slopes)
    expect_gradients(state, gradients)
    check_slopes(state, X, slopes)
    if len(gradients) != opened(state).parameters:
        raise ValueError("gradients must have an element for each parameter")
    enter(state, False)
    record, rows, at = opened(state), X.shape[0], X.ctypes.data
    done = known(record, X)
    p = filled(record, record.given_gradient, at, slopes.ctypes.data, record.numbers, rows)
    p.forwarded = done
    call(record.differentiate, (record.given_gradient, 0))
    copy_gradient(p, gradients.ctypes.data)
    leave(state, False)


@compiled
def step(state, X, slopes):
    """One update by the gradient of any number that was computed from the outputs of `forward`.

    Parameters
    ----------
    state, X, slopes
        As of `backward`.

    Returns
    -------
    bool
        Whether the update was made: not where X or slopes are not finite.
    """
    expect_features(state, X)
    expect_features(state, slopes)
    check_slopes(state, X, slopes)
    begin(state, 1)
    record, rows, at = opened(state), X.shape[0], X.ctypes.data
    done = known(record, X)
    made = False
    if finite(state, at, X.size) and finite(state, slopes.ctypes.data, slopes.size):
        p = filled(record, record.given_step, at, slopes.ctypes.data, record.numbers, rows)
        p.forwarded = done
        p.coefficients, p.coefficient_count = coefficients(record, rows), record.row_count
        call(record.train, (record.given_step, 0))
        made = p.failed_epoch < 0
    leave(state, True)
    return made
