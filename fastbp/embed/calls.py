"""What compiled code can call: predictions, steps, epochs and gradients of a network's state.

The kernels are called by the addresses that stand in the state, so that a kernel of the user's
holds none of them: it stays in Numba's disk cache, and compiles nothing of fastbp's.
"""

import numpy as np
from numba import njit, types
from numba.core.errors import NumbaTypeError
from numba.extending import overload

from fastbp.embed.states import VERSION
from fastbp.kernels.machine.pointers import call, fetch_add
from fastbp.kernels.step.program import PROGRAM
from fastbp.layout.cutting import cut

assert PROGRAM.names is not None
_place = PROGRAM.names.index
(
    BATCH, ROWS, EPOCHS, SLAB, PARTS, BATCH_KERNEL, FIRST_ROW, MOST_STEPS, LEAST_STEPS, CARRIED,
    FEATURES, TARGETS, ORDER, ORDER_ROWS, UPDATING, COEFFICIENTS, COEFFICIENT_COUNT, PREDICTIONS,
    EPOCH_LOSSES, EPOCH_PENALTIES, FAILED_EPOCH,
) = map(
    _place,
    (
        "batch", "rows", "epochs", "slab", "parts", "batch_kernel", "first_row", "most_steps",
        "least_steps", "carried", "features", "targets", "order", "order_rows", "updating",
        "coefficients", "coefficient_count", "predictions", "epoch_losses", "epoch_penalties",
        "failed_epoch",
    ),
)  # fmt: skip
PREDICT, TRAIN, DIFFERENTIATE, IN_SLABS, IN_PARTS = range(5)
compiled = njit(nogil=True, error_model="numpy")


def _expect_real(state, array, name):
    """Raise where the array is not C-contiguous, or of another dtype than the network."""


@overload(_expect_real)
def _typed_real(state, array, name):
    wanted = state.types[state.instance_class._fields.index("flat")].dtype
    if not isinstance(array, types.Array) or array.layout != "C" or array.dtype != wanted:
        raise NumbaTypeError(
            f"embed takes C-contiguous arrays of the network's dtype, {wanted}; got {array}"
        )
    return lambda state, array, name: None


@compiled
def _enter(state):
    """Begin to use the state."""
    if state.version != VERSION:
        raise RuntimeError("compiled for another version of fastbp: compile it anew")
    if fetch_add(state.busy.ctypes.data, 1) != 0:
        fetch_add(state.busy.ctypes.data, -1)
        raise RuntimeError("the state is in use by another thread: each needs its own network")


@compiled
def _leave(state):
    """End the use of it."""
    fetch_add(state.busy.ctypes.data, -1)


@compiled
def predict(state, X, out):
    """Overwrite `out` by the network's outputs.

    Parameters
    ----------
    state : State
    X : (rows, inputs) array of the network's dtype, C-contiguous
        Any number of rows.
    out : (rows, outputs) array of it, C-contiguous
    """
    _expect_real(state, X, "X")
    _expect_real(state, out, "out")
    if X.shape[1] != state.inputs or out.shape[1] != state.outputs:
        raise ValueError("X must have a column for each input of the network, out for each output")
    if X.shape[0] != out.shape[0]:
        raise ValueError("X and out must have the same number of rows")
    if X.shape[0] == 0:
        return
    _enter(state)
    program = state.predicting
    program[ROWS], program[FEATURES] = X.shape[0], X.ctypes.data
    program[PREDICTIONS] = out.ctypes.data
    call(state.kernels[PREDICT], (program.ctypes.data, 0))
    _leave(state)


def _programs(state, y):
    """The programs of steps and of gradients for such targets, and their values a row."""


@overload(_programs)
def _typed_targets(state, y):
    wanted = state.types[state.instance_class._fields.index("flat")].dtype
    labels = isinstance(y, types.Array) and y.dtype == types.int64 and y.ndim == 1
    values = isinstance(y, types.Array) and y.dtype == wanted and y.ndim == 2
    if not (labels or values) or y.layout != "C":
        raise NumbaTypeError(
            "embed takes targets as C-contiguous arrays: (rows, outputs) of the network's dtype, "
            f"{wanted}, or for cross-entropy labels (rows,) of int64; got {y}"
        )
    if labels:
        return lambda state, y: (state.training_labels, state.gradient_labels, 1)
    return lambda state, y: (state.training, state.gradient_program, y.shape[1])


def _labels_of(state, y):
    """Raise where a label is that of no class."""


@overload(_labels_of)
def _typed_labels(state, y):
    if y.ndim == 2:
        return lambda state, y: None

    def look(state, y):
        for label in y:
            if not 0 <= label < state.outputs:
                raise ValueError("y must hold labels from 0 to outputs - 1")

    return look


@compiled
def _coefficients(state, mass):
    """The address of the coefficients of the next step, for a batch of so many rows."""
    step = state.steps[0] - state.first_step
    last = state.coefficients.shape[0] - 1
    if step < 0 or (step > last and not state.lasts):
        raise RuntimeError("the state has no coefficients for this step: take a new one")
    count = state.coefficients.shape[1]
    for k in range(count):
        state.row[k] = state.coefficients[min(step, last), k]
    if state.alpha > 0:
        state.row[count] = state.alpha / mass
    return state.row.ctypes.data


@compiled
def _check(state, program, X, y, wide):
    """Raise for shapes that do not go together."""
    if X.shape[1] != state.inputs:
        raise ValueError("X must have a column for each input of the network")
    if y.shape[0] != X.shape[0]:
        raise ValueError("X and y must have the same number of rows")
    if y.ndim == 2 and wide != state.outputs:
        raise ValueError("y must have a column for each output of the network")
    if X.shape[0] == 0:
        raise ValueError("X must have at least one row")
    if len(program) == 0:
        raise ValueError("y must hold values: the loss of the network has no labels")


@compiled
def _set(state, program, X, y, order, batch):
    """Fill in what is a call's own; results: the loss, then what an epoch carries."""
    slab, parts = cut(state.row_bytes, state.gradient_bytes, batch)
    if state.alone and slab >= batch:
        parts = min(parts, 1)
    program[SLAB], program[PARTS] = slab, parts
    program[BATCH_KERNEL] = state.kernels[IN_PARTS if parts > 0 else IN_SLABS]
    program[FEATURES], program[TARGETS] = X.ctypes.data, y.ctypes.data
    program[ORDER] = program[ORDER_ROWS] = 0
    program[ORDER] = order.ctypes.data
    program[BATCH] = program[ROWS] = batch
    program[EPOCHS], program[FIRST_ROW], program[MOST_STEPS] = 1, 0, 1
    program[LEAST_STEPS], program[FAILED_EPOCH] = 0, -1
    state.results[:] = 0
    program[EPOCH_LOSSES] = state.results.ctypes.data
    program[CARRIED] = state.results.ctypes.data + 8
    state.shared[:] = 0


@compiled
def _stepped(state, program, X, y, order, batch):
    """One step on the rows whose numbers stand at the beginning of `order`; its loss or NaN."""
    _set(state, program, X, y, order, batch)
    program[UPDATING] = state.updating
    program[COEFFICIENTS], program[COEFFICIENT_COUNT] = _coefficients(state, batch), len(state.row)
    call(state.kernels[TRAIN], (program.ctypes.data, 0))
    return state.results[0] if program[FAILED_EPOCH] < 0 else np.nan


@compiled
def train_step(state, X, y):
    """One update on these rows as one batch.

    Parameters
    ----------
    state : State
    X : (rows, inputs) array of the network's dtype, C-contiguous
        At most `state.rows` rows.
    y : (rows, outputs) array of it, or labels (rows,) of int64

    Returns
    -------
    float
        The mean loss before the update. NaN where it is not finite: then no update was made.
    """
    _expect_real(state, X, "X")
    program, _, wide = _programs(state, y)
    _check(state, program, X, y, wide)
    if X.shape[0] > state.rows:
        raise ValueError("X has more rows than the state has room for")
    _labels_of(state, y)
    _enter(state)
    loss = _stepped(state, program, X, y, state.numbers, X.shape[0])
    _leave(state)
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
        The mean of the losses by rows, each before its update; NaN where one is not finite: the
        updates before it are made.
    """
    _expect_real(state, X, "X")
    program, _, wide = _programs(state, y)
    _check(state, program, X, y, wide)
    if not 0 < batch <= state.rows:
        raise ValueError("batch must be at least 1, and no more than the rows of the state")
    for row in order:
        if not 0 <= row < X.shape[0]:
            raise ValueError("order must hold numbers of rows of X")
    _labels_of(state, y)
    _enter(state)
    total, count = 0.0, len(order)
    for first in range(0, count, batch):
        rows = min(batch, count - first)
        loss = _stepped(state, program, X, y, order[first:], rows)
        total += loss * rows
        if not np.isfinite(loss):
            break
    _leave(state)
    return total / count


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
    _expect_real(state, X, "X")
    _expect_real(state, gradients, "gradients")
    _, program, wide = _programs(state, y)
    _check(state, program, X, y, wide)
    if X.shape[0] > state.rows:
        raise ValueError("X has more rows than the state has room for")
    if len(gradients) != len(state.places):
        raise ValueError("gradients must have an element for each parameter")
    _labels_of(state, y)
    _enter(state)
    _set(state, program, X, y, state.numbers, X.shape[0])
    program[UPDATING] = 0
    call(state.kernels[DIFFERENTIATE], (program.ctypes.data, 0))
    for k in range(len(gradients)):
        gradients[k] = state.gradient[state.places[k]]
    loss = state.results[0]
    _leave(state)
    return loss
