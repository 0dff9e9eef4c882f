"""Labels: what classes are as targets of a network, and what its outputs are as classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import validate_data

from fastbp.losses import CrossEntropy
from fastbp.sklearn import heads
from fastbp.sklearn.data import Data, checked_weights, column
from fastbp.sklearn.heads import Head


def checked(
    estimator: Any, X: Any, y: Any, sample_weight: Any, incremental: bool, first: bool
) -> tuple[Data, Head]:
    """The rows of a fit and the head that they want; sets `classes_` where they are not known."""
    X, given = _validated(estimator, X, y, first)
    y = given.toarray() if hasattr(given, "toarray") else given
    if hasattr(estimator, "classes_") and (estimator.warm_start or incremental):
        _expect_classes(estimator, unique_labels(y))
    else:
        estimator._label_binarizer = LabelBinarizer().fit(given)
        estimator.classes_ = estimator._label_binarizer.classes_
    head = heads.classification(
        estimator.loss, estimator.out_activation, len(estimator.classes_), is_multilabel(estimator)
    )
    data = _as_data(estimator, X, y, sample_weight, head)
    balance = estimator.class_weight
    if balance is None:
        return data, head
    if incremental and isinstance(balance, str):
        raise ValueError(
            "class_weight 'balanced' is not supported for partial_fit, whose batches do not tell "
            "how often classes are; give the weights as a dict"
        )
    weights = compute_sample_weight(balance, y)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError(
            "class_weight must hold finite numbers, not negative, nor all zero for the classes of "
            f"y, got {balance}"
        )
    return data._replace(class_weight=weights), head


def checked_validation(estimator: Any, X: Any, y: Any, sample_weight: Any, head: Head) -> Data:
    """The validation rows of a user, whose classes must be known."""
    X, y = _validated(estimator, X, y, False)
    y = y.toarray() if hasattr(y, "toarray") else y
    unknown = np.setdiff1d(unique_labels(y), estimator.classes_)
    if len(unknown):
        raise ValueError(
            f"`y_val` has classes not in `self.classes_`, {estimator.classes_}: {unknown}"
        )
    return _as_data(estimator, X, y, sample_weight, head)


def classes_of(estimator: Any, outputs: NDArray[Any]) -> NDArray[Any]:
    """The classes that outputs of the network tell."""
    if outputs.shape[1] == 2 and len(estimator.classes_) == 2 and not is_multilabel(estimator):
        outputs = outputs[:, 1:] > outputs[:, :1]
    values = outputs.ravel() if outputs.shape[1] == 1 else outputs
    found: NDArray[Any] = estimator._label_binarizer.inverse_transform(values)
    return found


def right(estimator: Any, outputs: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether `classes_of` the outputs are those of the targets: each row, all labels of it."""
    if len(estimator.classes_) == 1:
        return np.ones(len(outputs), bool)
    if outputs.shape[1] == 1 or is_multilabel(estimator):
        return np.asarray(((outputs > 0.5) == (targets == 1)).all(axis=1))
    wanted = targets if targets.ndim == 1 else targets.argmax(axis=1)
    return np.asarray(outputs.argmax(axis=1) == wanted)


def probabilities(estimator: Any, outputs: NDArray[Any]) -> NDArray[Any]:
    """The probability of each class."""
    if len(estimator.classes_) == 1:
        return np.ones_like(outputs)
    if outputs.shape[1] == 1:
        return np.hstack([1 - outputs, outputs])
    if is_multilabel(estimator) or estimator.out_activation_ == "softmax":
        return outputs
    total = outputs.sum(axis=1, keepdims=True)  # of each against the rest
    even = np.full_like(outputs, 1 / outputs.shape[1])
    return np.asarray(np.divide(outputs, total, out=even, where=total > 0))


def is_multilabel(estimator: Any) -> bool:
    """Whether a row may have several labels."""
    return str(estimator._label_binarizer.y_type_).startswith("multilabel")


def _validated(estimator: Any, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
    """X and y as scikit-learn checks them."""
    X, y = validate_data(
        estimator,
        X,
        y,
        accept_sparse=["csr", "csc"],
        multi_output=True,
        dtype=(np.float64, np.float32),
        reset=reset,
    )
    return X, column(y)


def _expect_classes(estimator: Any, classes: NDArray[Any]) -> None:
    """Raise scikit-learn's errors for classes that do not go with those of before."""
    known = estimator.classes_
    if estimator.warm_start:
        if set(classes) != set(known):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {known}, `y` has {classes}"
            )
    elif len(np.setdiff1d(classes, known, assume_unique=True)):
        raise ValueError(
            f"`y` has classes not in `self.classes_`. `self.classes_` has {known}. 'y' has "
            f"{classes}."
        )


def _as_data(estimator: Any, X: Any, y: Any, sample_weight: Any, head: Head) -> Data:
    """The rows with targets as the network takes them."""
    multilabel = is_multilabel(estimator)
    if (y.ndim == 2) != multilabel:
        kinds = "one label a row", f"an indicator matrix of {len(estimator.classes_)} labels"
        raise ValueError(
            f"y must be {kinds[multilabel]}, as in the fit before; got the shape {y.shape}"
        )
    strata = None
    if isinstance(head.loss, CrossEntropy):
        targets = np.searchsorted(estimator.classes_, y)
    else:
        targets = estimator._label_binarizer.transform(y)
        if head.outputs == 1:
            strata = targets.astype(bool)  # which scikit-learn's messages show
    return Data(X, y, targets, checked_weights(sample_weight, X), strata=strata)
