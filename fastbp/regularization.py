"""Regularization: settings that keep a network from learning its rows by heart, and steps small."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.panels import penalties
from fastbp.kernels.panels.dropout import EVENTS
from fastbp.validation import real


@dataclass(frozen=True)
class Regularization:
    """The checked settings of a network.

    Attributes
    ----------
    dropout : tuple of float
        The rate of each hidden layer, in [0, 1).
    l1, l2 : float
        At least 0.
    max_norm, clip_value, clip_norm : float or None
        Above 0; None is off.
    alpha : float
        At least 0.
    """

    dropout: tuple[float, ...] = ()
    l1: float = 0.0
    l2: float = 0.0
    max_norm: float | None = None
    clip_value: float | None = None
    clip_norm: float | None = None
    alpha: float = 0.0

    @cached_property
    def drops(self) -> bool:
        """Whether any layer has dropout."""
        return any(self.dropout)

    @cached_property
    def thresholds(self) -> tuple[int, ...]:
        """For each hidden layer, how many of 2**32 random numbers drop an output."""
        return tuple(min(round(rate * EVENTS), EVENTS - 1) for rate in self.dropout)

    @cached_property
    def penalizes(self) -> bool:
        """Whether each element of the gradient is changed before the update."""
        return self.shrinks or self.clip_value is not None

    @cached_property
    def shrinks(self) -> bool:
        """Whether a gradient of zero does not remain one."""
        return self.l1 > 0 or self.l2 > 0 or self.alpha > 0

    def settings(self) -> NDArray[np.float64]:
        """What the kernels read, in the order of `kernels.panels.penalties`."""
        found = np.zeros(penalties.SETTINGS)
        found[penalties.L1], found[penalties.L2] = self.l1, self.l2
        found[penalties.CLIP_VALUE] = math.inf if self.clip_value is None else self.clip_value
        found[penalties.CLIP_NORM] = self.clip_norm or 0.0
        found[penalties.MAX_NORM] = self.max_norm or 0.0
        return found

    def options(self) -> dict[str, Any]:
        """The settings that are on, as `make` takes them and JSON holds them."""
        found: dict[str, Any] = {}
        if self.drops:
            alike = len(set(self.dropout)) == 1
            found["dropout"] = self.dropout[0] if alike else list(self.dropout)
        for name in ("l1", "l2", "max_norm", "clip_value", "clip_norm", "alpha"):
            if getattr(self, name):
                found[name] = getattr(self, name)
        return found


def make(
    hidden: int,
    dropout: Any = 0.0,
    l1: Any = 0.0,
    l2: Any = 0.0,
    max_norm: Any = None,
    clip_value: Any = None,
    clip_norm: Any = None,
    alpha: Any = 0.0,
) -> Regularization:
    """Check the arguments of `fastbp.Network`; errors name the argument.

    hidden : int
        How many hidden layers there are.
    """
    bounds = {"max_norm": max_norm, "clip_value": clip_value, "clip_norm": clip_norm}
    return Regularization(
        _rates(dropout, hidden),
        real(l1, "l1", low=0),
        real(l2, "l2", low=0),
        **{
            name: None if bound is None else real(bound, name, low=0, low_open=True)
            for name, bound in bounds.items()
        },
        alpha=real(alpha, "alpha", low=0),
    )


def _rates(value: Any, hidden: int) -> tuple[float, ...]:
    """One rate for each hidden layer."""
    listed = value.ndim == 1 if isinstance(value, np.ndarray) else isinstance(value, Sequence)
    if listed and not isinstance(value, str | bytes):
        if len(value) != hidden:
            raise ValueError(
                f"dropout must be one rate for all hidden layers or one for each of the {hidden}; "
                f"got {len(value)}"
            )
        return tuple(_rate(one, f"dropout[{i}]") for i, one in enumerate(value))
    rate = _rate(value, "dropout")
    if rate > 0 and hidden == 0:
        raise ValueError(f"dropout needs a hidden layer, which layers has none of; got {rate}")
    return (rate,) * hidden


def _rate(value: Any, name: str) -> float:
    return real(value, name, low=0, high=1, high_open=True)
