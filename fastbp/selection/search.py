"""Search: configurations trained rung by rung, and those that are no longer needed forgotten."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastbp.history import History
from fastbp.history.monitoring import Monitor
from fastbp.many.arguments import naming
from fastbp.network import Network
from fastbp.schedules.base import checked_schedule
from fastbp.selection.halving import Rung, expect_cuttable, part_of
from fastbp.selection.making import Maker, told
from fastbp.selection.results import Configuration, Sweep, ranked, swept
from fastbp.selection.space import Parameters, parted
from fastbp.selection.trials import Trials, failure_of
from fastbp.validation import outside

AT_ONCE = 1 << 28  # bytes of parameters and optimizers that are trained in one call of fit_many
OVERHEAD = 1 << 14  # bytes that a network has besides, measured
KIND = "configuration"


class Search:
    """The networks of a sweep.

    Parameters
    ----------
    trials : Trials
        How networks are fitted and judged.
    maker : Maker
        What makes them.
    seeds : sequence of int
        Of the networks of each configuration: all folds, once for each repetition.
    parameters : sequence of dict
        The configurations.
    rungs : sequence of Rung
        How far they are trained.
    options : mapping
        What the fit of each configuration gets that has no option of its own.
    monitor : Monitor
        By what they are ranked.
    refits : bool
        Whether the best is going to be fitted to all rows.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        An argument that cannot be used, or a configuration, which the message names.
    """

    def __init__(
        self,
        trials: Trials,
        maker: Maker,
        seeds: Sequence[int],
        parameters: Sequence[Parameters],
        rungs: Sequence[Rung],
        options: Mapping[str, Any],
        monitor: Monitor,
        refits: bool,
    ) -> None:
        self._trials, self._maker, self._seeds = trials, maker, seeds
        self._rungs, self._options, self._monitor = rungs, options, monitor
        self._refits = refits
        self._all = [Configuration(number, one) for number, one in enumerate(parameters)]
        self._folds = trials.folds * (len(seeds) // len(trials.folds))
        for configuration in self._all:
            self._check(configuration)
        self._check_folds()
        trials.forget()

    def _check(self, configuration: Configuration) -> None:
        """See that its networks can be made and fitted, and its quantities are measured."""
        own, network = self._options_of(configuration), self._made(configuration, 0)
        with naming(told(configuration.number, configuration.parameters), KIND):
            names = self._trials.quantities(network, self._folds[0], own, whole=True)
            self._expect_recorded(names)
            self._expect_schedule(own["schedule"])
        configuration.names = names

    def _check_folds(self) -> None:
        """See that the folds have the rows that a fit needs, once for each `class_weight`."""
        checked = set()
        for one in self._all:
            own = self._options_of(one)
            if id(own["class_weight"]) in checked:
                continue
            checked.add(id(own["class_weight"]))
            for number, fold in enumerate(self._trials.folds):
                network = self._made(one, number)
                with naming(told(one.number, one.parameters), KIND), naming(number, "fold"):
                    self._trials.quantities(network, fold, own)

    def _expect_recorded(self, names: Sequence[str]) -> None:
        monitor = self._monitor.name
        if monitor in names:
            return
        hint = ""
        if monitor.startswith("val_") and not any(name.startswith("val_") for name in names):
            hint = "; no rows are held out: give cv, validation_split or validation_data"
        raise ValueError(
            f"monitor={monitor!r} is not measured; there are {', '.join(map(repr, names))}{hint}"
        )

    def _expect_schedule(self, schedule: Any) -> None:
        if len(self._rungs) > 1:
            expect_cuttable(schedule)
        watched = None if schedule is None else checked_schedule(schedule).monitor
        if self._refits and watched is not None and watched.startswith("val_"):
            raise ValueError(
                f"schedule watches {watched!r}, which there is not when the best is fitted to all "
                "rows: watch 'loss', or give refit=False"
            )

    def _options_of(self, configuration: Configuration) -> dict[str, Any]:
        """The options of its whole fit that may be its own."""
        return {**self._options, **parted(configuration.parameters)[1]}

    def _made(self, configuration: Configuration, number: int) -> Network:
        parameters, _ = parted(configuration.parameters)
        who = told(configuration.number, configuration.parameters)
        return self._maker.network(self._seeds[number], parameters, who, KIND)

    def run(self) -> None:
        """Train all, rung by rung."""
        left = self._all
        for number in range(len(self._rungs)):
            later = self._rungs[number + 1 :]
            left = self._climb(left, number, later[0].configurations if later else 0)

    def _climb(self, some: Sequence[Configuration], rung: int, keep: int) -> list[Configuration]:
        """Train configurations up to a rung; returns the best, which keep their networks."""
        done: list[Configuration] = []
        for portion in self._portions(some):
            self._train(portion, rung)
            done = ranked([*done, *portion], self._monitor)
            for one in done[keep:]:
                one.networks = []
        return [one for one in done[:keep] if math.isfinite(one.mean(self._monitor.name))]

    def _portions(self, some: Sequence[Configuration]) -> Iterator[list[Configuration]]:
        """As many at a time as memory is given to, with their networks."""
        portion, size = [], 0
        for one in some:
            if not one.networks:
                one.networks = [self._made(one, number) for number in range(len(self._seeds))]
            portion.append(one)
            size += sum(network._core.engine.state.nbytes + OVERHEAD for network in one.networks)
            if size >= AT_ONCE:
                yield portion
                portion, size = [], 0
        if portion:
            yield portion

    def _train(self, portion: Sequence[Configuration], rung: int) -> None:
        """Train them up to a rung, and note what came of it."""
        own = [self._options_up_to(one, rung) for one in portion]
        each_own = [options for options in own for _ in self._seeds]
        networks = [network for one in portion for network in one.networks]
        try:
            histories = self._trials.fit(networks, self._folds * len(portion), each_own)
        except BaseException as error:
            histories = getattr(error, "histories", None) or [None] * len(networks)
            ended = [
                history is not None and _has_ended(history, options["epochs"])
                for history, options in zip(histories, each_own, strict=True)
            ]
            self._note(portion, histories, ended, rung)
            raise
        self._note(portion, histories, [True] * len(networks), rung)

    def _options_up_to(self, configuration: Configuration, rung: int) -> dict[str, Any]:
        """The options of its fit from where it is up to a rung."""
        own, done = self._options_of(configuration), configuration.epochs
        if len(self._rungs) == 1:
            return own
        return {
            **own,
            "epochs": self._rungs[rung].epochs - done,
            "schedule": part_of(own["schedule"], done, own["epochs"]),
        }

    def _note(
        self,
        portion: Sequence[Configuration],
        histories: Sequence[Any],
        ended: Sequence[bool],
        rung: int,
    ) -> None:
        """Note scores, epochs and failures of the configurations of which all fits have ended."""
        count = len(self._seeds)
        whole = [k for k in range(len(portion)) if all(ended[k * count : (k + 1) * count])]
        if not whole:
            return
        noted = [portion[k] for k in whole]
        own = [history for k in whole for history in histories[k * count : (k + 1) * count]]
        scores = self._trials.scores(
            [network for one in noted for network in one.networks],
            self._folds * len(noted),
            own,
            [one.names for one in noted for _ in self._seeds],
        )
        for k, one in enumerate(noted):
            its = slice(k * count, (k + 1) * count)
            one.scores, one.rung = scores[its], rung
            one.epochs += round(sum(history.epochs for history in own[its]) / count)
            failures = [failure_of(history) for history in own[its] if history.failure is not None]
            one.failure = failures[0] if failures else None

    def result(self, best: Network | None = None) -> Sweep:
        """What there is by now."""
        return swept(self._all, self._monitor, self._seeds, best)

    def failures(self) -> list[str]:
        """Which configurations have failed, and how."""
        return [
            f"{told(one.number, one.parameters)}: {one.failure}"
            for one in self._all
            if one.failure is not None
        ]

    def refitted(self, progress: bool | None) -> Network | None:
        """The best configuration, fitted to all rows; None where there is none, or it fails."""
        best = ranked(self._all, self._monitor)[0]
        if not math.isfinite(best.mean(self._monitor.name)):
            return None
        own, network = self._options_of(best), self._made(best, 0)
        if best.epochs != own["epochs"] and own["schedule"] is not None:
            schedule = checked_schedule(own["schedule"])
            if not schedule.begin():  # its shape is that of the whole fit
                own["schedule"] = part_of(schedule, 0, own["epochs"])
        own |= {"epochs": max(best.epochs, 1), "tol": None}
        try:
            self._trials.fit_all(network, own, progress)
        except Exception as error:  # noqa: BLE001 - what was found by then is worth more
            warnings.warn(
                f"the best configuration, {told(best.number, best.parameters)}, has failed on all "
                f"rows: {type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=outside(),
            )
            return None
        return network


def _has_ended(history: History, epochs: int) -> bool:
    """Whether a fit, of several that were interrupted, had come to its end."""
    ended = history.failure is not None or history.stopped is not None
    return ended or history.epochs == epochs
