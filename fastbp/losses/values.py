"""Losses of targets that are values: errors, likelihoods of them, angles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.panels import loss_rules as rules
from fastbp.kernels.panels import output_panels
from fastbp.losses.base import BaseLoss, panels
from fastbp.validation import real, shown


@dataclass(frozen=True)
class MSE(BaseLoss):
    """Mean squared error, ``mean((a - y)**2)`` over rows and outputs."""

    name = "mse"
    _kernels = panels("mse", rules.mse, rules.mse_slope)


@dataclass(frozen=True)
class MAE(BaseLoss):
    """Mean absolute error, ``mean(abs(a - y))`` over rows and outputs; slope 0 where they meet."""

    name = "mae"
    _kernels = panels("mae", rules.mae, rules.mae_slope)


@dataclass(frozen=True)
class Huber(BaseLoss):
    """Huber's loss: half the square of an error up to `delta`, linear beyond (Huber 1964).

    Parameters
    ----------
    delta : float
        Where the parabola becomes a line, above 0, in the units of `y`.
    """

    delta: float = 1.0
    name = "huber"
    _kernels = panels("huber", rules.huber, rules.huber_slope)

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", real(self.delta, "delta", low=0, low_open=True))

    def parameter(self) -> float:
        return self.delta


@dataclass(frozen=True)
class Quantile(BaseLoss):
    """Pinball loss, ``mean(max(q * (y - a), (q - 1) * (y - a)))`` over rows and outputs.

    Its least value is at the `q`-quantile of the targets (Koenker and Bassett 1978).

    Parameters
    ----------
    q : float or sequence of float
        In (0, 1). One for all outputs; or several for each target: a network of k quantiles has k
        neighbouring outputs for each column of `y`, in the order of `q`. Metrics then see each
        target k times.
    """

    q: float | tuple[float, ...] = 0.5
    name = "quantile"
    _kernels = (
        *panels("quantile", rules.quantile, rules.quantile_slope),
        *panels("quantile", rules.quantile, rules.quantile_slope, by_column=True),
    )

    def __post_init__(self) -> None:
        several = isinstance(self.q, Sequence | np.ndarray) and not isinstance(self.q, str | bytes)
        given = list(self.q) if several and np.ndim(self.q) else [self.q]  # type: ignore[arg-type]
        if not given:
            raise ValueError(f"q must be a quantile or several, got {shown(self.q)}")
        names = [f"q[{i}]" for i in range(len(given))] if several else ["q"]
        made = tuple(
            real(one, name, low=0, low_open=True, high=1, high_open=True)
            for one, name in zip(given, names, strict=True)
        )
        if len(set(made)) < len(made):
            raise ValueError(f"q must not hold a quantile twice, got {shown(self.q)}")
        object.__setattr__(self, "q", made if several else made[0])

    def panel(self, labels: bool = False, masked: bool = False) -> Kernel:
        return self._kernels[masked + 2 * isinstance(self.q, tuple)]

    def parameter(self) -> float:
        return 0.0 if isinstance(self.q, tuple) else self.q

    def parameters_of_outputs(self, outputs: int) -> Sequence[float]:
        return self.q * (outputs // len(self.q)) if isinstance(self.q, tuple) else ()

    def outputs_of_target(self) -> int:
        return len(self.q) if isinstance(self.q, tuple) else 1


@dataclass(frozen=True)
class LogCosh(BaseLoss):
    """``mean(log(cosh(a - y)))`` over rows and outputs: half a square when small, else linear."""

    name = "log_cosh"
    _kernels = panels("log_cosh", rules.log_cosh, rules.log_cosh_slope)


@dataclass(frozen=True)
class Poisson(BaseLoss):
    """Poisson loss of a rate ``a = exp(z)``, ``mean(a - y * log(a))`` over rows and outputs.

    `y` holds counts, at least 0. The constant ``log(y!)`` is left out, as by PyTorch's default.
    Above a log rate of 60 (a rate of 1e26) the loss goes on along its tangent and stays finite.
    """

    name = "poisson"
    output_activation = "exponential"
    on_logits = True
    targets = "counts"
    _kernels = panels("poisson", rules.poisson, rules.poisson_slope)


@dataclass(frozen=True)
class GaussianNLL(BaseLoss):
    """Negative log-likelihood of normal distributions whose means and variances are learned.

    ``mean(0.5 * (s + (y - m)**2 / exp(s)))`` over rows and targets. A network for k targets has 2k
    outputs: the means m, and behind them the logs s of the variances (Nix and Weigend 1994). It is
    ``torch.nn.GaussianNLLLoss`` of the variances ``exp(s)``, without the constant
    ``log(2 pi) / 2``. Where a variance is below `eps`, the loss goes on along its tangent in s and
    stays finite. Metrics by name compare the means; functions of your own get all outputs.

    Parameters
    ----------
    eps : float
        At least 1e-30: the least variance that is taken as it is.
    """

    eps: float = 1e-6
    name = "gaussian_nll"
    elementwise = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "eps", real(self.eps, "eps", low=1e-30))

    def panel(self, labels: bool = False, masked: bool = False) -> Kernel:
        return output_panels.gaussian_nll

    def parameter(self) -> float:
        return self.eps

    def outputs_of_target(self) -> int:
        return 2

    def estimates(self, outputs: NDArray[Any]) -> NDArray[Any]:
        return outputs[:, : outputs.shape[1] // 2]


@dataclass(frozen=True)
class Cosine(BaseLoss):
    """One less the cosine of the angle between outputs and targets, ``mean(1 - cos(a, y))``.

    The mean is over rows. As ``torch.nn.CosineEmbeddingLoss`` of pairs that belong together, whose
    1e-12 in the squares of lengths it has, so that rows of zeros have a loss of 1.
    """

    name = "cosine"
    elementwise = False

    def panel(self, labels: bool = False, masked: bool = False) -> Kernel:
        return output_panels.cosine
