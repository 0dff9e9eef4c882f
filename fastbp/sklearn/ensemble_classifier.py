"""MLPEnsembleClassifier."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score

from fastbp.sklearn import labels
from fastbp.sklearn.classifier import MLPClassifier
from fastbp.sklearn.data import Data
from fastbp.sklearn.ensemble import CONSTRAINTS, BaseMLPEnsemble


class MLPEnsembleClassifier(ClassifierMixin, BaseMLPEnsemble):
    """An ensemble of multi-layer perceptrons for classes, trained side by side.

    What `sklearn.ensemble.BaggingClassifier` is with an `MLPClassifier`, with each estimator on a
    core of its own: on threads, which share the data. Each is, to the bit, what its ``fit`` would
    make of its rows and `random_state`.

    Parameters
    ----------
    estimator : MLPClassifier, default=None
        What the estimators are copies of; None for one with defaults. Its `random_state` and
        `threads` do not matter.
    n_estimators : int, default=10
        How many.
    bootstrap : bool, default=False
        Whether each estimator is trained on rows drawn with replacement (bagging, Breiman 1996).
        Estimators begin with different weights; without bootstrap they see all rows, and are then
        often better together (Lakshminarayanan et al. 2017).
    max_samples : int or float, default=1.0
        How many rows each estimator gets, or a share of them; without `bootstrap` drawn without
        replacement.
    oob_score : bool, default=False
        With `bootstrap`: whether rows are judged by the estimators that have not seen them.
    random_state : int, RandomState or None, default=None
        Draws the `random_state` of each estimator, as scikit-learn's ensembles do, and its rows.
        What it draws depends on no number of threads.
    progress : bool, default=False
        Whether to show a progress bar over the estimators.
    threads : int, default=None
        How many estimators are at work at a time; None for as many as there are cores, and as
        joblib grants its workers.

    Attributes
    ----------
    estimator_ : MLPClassifier
        What was copied.
    estimators_ : list of MLPClassifier
        The estimators. Each knows the classes that are among its rows.
    estimators_samples_ : list of ndarray
        The rows of each.
    ensemble_ : fastbp.Ensemble
        Of their networks.
    classes_ : (classes,) ndarray
        The labels.
    oob_score_ : float
        The accuracy on rows by the estimators that have not seen them.
    oob_decision_function_ : (rows, classes) ndarray
        The probabilities by these; NaN where all have seen the row.
    n_features_in_, feature_names_in_ : int, (features,) ndarray of str
        Columns of X, and their names, where all have some.

    Notes
    -----
    With `bootstrap`, `sample_weight` is how probable it is that a row is drawn, and the estimators
    are trained without weights, as in `BaggingClassifier`; without, it is what rows count for each
    estimator. Unlike there, rows that an estimator does not have take no part in its batches.

    Functions of your own within `estimator`, as a scorer, are called on several threads at a time.
    Where one of the estimators fails, or Ctrl-C comes, the ensemble is as it was before.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastbp.sklearn import MLPClassifier, MLPEnsembleClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> one = MLPClassifier(max_iter=1000)
    >>> ensemble = MLPEnsembleClassifier(one, 5, random_state=0).fit(X, y)
    >>> bool(ensemble.score(X, y) > 0.95)
    True
    """

    _kind = MLPClassifier
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CONSTRAINTS,
        "estimator": [MLPClassifier, None],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MLPEnsembleClassifier":
        """Train.

        Parameters
        ----------
        X : (rows, features) array_like or sparse
            Features.
        y : (rows,) or (rows, labels) array_like
            Classes; a matrix of 0 and 1 for several labels a row.
        sample_weight : (rows,) array_like, optional
            What each row counts, or with `bootstrap` how probable it is to be drawn; at least 0.

        Returns
        -------
        self
        """
        fitted: MLPEnsembleClassifier = self._fit(X, y, sample_weight)
        return fitted

    def predict(self, X: Any) -> NDArray[Any]:
        """The classes whose mean probabilities are greatest, or of several labels above 0.5.

        Parameters
        ----------
        X : (rows, features) array_like or sparse

        Returns
        -------
        (rows,) or (rows, labels) ndarray
        """
        return self._classes_of(self.predict_proba(X))

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """The means of the estimators' probabilities, in the order of `classes_`.

        Parameters
        ----------
        X : (rows, features) array_like or sparse

        Returns
        -------
        (rows, classes) ndarray
            An estimator that has not seen a class takes it for impossible.
        """
        return self._average(X)

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """The logarithms of `predict_proba`.

        Parameters
        ----------
        X : (rows, features) array_like or sparse

        Returns
        -------
        (rows, classes) ndarray
        """
        with np.errstate(divide="ignore"):  # what all take for impossible
            return np.asarray(np.log(self._average(X)))

    def _classes_of(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        if self._multilabel:
            return np.asarray(probabilities > 0.5).astype(int)
        found: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return found

    def _learn(self, template: Any) -> dict[str, Any]:
        return {"classes_": template.classes_, "_multilabel": labels.is_multilabel(template)}

    def _width(self) -> int:
        return len(self.classes_)

    def _values(self, member: Any, outputs: NDArray[Any]) -> NDArray[Any]:
        probabilities = labels.probabilities(member, outputs)
        if len(member.classes_) == len(self.classes_):
            return probabilities
        values = np.zeros((len(outputs), len(self.classes_)), outputs.dtype)
        values[:, np.searchsorted(self.classes_, member.classes_)] = probabilities
        return values

    def _set_oob(self, mean: NDArray[Any], data: Data, known: NDArray[np.bool_]) -> None:
        self.oob_decision_function_, self.oob_score_ = mean, float("nan")
        if known.any():
            found = self._classes_of(mean[known])
            self.oob_score_ = float(accuracy_score(data.y[known], found))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
