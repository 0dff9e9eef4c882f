"""The stochastic solvers: from checked rows to a fit that can begin, and how it may end."""

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring

from fastbp.engine.engine import Engine
from fastbp.fit import fitting
from fastbp.network import Network
from fastbp.sklearn import models
from fastbp.sklearn.data import Data
from fastbp.sklearn.heads import Head
from fastbp.sklearn.held_out import HeldOut
from fastbp.sklearn.rows import NOT_FINITE, checked_rows, constants, mean_constant
from fastbp.sklearn.stochastic_fit import StochasticFit
from fastbp.sklearn.telling import warn

MOST_SEEDS = 1 << 31


def prepared(
    estimator: Any,
    network: Network,
    data: Data,
    held_out: Data | None,
    head: Head,
    incremental: bool,
) -> tuple[Callable[[], None], Engine]:
    """Check what is left to check; what is returned trains, by the calls of an engine.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Whose parameters they are, and whose fitted attributes are kept up to date.
    network : Network
        What is trained.
    data, held_out : Data
        The rows, and those that the user has for validation.
    head : Head
        The network's.
    incremental : bool
        Whether this is a ``partial_fit``: one epoch.
    """
    if held_out is None and estimator.early_stopping:
        data, held_out = data.split(estimator.validation_fraction, estimator._random_state)
    rows = checked_rows(estimator, network, data)
    validation = None
    if held_out is not None:
        validation = _validation(estimator, network, held_out, head)
        if estimator.validation_scores_ is None:
            estimator.validation_scores_, estimator.validation_loss_curve_ = [], []
            estimator.best_validation_score_ = -np.inf
    fit = StochasticFit(
        estimator,
        network,
        rows,
        1 if incremental else estimator.max_iter,
        batch := _batch_size(estimator.batch_size, data.X.shape[0]),
        _draws(estimator, batch < data.X.shape[0]),
        estimator._optimizer,
        validation,
        head.reported,
        constants(estimator, head, rows),
    )
    if estimator.schedule is not None:
        fit.follow(estimator.schedule)
    return lambda: _run(estimator, network, fit, incremental), network._core.engine


def _validation(estimator: Any, network: Network, held_out: Data, head: Head) -> HeldOut:
    rows = checked_rows(estimator, network, held_out._replace(class_weight=None), "validation ")
    scorer = None
    if estimator.scoring is not None:
        scorer = check_scoring(estimator, scoring=estimator.scoring)
    return HeldOut(
        estimator,
        network._core,
        rows,
        held_out,
        scorer,
        head.reported,
        mean_constant(estimator, head, rows),
    )


def _batch_size(given: Any, rows: int) -> int:
    if given == "auto":
        return min(200, rows)
    if given > rows:
        warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
        )
    return int(min(given, rows))


def _draws(estimator: Any, matters: bool) -> np.random.RandomState | None:
    """What shuffles the rows; nothing where neither the steps nor later draws depend on it."""
    own = isinstance(estimator.random_state, Integral)
    shuffles = estimator.shuffle and (matters or not own)
    draws: np.random.RandomState = estimator._random_state
    return draws if shuffles else None


def _run(estimator: Any, network: Network, fit: StochasticFit, incremental: bool) -> None:
    """Train, and see to how it ended."""
    turns = network._core.engine.turns
    calls_out = estimator.scoring is not None or estimator.schedule is not None
    with turns.fit_changing, turns.fitting(calls_out):
        if estimator._moments_anew:
            models.forget_moments(network)
            if network.regularization.drops:
                seed = estimator._random_state.randint(MOST_SEEDS)
                network._core.engine.dropout_seed = int(seed)
        fit.begin()
        try:
            fitting.run(fit, estimator.progress)
        except KeyboardInterrupt:
            warn("Training interrupted by user.")
        except FloatingPointError as error:
            if not estimator.early_stopping or estimator.best_validation_score_ == -np.inf:
                raise ValueError(NOT_FINITE) from error
            fit.diverged()
            warn(
                f"Training diverged in iteration {estimator.n_iter_}: the weights are those of "
                "the best validation score",
                ConvergenceWarning,
            )
        else:
            if fit.history.stopped is None and not incremental:
                warn(
                    f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and "
                    "the optimization hasn't converged yet.",
                    ConvergenceWarning,
                )
        fit.restore_best()
