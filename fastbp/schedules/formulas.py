"""Schedules that are formulas of how many steps or epochs have gone by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbp.powers import powers
from fastbp.schedules.base import Counted, Floats, replaced
from fastbp.validation import choice, flag, positive_int, real, shown


@dataclass(frozen=True)
class Step(Counted):
    """Multiply by `gamma` now and then, as ``StepLR`` and ``MultiStepLR`` of ``torch.optim``.

    Parameters
    ----------
    every : int, optional
        After so many each.
    milestones : sequence of int, optional
        Instead, after each of these, in rising order.
    gamma : float
        At least 0.
    unit : str
        "step" or "epoch": what is counted.
    """

    every: int | None = None
    milestones: Sequence[int] | None = None
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.every is None) == (self.milestones is None):
            raise ValueError(
                "every or milestones must be given, and not both; got "
                f"every={self.every!r}, milestones={self.milestones!r}"
            )
        if self.every is not None:
            replaced(self, every=positive_int(self.every, "every"))
        else:
            replaced(self, milestones=_milestones(self.milestones))
        replaced(self, gamma=real(self.gamma, "gamma", low=0))

    def at(self, n: Floats, total: int) -> Floats:
        """See `Counted`."""
        if self.every is not None:
            return powers(self.gamma, n // self.every)
        passed = np.searchsorted(np.array(self.milestones, np.float64), n, side="right")
        return powers(self.gamma, passed.astype(np.float64))


@dataclass(frozen=True)
class Exponential(Counted):
    """``gamma**n``, as ``torch.optim.lr_scheduler.ExponentialLR``.

    Parameters
    ----------
    gamma : float
        Greater than 0.
    unit : str
        "step" or "epoch": what n counts.
    """

    gamma: float

    def __post_init__(self) -> None:
        super().__post_init__()
        replaced(self, gamma=real(self.gamma, "gamma", low=0, low_open=True))

    def at(self, n: Floats, total: int) -> Floats:
        """See `Counted`."""
        return powers(self.gamma, n)


@dataclass(frozen=True)
class InverseScaling(Counted):
    """``(1 + n / scale)**-power``; scikit-learn's "invscaling" where `scale` is 1.

    Parameters
    ----------
    power : float
        At least 0.
    scale : float
        After how many the factor is ``2**-power``; greater than 0.
    unit : str
        "step" or "epoch": what n counts.
    """

    power: float = 0.5
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        replaced(self, power=real(self.power, "power", low=0))
        replaced(self, scale=real(self.scale, "scale", low=0, low_open=True))

    def at(self, n: Floats, total: int) -> Floats:
        """See `Counted`."""
        return _raised(1 + n / self.scale, -self.power)


@dataclass(frozen=True)
class Polynomial(Counted):
    """``(1 - n / total)**power``, as ``torch.optim.lr_scheduler.PolynomialLR``.

    Parameters
    ----------
    total : int, optional
        When the factor reaches its minimum, where it stays; None for the end of the fit.
    power : float
        Greater than 0; 1 is a straight line.
    minimum : float
        In [0, 1]: the factor falls from 1 to it.
    unit : str
        "step" or "epoch": what n and `total` count.
    """

    total: int | None = None
    power: float = 1.0
    minimum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        replaced(self, total=_length(self.total, "total"))
        replaced(self, power=real(self.power, "power", low=0, low_open=True))
        replaced(self, minimum=real(self.minimum, "minimum", low=0, high=1))

    def at(self, n: Floats, total: int) -> Floats:
        """See `Counted`."""
        left = np.maximum(1 - n / (self.total or total), 0)
        return np.asarray(self.minimum + (1 - self.minimum) * _raised(left, self.power))


@dataclass(frozen=True)
class Cosine(Counted):
    """Half a cosine from 1 to a minimum (SGDR, Loshchilov & Hutter 2017).

    ``CosineAnnealingLR`` of ``torch.optim`` up to its ``T_max``, and with `restarts`
    ``CosineAnnealingWarmRestarts``.

    Parameters
    ----------
    period : int, optional
        How long it falls; None for all of the fit.
    minimum : float
        In [0, 1]: what the factor falls to, and where it stays if there are no restarts.
    restarts : bool
        Begin again at 1 after each period; needs a `period`.
    multiplier : int
        How much longer each period is than the one before; needs `restarts` where it is not 1.
    unit : str
        "step" or "epoch": what `period` counts.
    """

    period: int | None = None
    minimum: float = 0.0
    restarts: bool = False
    multiplier: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        replaced(self, period=_length(self.period, "period"))
        replaced(self, minimum=real(self.minimum, "minimum", low=0, high=1))
        replaced(self, restarts=flag(self.restarts, "restarts"))
        replaced(self, multiplier=positive_int(self.multiplier, "multiplier"))
        if self.restarts and self.period is None:
            raise ValueError("restarts=True needs a period, got period=None")
        if self.multiplier != 1 and not self.restarts:
            raise ValueError(f"multiplier={self.multiplier} needs restarts=True")

    def at(self, n: Floats, total: int) -> Floats:
        """See `Counted`."""
        period = np.full(len(n), float(self.period or total))
        if not self.restarts:
            n = np.minimum(n, period)
        elif self.multiplier == 1:
            n = n % period
        else:
            starts, length = [0], int(period[0])
            while starts[-1] + length <= n.max(initial=0):
                starts.append(starts[-1] + length)
                length *= self.multiplier
            cycle = np.searchsorted(starts, n, side="right") - 1
            n, period = n - np.array(starts)[cycle], period * powers(self.multiplier, cycle)
        return np.asarray(
            self.minimum + (1 - self.minimum) * (1 + np.cos(math.pi * n / period)) / 2
        )


@dataclass(frozen=True)
class OneCycle(Counted):
    """Up to the full rate and down again (Smith & Topin 2018), as ``torch.optim``'s ``OneCycleLR``.

    The optimizer's `lr` is the highest rate. Momentum stays as it is (``cycle_momentum=False``).

    Parameters
    ----------
    total : int, optional
        How long the cycle is; None for all of the fit. Afterwards the rate stays.
    rise : float
        In [0, 1]: the share of it in which the rate rises (``pct_start``).
    div_factor : float
        What the highest rate is divided by at the beginning; at least 1.
    final_div_factor : float
        What the rate of the beginning is divided by at the end; greater than 0.
    anneal : str
        "cosine" or "linear".
    three_phase : bool
        Fall to the rate of the beginning in as many steps as it rose, and from there to the end's.
    unit : str
        "step" or "epoch": what `total` counts.
    """

    total: int | None = None
    rise: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    anneal: str = "cosine"
    three_phase: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        replaced(self, total=_length(self.total, "total"))
        replaced(self, rise=real(self.rise, "rise", low=0, high=1))
        replaced(self, div_factor=real(self.div_factor, "div_factor", low=1))
        final = real(self.final_div_factor, "final_div_factor", low=0, low_open=True)
        replaced(self, final_div_factor=final, three_phase=flag(self.three_phase, "three_phase"))
        choice(self.anneal, ("cosine", "linear"), "anneal")
        if self.three_phase and self.rise > 0.5:
            raise ValueError(f"three_phase=True needs a rise of at most 0.5, got {self.rise:g}")

    def at(self, n: Floats, total: int) -> Floats:
        """See `Counted`."""
        length = self.total or total
        first, last = 1 / self.div_factor, 1 / (self.div_factor * self.final_div_factor)
        peak = self.rise * length - 1
        ends, values = [peak], [first, 1.0]
        if self.three_phase:
            ends, values = [*ends, max(2 * peak, peak)], [*values, first]
        ends, values = [0.0, *ends, length - 1.0], [*values, last]
        phase = np.searchsorted(ends[1:-1], n, side="left")
        begin, end = np.array(ends[:-1])[phase], np.array(ends[1:])[phase]
        width = np.where(end > begin, end - begin, 1.0)
        share = np.where(end > begin, np.minimum((n - begin) / width, 1.0), 1.0)
        left = (1 + np.cos(math.pi * share)) / 2 if self.anneal == "cosine" else 1 - share
        before, after = np.array(values[:-1])[phase], np.array(values[1:])[phase]
        return np.asarray(after + (before - after) * left)


def _raised(values: Floats, power: float) -> Floats:
    """``values**power``, of numbers from 0 on: not by NumPy, whose bits depend on the processor."""
    if power == 1:
        return values
    if abs(power) == 0.5:
        return np.sqrt(values) if power > 0 else 1 / np.sqrt(values)
    return np.array([value**power for value in values.tolist()])


def _length(value: Any, name: str) -> int | None:
    return None if value is None else positive_int(value, name)


def _milestones(value: Any) -> tuple[int, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(f"milestones must be a sequence of integers, got {shown(value)}")
    numbers = tuple(positive_int(one, f"milestones[{i}]") for i, one in enumerate(value))
    if not numbers or list(numbers) != sorted(set(numbers)):
        raise ValueError(f"milestones must be at least one integer, rising; got {shown(value)}")
    return numbers
