"""Networks from scikit-learn's multi-layer perceptrons.

scikit-learn is imported when it is asked for, never before.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastbp.data import names
from fastbp.network.core import HasCore
from fastbp.optimizers import SGD, Adam, BaseOptimizer
from fastbp.validation import shown

Made = TypeVar("Made", bound=HasCore)
Arrays = list[NDArray[Any]]

FITTED = ("coefs_", "intercepts_", "out_activation_", "n_features_in_")
# By what scikit-learn calls them; where nothing stands here, names are the same.
ACTIVATIONS = {"logistic": "sigmoid", "exp": "exponential"}
NATURAL = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy", "exponential": "poisson"}
HALF = {"mse": 0.5, "cross_entropy": None}  # of the sum over outputs; None: not a sum


def from_sklearn(
    cls: type[Made],
    fitted: Any,
    *,
    optimizer: str | BaseOptimizer | None = None,
    rng: int | np.random.Generator | None = None,
    threads: int | None = None,
) -> Made:
    """The network of a fitted multi-layer perceptron of scikit-learn's; predicts the same.

    It has copies of the weights, in their dtype, the activations, the loss, and the names of the
    features. A classifier's label is here its position in `classes_`; one of two classes has one
    output, the probability of the second.

    Parameters
    ----------
    fitted : MLPClassifier or MLPRegressor
        Or an estimator with the same attributes.
    optimizer : str or BaseOptimizer, optional
        As in `Network`; None for `fitted`'s with its settings, Adam for "lbfgs". Its velocities
        or moments begin at zero, and its schedule is left behind.
    rng : int, numpy.random.Generator or None
        What shuffles in further training; `random_state` is not carried.
    threads : int, optional
        As in `Network`.

    Returns
    -------
    Network

    Raises
    ------
    TypeError
        `fitted` is something else: a pipeline, a class.
    sklearn.exceptions.NotFittedError
        It is not fitted.
    ValueError
        Its parameters do not fit together, or are none that a network can have.

    Notes
    -----
    Training goes on as in scikit-learn, to rounding: with its penalty `alpha`, and with
    `loss_weights` that make sums over outputs of fastbp's means, and half of the squared error.
    fastbp's own estimators (`fastbp.sklearn`) hand over what their network has besides.
    """
    own = getattr(type(fitted), "network_", None)
    parts = _settings_of_own(fitted.network_) if own is not None else _settings(fitted)
    weights, biases = parts.pop("parameters")
    if optimizer is not None:
        parts["optimizer"] = optimizer
    make: Callable[..., Made] = cls
    network = make(**parts, rng=rng, threads=threads)
    core = network._core
    for views, arrays in zip(core.parameters, (weights, biases), strict=True):
        for view, array in zip(views, arrays, strict=True):
            view[:] = array
    core.names = names.known_elsewhere(getattr(fitted, "feature_names_in_", ()))
    return network


def _settings_of_own(network: Any) -> dict[str, Any]:
    """What makes another network like that of one of fastbp's own estimators."""
    parts = network._core.configuration
    return {
        "parameters": network._core.parameters,
        "layers": list(parts.layout.widths),
        "activation": list(parts.activations[:-1]),
        "loss": parts.loss,
        "output_activation": parts.activations[-1],
        "optimizer": parts.optimizer,
        "dtype": parts.layout.dtype,
        "loss_weights": parts.loss_weights,
        **parts.regularization.options(),
    }


def _settings(fitted: Any) -> dict[str, Any]:
    """What makes a network of an estimator with scikit-learn's attributes."""
    _expect_fitted(fitted)
    weights, biases = _parameters(fitted)
    loss, output_activation = _ends(fitted)
    half, outputs = HALF.get(loss, 1.0), len(biases[-1])
    factor = None if half is None or half * outputs == 1 else half * outputs
    dtype = np.result_type(*weights, *biases)
    return {
        "parameters": (weights, biases),
        "layers": [len(weights[0]), *map(len, biases)],
        "activation": _named(fitted.activation),
        "loss": loss,
        "output_activation": output_activation,
        "optimizer": _optimizer(fitted),
        "dtype": "float32" if np.can_cast(dtype, "float32") else "float64",
        "loss_weights": None if factor is None else [factor] * outputs,
        "alpha": getattr(fitted, "alpha", 0.0),
    }


def _expect_fitted(fitted: Any) -> None:
    if all(hasattr(fitted, name) for name in ("activation", *FITTED)):
        return
    if hasattr(fitted, "activation") and hasattr(fitted, "hidden_layer_sizes"):
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(fitted, FITTED)
    raise TypeError(
        "fitted must be an MLPClassifier or MLPRegressor of scikit-learn's that is fitted, got "
        f"{shown(fitted)}; of a pipeline or a search pass the perceptron that it holds"
    )


def _parameters(fitted: Any) -> tuple[Arrays, Arrays]:
    """Weights and biases, of shapes that make a network."""
    weights, biases = ([*map(np.asarray, of)] for of in (fitted.coefs_, fitted.intercepts_))
    shapes = [array.shape for array in (*weights, *biases)]
    width, fits = (fitted.n_features_in_,), len(weights) == len(biases) > 0
    for weight, bias in zip(weights, biases, strict=False):
        fits &= weight.ndim == 2 and weight.shape == width + bias.shape
        width = bias.shape
    if not fits:
        raise ValueError(
            f"coefs_ and intercepts_ of fitted must be the layers of {fitted.n_features_in_} "
            f"features, each as wide as the one before; they have the shapes {shapes}"
        )
    if not all(np.isfinite(array).all() for array in (*weights, *biases)):
        raise ValueError("coefs_ and intercepts_ of fitted must be finite")
    return weights, biases


def _named(activation: Any) -> Any:
    """The activations of hidden layers by fastbp's names."""
    if isinstance(activation, list | tuple):
        return [_named(one) for one in activation]
    return ACTIVATIONS.get(activation, activation) if isinstance(activation, str) else activation


def _ends(fitted: Any) -> tuple[Any, Any]:
    """The loss and the activation of the outputs."""
    output, loss = _named(fitted.out_activation_), getattr(fitted, "loss", None)
    natural = NATURAL.get(output, "mse") if isinstance(output, str) else "mse"
    if loss is None:
        return natural, output
    return {"squared_error": "mse", "log_loss": natural}.get(loss, loss), output


def _optimizer(fitted: Any) -> Any:
    solver = getattr(fitted, "solver", "lbfgs")
    if not isinstance(solver, str):
        return solver
    if solver == "lbfgs":
        return "adam"
    if solver == "adam":
        betas = fitted.beta_1, fitted.beta_2
        return Adam(fitted.learning_rate_init, *betas, fitted.epsilon, epsilon_hat=True)
    if solver == "sgd":
        nesterov = bool(fitted.nesterovs_momentum) and fitted.momentum > 0
        return SGD(fitted.learning_rate_init, fitted.momentum, nesterov)
    return solver
