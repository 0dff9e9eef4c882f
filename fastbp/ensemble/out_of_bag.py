"""The methods that judge an ensemble by the rows that its networks were not trained on."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.data.arrays import numeric
from fastbp.ensemble import outputs
from fastbp.ensemble.members import HasMembers, Members
from fastbp.fit.evaluation import Metrics
from fastbp.many.shared_rows import count
from fastbp.rows.rows import Targets
from fastbp.validation import outside


def oob_predictions(
    ensemble: HasMembers, X: ArrayLike, *, threads: int | None = None, workers: Any = None
) -> NDArray[Any]:
    """For each row, the mean over the networks that were not trained on it (out of bag).

    Parameters
    ----------
    X : (rows, inputs) array_like or sparse
        That of `fit`.
    threads, workers
        As of `predict`.

    Returns
    -------
    (rows, outputs) ndarray
        Of the networks' dtype; NaN in rows that all networks were trained on, of which a
        RuntimeWarning tells.

    Raises
    ------
    RuntimeError
        The last fit has left out no rows.
    ValueError
        X has not as many rows as that of the fit.
    """
    members = ensemble._members
    found = _means(members, X, threads, workers)
    _tell(np.isnan(found[:, 0]))
    return members.rounded(found)


def oob_evaluate(
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
    """The loss, accuracy and metrics of `oob_predictions`: an estimate for new rows.

    Parameters, what is returned and what is raised are as of `evaluate` and
    `oob_predictions`. Rows that all networks were trained on are left out, of which a
    RuntimeWarning tells.
    """
    members = ensemble._members
    found = _means(members, X, threads, workers)
    given = numeric(y, "y", nulls=mask_nan)
    weight = None if sample_weight is None else numeric(sample_weight, "sample_weight")
    for name, values in {"y": given, "sample_weight": weight}.items():
        if values is not None and (not values.ndim or len(values) != len(found)):
            raise ValueError(
                f"{name} must have a value for each of the {len(found)} rows of X, got the "
                f"shape {values.shape}"
            )
    without = np.isnan(found[:, 0])
    if without.all():
        raise RuntimeError("all networks were trained on all rows: none is out of bag")
    _tell(without)
    which = np.flatnonzero(~without)
    return members.judged(
        found[which],
        given[which],
        sample_weight=None if weight is None else weight[which],
        class_weight=class_weight,
        mask_nan=mask_nan,
        metrics=metrics,
    )


def _means(members: Members, X: Any, threads: Any, workers: Any) -> NDArray[np.float64]:
    """For each row the mean over the networks that do not have it in their bags; NaN of none."""
    members.expect_sound()
    bags = members.bags
    if bags is None:
        raise RuntimeError(
            "no rows are out of bag: the last fit was not one with bootstrap=True, or max_samples "
            "below all rows"
        )
    rows = count(X)
    if rows != bags.rows:
        raise ValueError(
            f"X must be that of the last fit, with {bags.rows} rows; it has {rows} rows"
        )
    left = [bags.left_out(number) for number in range(len(members.networks))]
    some = [number for number, of in enumerate(left) if len(of)]
    which = [left[number] for number in some]
    found: Iterator[NDArray[Any]] = iter(())
    if some:
        networks = [members.networks[number] for number in some]
        found = outputs.outputs_of(networks, X, which, threads, workers)
    return outputs.mean_of_some(found, which, (rows, members.networks[0].layers[-1]))


def _tell(without: NDArray[np.bool_]) -> None:
    """Warn of rows that are in the bags of all networks."""
    if without.any():
        warnings.warn(
            f"{without.sum()} of {len(without)} rows were in the bags of all networks: nothing is "
            "estimated of them; more networks leave out more rows",
            RuntimeWarning,
            stacklevel=outside(),
        )
