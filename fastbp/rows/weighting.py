"""Weights of rows and of classes, and targets that are not known: how `Rows` get their weights.

A weighted loss is the weighted mean ``sum(w_i l_i) / sum(w_i)`` over the rows of a batch, as
PyTorch's ``reduction="mean"`` with ``weight``; a mean over targets that may be missing is one over
those that are there. Where nothing counts, loss and gradient are 0.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.configuration import Configuration
from fastbp.data.arrays import finite, located, numeric
from fastbp.data.scaling import Scaling
from fastbp.losses import BaseLoss
from fastbp.rows.rows import Features, Rows, Targets, checked_features, checked_targets, repeated
from fastbp.tasks import Tasks, by_name
from fastbp.validation import flag, real, shown

Weights = NDArray[np.float64]


def weighted_rows(
    parts: Configuration,
    scaling: Scaling | None,
    X: ArrayLike,
    y: Targets,
    prefix: str = "",
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, Any] | str | None = None,
    mask_nan: bool = False,
) -> Rows:
    """Check data and weights as a user passed them; errors call them by `prefix` and these names.

    Parameters
    ----------
    parts : Configuration
        What the network is made of.
    scaling, X, y, prefix
        As `rows.with_targets` takes them; with `mask_nan` some of `y` may be NaN.
    sample_weight : (rows,) array_like, optional
        Finite, at least 0.
    class_weight : dict or "balanced", optional
        A weight, finite and at least 0, for each class; or n / (k * count), with n rows in k
        classes (King and Zeng 2001).
    mask_nan : bool
        Whether targets that are NaN count for nothing.

    Returns
    -------
    Rows
        Without weights where there are none and no target is NaN. All of them may be 0: see
        `expect_weight`.

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used.
    """
    flag(mask_nan, "mask_nan")
    layout, loss = parts.layout, parts.loss
    features = checked_features(parts, scaling, X, f"{prefix}X")
    weights, unit = None, 1.0
    if sample_weight is not None:
        weights, unit = _sample_weights(sample_weight, len(features), f"{prefix}sample_weight")
    options = Options(layout.dtype, weights, unit, mask_nan, prefix)
    if isinstance(loss, Tasks):
        return _rows_of_tasks(loss, features, y, class_weight, options)
    return _rows_of_loss(loss, layout.widths[-1], features, y, class_weight, options)


def expect_weight(
    rows: Rows, prefix: str, sample_weight: Any, class_weight: Any, mask_nan: bool
) -> None:
    """Raise ValueError where nothing of the rows that `weighted_rows` returned counts."""
    parts = rows.tasks or (rows,)
    if any(part.totals is None or part.totals.any() for part in parts):
        return
    names = [] if sample_weight is None else [f"{prefix}sample_weight"]
    names += [] if class_weight is None else ["class_weight"]
    if mask_nan:
        names.append("mask_nan" if names else f"{prefix}y (every target of it is NaN)")
    raise ValueError(f"no row weighs anything by {' and '.join(names)}: all weights are zero")


class Options(NamedTuple):
    """What the losses of a network have in common."""

    dtype: np.dtype[Any]
    sample_weight: Weights | None
    unit: float
    mask_nan: bool
    prefix: str


def _rows_of_loss(
    loss: BaseLoss,
    outputs: int,
    features: Features,
    y: Any,
    class_weight: Any,
    options: Options,
    key: str = "",
) -> Rows:
    """Check the targets of one loss; `key` comes behind names of arguments in messages."""
    name, unknown = f"{options.prefix}y{key}", None
    if options.mask_nan:
        y, unknown = _filled(numeric(y, name, nulls=True), loss.elementwise)
    targets = checked_targets(loss, outputs, options.dtype, y, len(features), name)
    rows = Rows(features, targets, unit=options.unit)
    if options.sample_weight is None and class_weight is None and unknown is None:
        return rows
    weights = np.ones(len(features)) if options.sample_weight is None else options.sample_weight
    if unknown is not None and not loss.elementwise:
        weights = weights * ~unknown
    elif unknown is not None:
        of_targets = unknown.reshape(len(targets), -1)
        if of_targets.shape != targets.shape:
            of_targets = repeated(of_targets, loss)
        targets[of_targets] = np.nan
        rows = rows._replace(masked=True)
    if options.sample_weight is not None or unknown is not None:
        rows = _weighing(rows, weights)
    if class_weight is None:
        return rows
    known = np.ones(weights.size, bool) if unknown is None else ~unknown.reshape(-1)
    of_classes = f"class_weight{key}"
    classed, own, unit = _with_class_weights(
        loss, outputs, rows, class_weight, known, name, of_classes
    )
    return _weighing(classed, weights * own)._replace(plain=rows, unit=rows.unit * unit)


def _weighing(rows: Rows, weights: Weights) -> Rows:
    """The rows with these weights."""
    totals = weights * (1 - np.isnan(rows.targets).mean(axis=1)) if rows.masked else weights
    return rows._replace(weights=weights, totals=totals)


def _rows_of_tasks(
    tasks: Tasks, features: Features, y: Any, class_weight: Any, options: Options
) -> Rows:
    """The rows as each task has them; all have weights where one has."""
    y = _by_task(y, tasks, f"{options.prefix}y")
    classes = by_name(class_weight, tasks, "class_weight")
    count = len(features)
    parts = [
        _rows_of_loss(
            task.loss,
            task.outputs,
            features,
            y[task.name],
            classes.get(task.name),
            options,
            f"[{task.name!r}]",
        )._replace(losses=np.empty(count))
        for task in tasks.groups
    ]
    if any(part.weights is not None for part in parts):
        ones = np.ones(count)
        parts = [
            part._replace(weights=ones, totals=ones) if part.weights is None else part
            for part in parts
        ]
    return parts[0]._replace(masked=False, losses=None, tasks=tuple(parts), unit=options.unit)


def _by_task(y: Any, tasks: Tasks, name: str) -> Mapping[str, Any]:
    names = [task.name for task in tasks.groups]
    if not isinstance(y, Mapping):
        raise TypeError(f"{name} must be a dict with the targets of {names}; got {shown(y)}")
    if set(y) != set(names):
        raise ValueError(f"{name} must have the targets of {names}; got those of {list(y)}")
    return y


def total_weight(rows: Rows, sample_weight: ArrayLike | None) -> float:
    """What rows with these weights count beside other rows: all of them, or their total weight."""
    if rows.tasks and not any(part.totals is None or part.totals.any() for part in rows.tasks):
        return 0.0
    if rows.tasks and sample_weight is not None:
        return float(numeric(sample_weight, "sample_weight").sum(dtype=float))
    if rows.totals is None or rows.tasks:
        return len(rows.features)
    total = float(rows.totals.sum())
    if sample_weight is None:
        return total
    return float(np.ldexp(total, _exponent(numeric(sample_weight, "sample_weight"))))


def _filled(y: NDArray[Any], elementwise: bool) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """`y` with NaN replaced by what any loss accepts, and where NaN was: None where nowhere.

    Of a loss that is not element-wise, a row with NaN is not known as a whole.
    """
    if y.dtype.kind != "f":
        return y, None
    unknown: NDArray[Any] = np.asarray(np.isnan(y))
    if not unknown.any():
        return y, None
    y = y.copy()
    if elementwise or y.ndim != 2:
        y[unknown] = 1 if elementwise else 0  # 0 is no sign
        return y, unknown
    unknown = np.asarray(unknown.any(axis=1))
    y[unknown] = np.arange(y.shape[1]) == 0  # a distribution, and of a column a label
    return y, unknown


def _scaled(weights: Weights) -> tuple[Weights, float]:
    """A copy, divided by the power of two that brings the greatest weight into [1, 2), and that.

    Weighted means do not change by it, to the last bit, and their sums cannot overflow.
    """
    exponent = _exponent(weights)
    return np.ldexp(weights, -exponent), math.ldexp(1.0, exponent)


def _exponent(weights: NDArray[Any]) -> int:
    """The power of two that the greatest weight is at least, and less than twice as large."""
    top = float(weights.max())
    return math.frexp(top)[1] - 1 if top > 0 else 0


def _sample_weights(values: ArrayLike, rows: int, name: str) -> tuple[Weights, float]:
    """The weights, scaled, and what 1 of them is of the user's."""
    source = numeric(values, name)
    if source.shape != (rows,):
        raise ValueError(
            f"{name} must have shape ({rows},), one weight a row; got shape {source.shape}"
        )
    weights = finite(source, np.float64, name)
    if weights.min() < 0:
        found = located(source, int(weights.argmin()))
        raise ValueError(f"{name} holds {found}; every weight must be at least 0")
    return _scaled(weights)


def _with_class_weights(
    loss: BaseLoss,
    outputs: int,
    rows: Rows,
    given: Any,
    known: NDArray[np.bool_],
    name: str,
    argument: str,
) -> tuple[Rows, Weights, float]:
    """The rows, the weight that each has by its class, and what 1 of it is of the user's.

    Of class probabilities y the loss ``-sum_c w_c y_c log p_c`` is that of the probabilities
    ``w_c y_c / u``, with u = ``sum_c w_c y_c`` as the weight of the row.
    """
    if loss.targets == "labels" and not rows.labels:
        targets = rows.targets
        of_classes, unit = _class_weights(
            given, targets[known].sum(axis=0, dtype=np.float64), argument
        )
        products = targets * of_classes.astype(targets.dtype)
        weights = products.sum(axis=1, dtype=np.float64)
        counts = weights > 0
        products[counts] /= weights[counts, None].astype(targets.dtype)
        return rows._replace(targets=products), weights, unit
    if loss.targets == "labels":
        labels, classes = rows.targets, outputs
    elif loss.targets in ("fractions", "signs") and outputs == 1:
        column = rows.targets[:, 0]
        wrong = known & ~np.isin(column, (0, 1) if loss.targets == "fractions" else (-1, 1))
        if wrong.any():
            raise ValueError(
                f"{argument} needs classes: targets of 0 and 1; {name} holds "
                f"{located(column, int(wrong.argmax()))}"
            )
        labels, classes = (column == 1).astype(np.int64), 2
    else:
        raise ValueError(
            f"{argument} needs classes, which 'cross_entropy' has, and 'binary_cross_entropy', "
            f"'focal' and 'hinge' with one output; the loss is {loss.name!r} with {outputs} "
            "outputs (sample_weight gives weights to rows whatever the loss)"
        )
    counts = np.bincount(labels[known], minlength=classes)
    of_classes, unit = _class_weights(given, counts, argument)
    return rows, of_classes[labels], unit


def _class_weights(given: Any, counts: NDArray[Any], argument: str) -> tuple[Weights, float]:
    """One scaled weight for each class, of which the data have so many rows, and the scale."""
    if isinstance(given, str) and given == "balanced":
        classes = np.count_nonzero(counts)
        with np.errstate(divide="ignore", invalid="ignore"):
            return _scaled(np.where(counts > 0, counts.sum() / (classes * counts), 0.0))
    accepted = (
        f"{argument} must be 'balanced' or a dict with a weight for each of the "
        f"{counts.size} classes, 0 to {counts.size - 1}"
    )
    if not isinstance(given, Mapping):
        raise TypeError(f"{accepted}; got {shown(given)}")
    if unknown := [key for key in given if key not in range(counts.size)]:
        raise ValueError(f"{accepted}; it has a weight for {shown(unknown[0])}")
    if missing := [key for key in range(counts.size) if key not in given]:
        raise ValueError(f"{accepted}; it has none for {missing[0]}")
    weights = [real(given[key], f"{argument}[{key}]", 0) for key in range(counts.size)]
    return _scaled(np.array(weights))
