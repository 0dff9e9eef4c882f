"""What calling a team of threads costs, and how much of a long fit's pace short calls keep.

``python benchmarks/teams.py`` prints microseconds of an epoch or a call by numbers of threads:
in a long fit, in fits of one epoch one behind the other (the threads of the last are still awake)
and at intervals (they sleep), in fits with a callback and with validation, and of ``predict``. The
best of many, all numbers of threads in turn. ``--markdown`` prints a table for a README.
"""

import argparse
import platform
import time
from dataclasses import replace

import numba
import numpy as np
from suite.workloads import WORKLOADS

import fastbp
from fastbp.callbacks import Callback
from fastbp.system import processor

ROWS = {"expm": 10_000, "digits": 1797, "rl": 2048}
EPOCHS = 40  # of a long fit
APART = 0.003  # seconds between calls at intervals
SECONDS = 0.1  # of a measurement in each round


class Nothing(Callback):
    """A callback that the fit has to call."""

    def on_epoch_end(self, fit):
        pass


def seconds(call, pause=0.0):
    """Of the fastest of some calls."""
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        if pause:
            time.sleep(pause)
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def measures(workload, rows, threads):
    """{what: a function that returns its seconds} for a network of this workload."""
    batch = min(workload.batch_size, rows)
    X, y = replace(workload, batch_size=rows, steps=1).data()
    network = workload.network(threads)
    few = X[:1000], y[:1000]

    def fit(epochs=1, **more):
        network.fit(X, y, epochs=epochs, batch_size=batch, progress=False, **more)

    return {
        "a long fit's epoch": lambda: seconds(lambda: fit(EPOCHS)) / EPOCHS,
        "with a callback": lambda: seconds(lambda: fit(EPOCHS, callbacks=[Nothing()])) / EPOCHS,
        "with validation": lambda: seconds(lambda: fit(EPOCHS, validation_data=few)) / EPOCHS,
        "`fit(epochs=1)`": lambda: seconds(fit),
        "`fit(epochs=1)`, 3 ms apart": lambda: seconds(fit, APART),
        "`predict`": lambda: seconds(lambda: network.predict(X)),
        "`predict`, 3 ms apart": lambda: seconds(lambda: network.predict(X), APART),
    }


def measure(name, counts, rounds):
    """{what: microseconds for each number of threads}, the best of some rounds."""
    columns = [measures(WORKLOADS[name], ROWS[name], threads) for threads in counts]
    best = {what: np.full(len(counts), np.inf) for what in columns[0]}
    for _ in range(rounds):
        for what, found in best.items():
            for number, column in enumerate(columns):
                found[number] = min(found[number], 1e6 * column[what]())
    return best


def numbers_of_threads():
    """1, 2, 4 ... up to the cores of this machine, and as many as help."""
    from fastbp.kernels.machine.cores import available_cores

    return [*(2**n for n in range(available_cores().bit_length())), None]


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--markdown", action="store_true", help="print tables in Markdown")
    arguments = parser.parse_args()
    print(
        f"{processor()}, {platform.system()}, Python {platform.python_version()}, fastbp "
        f"{fastbp.__version__}, numba {numba.__version__}, {time.strftime('%Y-%m-%d')}"
    )
    counts = numbers_of_threads()
    heads = ["as many as help" if count is None else str(count) for count in counts]
    for name in arguments.only:
        layers = "-".join(map(str, WORKLOADS[name].layers))
        title = f"{name}, {layers}, {ROWS[name]} rows: us with threads ="
        found = measure(name, counts, arguments.rounds)
        if arguments.markdown:
            print(f"\n| {title} | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
            for what, times in found.items():
                print(f"| {what} |", " | ".join(f"{us:.0f}" for us in times), "|")
        else:
            print(f"\n{title:60}", *(f"{head:>16}" for head in heads))
            for what, times in found.items():
                print(f"{what:60}", *(f"{us:16.1f}" for us in times))


if __name__ == "__main__":
    main()
