"""Sparse rows from outside: SciPy's matrices and arrays as checked CSR, never made dense.

SciPy is not imported: an object of it exists only where its user has done that.
"""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.data.arrays import contiguous, first_not_finite
from fastbp.data.csr import checked_csr, row_of
from fastbp.data.scaling import STANDARD, Scaling
from fastbp.layout.layout import Layout

UPDATE_FLOPS = 10  # operations, about, of the update of a parameter


@dataclass(frozen=True)
class SparseRows:
    """Rows in compressed form (CSR).

    Attributes
    ----------
    values : (entries,) ndarray
        Of the network's dtype; finite.
    indices : (entries,) ndarray of int32 or int64
        The column of each, in any order. What stands twice counts twice.
    starts : (rows + 1,) ndarray of int64
        Where each row's entries begin, and where the last one's end.
    """

    values: NDArray[Any]
    indices: NDArray[Any]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def step_flops(self, layout: Layout, batch: int) -> int:
        """Operations of a training step with so many rows, about."""
        inputs, outputs = layout.widths[:2]
        entries = len(self.values) * batch // len(self)
        others = layout.row_flops - 4 * inputs * outputs
        return batch * others + (4 * entries + UPDATE_FLOPS * inputs) * outputs


def is_sparse(X: Any) -> bool:
    """Whether `X` is a sparse matrix or array of SciPy's."""
    if type(X) is np.ndarray:
        return False
    module = sys.modules.get("scipy.sparse")
    return module is not None and bool(module.issparse(X))


def reject_standard(value: float | str | None, name: str) -> None:
    """Raise ValueError where the argument `scaling` asks for means to be taken off sparse rows."""
    if value == STANDARD:
        raise ValueError(
            f'scaling="standard" takes the mean off every column, which would make the sparse '
            f"{name} dense; use scaling with a number, or divide the columns of {name} beforehand "
            "(sklearn.preprocessing.MaxAbsScaler)"
        )


def sparse_rows(
    X: Any, width: int, dtype: np.dtype[Any], name: str, scaling: Scaling | None
) -> SparseRows:
    """Check a sparse X.

    Parameters
    ----------
    X : scipy.sparse matrix or array, shape (rows, width)
        CSR, or any other format, which is converted by its ``tocsr()``.
    width : int
        Features the network takes.
    dtype : dtype
        The network's.
    name : str
        What the caller calls the argument, for the message.
    scaling : Scaling or None
        A factor for all values; its shift is 0.

    Returns
    -------
    SparseRows
        On the memory of `X` where nothing had to change.

    Raises
    ------
    TypeError
        Its values are no real numbers.
    ValueError
        Wrong shape, no rows, NaN or infinity (after conversion and scaling), or a structure that
        is damaged, as `csr.checked_csr` says.
    """
    if len(X.shape) != 2 or X.shape[1] != width or not X.shape[0]:
        raise ValueError(
            f"{name} must have shape (rows, {width}) with at least one row; got shape {X.shape}"
        )
    rows = checked_csr(X, name)
    starts = np.ascontiguousarray(rows.indptr, np.int64)
    count = int(starts[-1])
    indices, given = rows.indices[:count], np.asarray(rows.data)[:count]
    indices = np.ascontiguousarray(indices, np.int32 if indices.dtype == np.int32 else np.int64)
    values = contiguous(given, dtype)
    if scaling is not None:
        with np.errstate(all="ignore"):
            values = np.multiply(given, scaling.factor[0], dtype=np.float64).astype(dtype)
    first = first_not_finite(values)
    if first is not None:
        cause = f", which is too large for {dtype}" if np.isfinite(given[first]) else ""
        raise ValueError(
            f"{name} holds {given[first]} at row {row_of(starts, first)}, column "
            f"{indices[first]}{cause}; every value must be finite"
        )
    return SparseRows(values, indices, starts)
