"""The methods that use a network and leave it as it is."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.data import tables
from fastbp.data.sparse import is_sparse
from fastbp.engine import prediction
from fastbp.engine.row_losses import sloped
from fastbp.fit.evaluation import Evaluation, Metrics
from fastbp.losses import RowLoss
from fastbp.network.core import Core, HasCore
from fastbp.rows.rows import Rows, Targets, checked_features
from fastbp.tasks import Tasks


class Gradients(NamedTuple):
    """The gradient of a loss: one (inputs, outputs) and one (outputs,) array a layer."""

    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]


def predict(network: HasCore, X: ArrayLike) -> Any:
    """The network's outputs, after the output activation.

    Parameters
    ----------
    X : (rows, inputs) array_like or sparse
        Features, as in `fit`; finite.

    Returns
    -------
    (rows, outputs) ndarray
        Of the network's dtype. With several losses a dict of such, by name.

    Raises
    ------
    TypeError, ValueError
        An `X` that cannot be used.
    """
    core = network._core
    turns, parts = core.engine.turns, core.configuration
    scaling = core.known_scaling()
    if type(X) is not np.ndarray:
        core.expect_names(X, "X")
    outputs: NDArray[Any]
    if is_sparse(X):
        features = checked_features(parts, scaling, X, "X")
        with turns.reading, turns.lock:
            turns.served()
            outputs = prediction.predict_checked(core.engine, features)
    else:
        source = tables.table(X, parts.layout.widths[0])
        with turns.reading, turns.lock:
            turns.served()
            outputs = prediction.predict(core.engine, source, "X", X)
    return core.loss.split(outputs) if isinstance(core.loss, Tasks) else outputs


def evaluate(
    network: HasCore,
    X: ArrayLike,
    y: Targets,
    *,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, Any] | str | None = None,
    mask_nan: bool = False,
    metrics: Metrics | Mapping[str, Metrics] | None = None,
) -> dict[str, float]:
    """The mean loss, the accuracy where the targets are classes, and metrics.

    Parameters
    ----------
    X, y : array_like
        As in `fit`.
    sample_weight, class_weight, mask_nan
        As in `fit`.
    metrics : sequence of str or callable, optional
        See `fastbp.metrics`.

    Returns
    -------
    dict
        "loss"; "accuracy" in [0, 1] for integer labels, and for binary cross-entropy and the
        focal loss with targets of 0 and 1 alone (over rows and outputs, cut at 0.5), and the
        hinge loss (cut at 0); the metrics. The loss
        alone is weighted by class. Where no row counts it is 0, and all others are NaN.

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used.
    """
    core = network._core
    rows = core.rows(X, y, "", sample_weight, class_weight, mask_nan)
    return Evaluation(core.engine, core.loss, rows, "", metrics).measure()


def loss_and_gradients(
    network: HasCore,
    X: ArrayLike,
    y: Targets,
    *,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, Any] | str | None = None,
    mask_nan: bool = False,
) -> tuple[float, Gradients]:
    """The mean loss of these rows and its gradient; the network stays as it is.

    Parameters
    ----------
    X, y : array_like
        As in `fit`.
    sample_weight, class_weight, mask_nan
        As in `fit`.

    Returns
    -------
    loss : float
    gradients : Gradients
        ``gradients.weights[l]`` (inputs, outputs) and ``gradients.biases[l]`` (outputs,), of
        the network's dtype. Weight decay is the optimizer's and not part of it.

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used.
    FloatingPointError
        The loss is NaN or infinite.
    """
    core = network._core
    rows = core.rows(X, y, "", sample_weight, class_weight, mask_nan)
    if isinstance(core.loss, RowLoss):
        with core.engine.turns.changing:  # whose function wants the outputs of the same parameters
            return _gradients(core, sloped(core.engine, rows, core.loss))
    return _gradients(core, rows)


def _gradients(core: Core, rows: Rows) -> tuple[float, Gradients]:
    turns = core.engine.turns
    with turns.reading, turns.lock:
        turns.served()
        loss, flat = core.engine.differentiate(rows)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is not finite ({loss}); it has no gradient")
        weights, biases = core.views(flat)
        return loss, Gradients(
            tuple(view.copy() for view in weights), tuple(view.copy() for view in biases)
        )
