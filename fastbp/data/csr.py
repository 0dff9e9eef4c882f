"""Any sparse form to CSR, its structure checked before compiled code trusts it.

SciPy looks at the arrays of a sparse object when it is made; its C++, like the kernels here, reads
wherever they point later on.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.data.arrays import numeric

# The compressed forms: what one start belongs to, and what the indices count.
_COMPRESSED = {
    "csr": ("row", "column"),
    "csc": ("column", "row"),
    "bsr": ("block row", "block column"),
}


def checked_csr(X: Any, name: str) -> Any:
    """Return the two-dimensional sparse `X` as CSR that is safe to slice and to read.

    Raises
    ------
    TypeError
        Its values are no real numbers.
    ValueError
        Its structure is damaged: arrays of another rank, length or kind, starts that do not rise,
        an index out of range.
    """
    given = X
    if X.format in _COMPRESSED:
        _check_compressed(X, name)
    elif X.format == "lil":
        _check_lists(X, name)
    elif X.format == "dia":
        _check_diagonals(X, name)
    else:  # Python alone makes coordinates of a dict of keys
        given = _converted(X, "coo", name)
        _check_coordinates(given, name)
    rows = _converted(given, "csr", name)
    if rows is not X:
        _check_compressed(rows, name)
    return rows


def row_of(starts: NDArray[np.int64], entry: int) -> int:
    """The row in which an entry stands."""
    return int(np.searchsorted(starts, entry, side="right")) - 1


def _converted(X: Any, form: str, name: str) -> Any:
    try:
        return getattr(X, f"to{form}")()
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise ValueError(
            f"{_damaged(X, name)}: SciPy cannot convert it to {form.upper()}: {error}"
        ) from error


def _check_compressed(X: Any, name: str) -> None:
    outer, inner = _COMPRESSED[X.format]
    _check_array(X, "indptr", name)
    _check_array(X, "indices", name)
    blocks: tuple[int, ...] = (1, 1)
    if X.format == "bsr":
        _check_array(X, "data", name, rank=3)
        blocks = X.data.shape[1:]
        if 0 in blocks or any(np.remainder(X.shape, blocks)):
            raise ValueError(
                f"{_damaged(X, name)}: blocks of shape {blocks} do not fill the shape {X.shape}"
            )
    else:
        _check_array(X, "data", name)
    shape = [whole // part for whole, part in zip(X.shape, blocks, strict=True)]
    count, within = shape[::-1] if X.format == "csc" else shape
    starts = X.indptr.astype(np.int64, copy=False)  # too large for it: negative, and so no rise
    entries = min(len(X.indices), len(X.data))
    # Compared, not subtracted: a difference may overflow.
    rises = len(starts) == count + 1 and starts[0] == 0 and (starts[:-1] <= starts[1:]).all()
    if not rises or starts[-1] > entries:
        raise ValueError(
            f"{_damaged(X, name)}: indptr must have {count + 1} numbers that rise from 0 to at "
            f"most the {entries} entries that there are"
        )
    wrong = _first_outside(X.indices[: starts[-1]], within)
    if wrong is not None:
        raise ValueError(
            f"{name} has an entry in {inner} {X.indices[wrong]} of {outer} "
            f"{row_of(starts, wrong)}; its {inner}s are 0 to {within - 1}"
        )


def _check_coordinates(X: Any, name: str) -> None:
    _check_array(X, "data", name)
    for called, inner, count in zip(("row", "col"), ("row", "column"), X.shape, strict=True):
        _check_array(X, called, name)
        indices = getattr(X, called)
        if len(indices) != len(X.data):
            raise ValueError(
                f"{_damaged(X, name)}: {called} has {len(indices)} numbers for {len(X.data)} values"
            )
        wrong = _first_outside(indices, count)
        if wrong is not None:
            raise ValueError(
                f"{name} has an entry in {inner} {indices[wrong]}; its {inner}s are 0 to "
                f"{count - 1}"
            )


def _check_lists(X: Any, name: str) -> None:
    lengths = [
        [len(row) if isinstance(row, list) else -1 for row in lists] for lists in (X.rows, X.data)
    ]
    if len(lengths[0]) != X.shape[0] or -1 in lengths[0] or lengths[0] != lengths[1]:
        raise ValueError(
            f"{_damaged(X, name)}: its {X.shape[0]} rows must have a list of columns and one of "
            "values each, both of one length"
        )


def _check_diagonals(X: Any, name: str) -> None:
    _check_array(X, "data", name, rank=2)
    _check_array(X, "offsets", name)
    far = max(np.iinfo(np.int32).max, *X.shape)  # SciPy casts to 32 bits
    if len(X.offsets) != len(X.data) or _first_outside(X.offsets, far, -far) is not None:
        raise ValueError(
            f"{_damaged(X, name)}: offsets must have a number below {far} for each of its "
            f"{len(X.data)} diagonals"
        )


def _check_array(X: Any, called: str, name: str, rank: int = 1) -> None:
    """Raise where an attribute is no array of that rank, of integers unless it is `data`."""
    array, is_data = getattr(X, called), called == "data"
    wanted = f"{rank}-D array of {'numbers' if is_data else 'integers'}"
    if not isinstance(array, np.ndarray):
        got = f"a {type(array).__name__}"
    elif array.ndim != rank or not (is_data or array.dtype.kind in "iu"):
        got = f"shape {array.shape} of {array.dtype}"
    else:
        if is_data:
            numeric(array, name)
        return
    raise ValueError(f"{_damaged(X, name)}: {called} must be a {wanted}, got {got}")


def _first_outside(indices: NDArray[Any], stop: int, start: int = 0) -> int | None:
    """The first of the indices that is not from `start` to below `stop`, or None."""
    if not indices.size or start <= int(indices.min()) <= int(indices.max()) < stop:
        return None
    return next(at for at, index in enumerate(indices.tolist()) if not start <= index < stop)


def _damaged(X: Any, name: str) -> str:
    return f"{name} is a damaged {X.format.upper()} matrix"
