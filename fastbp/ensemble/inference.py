"""The methods that use an ensemble and leave it as it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.data.arrays import numeric
from fastbp.ensemble import outputs
from fastbp.ensemble.members import HasMembers
from fastbp.fit.evaluation import Metrics
from fastbp.rows.rows import Targets
from fastbp.validation import shown


def predict(
    ensemble: HasMembers, X: ArrayLike, *, threads: int | None = None, workers: Any = None
) -> NDArray[Any]:
    """The mean of the networks' outputs; of classes, mean probabilities.

    Parameters
    ----------
    X : (rows, inputs) array_like or sparse
        As of `Network.predict`.
    threads, workers
        As of `fastbp.predict_many`.

    Returns
    -------
    (rows, outputs) ndarray
        Of the networks' dtype.
    """
    members = ensemble._members
    return members.rounded(outputs.mean(members.outputs(X, threads, workers)))


def spread(
    ensemble: HasMembers, X: ArrayLike, *, threads: int | None = None, workers: Any = None
) -> NDArray[Any]:
    """The standard deviation of the networks' outputs: how little they agree.

    Parameters and what is returned are as of `predict`. It is that of the networks that are
    there, ``sqrt(mean((a - mean(a))**2))``.
    """
    members = ensemble._members
    return members.rounded(outputs.deviation(members.outputs(X, threads, workers)))


def quantiles(
    ensemble: HasMembers,
    X: ArrayLike,
    q: float | Sequence[float],
    *,
    threads: int | None = None,
    workers: Any = None,
) -> NDArray[Any]:
    """Quantiles of the networks' outputs, as ``numpy.quantile`` interpolates them.

    Parameters
    ----------
    X, threads, workers
        As of `predict`.
    q : float or sequence of float
        In [0, 1].

    Returns
    -------
    (rows, outputs) or (quantiles, rows, outputs) ndarray
        Of the networks' dtype. The outputs of all networks are in memory at once.
    """
    members = ensemble._members
    wanted = numeric(q, "q").astype(np.float64)
    if wanted.ndim > 1 or not ((wanted >= 0) & (wanted <= 1)).all():
        raise ValueError(f"q must be a number in [0, 1] or several of them, got {shown(q)}")
    found = np.stack([*members.outputs(X, threads, workers)]).astype(np.float64)
    return members.rounded(np.asarray(np.quantile(found, wanted, axis=0)))


def votes(
    ensemble: HasMembers, X: ArrayLike, *, threads: int | None = None, workers: Any = None
) -> NDArray[Any]:
    """The share of the networks that vote for each class.

    Parameters
    ----------
    X, threads, workers
        As of `predict`.

    Returns
    -------
    (rows, outputs) ndarray
        Of cross-entropy, the share of networks whose greatest output it is; of binary
        cross-entropy, the focal and the hinge loss, that of networks whose output means class
        1. Of the networks' dtype.

    Raises
    ------
    ValueError
        The loss is none of classes.
    """
    members = ensemble._members
    return members.rounded(outputs.votes(members.outputs(X, threads, workers), members.loss))


def evaluate(
    ensemble: HasMembers,
    X: ArrayLike,
    y: Targets,
    *,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, Any] | str | None = None,
    mask_nan: bool = False,
    metrics: Metrics | None = None,
    threads: int | None = None,
    workers: Any = None,
) -> dict[str, float]:
    """The loss, accuracy and metrics of the mean, which `predict` returns, before rounding.

    Parameters
    ----------
    X, y, sample_weight, class_weight, mask_nan, metrics
        As of `Network.evaluate`.
    threads, workers
        As of `predict`.

    Returns
    -------
    dict
        As of `Network.evaluate`. A probability that underflows in all networks counts as the
        least number that their dtype has.
    """
    members = ensemble._members
    return members.judged(
        outputs.mean(members.outputs(X, threads, workers)),
        y,
        sample_weight=sample_weight,
        class_weight=class_weight,
        mask_nan=mask_nan,
        metrics=metrics,
    )
