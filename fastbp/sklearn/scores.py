"""Scores of outputs that are measured after each epoch, without scikit-learn's checks of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def r2(y: NDArray[Any], outputs: NDArray[Any], weights: NDArray[Any] | None) -> float:
    """R2 as `sklearn.metrics.r2_score` has it, the mean of several outputs.

    Targets that are NaN count for nothing, outputs with fewer than two others neither; NaN where
    none is left. Both are (rows, outputs).
    """
    known = ~np.isnan(y)
    columns = [j for j, of in enumerate(known.T) if of.sum() > 1]
    if not columns:
        return float("nan")
    mass = known[:, columns] * (np.ones(len(y)) if weights is None else weights)[:, None]
    wanted = np.where(known, y, 0)[:, columns]
    left = (mass * (wanted - outputs[:, columns]) ** 2).sum(axis=0)
    mean = (mass * wanted).sum(axis=0) / mass.sum(axis=0)
    spread = (mass * (wanted - mean) ** 2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where(left == 0, 1.0, np.where(spread == 0, 0.0, 1 - left / spread))
    return float(scores.mean())
