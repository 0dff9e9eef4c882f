"""What an optimizer is: immutable settings, and the numbers that each step of the update needs.

Every update is PyTorch's, term for term. What a step's rule needs beside the gradient (rates,
bias corrections) depends on the step's number alone: `coefficients` computes it in float64 for
all steps of a call, and the panel in kernels/panels/updates.py does the rest element by element.
"""

from dataclasses import dataclass, fields
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.machine.jit import Kernel
from fastbp.validation import flag, real

Floats = NDArray[np.float64]


class Decaying(Protocol):
    """An optimizer whose weight decay is of either kind."""

    @property
    def weight_decay(self) -> float:
        """How much."""

    @property
    def decoupled(self) -> bool:
        """Whether past the gradient."""


# Settings that lie in [0, 1), momentum in [0, 1]; all other numbers are at least 0.
FRACTIONS = {"momentum", "beta1", "beta2", "rho"}


@dataclass(frozen=True)
class BaseOptimizer:
    """What all optimizers share; use one of its subclasses, or write an `Optimizer`.

    Parameters
    ----------
    lr : float
        The learning rate, at least 0.
    """

    lr: float
    name: ClassVar[str]

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in (bool, "bool"):
                value = flag(value, field.name)
            elif field.name in FRACTIONS:
                value = real(value, field.name, low=0, high=1, high_open=field.name != "momentum")
            else:
                value = real(value, field.name, low=0)
            object.__setattr__(self, field.name, value)

    @property
    def slots(self) -> int:
        """How many numbers the optimizer keeps for each parameter."""
        raise TypeError("BaseOptimizer is not an optimizer by itself; use one of its subclasses")

    @property
    def panel(self) -> Kernel:
        """The compiled update."""
        raise TypeError("BaseOptimizer is not an optimizer by itself; use one of its subclasses")

    @property
    def rests(self) -> bool:
        """Whether a gradient of zero leaves a parameter and its slots as they are."""
        return False

    def coefficients(self, steps: Floats, rates: float | Floats) -> Floats:
        """What the panel needs at each step.

        Parameters
        ----------
        steps : (k,) float64
            Step numbers, counted from 1.
        rates : float or (k,) float64
            Their learning rates: `lr`, times what a schedule makes of it.

        Returns
        -------
        (k, c) float64
            One row a step, in the order that the panel names.
        """
        raise TypeError("BaseOptimizer is not an optimizer by itself; use one of its subclasses")


def decays(optimizer: Decaying, rates: float | Floats) -> tuple[float | Floats, float]:
    """What parameters shrink to before the update, and the L2 penalty's part of the gradient."""
    if optimizer.decoupled:
        return 1 - rates * optimizer.weight_decay, 0.0
    return 1.0, optimizer.weight_decay


def expect_decay(optimizer: Decaying) -> None:
    """Raise ValueError where decoupling is asked for and there is no decay."""
    if optimizer.decoupled and optimizer.weight_decay == 0:
        raise ValueError("decoupled=True needs a weight_decay above 0, got weight_decay=0.0")


def columns(steps: Floats, *values: float | Floats) -> Floats:
    """One row a step of `values`, each a constant or one number a step."""
    rows = np.empty((len(steps), len(values)))
    for column, value in enumerate(values):
        rows[:, column] = value
    return rows
