"""MLPEnsembleRegressor."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin, _fit_context

from fastbp.ensemble.outputs import deviation
from fastbp.sklearn import scores
from fastbp.sklearn.data import Data
from fastbp.sklearn.ensemble import CONSTRAINTS, BaseMLPEnsemble
from fastbp.sklearn.regressor import MLPRegressor


class MLPEnsembleRegressor(RegressorMixin, BaseMLPEnsemble):
    """An ensemble of multi-layer perceptrons for values, trained side by side.

    What `sklearn.ensemble.BaggingRegressor` is with an `MLPRegressor`, as `MLPEnsembleClassifier`
    is what `BaggingClassifier` is.

    Parameters
    ----------
    estimator : MLPRegressor, default=None
        What the estimators are copies of; None for one with defaults. Its `random_state` and
        `threads` do not matter.
    n_estimators, bootstrap, max_samples, oob_score, random_state, progress, threads
        As of `MLPEnsembleClassifier`.

    Attributes
    ----------
    estimator_ : MLPRegressor
        What was copied.
    estimators_ : list of MLPRegressor
        The estimators.
    estimators_samples_ : list of ndarray
        The rows of each.
    ensemble_ : fastbp.Ensemble
        Of their networks.
    oob_score_ : float
        R2 on rows by the estimators that have not seen them.
    oob_prediction_ : (rows,) or (rows, outputs) ndarray
        The predictions by these; NaN where all have seen the row.
    n_features_in_, feature_names_in_ : int, (features,) ndarray of str
        Columns of X, and their names, where all have some.

    Notes
    -----
    Those of `MLPEnsembleClassifier`.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastbp.sklearn import MLPEnsembleRegressor, MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> one = MLPRegressor(solver="lbfgs", max_iter=20, tol=1e3)
    >>> ensemble = MLPEnsembleRegressor(one, 5, random_state=0).fit(X, y)
    >>> mean, std = ensemble.predict(X[:2], return_std=True)
    >>> mean.shape, std.shape
    ((2,), (2,))
    """

    _kind = MLPRegressor
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CONSTRAINTS,
        "estimator": [MLPRegressor, None],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MLPEnsembleRegressor":
        """Train.

        Parameters
        ----------
        X : (rows, features) array_like or sparse
            Features.
        y : (rows,) or (rows, outputs) array_like
            Values.
        sample_weight : (rows,) array_like, optional
            What each row counts, or with `bootstrap` how probable it is to be drawn; at least 0.

        Returns
        -------
        self
        """
        fitted: MLPEnsembleRegressor = self._fit(X, y, sample_weight)
        return fitted

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """The means of the estimators' values, and how little they agree.

        Parameters
        ----------
        X : (rows, features) array_like or sparse
        return_std : bool, default=False
            Whether to return the standard deviations of the estimators' values, too.

        Returns
        -------
        mean, or mean and std : (rows,) or (rows, outputs) ndarray
        """
        X = self._checked_rows(X)
        mean = _flat(self._mean(X, *self._all()))
        if not return_std:
            return mean
        spread = deviation(self._outputs(X, *self._all()))
        return mean, _flat(spread.astype(mean.dtype))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R2, as `MLPRegressor.score`.

        Parameters
        ----------
        X : (rows, features) array_like or sparse
        y : (rows,) or (rows, outputs) array_like
        sample_weight : (rows,) array_like, optional

        Returns
        -------
        float
        """
        if hasattr(self, "estimator_") and self.estimator_.mask_nan:
            return float(self.estimator_._masked_score(y, self._average(X), sample_weight))
        return float(super().score(X, y, sample_weight))

    def _learn(self, template: Any) -> dict[str, Any]:
        return {}

    def _width(self) -> int:
        return int(self.estimators_[0].n_outputs_)

    def _values(self, member: Any, outputs: NDArray[Any]) -> NDArray[Any]:
        return outputs

    def _set_oob(self, mean: NDArray[Any], data: Data, known: NDArray[np.bool_]) -> None:
        self.oob_prediction_ = _flat(mean)
        self.oob_score_ = scores.r2(data.targets[known], mean[known], None)


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    """Of one output, a value a row."""
    return values.ravel() if values.shape[1] == 1 else values
