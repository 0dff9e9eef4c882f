"""Stochastic gradient descent, with momentum or without."""

from dataclasses import dataclass

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.panels import updates
from fastbp.optimizers.base import BaseOptimizer, Floats, columns, decays, expect_decay


@dataclass(frozen=True)
class SGD(BaseOptimizer):
    """Stochastic gradient descent, ``p -= lr * g``, as ``torch.optim.SGD``.

    Parameters
    ----------
    lr : float
        The learning rate.
    momentum : float
        In [0, 1]. Above 0: ``v = momentum * v + g; p -= lr * v``.
    nesterov : bool
        Step by ``g + momentum * v`` instead (Sutskever et al. 2013); needs momentum.
    weight_decay : float
        Adds ``weight_decay * p`` to the gradient (L2 penalty).
    decoupled : bool
        Instead, ``p *= 1 - lr * weight_decay`` before the update, past the velocity (SGDW,
        Loshchilov & Hutter 2019, with the rate in the decay as in `AdamW`); needs a weight decay.
    """

    lr: float = 1e-2
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    decoupled: bool = False
    name = "sgd"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=True needs a momentum above 0, got momentum=0.0")
        expect_decay(self)

    @property
    def slots(self) -> int:
        return int(self.momentum > 0)

    @property
    def panel(self) -> Kernel:
        chosen: Kernel = updates.nesterov if self.nesterov else updates.momentum
        return chosen if self.momentum > 0 else updates.sgd

    @property
    def rests(self) -> bool:
        return self.momentum == 0 and self.weight_decay == 0

    def coefficients(self, steps: Floats, rates: float | Floats) -> Floats:
        if self.momentum == 0:  # where there is no velocity, both kinds of decay are one
            return columns(steps, rates, self.weight_decay)
        shrink, decay = decays(self, rates)
        return columns(steps, rates, decay, self.momentum, shrink)
