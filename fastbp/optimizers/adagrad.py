"""Adagrad."""

from dataclasses import dataclass

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.panels import updates
from fastbp.optimizers.base import BaseOptimizer, Floats, columns


@dataclass(frozen=True)
class Adagrad(BaseOptimizer):
    """Adagrad (Duchi et al. 2011), as ``torch.optim.Adagrad``.

    Parameters
    ----------
    lr : float
        The learning rate.
    eps : float
        Added to the root of the sum of squares.
    weight_decay : float
        Adds ``weight_decay * p`` to the gradient (L2 penalty).
    """

    lr: float = 1e-2
    eps: float = 1e-10
    weight_decay: float = 0.0
    name = "adagrad"

    @property
    def slots(self) -> int:
        return 1

    @property
    def panel(self) -> Kernel:
        return updates.adagrad

    @property
    def rests(self) -> bool:
        return self.eps > 0 and self.weight_decay == 0  # 0 / 0 where eps is 0

    def coefficients(self, steps: Floats, rates: float | Floats) -> Floats:
        return columns(steps, rates, self.eps, self.weight_decay)
