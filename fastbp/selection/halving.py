"""Successive halving: how many configurations go how far, and schedules that are cut into parts."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from fastbp.schedules import Schedule
from fastbp.schedules.base import Floats, Span, Steps, checked_schedule
from fastbp.validation import shown


class Rung(NamedTuple):
    """So many configurations are trained up to so many epochs."""

    configurations: int
    epochs: int


def rungs(configurations: int, epochs: int, factor: int, least: int) -> list[Rung]:
    """The rungs of successive halving (Jamieson and Talwalkar 2016).

    Parameters
    ----------
    configurations : int
        How many there are at first.
    epochs : int
        Of the last rung.
    factor : int
        From one rung to the next, epochs grow and configurations shrink about so many times.
    least : int
        Epochs of the first rung, at least.

    Returns
    -------
    list of Rung
        As many as leave one configuration for the last, and no fewer epochs to the first.
    """
    budgets = [epochs]
    while budgets[0] // factor >= least and configurations >= factor ** len(budgets):
        budgets.insert(0, budgets[0] // factor)
    return [Rung(configurations // factor**i, budget) for i, budget in enumerate(budgets)]


@dataclass(frozen=True)
class Part(Schedule):
    """A schedule from a later epoch on, as it is in the midst of a fit.

    Parameters
    ----------
    whole : Schedule
        Of the fit that is made in parts; it remembers nothing.
    done : int
        Epochs that the parts before had.
    epochs : int
        Epochs of the whole fit.
    """

    whole: Schedule
    done: int
    epochs: int

    def factors(self, steps: Steps, span: Span, state: dict[str, Any]) -> Floats:
        """See `Schedule`."""
        an_epoch = span.steps_an_epoch
        whole = Span(self.epochs * an_epoch, an_epoch)
        return self.whole.factors(steps + self.done * an_epoch, whole, state)


def expect_cuttable(schedule: Any) -> None:
    """Raise ValueError for a schedule that depends on more than the step."""
    if schedule is None:
        return
    checked = checked_schedule(schedule)
    if checked.monitor is not None or checked.begin():
        raise ValueError(
            "method='halving' cuts fits into parts, which a schedule that remembers what was "
            f"recorded cannot be; got {shown(schedule)}"
        )


def part_of(schedule: Any, done: int, epochs: int) -> Part | None:
    """What of a schedule comes after `done` of `epochs` epochs; None where there is none."""
    return None if schedule is None else Part(checked_schedule(schedule), done, epochs)
