"""Many networks at once: `fit_many` beside other ways to train networks of one shape.

``python benchmarks/many.py`` trains a thousand networks of each shape, all from weights of their
own and each in its own order of the same rows, in turn by each contender, on the same cores: a
round is 400 steps of each network. It prints networks a second, best of the rounds, as a table in
Markdown. What takes long trains some of the networks, or some of the epochs, and is counted up;
compilation is not timed. Before, all train one epoch, and the losses of the first networks must
agree: the exit code is 1 where they do not. ``--memory`` prints what 10 000 networks hold.
"""

import argparse
import contextlib
import dataclasses
import platform
import resource
import sys
import time

import numpy as np
from contenders import MANY
from contenders.base import COMPARED, NotPossibleError
from contenders.process import Worker, WorkerError, pin
from race import whole
from race_report import machine
from suite.workloads import MANY as WORKLOADS

import fastbp

EPOCHS = 16  # of 25 steps: a round
LONG = 20.0  # seconds: a round that would take longer has fewer epochs
TOLERANCE = 0.01


def measured(workload, names, threads, rounds):
    """Networks a second, and the losses after an epoch, by the names of contenders."""
    found, losses, told = {}, {}, []
    with contextlib.ExitStack() as stack:
        workers, epochs = {}, {}
        for name in names:
            worker = stack.enter_context(Worker(name, threads))
            try:
                worker.prepare(workload)
                worker.run(1)
                losses[name] = worker.loss()
                epochs[name] = int(min(EPOCHS, max(1, LONG / worker.run(1))))
            except (NotPossibleError, WorkerError) as error:
                told.append(f"{MANY[name].title}: {error}")
            else:
                workers[name], found[name] = worker, 0.0
        for _ in range(rounds):
            for name, worker in workers.items():
                count = worker.count()
                rate = count * epochs[name] / EPOCHS / worker.run(epochs[name])
                found[name] = max(found[name], rate)
    return found, losses, told


def table(names, threads, rounds, networks):
    """Print the rates of all workloads; return whether losses agree."""
    agree = True
    titles = [MANY[name].title for name in names]
    print(f"| networks | {' | '.join(titles)} |\n|---|{'---|' * len(names)}")
    notes = []
    for label, workload in WORKLOADS.items():
        workload = dataclasses.replace(workload, networks=networks)
        found, losses, told = measured(workload, names, threads, rounds)
        notes += told
        cells = [f"{found[name]:.4g}" if name in found else "-" for name in names]
        shape = "-".join(map(str, workload.layers))
        print(
            f"| {label}: {shape}, batch {workload.batch_size} | {' | '.join(cells)} |", flush=True
        )
        middle = float(np.median(list(losses.values())))
        for name, loss in losses.items():
            if abs(loss - middle) > TOLERANCE * middle:
                agree = False
                notes.append(
                    f"{label}: {MANY[name].title} learns {loss:.6g}, the median {middle:.6g}"
                )
    print("", *notes, sep="\n")
    return agree


def memory():
    """Print the resident memory that 10 000 networks take, untrained and trained."""
    workload = WORKLOADS["expm"]
    X, y = workload.data()
    fastbp.fit_many([workload.network()], X, y, 1, workload.batch_size)
    before = resident()
    networks = [workload.network(rng=seed) for seed in range(10_000)]
    made = resident()
    fastbp.fit_many(networks, X, y, 1, workload.batch_size)
    held = sum(network._core.engine.state.nbytes for network in networks)
    for what, now in (("made", made), ("trained", resident())):
        print(f"10 000 networks of 4-32-16-4, {what}: {(now - before) / 1e6:.0f} MB")
    print(f"of which parameters and Adam's moments: {held / 1e6:.0f} MB")


def resident():
    """Bytes of this process in memory: now, where the system tells that, or at the most."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if platform.system() == "Darwin" else most * 1024


def main(arguments):
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="many.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=whole, default=1, metavar="N")
    parser.add_argument("--rounds", type=whole, default=3, metavar="N")
    parser.add_argument("--networks", type=whole, default=1000, metavar="N")
    parser.add_argument("--contenders", nargs="+", choices=MANY, default=list(MANY))
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args(arguments)
    if options.memory:
        memory()
        return 0
    pinned = pin(options.threads)
    names = [name for name in MANY if name in options.contenders and not MANY[name].absent()]
    agree = table(names, options.threads, options.rounds, max(COMPARED, options.networks))
    packages = ["numpy", *(package for name in names for package in MANY[name].packages)]
    print(f"{machine(packages, options.threads, pinned)}; float32; {time.strftime('%Y-%m-%d')};")
    print(
        f"networks a second, best of {options.rounds} rounds of 400 steps each by "
        f"`python benchmarks/many.py {' '.join(arguments)}`."
    )
    return int(not agree)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
