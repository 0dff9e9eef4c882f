"""Adam, and Adam with decoupled weight decay."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.panels import updates
from fastbp.optimizers.base import BaseOptimizer, Floats, columns
from fastbp.powers import powers


@dataclass(frozen=True)
class Adam(BaseOptimizer):
    """Adam (Kingma & Ba 2015), as ``torch.optim.Adam``.

    Parameters
    ----------
    lr : float
        The learning rate.
    beta1, beta2 : float
        In [0, 1): how much of the means of the gradient and of its square each step keeps.
    eps : float
        Added to the root of the mean square, after the correction of its bias.
    weight_decay : float
        Adds ``weight_decay * p`` to the gradient (L2 penalty); see `AdamW` for the other kind.
    amsgrad : bool
        Divide by the largest mean square so far (Reddi et al. 2018).
    epsilon_hat : bool
        Add `eps` before that correction instead, ``p -= lr * sqrt(1 - beta2**t) / (1 - beta1**t) *
        m / (sqrt(v) + eps)`` at step t: the paper's "epsilon hat" (its section 2), as in
        scikit-learn and Keras. In the first steps a small gradient moves less with it.
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False
    epsilon_hat: bool = False
    name = "adam"
    _decoupled: ClassVar[bool] = False

    @property
    def slots(self) -> int:
        return 2 + self.amsgrad

    @property
    def panel(self) -> Kernel:
        chosen: Kernel = updates.amsgrad if self.amsgrad else updates.adam
        return chosen

    def coefficients(self, steps: Floats, rates: float | Floats) -> Floats:
        decoupled = rates * self.weight_decay if self._decoupled else 0.0
        correction = 1 / np.sqrt(1 - powers(self.beta2, steps))
        return columns(
            steps,
            1 - decoupled,
            0.0 if self._decoupled else self.weight_decay,
            1 - self.beta1,
            self.beta2,
            1 - self.beta2,
            rates / (1 - powers(self.beta1, steps)),
            correction,
            self.eps * correction if self.epsilon_hat else self.eps,
        )


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), as ``torch.optim.AdamW``.

    Takes the settings of `Adam`; `weight_decay` shrinks the parameters by ``lr * weight_decay``
    a step instead of entering the gradient.
    """

    weight_decay: float = 1e-2
    name = "adamw"
    _decoupled = True
