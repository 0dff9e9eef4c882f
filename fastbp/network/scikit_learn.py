"""Networks from scikit-learn's multi-layer perceptrons, and such from networks.

scikit-learn is imported when it is asked for, never before.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.choices import is_built_in
from fastbp.configuration import Configuration
from fastbp.data import names
from fastbp.losses import MSE, BaseLoss, BinaryCrossEntropy, CrossEntropy, Poisson
from fastbp.network.core import HasCore
from fastbp.optimizers import SGD, Adam, BaseOptimizer
from fastbp.tasks import Tasks
from fastbp.validation import shown

Made = TypeVar("Made", bound=HasCore)
Arrays = list[NDArray[Any]]

FITTED = ("coefs_", "intercepts_", "out_activation_", "n_features_in_")
# By what scikit-learn calls them; where nothing stands here, names are the same.
ACTIVATIONS = {"logistic": "sigmoid", "exp": "exponential"}
NATURAL = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy", "exponential": "poisson"}
# By what fastbp calls them.
HIDDEN = {"identity": "identity", "relu": "relu", "sigmoid": "logistic", "tanh": "tanh"}
OUTPUT: dict[type[BaseLoss], str] = {
    CrossEntropy: "softmax",
    BinaryCrossEntropy: "sigmoid",
    MSE: "identity",
    Poisson: "exponential",
}


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
    Training goes on in other units. scikit-learn takes half the squared error, and sums the losses
    of several outputs where fastbp takes their mean: with n outputs the gradients of "mse" are 2 /
    n times scikit-learn's, those of "binary_cross_entropy" and "poisson" 1 / n. Its penalty
    `alpha` is divided by the rows of each batch, and is left behind.
    """
    _expect_fitted(fitted)
    weights, biases = _parameters(fitted)
    loss, output_activation = _ends(fitted)
    make: Callable[..., Made] = cls
    network = make(
        [len(weights[0]), *map(len, biases)],
        activation=_named(fitted.activation),
        loss=loss,
        output_activation=output_activation,
        optimizer=_optimizer(fitted) if optimizer is None else optimizer,
        dtype="float32" if np.can_cast(np.result_type(*weights, *biases), "float32") else "float64",
        rng=rng,
        threads=threads,
    )
    core = network._core
    for views, arrays in zip(core.parameters, (weights, biases), strict=True):
        for view, array in zip(views, arrays, strict=True):
            view[:] = array
    core.names = names.known_elsewhere(getattr(fitted, "feature_names_in_", ()))
    return network


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
    if isinstance(loss, str):
        known = {"squared_error": "mse", "absolute_error": "mae", "log_loss": natural}
        loss = known.get(loss, loss)
    return loss, output


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


def to_sklearn(network: HasCore, classes: ArrayLike | Sequence[Any] | None = None) -> Any:
    """A fitted multi-layer perceptron of scikit-learn's with these weights; predicts the same.

    Parameters
    ----------
    classes : sequence, optional
        For a network with cross-entropy, what the classes are called, in the order of its outputs;
        for one with binary cross-entropy and one output, what 0 and 1 are. Numbers by default.
        Several outputs with binary cross-entropy make a multi-label classifier, whose classes are
        always numbers.

    Returns
    -------
    MLPClassifier or MLPRegressor
        Fitted, with copies of the weights, and the names of the features. Classes are sorted there,
        and two have one output: the weights of the last layer are put in order.

    Raises
    ------
    ValueError
        scikit-learn has no such network: it has activations "identity", "relu", "sigmoid" and
        "tanh", one for all hidden layers, losses "cross_entropy", "binary_cross_entropy", "mse" and
        (from 1.7 on) "poisson" with their usual output activations, no scaling and no tasks. Or
        `classes` are none.
    TypeError
        `classes` is no sequence.
    ModuleNotFoundError
        scikit-learn is not installed.

    Notes
    -----
    SGD's and Adam's settings are carried, for `partial_fit`, other optimizers are not; velocities,
    moments, counts and curves begin anew. What is only for training and unknown to scikit-learn is
    left behind: dropout, penalties (`alpha` is 0), clipping, label smoothing, weights of outputs.
    `from_sklearn` tells how the units of losses differ.
    """
    core = network._core
    parts, widths = core.configuration, core.configuration.layout.widths
    activation = _carried(parts)
    try:
        from sklearn.neural_network import MLPClassifier, MLPRegressor
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'to_sklearn needs scikit-learn: pip install "fastbp[sklearn]"'
        ) from error
    classifies = isinstance(parts.loss, CrossEntropy | BinaryCrossEntropy)
    if classes is not None and not classifies:
        raise ValueError(f"classes are for classifiers; the loss is {parts.loss.name!r}")
    binarizer, order = _binarizer(parts, classes) if classifies else (None, [])
    settings = {"alpha": 0.0, **_solver(parts.optimizer)}
    if isinstance(parts.loss, Poisson):
        _expect_poisson(MLPRegressor())
        settings["loss"] = "poisson"
    kind = MLPClassifier if classifies else MLPRegressor
    made = kind(hidden_layer_sizes=widths[1:-1], activation=activation, **settings)
    turns = core.engine.turns
    with turns.reading, turns.lock:
        turns.served()
        weights, biases = ([view.copy() for view in of] for of in core.views(core.engine.state))
    made.out_activation_ = {"sigmoid": "logistic", "exponential": "exp"}.get(
        parts.activations[-1].name, parts.activations[-1].name
    )
    if binarizer is not None:
        weights[-1], biases[-1] = _sorted(weights[-1], order), _sorted(biases[-1], order)
        made._label_binarizer, made.classes_ = binarizer, binarizer.classes_
        if biases[-1].size == 1:
            made.out_activation_ = "logistic"
    made.coefs_, made.intercepts_ = weights, biases
    made.n_layers_, made.n_outputs_, made.n_features_in_ = len(widths), biases[-1].size, widths[0]
    if core.names is not None:
        made.feature_names_in_ = np.array(core.names, dtype=object)
    # As scikit-learn has them before the first iteration.
    made.n_iter_ = made.t_ = made._no_improvement_count = 0
    made.loss_curve_, made.loss_, made.best_loss_ = [], np.inf, np.inf
    made.validation_scores_ = made.best_validation_score_ = None
    return made


def _carried(parts: Configuration) -> str:
    """What scikit-learn calls the hidden activation; ValueError for what it cannot have."""

    def refuse(what: str, instead: str) -> ValueError:
        return ValueError(f"to_sklearn cannot carry {what}: {instead}")

    can = "{} can be carried".format
    loss, output = parts.loss, parts.activations[-1]
    if isinstance(loss, Tasks):
        raise refuse("several tasks", can("one loss for all outputs"))
    if type(loss) not in OUTPUT:
        raise refuse(f"loss {loss.name!r}", can(", ".join(repr(one.name) for one in OUTPUT)))
    if output.name != OUTPUT[type(loss)] or not is_built_in(output):
        natural = can(repr(OUTPUT[type(loss)]))
        raise refuse(f"output activation {output.name!r} with loss {loss.name!r}", natural)
    if isinstance(loss, CrossEntropy) and parts.layout.widths[-1] == 1:
        raise refuse("cross_entropy of one output", can("that of two or more"))
    if parts.scaling is not None:
        instead = "scale X before, as by a StandardScaler in a pipeline"
        raise refuse(f"scaling={parts.scaling!r}", instead)
    hidden = list(dict.fromkeys(parts.activations[:-1]))
    for one in hidden:
        if one.name not in HIDDEN or not is_built_in(one):
            raise refuse(f"activation {one.name!r}", can(", ".join(map(repr, HIDDEN))))
    if len(hidden) > 1:
        several = ", ".join(repr(one.name) for one in hidden)
        raise refuse(f"hidden layers with different activations ({several})", can("one for all"))
    return HIDDEN[hidden[0].name] if hidden else "relu"


def _solver(optimizer: BaseOptimizer) -> dict[str, Any]:
    """The optimizer as scikit-learn's parameters; nothing where it has none such."""
    if type(optimizer) is Adam:
        return {
            "solver": "adam",
            "learning_rate_init": optimizer.lr,
            "beta_1": optimizer.beta1,
            "beta_2": optimizer.beta2,
            "epsilon": optimizer.eps,
        }
    if isinstance(optimizer, SGD):
        return {
            "solver": "sgd",
            "learning_rate_init": optimizer.lr,
            "momentum": optimizer.momentum,
            "nesterovs_momentum": optimizer.nesterov,
        }
    return {}


def _expect_poisson(regressor: Any) -> None:
    if "loss" not in regressor.get_params():
        import sklearn

        raise ValueError(
            f"to_sklearn cannot carry loss 'poisson' to scikit-learn {sklearn.__version__}: it has "
            "it since 1.7"
        )


def _binarizer(parts: Configuration, classes: Any) -> tuple[Any, list[int]]:
    """scikit-learn's keeper of the classes, and which of ours each of its sorted ones is."""
    from sklearn.preprocessing import LabelBinarizer

    outputs = parts.layout.widths[-1]
    if isinstance(parts.loss, BinaryCrossEntropy) and outputs > 1:
        if classes is not None:
            raise ValueError("classes of a multi-label classifier are always numbers")
        return LabelBinarizer().fit(np.eye(outputs, dtype=int)), list(range(outputs))
    count = max(outputs, 2)
    labels = np.arange(count) if classes is None else np.asarray(classes)
    told = f"classes must be a sequence of {count} different labels, got {shown(classes)}"
    if labels.ndim != 1:
        raise TypeError(told)
    try:
        binarizer = LabelBinarizer().fit(labels)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{told}: {error}") from error
    if len(labels) != count or len(binarizer.classes_) != count:
        raise ValueError(told)
    return binarizer, np.argsort(labels, kind="stable").tolist()


def _sorted(array: NDArray[Any], order: list[int]) -> NDArray[Any]:
    """The weights or biases of the last layer for the classes in this order."""
    if array.shape[-1] == 1:  # the logit of the second of two
        return array if order == [0, 1] else -array
    if len(order) == 2:
        return np.ascontiguousarray(array[..., order[1:]] - array[..., order[:1]])
    return np.ascontiguousarray(array[..., order])
