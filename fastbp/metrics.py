"""Metrics: quantities by which predictions are judged, beside the loss.

``fit(metrics=[...])`` and ``evaluate(..., metrics=[...])`` take names from the table, and functions
``f(y_true, y_pred)`` of your own, which are called by their ``__name__``: `y_true` are the targets
as the network's loss takes them, (rows,) labels or (rows, targets) values, `y_pred` what `predict`
returns; both are read-only, for `y_true` may be your own memory. Rows of weight 0 are left out, and
where none is left, a metric is NaN. So are those of the tables where an output is not finite.

Rows count by their `sample_weight`: `class_weight` is for the loss alone, as in Keras.

=====================  ==========================================================================
for classes            integer labels, zeros and ones for the binary cross-entropy and the focal
                       loss, targets of the hinge loss
=====================  ==========================================================================
"accuracy"             share of right classes; over rows and outputs where these are independent
"top_5_accuracy"       share of labels among the 5 greatest outputs, or any other number of them
"balanced_accuracy"    mean recall of the classes
"precision" "recall"   of class 1 where there are two classes or one output; otherwise their mean
"f1"                   over the classes (average="macro" in scikit-learn)
"auc"                  area under the receiver operating characteristic; mean over one-vs-rest,
                       NaN where `y` lacks a class
"average_precision"    area under the precision-recall curve; mean over the classes that `y` has
"matthews"             Matthews' correlation coefficient
=====================  ==========================================================================

For values: "mae", "mse", "rmse" (over rows and outputs), "r2", "explained_variance", "mape" (means
over outputs), "max_error" (one output). With `sample_weight` these are weighted; functions of your
own are not. All but "accuracy", "top_5_accuracy", "mae", "mse" and "rmse" are scikit-learn's, whose
functions tell the formulas; they need it to be installed (``pip install "fastbp[metrics]"``).
"""

import importlib
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.losses import BaseLoss
from fastbp.rows.rows import Rows, accuracy, counting, has_classes
from fastbp.validation import choice, returned, shown, storable

Array = NDArray[Any]
CLASSES = {
    "balanced_accuracy": "balanced_accuracy_score",
    "precision": "precision_score",
    "recall": "recall_score",
    "f1": "f1_score",
    "auc": "roc_auc_score",
    "average_precision": "average_precision_score",
    "matthews": "matthews_corrcoef",
}
VALUES = {
    "r2": "r2_score",
    "explained_variance": "explained_variance_score",
    "mape": "mean_absolute_percentage_error",
    "max_error": "max_error",
}
ERRORS = ("mae", "mse", "rmse")
NAMES = ("accuracy", "top_5_accuracy", *CLASSES, *ERRORS, *VALUES)
TOP = re.compile(r"top_([1-9]\d{0,17})_accuracy")
ONE_COLUMN = ("balanced_accuracy", "matthews")  # which scikit-learn has not for several outputs


class Metric(NamedTuple):
    """A metric by its name; `function` is the user's or scikit-learn's, if it is either."""

    name: str
    function: Callable[..., Any] | None = None
    own: bool = False


def checked_metrics(metrics: Any) -> tuple[Metric, ...]:
    """The metrics that a user passed.

    Raises
    ------
    TypeError, ValueError
        One of them is none, or they have one name twice.
    ModuleNotFoundError
        One needs scikit-learn, which is not installed.
    """
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        raise TypeError(f"metrics must be a sequence of names or functions, got {shown(metrics)}")
    made = tuple(_metric(one, f"metrics[{i}]") for i, one in enumerate(metrics))
    names = [metric.name for metric in made]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"metrics has {name!r} twice")
    return made


def _metric(given: Any, argument: str) -> Metric:
    if callable(given):
        name = getattr(given, "__name__", None)
        if not isinstance(name, str):
            raise TypeError(f"{argument} must have a __name__, got {shown(given)}")
        if name in (*NAMES, "loss", "learning_rate") or name.startswith("val_"):
            raise ValueError(f"{argument} must have a name that is not taken, got {name!r}")
        storable(name, f"{argument}.__name__")
        return Metric(name, given, own=True)
    if isinstance(given, str) and TOP.fullmatch(given):
        return Metric(given)
    name = choice(given, NAMES, argument)
    function = (CLASSES | VALUES).get(name)
    if function is None:
        return Metric(name)
    try:
        module = importlib.import_module("sklearn.metrics")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'{argument}={name!r} needs scikit-learn: pip install "fastbp[metrics]"'
        ) from error
    return Metric(name, getattr(module, function))


def expect_suitable(metrics: tuple[Metric, ...], rows: Rows, loss: BaseLoss, outputs: int) -> None:
    """Raise ValueError where a metric is none for such targets."""
    outputs = loss.held_columns(outputs)
    several = outputs > 1 and not rows.labels
    if metrics and rows.masked and several and _partly_masked(rows):
        raise ValueError("metrics need all outputs of a row; in some rows only some of y are NaN")
    by_name = [metric.name for metric in metrics if not metric.own]
    if by_name and loss.targets == "rows" and rows.targets.shape[1] != outputs:
        raise ValueError(
            f"metrics: {by_name[0]!r} needs a column of y for each of the {outputs} outputs, "
            f"and y has {rows.targets.shape[1]} (functions of your own take any)"
        )
    classes = has_classes(rows, loss)
    for name in (metric.name for metric in metrics if not metric.own):
        top = TOP.fullmatch(name)
        if top and (not rows.labels or int(top[1]) > outputs):
            raise ValueError(
                f"metrics: {name!r} needs integer labels and at least {top[1]} outputs; y holds "
                f"{'labels' if rows.labels else 'no labels'}, with {outputs} outputs"
            )
        if (name in CLASSES or name == "accuracy") and not classes:
            raise ValueError(
                f"metrics: {name!r} needs classes: integer labels, or zeros and ones with loss "
                "'binary_cross_entropy' or 'focal', or 'hinge'"
            )
        if name in (*ERRORS, *VALUES) and rows.labels:
            raise ValueError(f"metrics: {name!r} needs values, and y holds labels")
        if several and name in (*ONE_COLUMN, "max_error"):
            raise ValueError(f"metrics: {name!r} is for one output, and there are {outputs}")


def measure(metric: Metric, rows: Rows, outputs: Array, loss: BaseLoss) -> float:
    """The metric of outputs, as `Network.predict` returns them."""
    if metric.name == "accuracy":
        return accuracy(rows, outputs, loss.threshold)
    targets, outputs, weights = counting(rows, outputs)
    if not len(targets):
        return float("nan")
    if metric.own and metric.function is not None:
        value = metric.function(_read_only(targets), _read_only(outputs))
        return returned(value, f"metric {metric.name!r}")
    if not (np.isfinite(targets).all() and np.isfinite(outputs).all()):
        return float("nan")
    with np.errstate(all="ignore"):
        return _built_in(metric, targets, loss.estimates(outputs), weights, loss.threshold)


def _built_in(
    metric: Metric, targets: Array, outputs: Array, weights: Array | None, threshold: float
) -> float:
    """The metrics by name, of what is finite."""
    if metric.function is None:
        return _plain(metric.name, targets, outputs, weights)
    if metric.name in VALUES:
        weighted = {} if metric.name == "max_error" else {"sample_weight": weights}
        return float(metric.function(targets, outputs, **weighted))
    return _of_classes(metric, targets, outputs, weights, threshold)


def _plain(name: str, targets: Array, outputs: Array, weights: Array | None) -> float:
    """The metrics that need no scikit-learn."""
    top = TOP.fullmatch(name)
    if top:
        given = outputs[np.arange(len(targets)), targets]
        good = (outputs > given[:, None]).sum(axis=1) < int(top[1])
        return float(np.average(good, weights=weights))
    errors = outputs - targets.astype(np.float64)
    each = np.abs(errors) if name == "mae" else errors**2
    mean = float(np.average(each.mean(axis=1), weights=weights))
    return mean**0.5 if name == "rmse" else mean


def _of_classes(
    metric: Metric, targets: Array, outputs: Array, weights: Array | None, threshold: float
) -> float:
    """The metrics of classes that are scikit-learn's."""
    labels = targets.ndim == 1
    if labels:
        true, found = targets, outputs.argmax(axis=1)
        binary = outputs.shape[1] == 2
        scores = outputs[:, 1] if binary else outputs
    else:
        binary = outputs.shape[1] == 1
        column = (slice(None), 0) if binary else ...
        true, scores = (targets[column] == 1).astype(np.int64), outputs[column]
        found = (scores > threshold).astype(np.int64)
    options: dict[str, Any] = {"sample_weight": weights}
    if metric.name in ("precision", "recall", "f1"):
        options |= {"average": "binary" if binary else "macro", "zero_division": 0}
    elif metric.name in ("auc", "average_precision"):
        found = scores
        if metric.name == "auc" and labels and not binary:
            options |= {"multi_class": "ovr", "labels": np.arange(outputs.shape[1])}
    function = metric.function
    assert function is not None
    if metric.name == "average_precision" and labels and not binary:
        # scikit-learn's mean, which wants all classes to be there, over those that are.
        each = [function(true == c, scores[:, c], **options) for c in np.unique(true)]
        return float(np.mean(each))
    return float(function(true, found, **options))


def _read_only(array: Array) -> Array:
    """A view that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def _partly_masked(rows: Rows) -> bool:
    unknown = np.isnan(rows.targets).mean(axis=1)
    return bool(((unknown > 0) & (unknown < 1)).any())
