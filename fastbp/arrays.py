"""Brings one array from outside into the form the kernels read: real, finite, contiguous."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastbp.validation import shown

# Elements a block of the search for NaN and infinity: few calls, and a scratch that stays in cache.
_BLOCK = 1 << 17
# Elements that are converted at a time where they are not needed all at once.
_PIECE = 1 << 20

_STRINGS = "; np.unique(..., return_inverse=True)[1] numbers the names of classes"
_HINTS = {
    "O": "; np.asarray(..., dtype=float) converts numbers held as objects" + _STRINGS,
    "c": "; pass the real and the imaginary part as separate columns",
    "M": "; subtract a reference time and divide by a unit of time",
    "m": "; divide it by a unit of time",
    "V": "; give it a plain dtype such as float32",
    "U": _STRINGS,
    "S": _STRINGS,
    "T": _STRINGS,
}


def numeric(value: ArrayLike, name: str) -> NDArray[Any]:
    """Return `value` as an array of booleans, integers or floats, without a copy where it is one.

    Parameters
    ----------
    value : array_like
        An array, nested lists, a pandas DataFrame or whatever else `numpy.asarray` reads.
    name : str
        What the caller calls the argument, for the message.

    Returns
    -------
    ndarray of any rank, dtype, byte order and strides
        Never an instance of a subclass.

    Raises
    ------
    TypeError
        Complex numbers, objects, strings, dates, structured or masked arrays.
    ValueError
        Ragged lists.
    """
    if type(value) is np.ndarray and value.dtype.kind in "biuf":
        return value
    if isinstance(value, np.ma.MaskedArray) or (
        isinstance(value, list | tuple)
        and any(isinstance(part, np.ma.MaskedArray) for part in value)
    ):
        # numpy.asarray would silently go on with what lies under the mask.
        raise TypeError(
            f"{name} must be an array without a mask, got a masked array; fill the masked entries "
            f"with {name}.filled(value) or drop their rows"
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name} must be a rectangular array of numbers, all rows of one length; "
            f"got a {type(value).__name__} that NumPy cannot read as one: {error}"
        ) from error
    kind = array.dtype.kind
    if kind not in "biuf":
        given, hint = f"dtype {array.dtype}", _HINTS.get(kind, "")
        if hasattr(value, "toarray"):
            given, hint = shown(value), f"; {name}.toarray() makes a sparse matrix dense"
        elif kind == "O" and not array.ndim:
            given, hint = shown(value), ""
        raise TypeError(
            f"{name} must hold real numbers (booleans, integers or floats); got {given}{hint}"
        )
    return array


def contiguous(source: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Return `source` as a C-contiguous, aligned, native-endian array of `dtype`.

    Values out of the range of `dtype` become infinite, silently.

    Returns
    -------
    ndarray of `dtype`, of the shape of `source`
        `source` itself where it is one, read-only or not; otherwise a new array.
    """
    if _is_ready(source, dtype):
        return source
    with np.errstate(over="ignore", invalid="ignore"):
        return source.astype(dtype, order="C")


def _is_ready(source: NDArray[Any], dtype: DTypeLike) -> bool:
    flags = source.flags
    return source.dtype == dtype and flags.c_contiguous and flags.aligned


def copy_to(target: NDArray[Any], source: NDArray[Any]) -> None:
    """Overwrite `target` with `source`; as with `contiguous`, too large values become infinite."""
    if source.dtype == target.dtype:
        target[...] = source
        return
    with np.errstate(over="ignore", invalid="ignore"):
        target[...] = source


def pieces(source: NDArray[Any], dtype: DTypeLike) -> Iterator[tuple[int, NDArray[Any]]]:
    """Go through the rows of a table as `contiguous` returns them, in bounded memory.

    Yields
    ------
    first : int
        The number of the piece's first row.
    piece : ndarray of `dtype`
        All rows where that takes no copy.
    """
    rows, width = source.shape
    count = rows if _is_ready(source, dtype) else max(1, _PIECE // width)
    for first in range(0, rows, count):
        yield first, contiguous(source[first : first + count], dtype)


def finite(source: NDArray[Any], dtype: DTypeLike, name: str, first_row: int = 0) -> NDArray[Any]:
    """Return what `contiguous` does, having checked that every value of it is finite.

    Parameters
    ----------
    source : ndarray
        What `numeric` returned.
    dtype : dtype
        float32 or float64.
    name : str
        What the caller calls the argument, for the message.
    first_row : int
        The number of the first row, for the message.

    Returns
    -------
    ndarray of `dtype`, of the shape of `source`
        `source` itself where nothing had to change.

    Raises
    ------
    ValueError
        A value is NaN or infinite, or becomes infinite in `dtype`; the message names the first.
    """
    array = contiguous(source, dtype)
    if source.dtype.kind == "f":  # no integer is out of the range of float32
        flat = array.reshape(-1)
        scratch = np.empty(min(flat.size, _BLOCK), dtype=np.bool_)
        for start in range(0, flat.size, _BLOCK):
            block = flat[start : start + _BLOCK]
            is_finite = np.isfinite(block, out=scratch[: block.size])
            first = int(is_finite.argmin())  # quicker than all(), and tells the place
            if not is_finite[first]:
                index = start + first
                overflows = np.isfinite(source[np.unravel_index(index, source.shape)])
                cause = f", which is too large for {array.dtype}" if overflows else ""
                found = located(source, index, first_row) + cause
                raise ValueError(f"{name} holds {found}; every value must be finite")
    return array


def located(source: NDArray[Any], index: int, first_row: int = 0) -> str:
    """Say which value lies at the flat `index` of an array of rank 1 or 2, and where that is.

    Its rows are numbered from `first_row`.
    """
    row, *column = place = np.unravel_index(index, source.shape)
    where = ", ".join([f"row {row + first_row}", *(f"column {i}" for i in column)])
    return f"{source[place]} at {where}"
