"""What compiled code may pass: looked at by its types while it is compiled, so at no cost."""

from typing import Any

from numba import types
from numba.core.errors import NumbaTypeError
from numba.extending import overload

from fastbp.embed import states
from fastbp.embed.states import State

OF_REAL = "the network's dtype"


def _dtype_of(state: Any) -> Any:
    """The dtype of a state's network."""
    if not isinstance(state, types.NamedTuple) or state.instance_class is not State:
        raise NumbaTypeError(f"embed takes the state of a network, `net.state`; got {state}")
    record = state.types[State._fields.index("record")].dtype
    if not isinstance(record, types.Record) or states.VERSION not in record.fields:
        raise NumbaTypeError("embed takes the state of a network as `net.state` made it")
    return state.types[State._fields.index("flat")].dtype


def _is_plain(array: Any, dtype: Any, ndim: int) -> bool:
    if not isinstance(array, types.Array):
        return False
    return bool(array.ndim == ndim and array.dtype == dtype and array.layout == "C")


def expect_features(state, array):
    """Raise where the array is not (rows, columns) of the network's dtype, C-contiguous."""


@overload(expect_features)
def _features(state, array):
    dtype = _dtype_of(state)
    if not _is_plain(array, dtype, 2):
        raise NumbaTypeError(
            f"embed takes X as a C-contiguous (rows, inputs) array of {dtype}, {OF_REAL}; got "
            f"{array}"
        )
    return lambda state, array: None


def expect_outputs(state, array):
    """Raise where the array is not (rows, columns) of it, or cannot be written."""


@overload(expect_outputs)
def _outputs(state, array):
    dtype = _dtype_of(state)
    if not (_is_plain(array, dtype, 2) and array.mutable):
        raise NumbaTypeError(
            f"embed takes out as a writable C-contiguous (rows, outputs) array of {dtype}, "
            f"{OF_REAL}; got {array}"
        )
    return lambda state, array: None


def expect_gradients(state, array):
    """Raise where the array is not (parameters,) of it, or cannot be written."""


@overload(expect_gradients)
def _gradients(state, array):
    dtype = _dtype_of(state)
    if not (_is_plain(array, dtype, 1) and array.mutable):
        raise NumbaTypeError(
            f"embed takes gradients as a writable C-contiguous (parameters,) array of {dtype}, "
            f"{OF_REAL}; got {array}"
        )
    return lambda state, array: None


def expect_order(order):
    """Raise where the order is not (count,) of int64, C-contiguous."""


@overload(expect_order)
def _order(order):
    if not _is_plain(order, types.int64, 1):
        raise NumbaTypeError(
            f"embed takes order as a C-contiguous (count,) array of int64; got {order}"
        )
    return lambda order: None


def expect_count(number):
    """Raise where the number is no integer."""


@overload(expect_count)
def _count(number):
    if not isinstance(number, types.Integer) or isinstance(number, types.Boolean):
        raise NumbaTypeError(f"embed takes batch as an int; got {number}")
    return lambda number: None


def labelled(state, y):
    """Whether targets are labels; raises where they are neither these nor values."""


@overload(labelled)
def _labelled(state, y):
    dtype = _dtype_of(state)
    if _is_plain(y, types.int64, 1):
        return lambda state, y: 1
    if _is_plain(y, dtype, 2):
        return lambda state, y: 0
    raise NumbaTypeError(
        f"embed takes y as a C-contiguous (rows, outputs) array of {dtype}, {OF_REAL}, or for "
        f"cross-entropy as labels, a C-contiguous (rows,) array of int64; got {y}"
    )


def expect_targets(outputs, columns, y):
    """Raise ValueError for targets that are not so many a row, or labels of no output."""


@overload(expect_targets)
def _targets(outputs, columns, y):
    if y.ndim == 1:

        def look(outputs, columns, y):
            for label in y:
                if not 0 <= label < outputs:
                    raise ValueError("y must hold labels from 0 to outputs - 1")

    else:

        def look(outputs, columns, y):
            if y.shape[1] != columns:
                raise ValueError("y must have a column for each target of the network's loss")

    return look
