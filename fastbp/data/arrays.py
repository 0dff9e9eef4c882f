"""Brings one array from outside into the form the kernels read: real, finite, contiguous."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastbp.data import sources
from fastbp.validation import shown

# Elements a block of the search for NaN and infinity: few calls, and a scratch that stays in cache.
_BLOCK = 1 << 17
# Bytes of a memory map's copy that are worth a warning: maps are for what memory does not hold.
_LARGE_COPY = 1 << 28


def numeric(value: ArrayLike, name: str, nulls: bool = False) -> NDArray[Any]:
    """Return `value` as an array of booleans, integers or floats, without a copy where it is one.

    Parameters
    ----------
    value : array_like
        An array, nested lists, what `sources.plain` knows (frames, tables, tensors), or whatever
        else `numpy.asarray` reads.
    name : str
        What the caller calls the argument, for the message.
    nulls : bool
        Whether values that a frame does not have become NaN; otherwise they are an error.

    Returns
    -------
    ndarray of any rank, dtype, byte order and strides
        Never an instance of a subclass.

    Raises
    ------
    TypeError
        Complex numbers, objects, strings, dates, structured or masked arrays, or a tensor that
        NumPy cannot read.
    ValueError
        Ragged lists, or a value that is missing.
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
    readable = sources.plain(value, name, nulls)
    try:
        array = np.asarray(readable)
    except ValueError as error:
        raise ValueError(
            f"{name} must be a rectangular array of numbers, all rows of one length; "
            f"got a {type(value).__name__} that NumPy cannot read as one: {error}"
        ) from error
    kind = array.dtype.kind
    if kind not in "biuf":
        if hasattr(value, "toarray"):
            sources.reject(
                name, shown(value), hint=f"; {name}.toarray() makes a sparse matrix dense"
            )
        if kind == "O" and not array.ndim:
            sources.reject(name, shown(value))
        sources.reject(name, f"dtype {array.dtype}", kind)
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


def finite(
    source: NDArray[Any],
    dtype: DTypeLike,
    name: str,
    first_row: int = 0,
    given: Any = None,
    of_nan: str = "",
) -> NDArray[Any]:
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
    given : object
        What the user passed: a frame's columns are called by their names in the message.
    of_nan : str
        What the message says besides, where the value is NaN.

    Returns
    -------
    ndarray of `dtype`, of the shape of `source`
        `source` itself where nothing had to change.

    Raises
    ------
    ValueError
        A value is NaN or infinite, or becomes infinite in `dtype`; the message names the first.

    Warns
    -----
    UserWarning
        A large memory map had to be copied.
    """
    array = contiguous(source, dtype)
    if array is not source and array.nbytes >= _LARGE_COPY and _is_mapped(source):
        warnings.warn(
            f"{name} is a memory map of {source.dtype} that had to be converted: its copy as "
            f"C-contiguous {array.dtype} takes {array.nbytes / (1 << 30):.2f} GiB of memory (a map "
            "of that form is read where it lies; fit_batches takes any map piece by piece)",
            stacklevel=2,
        )
    # No integer is out of the range of float32.
    index = first_not_finite(array.reshape(-1)) if source.dtype.kind == "f" else None
    if index is None:
        return array
    value = source[np.unravel_index(index, source.shape)]
    cause = f", which is too large for {array.dtype}" if np.isfinite(value) else ""
    found = located(source, index, first_row, given) + cause
    hint = of_nan if np.isnan(value) else ""
    raise ValueError(f"{name} holds {found}; every value must be finite{hint}")


def _is_mapped(array: Any) -> bool:
    """Whether the array's memory, or that of which it is a view, is a mapped file."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def first_not_finite(flat: NDArray[Any]) -> int | None:
    """The index of the first value that is NaN or infinite, or None."""
    scratch = np.empty(_BLOCK, np.bool_) if flat.size > _BLOCK else None
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        is_finite = np.isfinite(block, out=None if scratch is None else scratch[: block.size])
        first = is_finite.argmin()  # quicker than all(), and tells the place
        if not is_finite[first]:
            return start + int(first)
    return None


def located(source: NDArray[Any], index: int, first_row: int = 0, given: Any = None) -> str:
    """Say which value lies at the flat `index` of an array of rank 1 or 2, and where that is.

    Its rows are numbered from `first_row`; its columns too, unless those of `given` have names.
    """
    row, *column = place = np.unravel_index(index, source.shape)
    labels = sources.column_labels(given)
    called = [f"column {i if labels is None else repr(labels[int(i)])}" for i in column]
    where = ", ".join([f"row {row + first_row}", *called])
    return f"{source[place]} at {where}"
