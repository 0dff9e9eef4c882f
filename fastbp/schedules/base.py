"""What a schedule is: a factor for every step; and the two that are nothing more than that."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.validation import choice, real, returned, shown

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]


class Span(NamedTuple):
    """How long a schedule has: its steps, and how many an epoch has."""

    steps: int
    steps_an_epoch: int


class Schedule(ABC):
    """What all schedules share; use one of its subclasses, or write a function of the step."""

    @property
    def monitor(self) -> str | None:
        """The recorded quantity that the factors depend on, if there is one."""
        return None

    def begin(self) -> dict[str, Any]:
        """What the schedule remembers at first; JSON can hold it."""
        return {}

    def after_epoch(self, state: dict[str, Any], quantities: Mapping[str, float]) -> dict[str, Any]:
        """What it remembers after an epoch with these quantities."""
        return state

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise ValueError for what the schedule never remembers; it may come from a file."""
        if state:
            raise ValueError(f"{type(self).__name__} remembers nothing, got {shown(state)}")

    @abstractmethod
    def factors(self, steps: Steps, span: Span, state: dict[str, Any]) -> Floats:
        """The factor of each step.

        Parameters
        ----------
        steps : (k,) int64
            Step numbers, from 0; below 0 counts as 0.
        span : Span
            How long the fit is.
        state : dict
            What `begin` or `after_epoch` returned.

        Returns
        -------
        (k,) float64
        """


@dataclass(frozen=True)
class Constant(Schedule):
    """Always the same factor.

    Parameters
    ----------
    factor : float
        At least 0.
    """

    factor: float = 1.0

    def __post_init__(self) -> None:
        replaced(self, factor=real(self.factor, "factor", low=0))

    def factors(self, steps: Steps, span: Span, state: dict[str, Any]) -> Floats:
        """See `Schedule`."""
        return np.full(len(steps), self.factor)


@dataclass(frozen=True)
class Counted(Schedule):
    """A schedule that is a formula of how many steps or epochs have gone by."""

    _: KW_ONLY
    unit: str = "step"

    def __post_init__(self) -> None:
        choice(self.unit, ("step", "epoch"), "unit")

    def factors(self, steps: Steps, span: Span, state: dict[str, Any]) -> Floats:
        """See `Schedule`."""
        numbers, total = np.maximum(steps, 0), span.steps
        if self.unit == "epoch":
            numbers, total = numbers // span.steps_an_epoch, -(-total // span.steps_an_epoch)
        return np.asarray(self.at(numbers.astype(np.float64), total))

    @abstractmethod
    def at(self, n: Floats, total: int) -> Floats:
        """The factors after n steps or epochs of a fit that has `total` of them."""


@dataclass(frozen=True, repr=False)
class Function(Counted):
    """A function of the step's number; ``fit(schedule=f)`` is short for ``Function(f)``.

    Parameters
    ----------
    function : callable
        Takes an int and returns a factor. Called once for every step, whose time it adds to.
    unit : str
        "step" or "epoch": what is counted.
    """

    function: Callable[[int], float]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.function):
            raise TypeError(f"function must be callable, got {shown(self.function)}")

    def __repr__(self) -> str:
        name = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        return f"Function({name}, unit={self.unit!r})"

    def at(self, n: Floats, total: int) -> Floats:
        """See `Counted`."""
        numbers, places = np.unique(n.astype(np.int64), return_inverse=True)
        return np.array([self._factor(number) for number in numbers.tolist()])[places]

    def _factor(self, number: int) -> float:
        return returned(self.function(number), "schedule", f" at {self.unit} {number}")


def replaced(made: Schedule, /, **values: Any) -> None:
    """Give fields of a new, immutable schedule their checked values."""
    for name, value in values.items():
        object.__setattr__(made, name, value)


def checked_schedule(schedule: Any) -> Schedule:
    """The schedule that a user passed; raises TypeError where it is none."""
    if isinstance(schedule, type) and issubclass(schedule, Schedule):
        name = schedule.__name__
        raise TypeError(f"schedule must be an object: write {name}(), with the brackets")
    if isinstance(schedule, Schedule):
        return schedule
    if not callable(schedule):
        raise TypeError(
            f"schedule must be one of fastbp.schedules or a function of the step's number, "
            f"got {shown(schedule)}"
        )
    return Function(schedule)
