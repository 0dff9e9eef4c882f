"""The numbers that each step's update needs, computed for some steps ahead."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.machine.jit import address
from fastbp.optimizers import BaseOptimizer

AHEAD = 64  # steps: a dozen calls of NumPy take longer than a step of a small network


class Coefficients:
    """`BaseOptimizer.coefficients` by step.

    Parameters
    ----------
    optimizer : BaseOptimizer
        Whose they are.
    factors : tuple of float
        Of groups of layers: what the learning rate is multiplied by. A row has the coefficients of
        one group behind those of the other.
    """

    def __init__(self, optimizer: BaseOptimizer, factors: tuple[float, ...] = (1.0,)) -> None:
        self._optimizer, self._factors = optimizer, factors
        self._kept = 0, 0, np.empty((0, 0))

    def steps(
        self, before: int, count: int, rates: NDArray[np.float64] | None = None
    ) -> tuple[int, NDArray[Any]]:
        """The coefficients of `count` steps that come after `before` steps.

        Parameters
        ----------
        before, count : int
            How many steps have been made, and how many are to be.
        rates : (count,) float64, optional
            Their learning rates; None for the optimizer's own.

        Returns
        -------
        address : int
            Of the first step's row.
        rows : ndarray of float64
            The memory, which must live as long as the address is used.
        """
        if rates is not None:
            return self._rows(before, count, rates)
        first, at, rows = self._kept
        skipped = before - first
        if not 0 <= skipped <= len(rows) - count:
            at, rows = self._rows(before, max(count, AHEAD), self._optimizer.lr)
            if count <= AHEAD:
                self._kept = before, at, rows
            return at, rows
        return at + skipped * rows.strides[0], rows

    def _rows(
        self, before: int, count: int, rates: float | NDArray[np.float64]
    ) -> tuple[int, NDArray[Any]]:
        rows = table(self._optimizer, self._factors, before, count, rates)
        return address(rows), rows


def table(
    optimizer: BaseOptimizer,
    factors: tuple[float, ...],
    before: int,
    count: int,
    rates: float | NDArray[np.float64],
) -> NDArray[np.float64]:
    """The coefficients of `count` steps that come after `before`, one row each."""
    numbers = np.arange(before + 1, before + count + 1, dtype=np.float64)
    with np.errstate(all="ignore"):
        if factors == (1.0,):
            return optimizer.coefficients(numbers, rates)
        return np.hstack([optimizer.coefficients(numbers, rates * factor) for factor in factors])


def width(optimizer: BaseOptimizer) -> int:
    """How many numbers a step has of one group."""
    with np.errstate(all="ignore"):
        return int(optimizer.coefficients(np.ones(1), optimizer.lr).shape[1])


def with_decays(
    at: int, rows: NDArray[Any], alpha: float, masses: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Coefficients with the decay of each step, alpha / mass, behind them; 0 where nothing counts.

    at: the address of the first step's row among `rows`; masses: one a step.
    """
    first = (at - address(rows)) // rows.strides[0]
    made = np.empty((len(masses), rows.shape[1] + 1))
    made[:, :-1] = rows[first : first + len(masses)]
    made[:, -1] = 0
    np.divide(alpha, masses, out=made[:, -1], where=masses > 0)
    return made
