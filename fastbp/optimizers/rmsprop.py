"""RMSprop."""

from dataclasses import dataclass

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.panels import updates
from fastbp.optimizers.base import BaseOptimizer, Floats, columns


@dataclass(frozen=True)
class RMSprop(BaseOptimizer):
    """RMSprop (Tieleman & Hinton 2012), as ``torch.optim.RMSprop`` with `rho` its ``alpha``.

    Parameters
    ----------
    lr : float
        The learning rate.
    rho : float
        In [0, 1): how much of the mean square each step keeps.
    eps : float
        Added to the root of the mean square.
    momentum : float
        In [0, 1]. Above 0 the scaled gradients gather in a velocity.
    centered : bool
        Divide by the deviation instead, by taking off the square of the mean (Graves 2013).
    weight_decay : float
        Adds ``weight_decay * p`` to the gradient (L2 penalty).
    """

    lr: float = 1e-3
    rho: float = 0.9
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    weight_decay: float = 0.0
    name = "rmsprop"

    @property
    def slots(self) -> int:
        return 1 + self.centered + (self.momentum > 0)

    @property
    def panel(self) -> Kernel:
        chosen: Kernel = updates.rmsprop[self.centered, self.momentum > 0]
        return chosen

    def coefficients(self, steps: Floats, rates: float | Floats) -> Floats:
        return columns(
            steps, rates, self.rho, 1 - self.rho, self.eps, self.momentum, self.weight_decay
        )
