"""Configurations under way, their order, and what a sweep returns."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastbp.history.monitoring import Monitor
from fastbp.network import Network
from fastbp.selection.space import Parameters
from fastbp.selection.trials import Scores, deviation


@dataclass
class Configuration:
    """Parameters, and what is known of the networks that have them.

    Attributes
    ----------
    networks : list of Network
        Of each fold and repetition; empty before they are made, and when it has been stopped.
    scores : list of dict
        What was measured of each, last.
    epochs : int
        How many they were trained.
    failure : str or None
        How the first one that has failed did so.
    rung : int
        Of successive halving, the last one that it was measured on.
    names : tuple of str
        What is measured of it.
    """

    number: int
    parameters: Parameters
    networks: list[Network] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)
    epochs: int = 0
    failure: str | None = None
    rung: int = 0
    names: tuple[str, ...] = ()

    def mean(self, name: str) -> float:
        """The mean of a quantity over the networks; NaN where one has failed."""
        return float(np.mean([scores[name] for scores in self.scores]))

    def row(self, rank: int, monitor: str) -> dict[str, Any]:
        """What a sweep tells of it."""
        values = {name: [scores[name] for scores in self.scores] for name in self.names}
        return {
            "rank": rank,
            "number": self.number,
            "params": self.parameters,
            "score": self.mean(monitor),
            "std": deviation(values[monitor]),
            "scores": values,
            "epochs": self.epochs,
            "failure": self.failure,
        }


def ranked(configurations: Iterable[Configuration], monitor: Monitor) -> list[Configuration]:
    """Best first: those that were trained longest, by their means; what has failed comes last."""

    def place(one: Configuration) -> tuple[bool, int, float, int]:
        mean = one.mean(monitor.name)
        if not math.isfinite(mean):
            return True, -one.rung, math.inf, one.number
        return False, -one.rung, mean if monitor.mode == "min" else -mean, one.number

    return sorted(configurations, key=place)


@dataclass(frozen=True)
class Sweep:
    """What `sweep` found: a row for each configuration, best first.

    Attributes
    ----------
    monitor, mode : str
        By what configurations are ranked, and whether "min" or "max" is best.
    rows : tuple of dict
        Of each configuration: "rank", from 1; "number", in the order of the space, from 0;
        "params"; "score", the mean of the monitored quantity over folds and repetitions; "std", its
        deviation (by n - 1; NaN of one); "scores", all quantities by their names with a value for
        each network, all folds of the first repetition first; "epochs", how many it was trained;
        "failure", None or how a network has failed. Of a configuration that was stopped early,
        scores are those it had then. Where a score is not finite, it ranks last.
    seeds : tuple of int
        What `make` was called with as `rng`, for each network of any configuration.
    best : Network or None
        The best configuration, fitted to all rows; None without `refit`, where that failed,
        and where no score is finite.
    """

    monitor: str
    mode: str
    rows: tuple[dict[str, Any], ...] = field(repr=False)
    seeds: tuple[int, ...] = field(repr=False)
    best: Network | None = field(repr=False, default=None)

    @property
    def best_params(self) -> Parameters | None:
        """The parameters of the best configuration; None where no score is finite."""
        return dict(self.rows[0]["params"]) if self._any_is_sound else None

    @property
    def best_score(self) -> float:
        """The score of the best configuration; NaN where none is finite."""
        return float(self.rows[0]["score"]) if self._any_is_sound else math.nan

    @property
    def _any_is_sound(self) -> bool:
        return bool(self.rows) and math.isfinite(self.rows[0]["score"])

    def to_frame(self) -> Any:
        """A pandas.DataFrame: a row for each configuration, best first, by its rank.

        Columns are the parameters with "param_" before their names, "score", "std", "epochs",
        "failure", the means of all quantities as "mean_loss" and the like, and the score of each
        network as "score_0" and so on.

        Raises
        ------
        ModuleNotFoundError
            There is no pandas.
        """
        import pandas  # noqa: ICN001 - its whole name reads well beside two uses

        index = pandas.RangeIndex(1, len(self.rows) + 1, name="rank")
        return pandas.DataFrame([self._flat(row) for row in self.rows], index=index)

    def _flat(self, row: dict[str, Any]) -> dict[str, Any]:
        scores = row["scores"]
        return {
            **{f"param_{name}": value for name, value in row["params"].items()},
            **{name: row[name] for name in ("score", "std", "epochs", "failure")},
            **{f"mean_{name}": float(np.mean(values)) for name, values in scores.items()},
            **{f"score_{k}": value for k, value in enumerate(scores[self.monitor])},
        }

    def __repr__(self) -> str:
        shown = f"{len(self.rows)} configurations"
        if self._any_is_sound:
            shown += f"; best: {self.monitor}={self.best_score:.6g} {self.best_params}"
        return f"Sweep({shown})"


def swept(
    configurations: Sequence[Configuration],
    monitor: Monitor,
    seeds: Sequence[int],
    best: Network | None = None,
) -> Sweep:
    """The result of those configurations that were measured."""
    order = ranked([one for one in configurations if one.scores], monitor)
    rows = tuple(one.row(rank, monitor.name) for rank, one in enumerate(order, 1))
    return Sweep(monitor.name, monitor.mode, rows, tuple(seeds), best)
