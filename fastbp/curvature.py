"""Second derivatives: which activations and losses have one, and the panels that compute it."""

from fastbp.activations import Activation, FixedActivation
from fastbp.choices import is_built_in
from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.panels import curves
from fastbp.losses import BaseLoss


def of_activation(activation: Activation | FixedActivation) -> Kernel | None:
    """The panel of f''; None where that is zero."""
    return curves.ACTIVATIONS[activation.name]


def of_loss(loss: BaseLoss, labels: bool, masked: bool) -> Kernel:
    """The panel of a loss's second derivative in the outputs, or the logits."""
    if loss.elementwise:
        return curves.LOSSES[loss.name][masked]
    return curves.cross_entropy_labels if labels else curves.cross_entropy_probabilities


def expect_curved(
    loss: BaseLoss, activations: tuple[Activation | FixedActivation, ...], whole: bool
) -> None:
    """Raise ValueError, with the name, where a second derivative is not known.

    whole: that of the activations is wanted, too.
    """
    if not is_built_in(loss) or loss.name not in (*curves.LOSSES, "cross_entropy"):
        raise ValueError(f"the second derivative of the loss {loss.name!r} is not known")
    inner = activations[:-1] if loss.on_logits else activations
    for activation in inner if whole else ():
        if not is_built_in(activation) or activation.name not in curves.ACTIVATIONS:
            raise ValueError(
                f"the second derivative of the activation {activation.name!r} is not known; "
                "gauss_newton_vector does without"
            )
