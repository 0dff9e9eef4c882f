"""The methods that differentiate a network by its inputs, row by row, and twice by its weights."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.curvature import expect_curved
from fastbp.data.arrays import finite, numeric
from fastbp.data.sparse import is_sparse
from fastbp.engine import derivatives
from fastbp.engine.engine import Engine
from fastbp.engine.row_losses import sloped
from fastbp.losses import RowLoss
from fastbp.network import vector
from fastbp.network.core import Core, HasCore
from fastbp.network.inference import Gradients
from fastbp.rows.rows import Features, Rows, Slopes, Targets, checked_features
from fastbp.tasks import Tasks
from fastbp.validation import shown

T = TypeVar("T")


def input_gradient(
    network: HasCore,
    X: ArrayLike,
    y: Targets = None,
    *,
    d_out: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, Any] | str | None = None,
    mask_nan: bool = False,
) -> NDArray[Any]:
    """The derivative of the mean loss by every input; or of another number of the outputs.

    Parameters
    ----------
    X : (rows, inputs) array_like
        As in `fit`, but not sparse.
    y : array_like, optional
        Targets, as in `fit`.
    d_out : (rows, outputs) array_like, optional
        In the place of `y`: the derivative of some number by every output of these rows.
    sample_weight, class_weight, mask_nan
        As in `fit`, with `y`.

    Returns
    -------
    (rows, inputs) ndarray
        Of the network's dtype; by `X` as it was passed, `scaling` being part of the function.

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used.
    FloatingPointError
        The gradient is NaN or infinite.
    """
    core = network._core
    _expect_dense(X, "input_gradient")
    if (y is None) == (d_out is None):
        raise TypeError("input_gradient takes either y or d_out")
    if y is not None:
        rows = core.rows(X, y, "", sample_weight, class_weight, mask_nan)
        return _finite(_of_loss(core, derivatives.input_gradients, rows))
    if sample_weight is not None or class_weight is not None or mask_nan is not False:
        raise TypeError("sample_weight, class_weight and mask_nan are for y, not for d_out")
    rows = with_slopes(core, features_of(core, X), d_out, Slopes(False))
    return _finite(_turn(core, derivatives.input_gradients, rows))


def jacobian(network: HasCore, X: ArrayLike) -> NDArray[Any]:
    """The derivative of every output by every input, for each row.

    Parameters
    ----------
    X : (rows, inputs) array_like
        As in `fit`, but not sparse.

    Returns
    -------
    (rows, outputs, inputs) ndarray
        Of the network's dtype; of the outputs as `predict` returns them, by `X` as it was passed,
        `scaling` being part of the function.

    Raises
    ------
    TypeError, ValueError
        An `X` that cannot be used, or a network with several losses.
    FloatingPointError
        A derivative is NaN or infinite.
    """
    core = network._core
    _expect_dense(X, "jacobian")
    expect_one_loss(core, "jacobian")
    features = features_of(core, X)
    return _finite(_turn(core, derivatives.jacobian, features))


def sample_gradients(network: HasCore, X: ArrayLike, y: Targets) -> Gradients:
    """The gradient of each row's own loss by all parameters.

    Their mean over the rows is the gradient that `loss_and_gradients` returns. They take as much
    memory as so many networks.

    Parameters
    ----------
    X, y : array_like
        As in `fit`, but `X` not sparse.

    Returns
    -------
    Gradients
        ``gradients.weights[l]`` (rows, inputs, outputs) and ``gradients.biases[l]`` (rows,
        outputs), of the network's dtype.

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used.
    FloatingPointError
        A gradient is NaN or infinite.
    """
    core = network._core
    _expect_dense(X, "sample_gradients")
    weights, biases = _of_loss(core, derivatives.sample_gradients, core.rows(X, y))
    for array in (*weights, *biases):
        _finite(array)
    return Gradients(weights, biases)


def hessian_vector(
    network: HasCore,
    X: ArrayLike,
    y: Targets,
    v: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, Any] | str | None = None,
    mask_nan: bool = False,
) -> NDArray[Any]:
    """The Hessian of the mean loss by all parameters, times a vector.

    By Pearlmutter's R-operator (1994): exact, at about three times the cost of a gradient. Second
    derivatives are known of fastbp's own activations, but for softmax outputs with another loss
    than cross-entropy, and of the losses "mse", "mae", "huber", "cross_entropy",
    "binary_cross_entropy" and "poisson". Where a derivative jumps, as relu's, the second is 0.

    Parameters
    ----------
    X, y : array_like
        As in `fit`, but `X` not sparse.
    v : (parameters,) array_like
        A direction, ordered as `flat`; finite.
    sample_weight, class_weight, mask_nan
        As in `fit`.

    Returns
    -------
    (parameters,) ndarray
        Of the network's dtype, ordered as `flat`. Penalties are not part of it.

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used, or a part of the network without second derivative.
    FloatingPointError
        The product is NaN or infinite.
    """
    rows = _curved_rows(network, X, y, sample_weight, class_weight, mask_nan, "hessian_vector")
    return _product(network, rows, v, True)


def gauss_newton_vector(
    network: HasCore,
    X: ArrayLike,
    y: Targets,
    v: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, Any] | str | None = None,
    mask_nan: bool = False,
) -> NDArray[Any]:
    """The Gauss-Newton matrix of the mean loss by all parameters, times a vector.

    ``J.T @ H @ J`` with the Jacobian J of the outputs by the parameters and the Hessian H of the
    loss by the outputs; where a loss takes logits, both are of these, and the matrix is Fisher's
    (Martens 2020). It is never indefinite, and needs no second derivatives of activations; losses
    are those of `hessian_vector`.

    Parameters
    ----------
    X, y : array_like
        As in `fit`, but `X` not sparse.
    v : (parameters,) array_like
        A direction, ordered as `flat`; finite.
    sample_weight, class_weight, mask_nan
        As in `fit`.

    Returns
    -------
    (parameters,) ndarray
        Of the network's dtype, ordered as `flat`. Penalties are not part of it.

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used, or a loss without second derivative.
    FloatingPointError
        The product is NaN or infinite.
    """
    rows = _curved_rows(network, X, y, sample_weight, class_weight, mask_nan, "gauss_newton_vector")
    return _product(network, rows, v, False)


def _curved_rows(
    network: HasCore,
    X: ArrayLike,
    y: Targets,
    sample_weight: Any,
    class_weight: Any,
    mask_nan: bool,
    name: str,
) -> Rows:
    core = network._core
    _expect_dense(X, name)
    expect_one_loss(core, name)
    return core.rows(X, y, "", sample_weight, class_weight, mask_nan)


def _product(network: HasCore, rows: Rows, v: ArrayLike, whole: bool) -> NDArray[Any]:
    core = network._core
    expect_curved(core.loss, core.configuration.activations, whole)
    direction = vector.checked(core, v, "v")
    return _finite(_turn(core, derivatives.curved, rows, direction, whole))


def features_of(core: Core, X: ArrayLike) -> Features:
    """Check features as a user passed them."""
    core.expect_names(X, "X")
    return checked_features(core.configuration, core.known_scaling(), X, "X")


def with_slopes(core: Core, features: Features, d_out: Any, of: Slopes) -> Rows:
    """Check slopes of the outputs of these rows."""
    shape = len(features), core.configuration.layout.widths[-1]
    source = numeric(d_out, "d_out")
    if source.shape != shape:
        raise ValueError(
            f"d_out must have the shape {shape}, that of the outputs; got {source.shape}"
        )
    return Rows(features, finite(source, core.configuration.layout.dtype, "d_out"), slopes=of)


def expect_one_loss(core: Core, name: str) -> None:
    """Raise ValueError for a network with tasks."""
    if isinstance(core.loss, Tasks):
        raise ValueError(f"{name} is for networks with one loss; this one has {core.loss}")


def _expect_dense(X: Any, name: str) -> None:
    if is_sparse(X):
        raise TypeError(f"{name} takes no sparse X, got {shown(X)}; X.toarray() makes it dense")


def _of_loss(core: Core, work: Callable[[Engine, Rows], T], rows: Rows) -> T:
    """The work on rows with targets, of which a loss of whole rows wants the outputs first."""
    if not isinstance(core.loss, RowLoss):
        return _turn(core, work, rows)
    with core.engine.turns.changing:
        return _turn(core, work, sloped(core.engine, rows, core.loss))


def _turn(core: Core, work: Callable[..., T], *arguments: Any) -> T:
    turns = core.engine.turns
    with turns.reading, turns.lock:
        turns.served()
        return work(core.engine, *arguments)


def _finite(found: NDArray[Any]) -> NDArray[Any]:
    if not np.isfinite(found).all():
        raise FloatingPointError("a derivative is not finite: weights or inputs are too large")
    return found
