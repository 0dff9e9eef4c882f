"""MLPRegressor."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from fastbp.losses import BaseLoss
from fastbp.sklearn import heads, parameters, scores
from fastbp.sklearn.base import BaseMLP
from fastbp.sklearn.data import Data, checked_weights, column
from fastbp.sklearn.heads import Head


class MLPRegressor(RegressorMixin, BaseMLP):
    """A multi-layer perceptron for values: scikit-learn's, trained by fastbp.

    Parameters up to `max_fun` have scikit-learn's names, defaults and meanings; those behind are
    fastbp's own and change nothing by default. float32 data make a float32 network, all other data
    one of float64.

    Parameters
    ----------
    loss : str or BaseLoss, default="squared_error"
        "squared_error" or "poisson" as in scikit-learn, "absolute_error", "huber", or an object of
        `fastbp.losses`.
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; an empty sequence makes a linear model.
    activation : str, Activation or a sequence of them, default="relu"
        Of the hidden layers: "identity", "logistic", "tanh", "relu" as in scikit-learn, any other
        that `fastbp.activations` has by name, or an object; a sequence has one for each layer.
    solver : str or BaseOptimizer, default="adam"
        "lbfgs", "sgd" or "adam" as in scikit-learn; "adamw", "rmsprop", "adagrad", "nadam", which
        take `learning_rate_init`, `epsilon` and the betas, and have fastbp's defaults else (a
        decoupled decay of 0.01 of "adamw"); or an object of `fastbp` with settings of its own.
    alpha : float, default=0.0001
        The penalty ``alpha / 2 * sum(w**2)``, divided by the rows of a batch, or by their total
        weight.
    batch_size : int or "auto", default="auto"
        Rows an update; "auto" is ``min(200, rows)``.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Of "sgd": ``learning_rate_init``; that over ``(t_ + 1)**power_t`` after each epoch; or a
        fifth of it whenever training would end because it no longer improves.
    learning_rate_init : float, default=0.001
        The (first) learning rate.
    power_t : float, default=0.5
        The exponent of "invscaling".
    max_iter : int, default=200
        The most epochs, or iterations of "lbfgs".
    shuffle : bool, default=True
        Whether each epoch goes through the rows in a new order.
    random_state : int, RandomState or None, default=None
        Draws initial weights, the part that is held out, and orders, as scikit-learn does: with
        the same number the network is scikit-learn's to rounding.
    tol : float, default=1e-4
        By how much the loss (or the validation score) must improve; of "lbfgs", the gradient.
    verbose : bool or int, default=False
        Whether to print the loss of each epoch.
    warm_start : bool, default=False
        Whether `fit` goes on with the weights that are there.
    momentum : float, default=0.9
        Of "sgd", in [0, 1].
    nesterovs_momentum : bool, default=True
        Whether it is Nesterov's.
    early_stopping : bool, default=False
        Whether to hold out rows, to stop when their score no longer improves, and to end with the
        weights of the best score.
    validation_fraction : float, default=0.1
        How much of the rows is held out, where `fit` is given none.
    beta_1, beta_2 : float, default=0.9, 0.999
        Of "adam", in [0, 1).
    epsilon : float, default=1e-8
        Of "adam".
    n_iter_no_change : int or inf, default=10
        How many epochs in a row may not improve.
    max_fun : int, default=15000
        The most evaluations of "lbfgs".
    out_activation : str or Activation, default=None
        Of the outputs; None for "identity", of the Poisson loss "exp".
    mask_nan : bool, default=False
        Whether targets may be NaN, which count for nothing then.
    dropout : float or sequence of float, default=0.0
        The rate in [0, 1) at which outputs of hidden layers are dropped in training, one for all
        or one for each layer.
    scoring : str or callable, default=None
        The scorer of validation rows, as scikit-learn's `check_scoring` takes it; None for R2.
    schedule : Schedule or callable, default=None
        What `learning_rate_init` is multiplied by in each step: see `fastbp.schedules`.
    keep_optimizer : bool, default=False
        Whether a warm start keeps what the optimizer has gathered, such as Adam's moments.
    progress : bool, default=False
        Whether to show a progress bar.
    threads : int, default=None
        Threads to train and predict with; None for as many as help, and as joblib grants its
        workers. The numbers do not depend on it.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weights (inputs, outputs) and biases (outputs,) of each layer: views of the network's
        memory. What is written or put into them counts.
    loss_ : float
        Of the last epoch, penalty included.
    best_loss_ : float or None
        The least of all epochs; None with `early_stopping`.
    loss_curve_ : list of float
        Of each epoch; not of "lbfgs".
    validation_scores_, validation_loss_curve_ : list of float or None
        Of each epoch, where rows are held out or given.
    best_validation_score_ : float or None
        The greatest score.
    n_iter_, t_ : int
        Epochs of the last fit; rows that all fits have gone through.
    n_layers_, n_outputs_ : int
        Layers, input and output included; outputs of the network.
    out_activation_ : str
        Of the outputs, in scikit-learn's name.
    n_features_in_, feature_names_in_ : int, (features,) ndarray of str
        Columns of X, and their names, where all have some.
    network_ : fastbp.Network
        What is inside, for all that a network can do: files, evaluation, export.

    Notes
    -----
    Where it is not as in scikit-learn: a fit that fails leaves the estimator as it was; one that
    diverges with `early_stopping` ends there, with a ConvergenceWarning and the best weights.
    `predict` and `coefs_` are those of the last fit, whatever parameters are set since, and
    `partial_fit` goes on with parameters as they are now, the optimizer's too. With "lbfgs"
    rounding parts the two after some dozens of iterations. Of sparse X with more than 32 batches,
    the penalty within `loss_` is interpolated between 32 places of an epoch.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastbp.sklearn import MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = MLPRegressor(solver="lbfgs", max_iter=20, random_state=0)
    >>> regressor.set_params(tol=1e3).fit(X, y).predict(X[:2]).shape
    (2,)
    """

    _parameter_constraints = parameters.REGRESSOR

    def __init__(
        self,
        loss: str | BaseLoss = "squared_error",
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
        """Train.

        Parameters
        ----------
        X : (rows, features) array_like or sparse
            Features.
        y : (rows,) or (rows, outputs) array_like
            Values.
        sample_weight : (rows,) array_like, optional
            What each row counts, at least 0.
        X_val, y_val : array_like, optional
            Rows to measure the network on after each epoch, and with `early_stopping` to stop by.
        sample_weight_val : (rows,) array_like, optional
            What these count.

        Returns
        -------
        self
        """
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
        return self._masked_score(y, self._outputs(X), sample_weight)

    @staticmethod
    def _masked_score(y: Any, outputs: NDArray[Any], sample_weight: Any) -> float:
        """R2 of outputs, of the targets that are not NaN."""
        y = MLPRegressor._masked(y, outputs)
        if y.size != outputs.size:
            raise ValueError(f"y must have the shape {outputs.shape}, got {y.shape}")
        y = y.reshape(outputs.shape)
        return scores.r2(y, outputs, checked_weights(sample_weight, outputs))

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
        y = column(y.toarray() if hasattr(y, "toarray") else y)
        return Data(X, y, y.reshape(len(y), -1), checked_weights(sample_weight, X))

    def _score_of(self, outputs: NDArray[Any], data: Data) -> float:
        return scores.r2(data.targets, outputs, data.sample_weight)
