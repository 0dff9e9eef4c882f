"""Products of bfloat16: speed beside PyTorch's and JAX's, and what they cost in accuracy.

``python benchmarks/bfloat16.py`` trains the two large workloads with each contender that is
installed, in turn and on the same cores, and prints microseconds a step (best, and median of the
rounds), the share of the cores' float32 peak, and the loss after the same steps. ``--accuracy``
trains on scikit-learn's digits, and on Fashion-MNIST where ``--fashion`` names the folder with its
four ``.gz`` files, in float32 and with products of bfloat16, from the same weights.
"""

import argparse
import contextlib
import gzip
import sys
import time
from pathlib import Path

import numpy as np
import race_report
from contenders import ROUNDED
from contenders.process import Worker, WorkerError, cores, pin
from suite.workloads import WORKLOADS

import fastbp
from fastbp.kernels.machine.peak import fma_peak

SEEDS = 5


def parse(arguments):
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="bfloat16.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=["mlp512", "wide"])
    parser.add_argument("--contenders", nargs="+", choices=ROUNDED, default=list(ROUNDED))
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    parser.add_argument("--seconds", type=float, default=0.5, help="of a round")
    parser.add_argument("--accuracy", action="store_true", help="train on data sets instead")
    parser.add_argument("--fashion", type=Path, metavar="FOLDER", help="of Fashion-MNIST's files")
    options = parser.parse_args(arguments)
    if not 0 < options.threads <= len(cores()):
        parser.error(f"argument --threads: {options.threads} given, 1 to {len(cores())} accepted")
    if options.rounds < 1 or not options.seconds > 0:
        parser.error("arguments --rounds and --seconds must be above 0")
    return options


def race(name, names, options):
    """Print a table of one workload; returns whether all contenders trained."""
    workload, rounds, losses, failed = WORKLOADS[name], {}, {}, []
    check = max(1, round(20 / workload.steps))
    with contextlib.ExitStack() as stack:
        workers, epochs = {}, {}
        for contender in names:
            worker = stack.enter_context(Worker(contender, options.threads))
            try:
                worker.prepare(workload)
                worker.run(check)  # compiles, too
                losses[contender] = worker.loss()
                epochs[contender] = max(1, round(options.seconds / worker.run(1)))
            except WorkerError as error:
                failed.append(f"{ROUNDED[contender].title}: {error}")
            else:
                workers[contender], rounds[contender] = worker, []
        peak = fma_peak()
        for turn in range(options.rounds):
            racing = list(workers)
            first = turn % max(1, len(racing))
            for contender in racing[first:] + racing[:first]:
                seconds = workers[contender].run(epochs[contender])
                rounds[contender].append(seconds / (epochs[contender] * workload.steps))
        peak = max(peak, fma_peak())
    print(f"| {name}: {race_report.describe(workload)} | us a step | share | loss |")
    print("|---|---|---|---|")
    for contender, times in rounds.items():
        share = workload.flops / (min(times) * peak * 1e9 * options.threads)
        median = race_report.microseconds(float(np.median(times)))
        print(
            f"| {ROUNDED[contender].title} | {race_report.microseconds(min(times))} ({median}) | "
            f"{share:.0%} | {losses[contender]:.4f} |"
        )
    print(
        f"\nThe peak is {peak:.0f} GFLOP/s a core; losses are those after {check} epochs.", *failed
    )
    print(flush=True)
    return not failed


def digits():
    """Return scikit-learn's digits: pixels, classes, and how many rows are for training."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    return (X[order] * 16).clip(0, 255).astype(np.uint8), y[order], 1437


def fashion(folder):
    """Return Fashion-MNIST: pixels, classes, and how many rows are for training."""
    read = {}
    for kind, header in (("images-idx3", 16), ("labels-idx1", 8)):
        for part in ("train", "t10k"):
            content = gzip.decompress((folder / f"{part}-{kind}-ubyte.gz").read_bytes())
            read[part, kind] = np.frombuffer(content, np.uint8, offset=header)
    X = np.concatenate([read[part, "images-idx3"].reshape(-1, 784) for part in ("train", "t10k")])
    y = np.concatenate([read[part, "labels-idx1"] for part in ("train", "t10k")])
    return X, y, len(read["train", "labels-idx1"])


def accuracy(options):
    """Print what rounding costs in held-out accuracy."""
    sets = {"digits": ([64, 100, 10], 100, digits())}
    if options.fashion is not None:
        sets["Fashion-MNIST"] = [784, 256, 128, 10], 20, fashion(options.fashion)
    print("| | float32 | products of bfloat16 |\n|---|---|---|")
    for name, (layers, epochs, (X, y, rows)) in sets.items():
        cells = []
        for products in (None, "bfloat16"):
            found = []
            for seed in range(SEEDS):
                net = fastbp.Network(
                    layers, loss="cross_entropy", scaling=1 / 255, rng=seed, products=products
                )
                net.fit(X[:rows], y[:rows], epochs=epochs, batch_size=128, progress=False)
                found.append(
                    (net.evaluate(X[rows:], y[rows:])["accuracy"], net.history["loss"][-1])
                )
            right, loss = np.transpose(found)
            cells.append(f"{right.mean():.2%} ± {right.std(ddof=1):.2%}, {loss.mean():.4f}")
        widths = "-".join(map(str, layers))
        print(f"| {name}, {widths}, {epochs} epochs | {' | '.join(cells)} |", flush=True)
    print(f"\nHeld-out accuracy and its deviation over {SEEDS} seeds, and the last epoch's loss.\n")


def main(arguments):
    """Print the tables, and return the exit code."""
    options = parse(arguments)
    names = [name for name in options.contenders if not ROUNDED[name].absent()]
    packages = ["numpy", *(package for name in names for package in ROUNDED[name].packages)]
    about = race_report.machine(packages, options.threads, pin(options.threads))
    whole = True
    if options.accuracy or options.fashion is not None:
        accuracy(options)
    else:
        whole = min([race(name, names, options) for name in options.only])
    print(f"{about}; {time.strftime('%Y-%m-%d')}, by `python benchmarks/bfloat16.py", end="")
    print(*["", *arguments], end="`.\n")
    return int(not whole)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
