"""Tables of sizes measured against each other, in turns, and which is faster by more than noise."""

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from fastbp.kernels.machine.sizes import Sizes, using
from fastbp.network import Network
from fastbp.tuning.experiments import Experiment, Work

ROUNDS, SECONDS = 3, 0.05  # of an experiment: at least so many rounds, and so long
FITS = 2  # of a network that are measured, behind one that is not
MARGIN = 1.02  # times as fast a table has to be, and nowhere so much slower


class Training:
    """A training that is measured, with its rows."""

    def __init__(self, work: Work) -> None:
        rng, rows = np.random.default_rng(0), work.batch * work.steps
        self._work = work
        self._X, self._y = (
            rng.standard_normal((rows, width), np.float32)
            for width in (work.widths[0], work.widths[-1])
        )

    def seconds(self, sizes: Sizes) -> float:
        """The least time of some fits of a new network, in memory of its own, by a table."""
        with using(sizes):
            network = Network(self._work.widths, loss="mse", optimizer="adam", rng=0, threads=1)
        times = []
        for _ in range(1 + FITS):
            begin = time.perf_counter()
            network.fit(self._X, self._y, batch_size=self._work.batch, epochs=1, progress=False)
            times.append(time.perf_counter() - begin)
        return min(times[1:])


Measure = Callable[[Work, Sizes], float]


def best(experiment: Experiment, sizes: Sizes, measure: Measure) -> Sizes:
    """The table that wins: this one, unless a candidate is faster by more than noise, twice."""
    candidates = experiment.candidates(sizes)
    gains = _gains(experiment.works, sizes, candidates, measure)
    if not gains or max(gains) < MARGIN:
        return sizes
    winner = candidates[gains.index(max(gains))]
    (again,) = _gains(experiment.works, sizes, [winner], measure)
    return winner if again >= MARGIN else sizes


def _gains(
    works: Sequence[Work], sizes: Sizes, candidates: Sequence[Sizes], measure: Measure
) -> list[float]:
    """How many times as fast each candidate is, less the noise; 0 where a work is slower.

    The present table runs twice: by how much these two differ is noise.
    """
    one, other, *times = _compare(works, [sizes, sizes, *candidates], measure)
    noise = max(max(a / b, b / a) for a, b in zip(one, other, strict=True))
    now = [min(both) for both in zip(one, other, strict=True)]
    gains = []
    for its in times:
        ratios = [a / b for a, b in zip(now, its, strict=True)]
        slower = min(ratios) < 1 / MARGIN
        gains.append(0.0 if slower else math.prod(ratios) ** (1 / len(ratios)) / noise)
    return gains


def _compare(works: Sequence[Work], tables: Sequence[Sizes], measure: Measure) -> list[list[float]]:
    """The least seconds of each table in each work; tables take turns."""
    least = [[math.inf] * len(works) for _ in tables]
    begin, rounds = time.perf_counter(), 0
    while rounds < ROUNDS or time.perf_counter() - begin < SECONDS:
        for times, sizes in zip(least, tables, strict=True):
            for number, work in enumerate(works):
                times[number] = min(times[number], measure(work, sizes))
        rounds += 1
    return least
