"""Warm-up: a rise before any other schedule."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from fastbp.schedules.base import (
    Constant,
    Floats,
    Schedule,
    Span,
    Steps,
    checked_schedule,
    replaced,
)
from fastbp.validation import choice, positive_int, real

FULL = Constant()


@dataclass(frozen=True)
class Warmup(Schedule):
    """A straight rise to the full rate, then any schedule, counted from there.

    ``LinearLR`` and another scheduler in a ``SequentialLR`` of ``torch.optim`` (Goyal et al. 2017).

    Parameters
    ----------
    length : int
        How long it rises.
    schedule : Schedule or callable
        What comes after it; the constant rate by default.
    start : float
        In [0, 1]: the factor of the first step.
    unit : str
        "step" or "epoch": what `length` counts.
    """

    length: int
    schedule: Schedule | Callable[[int], float] = FULL
    start: float = 0.1
    _: KW_ONLY
    unit: str = "step"

    def __post_init__(self) -> None:
        replaced(
            self,
            length=positive_int(self.length, "length"),
            schedule=checked_schedule(self.schedule),
        )
        replaced(self, start=real(self.start, "start", low=0, high=1))
        choice(self.unit, ("step", "epoch"), "unit")

    @property
    def _after(self) -> Schedule:
        assert isinstance(self.schedule, Schedule)
        return self.schedule

    @property
    def monitor(self) -> str | None:
        """That of the schedule that comes after."""
        return self._after.monitor

    def begin(self) -> dict[str, Any]:
        """See `Schedule`."""
        return self._after.begin()

    def after_epoch(self, state: dict[str, Any], quantities: Mapping[str, float]) -> dict[str, Any]:
        """See `Schedule`; epochs of the rise count as well."""
        return self._after.after_epoch(state, quantities)

    def check(self, state: Mapping[str, Any]) -> None:
        """See `Schedule`."""
        self._after.check(state)

    def factors(self, steps: Steps, span: Span, state: dict[str, Any]) -> Floats:
        """See `Schedule`."""
        unit = span.steps_an_epoch if self.unit == "epoch" else 1
        warm = min(self.length * unit, 1 << 62)  # a step's number has 64 bits
        left = Span(max(span.steps - warm, 1), span.steps_an_epoch)
        after = self._after.factors(steps - warm, left, state)
        rising = self.start + (1 - self.start) * (steps // unit) / self.length
        return np.where(steps < warm, rising, after)
