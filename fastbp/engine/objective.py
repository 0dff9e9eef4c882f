"""Objective: loss and penalties as a function of all parameters, for the optimizers of others."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.engine.engine import Engine
from fastbp.engine.row_losses import sloped
from fastbp.losses import BaseLoss
from fastbp.regularization import Regularization
from fastbp.rows.rows import Rows


def flat(engine: Engine) -> NDArray[Any]:
    """A copy of all parameters without padding, as `Layout.packed` orders them."""
    return engine.turns.hold(engine.layout.packed, engine.state)


def set_flat(engine: Engine, values: NDArray[Any]) -> None:
    """Replace all parameters."""
    state = engine.state.copy()
    engine.layout.unpack(values, state)
    engine.put_back(state, engine.step)


class Objective:
    """The mean loss of rows with the penalties of weights, and its gradient.

    Parameters
    ----------
    engine : Engine
        The network's; its parameters are those of the last evaluation.
    rows : Rows
        What it is trained on.
    loss : BaseLoss
        The network's.
    penalties : Regularization
        Of which `l1`, `l2` and `alpha` count.

    Attributes
    ----------
    value : float
        Of the last evaluation.
    """

    def __init__(
        self, engine: Engine, rows: Rows, loss: BaseLoss, penalties: Regularization
    ) -> None:
        self._engine, self._rows, self._loss = engine, rows, loss
        self.value = float("nan")
        layout = engine.layout
        marked = np.zeros(layout.parameters, bool)
        for layer in range(layout.layers):
            layout.weights(marked, layer)[:] = True
        self._are_weights = layout.packed(marked)
        mass = len(rows.features) if rows.totals is None else float(rows.totals.sum()) * rows.unit
        self._l1 = penalties.l1
        self._l2 = penalties.l2 + (penalties.alpha / mass if mass > 0 else 0.0)

    @property
    def parameters(self) -> NDArray[Any]:
        """All of them, as `flat` has them."""
        return flat(self._engine)

    @parameters.setter
    def parameters(self, values: NDArray[Any]) -> None:
        set_flat(self._engine, values)

    def __call__(self, parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The value and the gradient."""
        self.parameters = parameters
        rows = sloped(self._engine, self._rows, self._loss)
        loss, slopes = self._engine.turns.hold(self._differentiated, rows)
        gradient: NDArray[np.float64] = slopes.astype(np.float64)
        weights = np.where(self._are_weights, parameters, 0.0)
        with np.errstate(all="ignore"):
            gradient += self._l1 * np.sign(weights) + self._l2 * weights
        self.value = loss + self.penalty(parameters)
        return self.value, gradient

    def _differentiated(self, rows: Rows) -> tuple[float, NDArray[Any]]:
        loss, flat = self._engine.differentiate(rows)
        return loss, self._engine.layout.packed(flat)

    def penalty(self, parameters: NDArray[np.float64]) -> float:
        """What is added to the loss."""
        weights = parameters[self._are_weights]
        with np.errstate(all="ignore"):
            squares, moduli = weights @ weights, np.abs(weights).sum()
            return float(self._l1 * moduli + 0.5 * self._l2 * squares)


def minimized(objective: Objective, **options: Any) -> Any:
    """What `scipy.optimize.minimize` returns; the network has its parameters.

    Or, after any exception, those of before.

    Parameters
    ----------
    objective : Objective
        What is minimized, from the network's parameters on.
    **options
        Passed on.

    Raises
    ------
    FloatingPointError
        The result is not finite.
    """
    from scipy import optimize

    before = objective.parameters
    try:
        result = optimize.minimize(objective, before.astype(np.float64), jac=True, **options)
        found = np.asarray(result.x, np.float64)
        if not (np.isfinite(found).all() and np.isfinite(result.fun)):
            raise FloatingPointError(
                "the minimization led to parameters or a loss that are not finite; the network is "
                "as it was (scaled inputs may help)"
            )
        objective.parameters = found
    except BaseException:
        objective.parameters = before
        raise
    return result
