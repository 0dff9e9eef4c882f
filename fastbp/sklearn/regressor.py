"""MLPRegressor."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from fastbp.losses import Loss
from fastbp.sklearn import heads, parameters
from fastbp.sklearn.base import BaseMLP
from fastbp.sklearn.data import Data, checked_weights
from fastbp.sklearn.heads import Head


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]  # scikit-learn has no types
    """DOC"""

    _parameter_constraints = parameters.REGRESSOR

    def __init__(
        self,
        loss: str | Loss = "squared_error",
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
        out_activation: Any = None,
        mask_nan: bool = False,
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
        self.mask_nan = mask_nan
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
    ) -> "MLPRegressor":
        """FIT"""
        fitted: MLPRegressor = self._fit(
            X, y, sample_weight, validation=(X_val, y_val, sample_weight_val)
        )
        return fitted

    @available_if(BaseMLP._check_solver)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MLPRegressor":
        """Go through the rows once, in mini-batches.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        self
        """
        fitted: MLPRegressor = self._fit(X, y, sample_weight, incremental=True)
        return fitted

    def predict(self, X: Any) -> NDArray[Any]:
        """The values of rows.

        Parameters
        ----------
        X : (rows, features) array_like or sparse

        Returns
        -------
        (rows,) or (rows, outputs) ndarray
        """
        outputs = self._outputs(X)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R2, the mean of several outputs; with `mask_nan`, of the targets that are not NaN.

        Parameters
        ----------
        X : (rows, features) array_like or sparse
        y : (rows,) or (rows, outputs) array_like
        sample_weight : (rows,) array_like, optional

        Returns
        -------
        float
        """
        if not self.mask_nan:
            return float(super().score(X, y, sample_weight))
        outputs = self._outputs(X)
        y = self._masked(y, outputs)
        return self._score_of(outputs, y, checked_weights(sample_weight, outputs))

    @staticmethod
    def _masked(y: Any, rows: Any) -> NDArray[Any]:
        """Targets, of which some may be NaN, for these rows."""
        y = check_array(
            y, ensure_2d=False, dtype="numeric", ensure_all_finite="allow-nan", input_name="y"
        )
        check_consistent_length(rows, y)
        masked: NDArray[Any] = y
        return masked

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, incremental: bool, first: bool
    ) -> tuple[Data, Head]:
        data = self._as_data(X, y, sample_weight, first)
        return data, heads.regression(self.loss, self.out_activation, data.targets.shape[1])

    def _checked_validation(self, X: Any, y: Any, sample_weight: Any, head: Head) -> Data:
        return self._as_data(X, y, sample_weight, False)

    def _as_data(self, X: Any, y: Any, sample_weight: Any, reset: bool) -> Data:
        """The rows as scikit-learn checks them."""
        options = {
            "accept_sparse": ["csr", "csc"],
            "dtype": (np.float64, np.float32),
            "reset": reset,
        }
        if not self.mask_nan or y is None:  # which has scikit-learn's error
            X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, **options)
        else:
            X = validate_data(self, X, **options)
            y = self._masked(y, X)
        if hasattr(y, "toarray"):
            y = y.toarray()
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return Data(X, y, y.reshape(len(y), -1), checked_weights(sample_weight, X))

    def _score_of(self, outputs: NDArray[Any], y: NDArray[Any], weights: Any) -> float:
        y = y.reshape(outputs.shape)
        if not self.mask_nan:
            return float(r2_score(y, outputs, sample_weight=weights))
        scores = []
        for wanted, found in zip(y.T, outputs.T, strict=True):
            known = ~np.isnan(wanted)
            of_known = None if weights is None else weights[known]
            if known.sum() > 1:
                scores.append(r2_score(wanted[known], found[known], sample_weight=of_known))
        return float(np.mean(scores)) if scores else float("nan")
