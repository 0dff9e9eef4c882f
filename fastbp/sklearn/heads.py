"""Heads: the output layer, its loss, and how that loss is counted in scikit-learn.

scikit-learn's gradient is that of the sum over outputs and the mean over rows, halved for squared
errors. fastbp's losses are means over both, so that the loss of each output has a weight; and what
`loss_` tells of several outputs is the mean again for errors, the sum for likelihoods.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from fastbp.activations import ACTIVATIONS, Activation
from fastbp.losses import (
    MAE,
    MSE,
    BaseLoss,
    BinaryCrossEntropy,
    Cosine,
    CrossEntropy,
    Focal,
    Hinge,
    Huber,
    KLDivergence,
    Poisson,
    RowLoss,
)

# Activations that scikit-learn calls by other names than fastbp.
FASTBP_NAMES = {"logistic": "sigmoid", "exp": "exponential"}
SKLEARN_NAMES = {ours: theirs for theirs, ours in FASTBP_NAMES.items()}
OUTPUT_NAMES = (*ACTIVATIONS, *FASTBP_NAMES)
HIDDEN_NAMES = (*(name for name in OUTPUT_NAMES if name not in ("softmax", "exponential", "exp")),)

# Of losses by name: the loss, and whether `loss_` is the mean over outputs or their sum; squared
# errors are halved.
ERRORS: dict[str, tuple[Callable[[], BaseLoss], float]] = {
    "squared_error": (MSE, 0.5),
    "absolute_error": (MAE, 1.0),
    "huber": (Huber, 1.0),
}
REGRESSION_LOSSES = (*ERRORS, "poisson")


class Head(NamedTuple):
    """The output layer.

    Attributes
    ----------
    outputs : int
        How many.
    loss : BaseLoss
        What is minimized.
    activation : str or Activation
        As fastbp calls it.
    factor : float
        What the loss of each output is multiplied by.
    reported : float
        What makes scikit-learn's loss of fastbp's.
    """

    outputs: int
    loss: BaseLoss
    activation: str | Activation
    factor: float = 1.0
    reported: float = 1.0

    @property
    def loss_weights(self) -> list[float] | None:
        """As `fastbp.Network` takes them."""
        return None if self.factor == 1 else [self.factor] * self.outputs

    @property
    def out_activation(self) -> str:
        """The name that scikit-learn has for the activation."""
        name = self.activation if isinstance(self.activation, str) else self.activation.name
        return SKLEARN_NAMES.get(name, name)


def activation(value: Any) -> Any:
    """An activation as fastbp takes it."""
    return FASTBP_NAMES.get(value, value) if isinstance(value, str) else value


def regression(loss: Any, out_activation: Any, outputs: int) -> Head:
    """The head of a regressor with these parameters."""
    given = activation(out_activation)
    if isinstance(loss, BaseLoss):
        return _head(outputs, loss, given)
    if loss == "poisson":
        return _head(outputs, Poisson(), given, float(outputs))
    make, half = ERRORS[loss]
    return _head(outputs, make(), given, half * outputs, 1 / outputs)


def classification(loss: Any, out_activation: Any, classes: int, multilabel: bool) -> Head:
    """The head of a classifier: one logistic output of two classes, else one output a class."""
    given = activation(out_activation)
    if isinstance(loss, Hinge | Cosine | KLDivergence):
        raise ValueError(f"loss {loss.name!r} does not learn probabilities of classes from labels")
    exclusive = isinstance(loss, CrossEntropy) or given == "softmax"
    if multilabel and exclusive:
        raise ValueError(
            "classes of multilabel targets do not exclude each other: softmax outputs and "
            "CrossEntropy are not for them"
        )
    if given is None and not isinstance(loss, BinaryCrossEntropy | Focal):
        exclusive |= classes > 2 and not multilabel
    if given is None:
        given = "softmax" if exclusive else "sigmoid"
    outputs = classes if exclusive or multilabel or classes > 2 else 1
    if isinstance(loss, BaseLoss):
        return _head(outputs, loss, given)
    if exclusive:
        return _head(outputs, CrossEntropy(), given)
    return _head(outputs, BinaryCrossEntropy(), given, float(outputs))


def from_attributes(out_activation: str, outputs: int) -> Head:
    """The head of an estimator whose attributes were set by hand."""
    losses: dict[str, BaseLoss] = {
        "softmax": CrossEntropy(),
        "logistic": BinaryCrossEntropy(),
        "exp": Poisson(),
    }
    return Head(outputs, losses.get(out_activation, MSE()), activation(out_activation))


def _head(
    outputs: int, loss: BaseLoss, given: Any, factor: float = 1.0, reported: float = 1.0
) -> Head:
    if isinstance(loss, RowLoss):
        raise ValueError(
            f"loss {loss.name!r} is a function of whole rows, for fastbp.Network alone"
        )
    if loss.outputs_of_target() > 1:
        raise ValueError(
            f"loss {loss.name!r} has {loss.outputs_of_target()} outputs for each target, and an "
            "estimator one; use a fastbp.Network"
        )
    natural = loss.output_activation
    if given is None:
        given = natural
    if loss.on_logits and given != natural:
        name = given if isinstance(given, str) else given.name
        raise ValueError(
            f"out_activation of loss {loss.name!r} must be "
            f"{SKLEARN_NAMES.get(natural, natural)!r}, got {SKLEARN_NAMES.get(name, name)!r}"
        )
    return Head(outputs, loss, given, factor, reported)


def poisson_constants(y: NDArray[Any]) -> NDArray[np.float64]:
    """What scikit-learn's Poisson loss has for each row of `y` beside what the network decides."""
    terms: NDArray[np.float64] = xlogy(y, y) - y
    return np.asarray(np.nansum(terms, axis=1), dtype=float)
