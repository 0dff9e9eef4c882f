"""How many threads a fit takes by itself, and what others would take.

``python benchmarks/threads.py`` prints microseconds of a step in long fits with 1, 2, 4 ... threads
(as many as there are cores at the most) and with ``threads=None``; how many that took; and how many
times the best count's time that count takes. ``--random N`` adds N shapes that nobody tuned. All
counts in turn, the best of some rounds.
"""

import argparse
import platform
import shlex
import sys
import time
from dataclasses import replace

import numba
import numpy as np
from cliffs import random_cell
from race import positive, whole
from suite.workloads import WORKLOADS, Workload
from teams import numbers_of_threads

import fastbp
from fastbp.system import processor

MORE = {"mlp512, 1024": replace(WORKLOADS["mlp512"], batch_size=1024, steps=8)}
MOST_ROWS, MOST_STEPS = 20_000, 64  # of an epoch of a random shape
MOST_FLOPS = 4e9  # of its step


class Fits:
    """Long fits of one workload on so many threads."""

    def __init__(self, workload, threads, seconds):
        self.workload, self.network = workload, workload.network(threads)
        self.data = workload.data()
        self._run(1)  # compiles, and touches the memory
        self.epochs = max(1, round(seconds / self._run(1)))

    def _run(self, epochs):
        start = time.perf_counter()
        batch = self.workload.batch_size
        self.network.fit(*self.data, epochs=epochs, batch_size=batch, progress=False)
        return time.perf_counter() - start

    def seconds(self):
        """Train; return the seconds of a step."""
        return self._run(self.epochs) / (self.epochs * self.workload.steps)

    def team(self):
        """How many threads the last fit had."""
        plans = self.network._core.engine._memory.plans
        return next(plan.program.team for kind, plan in plans.items() if kind.training)


def random_shapes(count, seed, **given):
    """{name: workload}: shapes with everything drawn that is not given."""
    rng = np.random.default_rng(seed)
    cells = [random_cell(rng, MOST_FLOPS, **given) for _ in range(count)]
    steps = [max(1, min(MOST_ROWS // cell.batch_size, MOST_STEPS)) for cell in cells]
    return {str(cell): replace(cell, steps=n) for cell, n in zip(cells, steps, strict=True)}


def measure(workload: Workload, counts, seconds, rounds):
    """({count: seconds of a step}, how many threads None took)."""
    fits = {count: Fits(workload, count, seconds) for count in counts}
    best = dict.fromkeys(counts, float("inf"))
    for _ in range(rounds):
        for count, fit in fits.items():
            best[count] = min(best[count], fit.seconds())
    return best, fits[None].team() if None in fits else None


def loss(times, chosen):
    """How many times the best count's seconds the chosen one takes.

    A count that was not measured takes as long as the worse of those around it.
    """
    measured = sorted(count for count in times if count is not None)
    below = max(count for count in measured if count <= chosen)
    above = min((count for count in measured if count >= chosen), default=below)
    return max(times[below], times[above]) / min(times[count] for count in measured)


def main(arguments):
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="threads.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*WORKLOADS, *MORE]
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    parser.add_argument("--random", type=int, default=0, metavar="N", help="shapes; 0")
    parser.add_argument("--seed", type=whole, default=1, metavar="N", help="of --random; 1")
    parser.add_argument("--seconds", type=positive, default=0.05, help="of a fit; 0.05")
    parser.add_argument("--rounds", type=whole, default=5)
    options = parser.parse_args(arguments)
    counts = numbers_of_threads()
    print(
        f"{processor()}, {counts[-2]} threads at most, {platform.system()}, Python "
        f"{platform.python_version()}, fastbp {fastbp.__version__}, numba {numba.__version__}, "
        f"{time.strftime('%Y-%m-%d')}; python benchmarks/threads.py {shlex.join(arguments)}\n"
    )
    print(f"| us a step on | {' | '.join(map(str, counts))} | None took | to the best |")
    print("|---" * (len(counts) + 3) + "|")
    chosen = {name: (WORKLOADS | MORE)[name] for name in options.only}
    for name, workload in (chosen | random_shapes(options.random, options.seed)).items():
        times, took = measure(workload, counts, options.seconds, options.rounds)
        cells = [f"{1e6 * seconds:.1f}" for seconds in times.values()]
        print(f"| {name} | {' | '.join(cells)} | {took} | {loss(times, took):.2f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
