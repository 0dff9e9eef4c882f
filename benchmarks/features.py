"""What the features of training cost: each beside a plain fit, in one run.

``taskset -c 0 python benchmarks/features.py`` trains the mnist workload with one feature at a
time, in turn, and prints the time of a step and its ratio to the plain fit's. ``--markdown``
prints the table as Markdown.
"""

import argparse
import platform
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numba
import numpy as np
from suite.workloads import WORKLOADS

import fastbp
from fastbp import callbacks, schedules
from fastbp.kernels.machine.peak import fma_peak
from fastbp.system import processor

SECONDS = 0.15  # a fit lasts about as long


class EveryStep(callbacks.Callback):
    """A callback that is called after each step and does nothing."""

    def on_step_end(self, fit):
        """Do nothing."""


@dataclass
class Feature:
    """One line of the table: what is given to the network and to its fit besides the plain."""

    name: str
    network: dict[str, Any] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)
    X: Any = None
    y: Any = None


def features(workload, folder):
    """All lines but the plain ones; `folder`: where callbacks may write."""
    X, y = workload.data()
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.5, 1.5, len(y))
    classes = {label: 1.0 + label / 10 for label in range(workload.layers[-1])}
    bytes_ = rng.integers(0, 256, X.shape, dtype=np.uint8)
    gaps = np.where(rng.random(len(y)) < 0.1, np.nan, y)
    total = 10_000 * workload.steps  # steps: longer than any fit here
    return [
        Feature("schedule (cosine)", fit={"schedule": schedules.Cosine(total)}),
        Feature("l2", {"l2": 1e-4}),
        Feature("l1 and l2", {"l1": 1e-5, "l2": 1e-4}),
        Feature("AdamW", {"optimizer": "adamw"}),
        Feature("max_norm", {"max_norm": 3.0}),
        Feature("clip_value", {"clip_value": 0.1}),
        Feature("clip_norm", {"clip_norm": 1.0}),
        Feature("dropout 0.2", {"dropout": 0.2}),
        Feature("sample_weight", fit={"sample_weight": weights}),
        Feature("class_weight", fit={"class_weight": classes}),
        Feature("mask_nan, a tenth masked", fit={"mask_nan": True}, y=gaps),
        Feature("bytes, scaling 1/255", {"scaling": 1 / 255}, X=bytes_),
        Feature('scaling="standard"', {"scaling": "standard"}),
        Feature("validation_data, a tenth", fit={"validation_data": (X[::10], y[::10])}),
        Feature("CSVLog", fit={"callbacks": [callbacks.CSVLog(folder / "log.csv")]}),
        Feature("Checkpoint each epoch", fit={"callbacks": [callbacks.Checkpoint(folder / "c")]}),
        Feature("on_step_end", fit={"callbacks": [EveryStep()]}),
    ]


class Trainer:
    """A network with one feature, in training.

    Parameters
    ----------
    workload : Workload
        The network and the batch.
    feature : Feature
        What is on.
    threads : int
        As of `fastbp.Network`.
    """

    def __init__(self, workload, feature, threads):
        X, y = workload.data()
        self.workload, self.feature = workload, feature
        self.data = (
            X if feature.X is None else feature.X,
            y if feature.y is None else feature.y,
        )
        settings = {"loss": workload.loss, "optimizer": workload.optimizer, **feature.network}
        self.network = fastbp.Network(
            list(workload.layers), workload.activation, rng=0, threads=threads, **settings
        )
        self.run(1)  # compiles, and touches the memory
        self.epochs = max(2, round(SECONDS / (self.run(2) * workload.steps)))

    def run(self, epochs):
        """Train; returns seconds a step."""
        start = time.perf_counter()
        self.network.fit(
            *self.data, epochs, self.workload.batch_size, progress=False, **self.feature.fit
        )
        return (time.perf_counter() - start) / (epochs * self.workload.steps)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workload", choices=list(WORKLOADS), default="mnist")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    workload = WORKLOADS[arguments.workload]
    with tempfile.TemporaryDirectory() as folder:
        lines = [Feature("plain fit"), *features(workload, Path(folder))]
        trainers = [Trainer(workload, line, arguments.threads) for line in lines]
        times = [[] for _ in trainers]
        for _ in range(arguments.rounds):
            for trainer, taken in zip(trainers, times, strict=True):
                taken.append(trainer.run(trainer.epochs))
    best = [min(taken) for taken in times]
    if arguments.markdown:
        print("| feature | us a step | ratio |\n|---|---|---|")
    for line, seconds in zip(lines, best, strict=True):
        cells = line.name, f"{seconds * 1e6:.4g}", f"{seconds / best[0]:.2f}"
        if arguments.markdown:
            print("| " + " | ".join(cells) + " |")
        else:
            print(f"{cells[0]:26} {cells[1]:>8} {cells[2]:>6}")
    shape = "-".join(str(width) for width in workload.layers)
    print(
        f"\n{processor()}, {platform.system()}, Python {platform.python_version()}, fastbp "
        f"{fastbp.__version__}, numba {numba.__version__}; {shape}, batch {workload.batch_size}, "
        f"{arguments.threads} threads, best of {arguments.rounds} rounds, FMA peak "
        f"{fma_peak():.0f} GFLOP/s a core, {time.strftime('%Y-%m-%d')}"
    )


if __name__ == "__main__":
    main()
