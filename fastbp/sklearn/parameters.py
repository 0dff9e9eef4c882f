"""What the parameters of the estimators may be, in scikit-learn's terms, for its own messages."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fastbp.activations import Activation
from fastbp.losses import BaseLoss
from fastbp.optimizers import BaseOptimizer
from fastbp.schedules import Schedule
from fastbp.sklearn.heads import HIDDEN_NAMES, OUTPUT_NAMES, REGRESSION_LOSSES
from fastbp.sklearn.solvers import SOLVERS

_FRACTION = Interval(Real, 0, 1, closed="left")

# scikit-learn's own; those of activation and solver admit more.
COMMON: dict[str, Any] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(HIDDEN_NAMES)), Activation, list, tuple],
    "solver": [StrOptions(set(SOLVERS)), BaseOptimizer],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [_FRACTION],
    "beta_1": [_FRACTION],
    "beta_2": [_FRACTION],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [
        Interval(Integral, 1, None, closed="left"),
        Options(Real, {np.inf}),
    ],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    # fastbp's
    "out_activation": [StrOptions(set(OUTPUT_NAMES)), Activation, None],
    "dropout": [_FRACTION, "array-like"],
    "scoring": [StrOptions(set(get_scorer_names())), callable, None],
    "schedule": [Schedule, callable, None],
    "keep_optimizer": ["boolean"],
    "progress": ["boolean"],
    "threads": [Interval(Integral, 1, None, closed="left"), None],
}
CLASSIFIER: dict[str, Any] = {
    **COMMON,
    "loss": [StrOptions({"log_loss"}), BaseLoss],
    "class_weight": [dict, list, StrOptions({"balanced"}), None],
    "out_activation": [StrOptions({"softmax", "logistic", "sigmoid"}), None],
}
REGRESSOR: dict[str, Any] = {
    **COMMON,
    "loss": [StrOptions(set(REGRESSION_LOSSES)), BaseLoss],
    "mask_nan": ["boolean"],
}
