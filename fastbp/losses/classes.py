"""Losses of classes: labels, their probabilities, signs, distributions."""

from dataclasses import dataclass

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.panels import loss_rules as rules
from fastbp.kernels.panels import output_panels
from fastbp.losses.base import BaseLoss, panels
from fastbp.validation import real


@dataclass(frozen=True)
class CrossEntropy(BaseLoss):
    """Cross-entropy of softmax outputs, ``-mean(sum(t * log(a)))`` over rows.

    `y` holds integer labels, one a row, or rows of class probabilities.

    Parameters
    ----------
    label_smoothing : float
        In [0, 1): the share of every target that is spread evenly over all classes
        (Szegedy et al. 2016). A class weight counts for the whole smoothed loss of the rows of
        its class, as in Keras; PyTorch weighs each class's share of the target instead.
    """

    label_smoothing: float = 0.0
    name = "cross_entropy"
    output_activation = "softmax"
    on_logits = True
    targets = "labels"
    elementwise = False

    def __post_init__(self) -> None:
        smoothing = real(self.label_smoothing, "label_smoothing", low=0, high=1, high_open=True)
        object.__setattr__(self, "label_smoothing", smoothing)

    def panel(self, labels: bool = False, masked: bool = False) -> Kernel:
        if labels:
            return output_panels.cross_entropy_labels
        return output_panels.cross_entropy_probabilities

    def parameter(self) -> float:
        return self.label_smoothing


@dataclass(frozen=True)
class BinaryCrossEntropy(BaseLoss):
    """Cross-entropy of sigmoid outputs, ``-mean(y log(a) + (1 - y) log(1 - a))``.

    The mean is over rows and outputs; several outputs make a multi-label network.
    """

    name = "binary_cross_entropy"
    output_activation = "sigmoid"
    on_logits = True
    targets = "fractions"
    _kernels = panels(
        "binary_cross_entropy", rules.binary_cross_entropy, rules.binary_cross_entropy_slope
    )


@dataclass(frozen=True)
class Focal(BaseLoss):
    """Focal loss of sigmoid outputs (Lin et al. 2017): the binary cross-entropy of what is hard.

    ``-mean(y (1 - a)**gamma log(a) + (1 - y) a**gamma log(1 - a))`` over rows and outputs; several
    outputs make a multi-label network. The paper's alpha is a weight of classes: `class_weight`.

    Parameters
    ----------
    gamma : float
        At least 0: how little what is easy counts. 0 is the binary cross-entropy.
    """

    gamma: float = 2.0
    name = "focal"
    output_activation = "sigmoid"
    on_logits = True
    targets = "fractions"
    _kernels = panels("focal", rules.focal, rules.focal_slope)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gamma", real(self.gamma, "gamma", low=0))

    def parameter(self) -> float:
        return self.gamma


@dataclass(frozen=True)
class Hinge(BaseLoss):
    """Hinge loss, ``mean(max(1 - y * a, 0))`` over rows and outputs, of support vector machines.

    `y` holds -1 and 1, or 0 and 1, where 0 counts as -1; an output above 0 means class 1.
    """

    name = "hinge"
    targets = "signs"
    threshold = 0.0
    _kernels = panels("hinge", rules.hinge, rules.hinge_slope)


@dataclass(frozen=True)
class KLDivergence(BaseLoss):
    """Kullback and Leibler's divergence, ``mean(sum(y * log(y / a)))`` over rows.

    Of softmax outputs from distributions: each row of `y` holds probabilities that add up to 1. It
    is ``torch.nn.KLDivLoss("batchmean")`` of the logs of the outputs.
    """

    name = "kl_divergence"
    output_activation = "softmax"
    on_logits = True
    targets = "distributions"
    elementwise = False

    def panel(self, labels: bool = False, masked: bool = False) -> Kernel:
        return output_panels.kl_divergence
