"""Learning rates of a fit: what its schedule makes of the optimizer's."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.schedules import Schedule
from fastbp.schedules.base import Span
from fastbp.validation import shown


class Rates:
    """A schedule under way.

    Parameters
    ----------
    schedule : Schedule
        What is followed.
    lr : float
        The optimizer's learning rate.
    steps, steps_an_epoch : int
        How many steps the fit and each of its epochs has.

    Attributes
    ----------
    schedule : Schedule
        That of the parameters.
    """

    def __init__(self, schedule: Schedule, lr: float, steps: int, steps_an_epoch: int) -> None:
        self.schedule, self._lr, self._span = schedule, lr, Span(steps, steps_an_epoch)
        self._state = schedule.begin()
        self._first, self._rates = 0, np.array([lr])

    def ahead(self, first: int, count: int) -> NDArray[np.float64]:
        """The rates of `count` steps from step `first` on, counted from 0."""
        steps = np.arange(first, first + count)
        with np.errstate(all="ignore"):
            factors = np.asarray(self.schedule.factors(steps, self._span, self._state))
        if factors.shape != steps.shape or factors.dtype.kind not in "biuf":
            raise TypeError(
                f"factors of schedule {type(self.schedule).__name__} must be {count} real "
                f"numbers, got {shown(factors)}"
            )
        wrong = ~(np.isfinite(factors) & (factors >= 0))
        if wrong.any():
            at = int(wrong.argmax())
            raise ValueError(
                "schedule must give finite factors of at least 0, got "
                f"{factors[at]} at step {steps[at]}"
            )
        self._first, self._rates = first, factors.astype(np.float64) * self._lr
        return self._rates

    def at(self, step: int) -> float:
        """The rate of one of the steps that were last asked for."""
        return float(self._rates[step - self._first])

    def after_epoch(self, quantities: Mapping[str, float]) -> None:
        """Let the schedule see what was recorded of an epoch."""
        self._state = self.schedule.after_epoch(self._state, quantities)

    def state(self) -> dict[str, Any]:
        """What the schedule remembers, for an exact resume."""
        return dict(self._state)

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned; raises ValueError for what it never returns."""
        self.schedule.check(state)
        self._state = dict(state)
