"""What compiled code can call: predictions, steps, epochs and gradients of a network's state.

The kernels are called by the addresses that stand in the state, so that a kernel of the user's
holds none of them: it stays in Numba's disk cache, and compiles nothing of fastbp's.

Between `enter` and `leave` nothing raises, or the state would be taken for ever.
"""

import numba
import numpy as np
from numba import carray, njit

from fastbp.embed.accepted import (
    expect_count,
    expect_features,
    expect_gradients,
    expect_order,
    expect_outputs,
    expect_targets,
    labelled,
)
from fastbp.engine.separate import RECORD, offset
from fastbp.kernels.machine.fields import float64s_at, words_at
from fastbp.kernels.machine.pointers import call, fetch_add, pointer_maker
from fastbp.kernels.step.program import layers_at, program_at
from fastbp.layout.cutting import cut

compiled = njit(nogil=True, error_model="numpy")
_NOT_FINITE = offset("not_finite")
_record_at = pointer_maker(numba.from_dtype(RECORD))


@compiled
def opened(state):
    """The record of a state."""
    return carray(_record_at(state.record.ctypes.data), (1,))[0]


@compiled
def enter(state, learning):
    """Begin to use the state, and the network if it will learn."""
    record = opened(state)
    busy = state.record.ctypes.data
    if busy != record.own:
        raise RuntimeError("a state must be an argument of the compiled function, not a global")
    if carray(words_at(record.settings_now), (1,))[0] != record.settings:
        raise RuntimeError("the network has got other settings since: take a new state")
    free = fetch_add(busy, 1) == 0
    if free and learning and fetch_add(record.learning, 1) != 0:
        fetch_add(record.learning, -1)
        free = False
    if not free:
        fetch_add(busy, -1)
        raise RuntimeError("the state is in use by another thread, or another one trains it")
    record.was_forwarded, record.forwarded = record.forwarded, 0


@compiled
def leave(state, learning):
    """End the use of it."""
    if learning:
        fetch_add(opened(state).learning, -1)
    fetch_add(state.record.ctypes.data, -1)


@compiled
def predict(state, X, out):
    """Overwrite `out` by the network's outputs.

    Parameters
    ----------
    state : State
    X : (rows, inputs) array of the network's dtype, C-contiguous
        Any number of rows. What is not finite goes through.
    out : (rows, outputs) array of it, C-contiguous
        Not in the same memory as X.
    """
    expect_features(state, X)
    expect_outputs(state, out)
    if X.shape[1] != opened(state).inputs or out.shape[1] != opened(state).outputs:
        raise ValueError("X must have a column for each input of the network, out for each output")
    if X.shape[0] != out.shape[0]:
        raise ValueError("X and out must have the same number of rows")
    if X.shape[0] == 0:
        return
    enter(state, False)
    record = opened(state)
    p = carray(program_at(record.predicting), (1,))[0]
    p.rows, p.features, p.predictions = X.shape[0], X.ctypes.data, out.ctypes.data
    call(record.predict, (record.predicting, 0))
    leave(state, False)


@compiled
def check_rows(state, X, y):
    """Raise for shapes that do not go together, and labels that the network does not take."""
    if X.shape[1] != opened(state).inputs:
        raise ValueError("X must have a column for each input of the network")
    if y.shape[0] != X.shape[0]:
        raise ValueError("X and y must have the same number of rows")
    if X.shape[0] == 0:
        raise ValueError("X must have at least one row")
    expect_targets(opened(state).outputs, opened(state).targets, y)
    if _program(opened(state), labelled(state, y), 0, 1) == 0:
        raise ValueError("y must hold values: the loss of the network has no labels")


@compiled
def _program(record, labels, gradient, batch):
    """The address of the program for such a call."""
    at = 4 * (batch <= record.short) + 2 * gradient + labels
    return carray(words_at(record.programs), (8,))[at]


@compiled
def filled(record, program, X, y, order, batch):
    """Fill in what is a call's own."""
    p = carray(program_at(program), (1,))[0]
    if p.batch != batch:
        slab, parts = cut(
            record.row_bytes, record.gradient_bytes, batch, record.slab_bytes, record.part_slab
        )
        if record.alone != 0 and slab >= batch:
            parts = 1  # as of `Engine`: the same numbers by fewer calls
        p.slab, p.parts = slab, parts
        p.batch_kernel = record.in_parts if parts > 0 else record.in_slabs
        p.batch = p.rows = batch
    p.features, p.targets, p.order, p.failed_epoch = X, y, order, -1
    return p


@compiled
def coefficients(record, batch):
    """The address of the coefficients of the next step, for a batch of so many rows."""
    step = carray(words_at(record.steps), (1,))[0] - record.first_step
    count = record.coefficient_count
    at = record.coefficients + 8 * count * min(step, record.coefficient_rows - 1)
    if record.alpha == 0:
        return at
    table, row = carray(float64s_at(at), (count,)), carray(float64s_at(record.row), (count + 1,))
    for k in range(count):
        row[k] = table[k]
    row[count] = record.alpha / batch
    return record.row


@compiled
def begin(state, steps):
    """Begin to train; raises where so many steps are not possible."""
    enter(state, True)
    record = opened(state)
    step = carray(words_at(record.steps), (1,))[0] - record.first_step
    if step < 0 or (record.lasts == 0 and step + steps > record.coefficient_rows):
        leave(state, True)
        raise RuntimeError("the state has no coefficients for these steps: take a new one")


@compiled
def finite(state, at, count):
    """Whether so many features at an address are; infinite ones may leave a finite loss."""
    record = opened(state)
    record.not_finite = 0
    call(record.check, (at, count, state.record.ctypes.data + _NOT_FINITE))
    return record.not_finite == 0


@compiled
def _stepped(record, X, y, order, batch, labels):
    """One step on the rows whose numbers stand at the address `order`; its loss or NaN."""
    program = _program(record, labels, 0, batch)
    p = filled(record, program, X, y, order, batch)
    p.coefficients, p.coefficient_count = coefficients(record, batch), record.row_count
    call(record.train, (program, 0))
    return record.loss if p.failed_epoch < 0 else np.nan


@compiled
def train_step(state, X, y):
    """One update on these rows as one batch.

    Parameters
    ----------
    state : State
    X : (rows, inputs) array of the network's dtype, C-contiguous
        At most `state.rows` rows.
    y : (rows, outputs) array of it, or labels (rows,) of int64
        Values are not looked at: any that the loss can compute with.

    Returns
    -------
    float
        The mean loss before the update. NaN where it or X is not finite: then no update was made.
    """
    expect_features(state, X)
    labels = labelled(state, y)
    check_rows(state, X, y)
    if X.shape[0] > opened(state).rows:
        raise ValueError("X has more rows than the state has room for")
    begin(state, 1)
    record = opened(state)
    loss, at = np.nan, X.ctypes.data
    if finite(state, at, X.size):
        loss = _stepped(record, at, y.ctypes.data, record.numbers, X.shape[0], labels)
    leave(state, True)
    return loss


@compiled
def train_epoch(state, X, y, order, batch):
    """One update for each batch of rows, in the given order.

    Parameters
    ----------
    state : State
    X, y
        As in `train_step`, of any number of rows.
    order : (count,) array of int64, C-contiguous
        Numbers of rows; the last batch may be shorter.
    batch : int
        Rows of a batch, at most `state.rows`.

    Returns
    -------
    float
        The mean of the losses by rows, each before its update; NaN where one, or a row of X, is
        not finite: the updates of the batches before are made, and no others.
    """
    expect_features(state, X)
    labels = labelled(state, y)
    expect_order(order)
    expect_count(batch)
    check_rows(state, X, y)
    if not 0 < batch <= opened(state).rows:
        raise ValueError("batch must be at least 1, and no more than the rows of the state")
    if len(order) == 0:
        raise ValueError("order must hold at least one number of a row")
    for row in order:
        if not 0 <= row < X.shape[0]:
            raise ValueError("order must hold numbers of rows of X")
    count = len(order)
    begin(state, (count + batch - 1) // batch)
    record, total = opened(state), 0.0
    for first in range(0, count, batch):
        rows = min(batch, count - first)
        loss, whole = np.nan, True
        for k in range(first, first + rows):
            whole = whole and finite(state, X.ctypes.data + order[k] * X.strides[0], X.shape[1])
        if whole:
            at = order.ctypes.data + 8 * first
            loss = _stepped(record, X.ctypes.data, y.ctypes.data, at, rows, labels)
        total += loss * rows
        if not np.isfinite(loss):
            break
    leave(state, True)
    return total / count


@compiled
def copy_gradient(p, to):
    """Overwrite the memory at the address `to` by the gradient, without padding."""
    layers = carray(layers_at(p.layers), (p.layer_count,))
    for n in range(p.layer_count):
        layer = layers[n]
        rows, width = layer.inputs + 1, layer.outputs
        call(p.copy_rows, (layer.gradient, layer.ld_out, to, width, rows, width))
        to += rows * width * p.itemsize


@compiled
def loss_and_gradients(state, X, y, gradients):
    """Overwrite `gradients` by the gradient of the mean loss of these rows; the network stays.

    Parameters
    ----------
    state : State
    X, y
        As in `train_step`.
    gradients : (parameters,) array of the network's dtype, C-contiguous
        The weights of the first layer, row by row, its biases, those of the next layer ...

    Returns
    -------
    float
        The mean loss.
    """
    expect_features(state, X)
    labels = labelled(state, y)
    expect_gradients(state, gradients)
    check_rows(state, X, y)
    if X.shape[0] > opened(state).rows:
        raise ValueError("X has more rows than the state has room for")
    if len(gradients) != opened(state).parameters:
        raise ValueError("gradients must have an element for each parameter")
    enter(state, False)
    record = opened(state)
    program = _program(record, labels, 1, X.shape[0])
    p = filled(record, program, X.ctypes.data, y.ctypes.data, record.numbers, X.shape[0])
    call(record.differentiate, (program, 0))
    copy_gradient(p, gradients.ctypes.data)
    loss = record.loss
    leave(state, False)
    return loss
