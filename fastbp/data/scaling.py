"""Scaling of the inputs: a number, or to mean 0 and deviation 1 as the first training data say.

An input x enters the network as ``(x - shift) * factor``, computed in float64 and rounded once to
the network's dtype. The kernels do that while they gather a batch.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.data.arrays import located
from fastbp.validation import real, shown

STANDARD = "standard"
PIECE = 1 << 18  # elements that are worked on at a time, in float64
EPSILON = float(np.finfo(np.float64).eps)


class Scaling(NamedTuple):
    """What every input goes through: ``(x - shift) * factor``.

    Attributes
    ----------
    shift, factor : (inputs,) ndarray of float64
        Read-only.
    """

    shift: NDArray[np.float64]
    factor: NDArray[np.float64]

    def of(self, rows: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """The rows as the network sees them."""
        with np.errstate(all="ignore"):
            return ((rows - self.shift) * self.factor).astype(dtype)

    def check_range(
        self,
        rows: NDArray[Any],
        dtype: np.dtype[Any],
        name: str,
        first_row: int = 0,
        given: Any = None,
    ) -> None:
        """Raise ValueError for finite rows of which a value is too large once it is scaled.

        Parameters
        ----------
        rows : (rows, inputs) ndarray
            Finite, of a dtype that `tables.source_dtype` tells.
        dtype : dtype
            The network's.
        name : str
            What the caller calls the rows, for the message.
        first_row : int
            The number of the first row, for the message.
        given : object
            What the user passed, for the names of its columns in the message.
        """
        shift, factor = float(np.abs(self.shift).max()), float(self.factor.max())
        limit = float(np.finfo(dtype).max)
        largest = 255.0 if rows.dtype == np.uint8 else float(np.finfo(rows.dtype).max)
        if (largest + shift) * factor <= limit:
            return
        for start, piece in _pieces(rows):
            if (max(-float(piece.min()), float(piece.max())) + shift) * factor <= limit:
                continue
            fits = np.isfinite(self.of(piece, dtype))
            if not fits.all():
                raise ValueError(
                    f"{name} holds {located(piece, int(fits.argmin()), first_row + start, given)}, "
                    f"which is too large for {dtype} once it is scaled"
                )


def check_scaling(value: Any) -> float | str | None:
    """Return the argument `scaling` of a network: None, a number above 0, or "standard"."""
    if value is None or (isinstance(value, str) and value == STANDARD):
        return value
    if isinstance(value, str):
        raise ValueError(f'scaling must be None, a number or "standard", got {shown(value)}')
    try:
        return real(value, "scaling", low=0, low_open=True)
    except TypeError:
        raise TypeError(
            f'scaling must be None, a number or "standard", got {shown(value)}'
        ) from None


def fixed(value: float | str | None, inputs: int) -> Scaling | None:
    """The scaling that the argument stands for; None where there is none yet, or none at all."""
    if not isinstance(value, float):
        return None
    return _frozen(np.zeros(inputs), np.full(inputs, value))


def restored(shift: NDArray[np.float64], factor: NDArray[np.float64]) -> Scaling:
    """A scaling from a file; raises ValueError unless it is finite and its factors above 0."""
    if not np.isfinite(shift).all() or not (np.isfinite(factor) & (factor > 0)).all():
        raise ValueError("its scaling is not finite, or has a factor that is not above 0")
    return _frozen(shift, factor)


def standard(rows: NDArray[Any], name: str) -> Scaling:
    """The scaling to mean 0 and standard deviation 1 of each column of these rows.

    The deviation is the root of the mean square, over the number of rows (not less one). A column
    that is constant, but for what rounding makes of its mean, is shifted alone: its factor is 1.

    Parameters
    ----------
    rows : (rows, inputs) ndarray
        Finite, of any dtype. Gone through twice, piece by piece.
    name : str
        What the caller calls the rows, for messages.

    Raises
    ------
    ValueError
        The squares of a column's values are too large for float64.
    """
    count = len(rows)
    with np.errstate(all="ignore"):
        mean = np.zeros(rows.shape[1])
        for _, piece in _pieces(rows):
            mean += piece.sum(axis=0, dtype=np.float64)
        mean /= count
        variance = np.zeros_like(mean)
        for _, piece in _pieces(rows):
            variance += np.square(piece - mean).sum(axis=0)
        variance /= count
    wrong = ~np.isfinite(variance)
    if wrong.any():
        raise ValueError(
            f"{name} holds values in column {int(wrong.argmax())} that are too large to square, "
            "so they have no standard deviation"
        )
    # The bound of Chan, Golub and LeVeque (1983), eq. 5.7 and 5.8, on what rounding leaves of a
    # variance of zero; scikit-learn's StandardScaler draws the line there too.
    constant = variance <= count * EPSILON * variance + np.square(count * mean * EPSILON)
    deviation = np.sqrt(np.where(constant, 1.0, variance))
    return _frozen(mean, 1 / deviation)


def _frozen(shift: NDArray[np.float64], factor: NDArray[np.float64]) -> Scaling:
    shift.flags.writeable = factor.flags.writeable = False
    return Scaling(shift, factor)


def _pieces(rows: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """(number of the first row, rows) of pieces of bounded size."""
    height = max(1, PIECE // rows.shape[1])
    for start in range(0, len(rows), height):
        yield start, rows[start : start + height]
