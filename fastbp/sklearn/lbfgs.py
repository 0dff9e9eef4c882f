"""L-BFGS through SciPy: the whole network as one vector, gradients from the kernels."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from sklearn.exceptions import ConvergenceWarning

from fastbp.network import Network
from fastbp.rows.rows import Rows
from fastbp.sklearn import models
from fastbp.sklearn.data import Data
from fastbp.sklearn.heads import Head
from fastbp.sklearn.rows import NOT_FINITE, checked_rows, mean_constant
from fastbp.sklearn.telling import warn


class Objective:
    """The loss with its penalty, and the gradient, as functions of all parameters.

    Parameters
    ----------
    network : Network
        Of float64; its parameters are those of the last evaluation.
    rows : Rows
        What it is trained on.
    alpha : float
        Of the penalty.

    Attributes
    ----------
    value : float
        Of the last evaluation.
    """

    def __init__(self, network: Network, rows: Rows, alpha: float) -> None:
        self._engine, self._rows, self.value = network._core.engine, rows, float("nan")
        layout = self._engine.layout
        places, layers = np.arange(layout.parameters), range(layout.layers)
        weights = [layout.weights(places, layer).ravel() for layer in layers]
        biases = [layout.biases(places, layer) for layer in layers]
        self._places = np.concatenate([*weights, *biases])
        self._weights = sum(map(len, weights))
        mass = len(rows.features) if rows.totals is None else float(rows.totals.sum()) * rows.unit
        self._decay = alpha / mass

    @property
    def parameters(self) -> NDArray[Any]:
        """Weights, then biases, layer by layer."""
        found: NDArray[Any] = self._engine.slot(0)[self._places]
        return found

    @parameters.setter
    def parameters(self, values: NDArray[Any]) -> None:
        self._engine.slot(0)[self._places] = values

    def __call__(self, parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The value and the gradient."""
        return self._engine.turns.hold(self._evaluated, parameters)

    def _evaluated(self, parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        self.parameters = parameters
        loss, flat = self._engine.differentiate(self._rows)
        gradient: NDArray[np.float64] = flat[self._places]
        gradient[: self._weights] += self._decay * parameters[: self._weights]
        self.value = loss + self.penalty(parameters)
        return self.value, gradient

    def penalty(self, parameters: NDArray[np.float64]) -> float:
        """What is added to the loss."""
        weights = parameters[: self._weights]
        return float(0.5 * self._decay * (weights @ weights))


def prepared(
    estimator: Any,
    network: Network,
    data: Data,
    held_out: Data | None,
    head: Head,
    incremental: bool,
) -> Callable[[], None]:
    """Check what is left to check; what is returned trains. Arguments as of `stochastic.prepared`.

    A float32 network is trained in float64: a line search needs a smooth loss.
    """
    if held_out is not None:
        raise ValueError("X_val and y_val are for the stochastic solvers, not for solver='lbfgs'")
    trained = network
    if network.dtype != np.float64:
        trained = models.copied(network, np.float64, estimator._design)
    rows = checked_rows(estimator, trained, data)
    objective = Objective(trained, rows, float(estimator.alpha))
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

    return train


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

    before = objective.parameters
    bar = tqdm(total=estimator.max_iter, disable=not estimator.progress, unit="iteration")

    iterations = itertools.count(1)

    def after_iteration(parameters: NDArray[np.float64]) -> None:
        bar.update()
        number = next(iterations)
        if estimator.verbose:
            print(f"Iteration {number}, loss = {objective.value:.8f}")  # noqa: T201 - as asked

    try:
        with bar:
            result = optimize.minimize(
                objective,
                before,
                method="L-BFGS-B",
                jac=True,
                callback=after_iteration,
                options={
                    "maxfun": estimator.max_fun,
                    "maxiter": estimator.max_iter,
                    "gtol": estimator.tol,
                },
            )
        if not (np.isfinite(result.x).all() and np.isfinite(result.fun)):
            raise ValueError(NOT_FINITE)
        objective.parameters = result.x
    except BaseException:
        objective.parameters = before
        raise
    return result
