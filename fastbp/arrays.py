"""Brings one array from outside into the form the kernels read: real, finite, contiguous."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastbp.validation import shown

# Elements a block of the search for NaN and infinity: few calls, and a scratch that stays in cache.
_BLOCK = 1 << 17

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


def is_ready(source: NDArray[Any], dtype: DTypeLike) -> bool:
    """Whether `contiguous` returns `source` itself."""
    flags = source.flags
    return source.dtype == dtype and flags.c_contiguous and flags.aligned


def contiguous(source: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Return `source` as a C-contiguous, aligned, native-endian array of `dtype`.

    Values out of the range of `dtype` become infinite, silently.

    Returns
    -------
    ndarray of `dtype`, of the shape of `source`
        `source` itself where it is one, read-only or not; otherwise a new array.
    """
    if is_ready(source, dtype):
        return source
    with np.errstate(all="ignore"):
        return source.astype(dtype, order="C")


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
    # No integer is out of the range of float32.
    index = _first_not_finite(array.reshape(-1)) if source.dtype.kind == "f" else None
    if index is None:
        return array
    overflows = np.isfinite(source[np.unravel_index(index, source.shape)])
    cause = f", which is too large for {array.dtype}" if overflows else ""
    found = located(source, index, first_row) + cause
    raise ValueError(f"{name} holds {found}; every value must be finite")


def _first_not_finite(flat: NDArray[Any]) -> int | None:
    scratch = np.empty(_BLOCK, np.bool_) if flat.size > _BLOCK else None
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        is_finite = np.isfinite(block, out=None if scratch is None else scratch[: block.size])
        first = is_finite.argmin()  # quicker than all(), and tells the place
        if not is_finite[first]:
            return start + int(first)
    return None


def located(source: NDArray[Any], index: int, first_row: int = 0) -> str:
    """Say which value lies at the flat `index` of an array of rank 1 or 2, and where that is.

    Its rows are numbered from `first_row`.
    """
    row, *column = place = np.unravel_index(index, source.shape)
    where = ", ".join([f"row {row + first_row}", *(f"column {i}" for i in column)])
    return f"{source[place]} at {where}"
