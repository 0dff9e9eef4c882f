"""scikit-learn's multi-layer perceptrons from networks.

scikit-learn is imported when it is asked for, never before.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.choices import is_built_in
from fastbp.configuration import Configuration
from fastbp.losses import MSE, BaseLoss, BinaryCrossEntropy, CrossEntropy, Poisson
from fastbp.network.core import HasCore
from fastbp.optimizers import SGD, Adam, BaseOptimizer
from fastbp.tasks import Tasks
from fastbp.validation import shown

# By what fastbp calls them.
HIDDEN = {"identity": "identity", "relu": "relu", "sigmoid": "logistic", "tanh": "tanh"}
OUTPUT: dict[type[BaseLoss], str] = {
    CrossEntropy: "softmax",
    BinaryCrossEntropy: "sigmoid",
    MSE: "identity",
    Poisson: "exponential",
}


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
    `alpha` is carried, and the rate, momentum, betas and eps of SGD and Adam, in scikit-learn's
    units, where losses are sums over outputs and squared errors are halved: `partial_fit` goes on
    as the network would. Velocities, moments, counts and curves begin anew. What is only for
    training and unknown to scikit-learn is left behind: other optimizers and settings, dropout,
    other penalties, clipping, label smoothing, weights of outputs that differ.
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
    unit = _unit(parts)
    settings = {"alpha": parts.regularization.alpha * unit, **_solver(parts.optimizer, unit)}
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


def _unit(parts: Configuration) -> float:
    """How many times as large scikit-learn's gradients are."""
    outputs, weights = parts.layout.widths[-1], parts.loss_weights or (1.0,)
    whole = {CrossEntropy: 1.0, MSE: outputs / 2}.get(type(parts.loss), float(outputs))
    return whole / weights[0] if len(set(weights)) == 1 else 1.0


def _solver(optimizer: BaseOptimizer, unit: float) -> dict[str, Any]:
    """The optimizer as scikit-learn's parameters; nothing where it has none such."""
    if optimizer.lr == 0 or getattr(optimizer, "eps", 1.0) == 0:
        return {}
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
            "learning_rate_init": optimizer.lr / unit,
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
