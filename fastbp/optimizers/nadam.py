"""Adam with Nesterov's momentum."""

import functools
import math
from dataclasses import dataclass
from decimal import Context, Decimal

import numpy as np

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.panels import updates
from fastbp.optimizers.base import BaseOptimizer, Floats, columns, decays, expect_decay
from fastbp.powers import powers


@functools.lru_cache(maxsize=256)
def _fall(momentum_decay: float) -> Decimal:
    """``0.96**momentum_decay``, with digits enough for high powers of it."""
    return Context(prec=40).power(Decimal("0.96"), Decimal(momentum_decay))


@dataclass(frozen=True)
class Nadam(BaseOptimizer):
    """Adam with Nesterov's momentum (Dozat 2016), as ``torch.optim.NAdam``.

    Parameters
    ----------
    lr : float
        The learning rate.
    beta1, beta2 : float
        In [0, 1), as in `Adam`.
    eps : float
        Added to the root of the mean square, after the correction of its bias.
    momentum_decay : float
        How fast the momentum's schedule ``beta1 * (1 - 0.96**(t * momentum_decay) / 2)`` rises.
    weight_decay : float
        Adds ``weight_decay * p`` to the gradient (L2 penalty).
    decoupled : bool
        Instead, ``p *= 1 - lr * weight_decay`` before the update, as in `AdamW`; needs a weight
        decay. PyTorch calls it ``decoupled_weight_decay``.
    """

    lr: float = 2e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    momentum_decay: float = 4e-3
    weight_decay: float = 0.0
    decoupled: bool = False
    name = "nadam"

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_decay(self)

    @property
    def slots(self) -> int:
        return 2

    @property
    def panel(self) -> Kernel:
        return updates.nadam

    def _momentum(self, steps: Floats) -> Floats:
        return np.asarray(self.beta1 * (1 - 0.5 * powers(_fall(self.momentum_decay), steps)))

    def coefficients(self, steps: Floats, rates: float | Floats) -> Floats:
        if len(steps) == 0:
            return columns(steps, *[0.0] * 9)
        # The product of all momenta so far: over the steps before this call, then one by one.
        # It is at most beta1**t, so that late steps need not go back to the first.
        vanished = steps[0] * math.log(self.beta1) < -50 if self.beta1 > 0 else steps[0] > 1
        before = 0.0 if vanished else np.prod(self._momentum(np.arange(1.0, steps[0])))
        now, following = self._momentum(steps), self._momentum(steps + 1)
        product = before * np.cumprod(now)
        shrink, decay = decays(self, rates)
        return columns(
            steps,
            shrink,
            decay,
            1 - self.beta1,
            self.beta2,
            1 - self.beta2,
            rates * (1 - now) / (1 - product),
            rates * following / (1 - product * following),
            1 / np.sqrt(1 - powers(self.beta2, steps)),
            self.eps,
        )
