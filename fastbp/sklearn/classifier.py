"""MLPClassifier."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import validate_data

from fastbp.losses import CrossEntropy, Loss
from fastbp.sklearn import heads, parameters
from fastbp.sklearn.base import BaseMLP
from fastbp.sklearn.data import Data, checked_weights
from fastbp.sklearn.heads import Head


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]  # scikit-learn has no types
    """DOC"""

    _parameter_constraints = parameters.CLASSIFIER

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
        loss: str | Loss = "log_loss",
        out_activation: Any = None,
        class_weight: Any = None,
        dropout: Any = 0.0,
        scoring: Any = None,
        schedule: Any = None,
        keep_optimizer: bool = False,
        progress: bool = False,
        threads: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.out_activation = out_activation
        self.class_weight = class_weight
        self.dropout = dropout
        self.scoring = scoring
        self.schedule = schedule
        self.keep_optimizer = keep_optimizer
        self.progress = progress
        self.threads = threads

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> "MLPClassifier":
        fitted: MLPClassifier = self._fit(
            X, y, sample_weight, validation=(X_val, y_val, sample_weight_val)
        )
        return fitted

    @available_if(BaseMLP._check_solver)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> "MLPClassifier":
        """Go through the rows once, in mini-batches.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : (classes,) array_like, optional
            All classes that any call will see; needed in the first call. Of multilabel targets,
            the labels of the columns.

        Returns
        -------
        self
        """
        before = dict(vars(self))
        if _check_partial_fit_first_call(self, classes):
            self._label_binarizer = LabelBinarizer()
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer.fit(y if multilabel else classes)
        try:
            fitted: MLPClassifier = self._fit(X, y, sample_weight, incremental=True)
        except BaseException:
            if not hasattr(self, "coefs_"):
                self._put_back(before)
            raise
        return fitted

    def predict(self, X: Any) -> NDArray[Any]:
        """The classes of rows.

        Parameters
        ----------
        X : (rows, features) array_like or sparse

        Returns
        -------
        (rows,) or (rows, classes) ndarray
        """
        return self._classes_of(self._outputs(X))

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """The probabilities of the classes, in the order of `classes_`.

        Parameters
        ----------
        X : (rows, features) array_like or sparse

        Returns
        -------
        (rows, classes) ndarray
            Of several labels a row, the probability of each.
        """
        outputs = self._outputs(X)
        if len(self.classes_) == 1:
            return np.ones_like(outputs)
        if outputs.shape[1] == 1:
            return np.hstack([1 - outputs, outputs])
        if self._multilabel or self.out_activation_ == "softmax":
            return outputs
        total = outputs.sum(axis=1, keepdims=True)  # of one against the rest
        return np.divide(
            outputs, total, out=np.full_like(outputs, 1 / outputs.shape[1]), where=total > 0
        )

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """The logarithms of `predict_proba`.

        Parameters
        ----------
        X : (rows, features) array_like or sparse

        Returns
        -------
        (rows, classes) ndarray
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    @property
    def _multilabel(self) -> bool:
        return str(self._label_binarizer.y_type_).startswith("multilabel")

    def _classes_of(self, outputs: NDArray[Any]) -> NDArray[Any]:
        if outputs.shape[1] == 2 and len(self.classes_) == 2 and not self._multilabel:
            outputs = outputs[:, 1:] > outputs[:, :1]
        values = outputs.ravel() if outputs.shape[1] == 1 else outputs
        found: NDArray[Any] = self._label_binarizer.inverse_transform(values)
        return found

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, incremental: bool, first: bool
    ) -> tuple[Data, Head]:
        X, y = self._validated(X, y, first)
        if hasattr(self, "classes_") and (self.warm_start or incremental):
            self._expect_classes(unique_labels(y))
        else:
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        head = heads.classification(
            self.loss, self.out_activation, len(self.classes_), self._multilabel
        )
        data = self._as_data(X, y, sample_weight, head)
        if self.class_weight is None:
            return data, head
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit, whose batches do not "
                "tell how often classes are; give the weights as a dict"
            )
        weights = compute_sample_weight(self.class_weight, y)
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
            raise ValueError(
                "class_weight must hold finite numbers, not negative, nor all zero for the classes "
                f"of y, got {self.class_weight}"
            )
        return data._replace(class_weight=weights), head

    def _checked_validation(self, X: Any, y: Any, sample_weight: Any, head: Head) -> Data:
        X, y = self._validated(X, y, False)
        unknown = np.setdiff1d(unique_labels(y), self.classes_)
        if len(unknown):
            raise ValueError(
                f"`y_val` has classes not in `self.classes_`, {self.classes_}: {unknown}"
            )
        return self._as_data(X, y, sample_weight, head)

    def _validated(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        """X and y as scikit-learn checks them."""
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if hasattr(y, "toarray"):
            y = y.toarray()
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _expect_classes(self, classes: NDArray[Any]) -> None:
        """Raise scikit-learn's errors for classes that do not go with those of before."""
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the "
                    f"previous call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _as_data(self, X: Any, y: Any, sample_weight: Any, head: Head) -> Data:
        """The rows with targets as the network takes them."""
        if (y.ndim == 2) != self._multilabel:
            kinds = "one label a row", f"an indicator matrix of {len(self.classes_)} labels"
            raise ValueError(
                f"y must be {kinds[self._multilabel]}, as in the fit before; got the shape {y.shape}"
            )
        strata = None
        if isinstance(head.loss, CrossEntropy):
            targets = np.searchsorted(self.classes_, y)
        else:
            targets = self._label_binarizer.transform(y)
            if head.outputs == 1:
                strata = targets.astype(bool)  # which scikit-learn's messages show
        return Data(X, y, targets, checked_weights(sample_weight, X), strata=strata)

    def _score_of(self, outputs: NDArray[Any], y: NDArray[Any], weights: Any) -> float:
        right = self._classes_of(outputs) == y
        if right.ndim == 2:
            right = right.all(axis=1)
        return float(np.average(right, weights=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
