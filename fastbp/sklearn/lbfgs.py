"""L-BFGS through SciPy: the whole network as one vector, gradients from the kernels."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastbp.engine.engine import Engine
from fastbp.engine.objective import Objective, minimized
from fastbp.network import Network
from fastbp.regularization import Regularization
from fastbp.sklearn import models
from fastbp.sklearn.data import Data
from fastbp.sklearn.heads import Head
from fastbp.sklearn.rows import NOT_FINITE, checked_rows, mean_constant
from fastbp.sklearn.telling import warn


def prepared(
    estimator: Any,
    network: Network,
    data: Data,
    held_out: Data | None,
    head: Head,
    incremental: bool,
) -> tuple[Callable[[], None], Engine]:
    """Check what is left to check; what is returned trains, by the calls of an engine.

    Arguments are as of `stochastic.prepared`. A float32 network is trained in float64: a line
    search needs a smooth loss.
    """
    if held_out is not None:
        raise ValueError("X_val and y_val are for the stochastic solvers, not for solver='lbfgs'")
    trained = network
    if network.dtype != np.float64:
        trained = models.copied(network, np.float64, estimator._design)
    rows = checked_rows(estimator, trained, data)
    penalties = Regularization(alpha=float(estimator.alpha))
    objective = Objective(trained._core.engine, rows, head.loss, penalties)
    constant = mean_constant(estimator, head, rows)

    def train() -> None:
        turns = network._core.engine.turns
        with turns.fit_changing, turns.fitting(calls_out=False):
            result = _minimized(objective, estimator)
            if trained is not network:
                models.put([*network.weights, *network.biases], [*trained.weights, *trained.biases])
        penalty = objective.penalty(result.x)
        estimator.n_iter_ = min(result.nit, estimator.max_iter)
        if result.status != 0:
            warn(_not_converged(result, estimator), ConvergenceWarning)
        estimator.loss_ = (float(result.fun) - penalty) * head.reported + penalty + constant

    return train, trained._core.engine


def _not_converged(result: Any, estimator: Any) -> str:
    """scikit-learn's message of an optimization that did not come to its end."""
    message = (
        f"lbfgs failed to converge after {estimator.n_iter_} iteration(s) "
        f"(status={result.status}):\n{result.message}\n"
    )
    if estimator.n_iter_ == estimator.max_iter:
        message += (
            "\nIncrease the number of iterations to improve the convergence "
            f"(max_iter={estimator.max_iter})."
        )
    return (
        f"{message}\nYou might also want to scale the data as shown in:\n"
        "    https://scikit-learn.org/stable/modules/preprocessing.html"
    )


def _minimized(objective: Objective, estimator: Any) -> Any:
    """SciPy's result, whose parameters the network has; or those of before, and an exception."""
    from tqdm.auto import tqdm  # takes longer to import than a small network to train

    bar = tqdm(total=estimator.max_iter, disable=not estimator.progress, unit="iteration")

    iterations = itertools.count(1)

    def after_iteration(parameters: NDArray[np.float64]) -> None:
        bar.update()
        number = next(iterations)
        if estimator.verbose:
            print(f"Iteration {number}, loss = {objective.value:.8f}")  # noqa: T201 - as asked

    options = {"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol}
    try:
        with bar:
            return minimized(
                objective, method="L-BFGS-B", callback=after_iteration, options=options
            )
    except FloatingPointError:
        raise ValueError(NOT_FINITE) from None
