"""What a loss is: its settings, what targets and outputs it has, and the panel that computes it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.panels.panels import elementwise_loss_panel


def panels(
    name: str, value: Callable[..., Any], slope: Callable[..., Any], by_column: bool = False
) -> tuple[Kernel, ...]:
    """The panel of an element-wise loss, and that for masked targets."""
    return tuple(
        elementwise_loss_panel(name, value, slope, masked, by_column=by_column)
        for masked in (False, True)
    )


@dataclass(frozen=True)
class BaseLoss:
    """What all losses share; use one of its subclasses.

    Attributes
    ----------
    name : str
        What it is called in messages and in saved models.
    output_activation : str
        The activation of the output layer where the network is given none.
    on_logits : bool
        Whether the loss takes the outputs before `output_activation`, which is then the only
        possible one.
    targets : str
        What `y` holds: "values", "labels" (or probabilities), "fractions" in [0, 1], "counts",
        "signs" (-1 and 1, or 0 and 1) or "distributions".
    elementwise : bool
        Whether the loss is a mean over outputs, each of which has a loss of its own.
    threshold : float
        Above which an output means class 1, where single outputs tell classes.
    """

    name: ClassVar[str]
    output_activation: ClassVar[str] = "identity"
    on_logits: ClassVar[bool] = False
    targets: ClassVar[str] = "values"
    elementwise: ClassVar[bool] = True
    threshold: ClassVar[float] = 0.5
    _kernels: ClassVar[tuple[Kernel, ...]]

    def panel(self, labels: bool = False, masked: bool = False) -> Kernel:
        """The compiled loss.

        Parameters
        ----------
        labels : bool
            Whether the targets are integer class labels.
        masked : bool
            Of an element-wise loss: whether targets may be NaN, or outputs have weights.
        """
        return self._kernels[masked]

    def parameter(self) -> float:
        """The one number that the panel takes, 0 where there is none."""
        return 0.0

    def parameters_of_outputs(self, outputs: int) -> Sequence[float]:
        """The numbers that the panel takes for each output, where it does."""
        return ()

    def outputs_of_target(self) -> int:
        """How many outputs answer one target."""
        return 1

    def target_columns(self, outputs: int) -> int:
        """How many targets a row of `y` has for so many outputs."""
        return outputs // self.outputs_of_target()

    def held_columns(self, outputs: int) -> int:
        """How many of a row lie in memory: of single outputs one for each of them."""
        return outputs if self.elementwise else self.target_columns(outputs)

    def estimates(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """What of the outputs is to be compared with targets."""
        return outputs
