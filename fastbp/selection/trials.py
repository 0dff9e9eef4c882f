"""Trials: what all networks of a search have in common, and how they are fitted and judged."""

import math
import statistics
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastbp.history import History
from fastbp.many import Each, each, evaluate_many, fit_many
from fastbp.many.shared_rows import SharedRows, Which
from fastbp.many.task import Options, Task, callbacks_of
from fastbp.network import Network
from fastbp.schedules.base import checked_schedule
from fastbp.selection.folds import Fold
from fastbp.validation import flag, shown

Scores = dict[str, float]


class Running(NamedTuple):
    """How the fits run, for `fit_many`."""

    progress: Any
    threads: Any
    workers: Any


class Trials:
    """Data, what is held out of them, and the options that all fits share.

    Parameters
    ----------
    X, y, metrics
        As of `fit_many`.
    folds : sequence of Fold
        Which rows networks are trained on, and which are held out.
    validation_data : tuple or None
        Data that are held out instead.
    options : mapping
        Further arguments of `fit_many`, the same for all networks where a fit has no others.
    validate_epochs : bool or None
        Whether the fits record the quantities of held-out rows; None for where somebody may watch.
    running : Running
        How.

    Raises
    ------
    TypeError
        An argument that cannot be used.
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        folds: Sequence[Fold],
        validation_data: Any,
        metrics: Any,
        options: Mapping[str, Any],
        validate_epochs: Any,
        running: Running,
    ) -> None:
        given = {"X": X, "y": y, "validation_data": validation_data, "metrics": metrics, **options}
        for name, value in given.items():
            if isinstance(value, Each):
                raise TypeError(f"{name} must be the same for all networks, got {shown(value)}")
        callbacks_of(options["callbacks"], 2)  # files that all would write are refused
        self._X, self._y, self.folds = X, y, list(folds)
        self._options = dict(options)
        self._validation_data, self._metrics, self._running = validation_data, metrics, running
        if validate_epochs is not None:
            flag(validate_epochs, "validate_epochs")
        self._validates = validate_epochs
        self._shared = SharedRows([])

    @property
    def _holds_out(self) -> bool:
        return self._validation_data is not None or self.folds[0].test is not None

    def quantities(
        self, network: Network, fold: Fold, own: Mapping[str, Any], whole: bool = False
    ) -> tuple[str, ...]:
        """Check what `fit` would get of a new network; the names of what is measured of it.

        Parameters
        ----------
        network : Network
            It stays as it is.
        fold : Fold
            Which rows it has.
        own : mapping
            The options of its fit that are not those of all.
        whole : bool
            Check with all rows in the place of the fold's, which is faster: nothing is copied.
        """
        options = Options(
            X=self._X,
            y=self._y,
            rows=None if whole else fold.train,
            validation_data=self._validation_data,
            validation_rows=fold.test,
            metrics=self._metrics,
            **{**self._options, **own},
        )
        task = Task(network, options, self._shared)
        task.forget()
        return task.quantities

    def forget(self) -> None:
        """Forget the data that were converted for checks; a fit converts its own."""
        self._shared = SharedRows([])

    def fit(
        self,
        networks: Sequence[Network],
        folds: Sequence[Fold],
        own: Sequence[Mapping[str, Any]],
    ) -> list[History]:
        """Train networks on their folds, with the options of their own besides those of all."""
        own_names = own[0].keys()
        arguments: dict[str, Any] = {**self._options}
        arguments |= {name: each(options[name] for options in own) for name in own_names}
        validates = self._validates
        if validates is None:
            watching = any(self._watched(schedule) for schedule in _values(arguments["schedule"]))
            validates = bool(self._options["callbacks"]) or watching
        if validates:
            arguments["validation_data"] = self._validation_data
            arguments["validation_rows"] = _chosen(fold.test for fold in folds)
        if validates or not self._holds_out:
            arguments["metrics"] = self._metrics
        with warnings.catch_warnings():
            # Whoever calls this knows what the networks are, and tells of failures at the end.
            warnings.filterwarnings("ignore", r"\d+ of \d+ networks failed", RuntimeWarning)
            return fit_many(
                networks,
                self._X,
                self._y,
                rows=_chosen(fold.train for fold in folds),
                **arguments,
                **self._running._asdict(),
            )

    def fit_all(self, network: Network, own: Mapping[str, Any], progress: Any) -> None:
        """Train a network on all rows; `callbacks` are left out."""
        options = {**self._options, **own, "callbacks": ()}
        network.fit(self._X, self._y, progress=progress, **options)

    @staticmethod
    def _watched(schedule: Any) -> str | None:
        """The quantity that a schedule depends on, if there is one."""
        return None if schedule is None else checked_schedule(schedule).monitor

    def held_out(self, networks: Sequence[Network], folds: Sequence[Fold]) -> list[Scores]:
        """What is measured of held-out rows, by the names that `evaluate_many` gives."""
        X, y, weight = self._X, self._y, self._options["sample_weight"]
        if self._validation_data is not None:
            X, y, *given = self._validation_data
            weight = given[0] if given else None
        return evaluate_many(
            networks,
            X,
            y,
            rows=_chosen(fold.test for fold in folds),
            sample_weight=weight,
            mask_nan=self._options["mask_nan"],
            metrics=self._metrics,
            threads=self._running.threads,
        )

    def scores(
        self,
        networks: Sequence[Network],
        folds: Sequence[Fold],
        histories: Sequence[History],
        names: Sequence[Sequence[str]],
    ) -> list[Scores]:
        """What is known of fitted networks, `names` of each; NaN where one has failed."""
        found: list[Scores] = [dict.fromkeys(of_network, math.nan) for of_network in names]
        sound = [k for k, history in enumerate(histories) if history.failure is None]
        for k in sound:
            found[k] |= {name: histories[k].last(name) for name in histories[k]}
        if self._holds_out and sound:
            measured = self.held_out([networks[k] for k in sound], [folds[k] for k in sound])
            for k, quantities in zip(sound, measured, strict=True):
                found[k] |= {f"val_{name}": value for name, value in quantities.items()}
        return found


def _chosen(parts: Iterable[Which | None]) -> Each | None:
    """The rows of each network, or None where all have all of them."""
    chosen = list(parts)
    return None if all(part is None for part in chosen) else each(chosen)


def _values(argument: Any) -> Iterable[Any]:
    """What an argument of several fits is for them."""
    return argument if isinstance(argument, Each) else (argument,)


def deviation(values: Sequence[float]) -> float:
    """The standard deviation by n - 1; NaN of one value, or where one is not finite."""
    if len(values) < 2 or not np.isfinite(values).all():
        return math.nan
    return statistics.stdev(values)


def failure_of(history: History) -> str | None:
    """How a fit has failed, in words."""
    failure = history.failure
    return None if failure is None else f"{type(failure).__name__}: {failure}"
