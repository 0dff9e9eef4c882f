"""Optimizers: immutable settings, and the numbers that each step of the update needs.

Every update is PyTorch's, term for term. What a step's rule needs beside the gradient (rates,
bias corrections) depends on the step's number alone: `coefficients` computes it in float64 for
all steps of a call, and the panel in kernels/updates.py does the rest element by element.
"""

import math
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels import updates
from fastbp.kernels.jit import Kernel
from fastbp.validation import flag, real

Floats = NDArray[np.float64]

# Settings that lie in [0, 1); all other numbers are at least 0.
FRACTIONS = {"momentum", "beta1", "beta2", "rho"}


@dataclass(frozen=True)
class Optimizer:
    """What all optimizers share; use one of its subclasses.

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
                value = real(value, field.name, low=0, high=1, high_open=True)
            else:
                value = real(value, field.name, low=0)
            object.__setattr__(self, field.name, value)

    @property
    def slots(self) -> int:
        """How many numbers the optimizer keeps for each parameter."""
        raise TypeError("Optimizer is not an optimizer by itself; use one of its subclasses")

    @property
    def panel(self) -> Kernel:
        """The compiled update."""
        raise TypeError("Optimizer is not an optimizer by itself; use one of its subclasses")

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
        raise TypeError("Optimizer is not an optimizer by itself; use one of its subclasses")


def _decays(optimizer: "SGD | Nadam", rates: float | Floats) -> tuple[float | Floats, float]:
    """What parameters shrink to before the update, and the L2 penalty's part of the gradient."""
    if optimizer.decoupled:
        return 1 - rates * optimizer.weight_decay, 0.0
    return 1.0, optimizer.weight_decay


def _expect_decay(optimizer: "SGD | Nadam") -> None:
    if optimizer.decoupled and optimizer.weight_decay == 0:
        raise ValueError("decoupled=True needs a weight_decay above 0, got weight_decay=0.0")


def _columns(steps: Floats, *values: float | Floats) -> Floats:
    """One row a step of `values`, each a constant or one number a step."""
    rows = np.empty((len(steps), len(values)))
    for column, value in enumerate(values):
        rows[:, column] = value
    return rows


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, ``p -= lr * g``, as ``torch.optim.SGD``.

    Parameters
    ----------
    lr : float
        The learning rate.
    momentum : float
        In [0, 1). Above 0: ``v = momentum * v + g; p -= lr * v``.
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
        _expect_decay(self)

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
            return _columns(steps, rates, self.weight_decay)
        shrink, decay = _decays(self, rates)
        return _columns(steps, rates, decay, self.momentum, shrink)


@dataclass(frozen=True)
class Adam(Optimizer):
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
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False
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
        return _columns(
            steps,
            1 - decoupled,
            0.0 if self._decoupled else self.weight_decay,
            1 - self.beta1,
            self.beta2,
            1 - self.beta2,
            rates / (1 - self.beta1**steps),
            1 / np.sqrt(1 - self.beta2**steps),
            self.eps,
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


@dataclass(frozen=True)
class RMSprop(Optimizer):
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
        In [0, 1). Above 0 the scaled gradients gather in a velocity.
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
        return _columns(
            steps, rates, self.rho, 1 - self.rho, self.eps, self.momentum, self.weight_decay
        )


@dataclass(frozen=True)
class Adagrad(Optimizer):
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
        return _columns(steps, rates, self.eps, self.weight_decay)


@dataclass(frozen=True)
class Nadam(Optimizer):
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
        _expect_decay(self)

    @property
    def slots(self) -> int:
        return 2

    @property
    def panel(self) -> Kernel:
        return updates.nadam

    def _momentum(self, steps: Floats) -> Floats:
        return np.asarray(self.beta1 * (1 - 0.5 * 0.96 ** (steps * self.momentum_decay)))

    def coefficients(self, steps: Floats, rates: float | Floats) -> Floats:
        if len(steps) == 0:
            return _columns(steps, *[0.0] * 9)
        # The product of all momenta so far: over the steps before this call, then one by one.
        # It is at most beta1**t, so that late steps need not go back to the first.
        vanished = steps[0] * math.log(self.beta1) < -50 if self.beta1 > 0 else steps[0] > 1
        before = 0.0 if vanished else np.prod(self._momentum(np.arange(1.0, steps[0])))
        now, following = self._momentum(steps), self._momentum(steps + 1)
        product = before * np.cumprod(now)
        shrink, decay = _decays(self, rates)
        return _columns(
            steps,
            shrink,
            decay,
            1 - self.beta1,
            self.beta2,
            1 - self.beta2,
            rates * (1 - now) / (1 - product),
            rates * following / (1 - product * following),
            1 / np.sqrt(1 - self.beta2**steps),
            self.eps,
        )


OPTIMIZERS: dict[str, type[Optimizer]] = {
    optimizer.name: optimizer for optimizer in (SGD, Adam, AdamW, RMSprop, Adagrad, Nadam)
}
