"""What a race found, as text: a block for each workload, and README's table."""

import math
import platform
import statistics
from dataclasses import dataclass, field

from contenders import CONTENDERS, version
from suite.workloads import Workload

import fastbp
from fastbp.system import processor

TOLERANCE = 0.01  # of the median of all final losses
REFERENCE = "fastbp"


@dataclass
class Result:
    """The times and losses of all contenders in one workload, by their names."""

    name: str
    workload: Workload
    threads: int
    peak: float  # GFLOP/s of one core
    steps: int  # after which the losses are compared
    losses: dict[str, float] = field(default_factory=dict)
    rounds: dict[str, list[float]] = field(default_factory=dict)  # seconds of a step
    impossible: dict[str, str] = field(default_factory=dict)  # why
    failed: dict[str, str] = field(default_factory=dict)  # how

    def best(self, name):
        """Seconds of a step in the contender's best round; None where it has none."""
        return min(self.rounds[name]) if name in self.rounds else None

    @property
    def best_peer(self):
        """The fastest contender that is not fastbp; None where there is none."""
        return min((name for name in self.rounds if name != REFERENCE), key=self.best, default=None)

    @property
    def ratio(self):
        """Best round of the best peer over fastbp's; None where one of them is missing."""
        if self.best_peer is None or REFERENCE not in self.rounds:
            return None
        return self.best(self.best_peer) / self.best(REFERENCE)

    @property
    def floor(self):
        """Seconds that the matrix products of a step take at the peak of the cores used."""
        return self.workload.flops / (self.peak * 1e9 * self.threads)

    @property
    def median_loss(self):
        """The median of all final losses that are finite; NaN where there is none."""
        finite = filter(math.isfinite, self.losses.values())
        return statistics.median([*finite] or [math.nan])

    def difference(self, name):
        """The final loss's distance from the median, as a share of the median."""
        return abs(self.losses[name] - self.median_loss) / self.median_loss

    def disagreeing(self):
        """The contenders whose final loss is not within TOLERANCE; NaN is not."""
        return [name for name in self.losses if not self.difference(name) <= TOLERANCE]


def machine(packages, threads, pinned):
    """Return the processor, the cores used, and the versions of fastbp and of `packages`."""
    versions = [f"fastbp {fastbp.__version__}"]
    versions += [f"{package} {version(package)}" for package in dict.fromkeys(packages)]
    where = f"core {', '.join(map(str, pinned))}" if pinned else "not pinned"
    return (
        f"{processor()}, {platform.system()}, {threads} thread{'s' * (threads > 1)} ({where}); "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def describe(workload):
    """Return a workload in a few words."""
    widths, loss = "-".join(map(str, workload.layers)), workload.loss.replace("_", "-")
    return (
        f"{widths} {workload.activation}, {loss}, {workload.optimizer}, batch {workload.batch_size}"
    )


def microseconds(seconds):
    """Return a time in us with three digits, or all before the point."""
    us = seconds * 1e6
    return f"{us:#.3g}" if us < 99.95 else f"{us:.0f}"


def block(result):
    """Return the lines of one workload."""
    lines = [
        f"{result.name}: {describe(result.workload)}; "
        f"floor {microseconds(result.floor)} us, peak {result.peak:.0f} GFLOP/s a core",
        f"  {'':14} {'best us':>9} {'median':>9} {'of peak':>8} {'/ fastbp':>9}  "
        f"loss after {result.steps} steps",
    ]
    ours = result.best(REFERENCE)
    for name, times in result.rounds.items():
        best, median = min(times), statistics.median(times)
        ratio = "-" if ours is None else f"{best / ours:.2f}"
        wrong = "  DISAGREES" if name in result.disagreeing() else ""
        lines.append(
            f"  {CONTENDERS[name].title:14} {microseconds(best):>9} {microseconds(median):>9} "
            f"{100 * result.floor / best:6.1f} % {ratio:>9}  {result.losses[name]:.6g}{wrong}"
        )
    lines += [f"  {CONTENDERS[name].title:14} {how}" for name, how in missing(result)]
    return lines


def missing(result):
    """Return (name, how it failed or why it is not possible) of those without rounds."""
    return [
        *((name, f"not possible: {why}") for name, why in result.impossible.items()),
        *((name, f"FAILED: {how}") for name, how in result.failed.items()),
    ]


def table(results, names):
    """Return README's table, in Markdown."""
    titles = [CONTENDERS[name].title for name in names]
    rows = [["workload", "network", *titles, "best peer / fastbp", "fastbp's share of peak"]]
    rows.append(["---"] * len(rows[0]))
    for result in results:
        cells = [
            f"{microseconds(min(times))} ({microseconds(statistics.median(times))})"
            if (times := result.rounds.get(name))
            else "-"
            for name in names
        ]
        ours = result.best(REFERENCE)
        ratio = "-" if result.ratio is None else f"**{result.ratio:.2f}**"
        share = "-" if ours is None else f"{100 * result.floor / ours:.1f} %"
        rows.append([result.name, describe(result.workload), *cells, ratio, share])
    return [f"| {' | '.join(row)} |" for row in rows]


def notes(results):
    """Return lines on the peak, and why a contender is missing in some workloads."""
    where = {}
    for result in results:
        for found in missing(result):
            where.setdefault(found, []).append(result.name)
    peaks = [result.peak for result in results]
    return [
        f"FMA peak {min(peaks):.0f} to {max(peaks):.0f} GFLOP/s a core, measured at each workload.",
        *(
            f"{CONTENDERS[name].title} in {', '.join(workloads)}: {how}."
            for (name, how), workloads in where.items()
        ),
    ]


def agreement(results):
    """Return one line for each loss that disagrees, or one that says that all agree."""
    wrong = [
        f"DISAGREES: {CONTENDERS[name].title} in {result.name}: loss {result.losses[name]:.6g} "
        f"after {result.steps} steps; the median of all is "
        f"{result.median_loss:.6g}, the tolerance {100 * TOLERANCE:g} %."
        for result in results
        for name in result.disagreeing()
    ]
    compared = [(result, name) for result in results for name in result.losses]
    if wrong or not compared:
        return wrong
    result, name = max(compared, key=lambda pair: pair[0].difference(pair[1]))
    steps = " to ".join(map(str, sorted({f(r.steps for r in results) for f in (min, max)})))
    return [
        f"All learn the same: from the same weights, {steps} steps lead to "
        f"losses within {100 * TOLERANCE:g} % of their median (farthest: "
        f"{100 * result.difference(name):.2g} %, {CONTENDERS[name].title} in {result.name})."
    ]
