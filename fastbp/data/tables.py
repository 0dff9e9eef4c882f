"""Turns what a user passes as X and y into checked arrays of the network's dtype.

What comes out is C-contiguous, aligned and native-endian. Where the input is that already, the
output is the same memory, read-only where the input was; otherwise it is converted, once. The
caller's arrays are never written to.
"""

from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastbp.data.arrays import contiguous, finite, located, numeric
from fastbp.validation import positive_int

OF_NAN = " (mask_nan=True leaves out targets that are NaN)"  # in messages

# How far a row of probabilities may sum from one. Softmax in float16 is off by up to 5e-4.
SUM_TOLERANCE = 1e-3


def features(
    X: ArrayLike, width: int, dtype: DTypeLike, name: str = "X", scaled: bool = False
) -> NDArray[Any]:
    """Return the inputs of the network, one row a sample.

    Parameters
    ----------
    X : array_like, shape (rows, width)
        Booleans, integers or floats, at least one row.
    width : int
        Features the network takes.
    dtype : dtype
        The network's: float32 or float64.
    name : str
        What the caller calls the argument, for the message.
    scaled : bool
        Whether the network scales its inputs.

    Returns
    -------
    ndarray of the dtype that `source_dtype` tells, shape (rows, width)
        C-contiguous; the memory of `X` where nothing had to change.

    Raises
    ------
    TypeError
        `X` does not hold real numbers, or is a masked array.
    ValueError
        Wrong rank or feature count, no rows, ragged lists, NaN or infinity (after conversion to
        `dtype`: 1e300 is infinite in float32).
    """
    source = table(X, width, name)
    return finite(source, source_dtype(source.dtype, dtype, scaled), name, given=X)


def source_dtype(given: np.dtype[Any], dtype: DTypeLike, scaled: bool) -> np.dtype[Any]:
    """The dtype in which the kernels read features.

    Bytes stay bytes. What will be scaled keeps its precision: seconds since 1970 are much alike in
    float32, but not once their mean has been taken off.

    Parameters
    ----------
    given : dtype
        Of booleans, integers or floats.
    dtype : dtype
        The network's.
    scaled : bool
        Whether the network scales its inputs.
    """
    if given == np.uint8:
        return np.dtype(np.uint8)
    if scaled and given != dtype:
        return np.dtype(np.float32 if np.can_cast(given, np.float32) else np.float64)
    return np.dtype(dtype)


def table(X: ArrayLike, width: int, name: str = "X") -> NDArray[Any]:
    """Return the inputs of the network as they are, neither converted nor searched for NaN.

    Parameters
    ----------
    X, width, name
        As `features` takes them.

    Returns
    -------
    ndarray of any real dtype and strides, shape (rows, width)
        The memory of `X` where it is an array.

    Raises
    ------
    TypeError, ValueError
        As `features`, but for values that are not finite.
    """
    source = numeric(X, name)
    if source.ndim != 2 or source.shape[1] != width or not len(source):
        if source.ndim == 1 and source.size:
            hint = f"; {name}.reshape(1, -1) makes one row of it, {name}.reshape(-1, 1) one column"
        elif source.ndim > 2:
            hint = f"; {name}.reshape(len({name}), -1) makes one row of every sample"
        else:
            hint = ""
        _reject_shape(source, name, f"(rows, {width}) with at least one row", hint)
    return source


def labels(y: ArrayLike, rows: int, classes: int, name: str = "y") -> NDArray[np.int64]:
    """Return class labels, one integer from 0 to ``classes - 1`` a row.

    Parameters
    ----------
    y : array_like, shape (rows,), or (rows, 1) where there are two classes or more
        Integers of any width, booleans, or floats that hold whole numbers, as text files are
        often read. A label of 1.5 is an error, never rounded.
    rows : int
        Rows of X.
    classes : int
        Outputs of the network.
    name : str
        What the caller calls the argument, for the message.

    Returns
    -------
    ndarray of int64, shape (rows,)
        C-contiguous; the memory of `y` where nothing had to change.

    Raises
    ------
    TypeError
        `y` does not hold real numbers, or is a masked array.
    ValueError
        Wrong rank or row count, a label that is negative, too large or not whole.
    """
    source = numeric(y, name)
    if not _holds_labels(source, classes):
        _reject_shape(source, name, f"({rows},), one label a row")
    source = source.reshape(-1)
    _check_rows(source, rows, name)
    array = contiguous(source, np.int64)
    # Seen as unsigned, a negative label is a huge one, and so is an unsigned one that int64 cannot
    # hold: one comparison finds them all.
    wrong = array.view(np.uint64) >= classes
    if source.dtype.kind == "f":
        wrong |= array != source
    first = wrong.argmax()  # quicker than any()
    if wrong[first]:
        hint = OF_NAN if source.dtype.kind == "f" and np.isnan(source[first]) else ""
        raise ValueError(
            f"{name} holds {located(source, int(first))}; the labels of {classes} "
            f"classes are the whole numbers from 0 to {classes - 1}{hint}"
        )
    return array


def probabilities(
    y: ArrayLike, rows: int, classes: int, dtype: DTypeLike, name: str = "y"
) -> NDArray[Any]:
    """Return class probabilities, one distribution over the classes a row.

    Parameters
    ----------
    y : array_like, shape (rows, classes)
        Finite, not negative, every row with a sum within `SUM_TOLERANCE` (1e-3) of one. They are
        taken as they are: no row is rescaled.
    rows : int
        Rows of X.
    classes : int
        Outputs of the network.
    dtype : dtype
        The network's: float32 or float64.
    name : str
        What the caller calls the argument, for the message.

    Returns
    -------
    ndarray of `dtype`, shape (rows, classes)
        C-contiguous; the memory of `y` where nothing had to change.

    Raises
    ------
    TypeError
        `y` does not hold real numbers, or is a masked array.
    ValueError
        Wrong rank or shape, NaN, infinity, a negative value or a wrong sum.
    """
    array = targets(y, rows, classes, dtype, name, low=0.0)
    with np.errstate(over="ignore"):
        sums = array.sum(axis=1)
    wrong = np.abs(sums - 1.0) > SUM_TOLERANCE
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{name} sums to {sums[row]:.6g} in row {row}; the probabilities of a row must sum to "
            f"1 within {SUM_TOLERANCE:g} (divide every row by its sum)"
        )
    return array


def class_targets(
    y: ArrayLike, rows: int, classes: int, dtype: DTypeLike, name: str = "y"
) -> NDArray[Any]:
    """Return the targets of cross-entropy: labels or probabilities, as the shape of `y` tells.

    Rank 1, or a single column where there are two classes or more, means class labels and gives
    what `labels` returns; ``(rows, classes)`` means probabilities and gives what `probabilities`
    returns. The rank of the result tells which.

    Parameters
    ----------
    y : array_like, shape (rows,), (rows, 1) or (rows, classes)
        The targets.
    rows : int
        Rows of X.
    classes : int
        Outputs of the network.
    dtype : dtype
        The network's: float32 or float64.
    name : str
        What the caller calls the argument, for the message.

    Returns
    -------
    ndarray of int64, shape (rows,), or ndarray of `dtype`, shape (rows, classes)
        C-contiguous; the memory of `y` where nothing had to change.

    Raises
    ------
    TypeError, ValueError
        As `labels` and `probabilities` do.
    """
    source = numeric(y, name)
    if _holds_labels(source, classes):
        return labels(source, rows, classes, name)
    if source.ndim != 2 or source.shape[1] != classes:
        forms = f"({rows},) for labels or ({rows}, {classes}) for probabilities"
        _reject_shape(source, name, forms)
    return probabilities(source, rows, classes, dtype, name)


def targets(
    y: ArrayLike,
    rows: int,
    outputs: int,
    dtype: DTypeLike,
    name: str = "y",
    low: float | None = None,
    high: float | None = None,
) -> NDArray[Any]:
    """Return dense targets, one value an output.

    Parameters
    ----------
    y : array_like, shape (rows, outputs), or (rows,) where there is one output
        Booleans, integers or floats.
    rows : int
        Rows of X.
    outputs : int
        Outputs of the network.
    dtype : dtype
        The network's: float32 or float64.
    name : str
        What the caller calls the argument, for the message.
    low, high : float, optional
        The least and the greatest value accepted, compared after conversion to `dtype`.

    Returns
    -------
    ndarray of `dtype`, shape (rows, outputs)
        C-contiguous; the memory of `y` where nothing had to change.

    Raises
    ------
    TypeError
        `y` does not hold real numbers, or is a masked array.
    ValueError
        Wrong rank or shape, NaN, infinity or a value out of bounds.
    """
    source = numeric(y, name)
    is_column = source.ndim == 1 and outputs == 1
    if not is_column and (source.ndim != 2 or source.shape[1] != outputs):
        also = f" or ({rows},)" if outputs == 1 else ""
        _reject_shape(source, name, f"({rows}, {outputs}){also}")
    _check_rows(source, rows, name)
    array = finite(source, dtype, name, given=y, of_nan=OF_NAN)
    wrong = None
    if low is not None and array.min() < low:
        wrong = array < low
    elif high is not None and array.max() > high:
        wrong = array > high
    if wrong is not None:
        bounds = [f"at least {low:g}"] if low is not None else []
        bounds += [f"at most {high:g}"] if high is not None else []
        raise ValueError(
            f"{name} holds {located(source, int(wrong.argmax()), given=y)}; "
            f"every value must be {' and '.join(bounds)}"
        )
    return array.reshape(rows, outputs)


def row_targets(y: ArrayLike, rows: int, dtype: DTypeLike, name: str = "y") -> NDArray[Any]:
    """Return targets of any number of columns, (rows, columns) of `dtype`; a flat `y` is one.

    Raises as `targets`.
    """
    source = numeric(y, name)
    if source.ndim not in (1, 2) or (source.ndim == 2 and not source.shape[1]):
        _reject_shape(source, name, f"({rows},) or ({rows}, columns)")
    _check_rows(source, rows, name)
    return finite(source, dtype, name, given=y, of_nan=OF_NAN).reshape(rows, -1)


def batch_size(value: Any, rows: int) -> int:
    """Return the rows of a batch: `value`, or `rows` where that is less.

    Parameters
    ----------
    value : int
        At least 1; not a boolean, not a float.
    rows : int
        Rows of X.

    Raises
    ------
    TypeError
        `value` is not an integer.
    ValueError
        `value` is below 1.
    """
    return min(positive_int(value, "batch_size"), rows)


def _holds_labels(source: NDArray[Any], classes: int) -> bool:
    return source.ndim == 1 or (source.ndim == 2 and source.shape[1] == 1 and classes > 1)


def _check_rows(source: NDArray[Any], rows: int, name: str) -> None:
    if len(source) != rows:
        raise ValueError(
            f"{name} must have a row for each of the {rows} rows of X; "
            f"got {len(source)} rows (shape {source.shape})"
        )


def _reject_shape(source: NDArray[Any], name: str, accepted: str, hint: str = "") -> NoReturn:
    raise ValueError(f"{name} must have shape {accepted}; got shape {source.shape}{hint}")
