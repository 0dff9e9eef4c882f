"""What a new process pays before it trains, and what compiling the kernels takes.

``taskset -c 0 python benchmarks/startup.py`` measures, in processes of their own, the import, the
first fit with all kernels in the disk cache and with none, and how the time of compiling divides.
The time of a process counts from before its start to its end, interpreter included.

Columns of the second table, in seconds of one process: LLVM optimizes and makes machine code;
typing, lowering and other are Numba's: type inference, writing LLVM's input, and all else. A
kernel's functions are those that are compiled with it, itself included.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from suite.startup import FIRST_FIT

BENCHMARKS = Path(__file__).resolve().parent
LIMITS = {"import fastbp": 0.45, "first fit, warm cache": 0.8, "first fit, empty cache": 8.0}
IMPORT = """
import time
start = time.perf_counter()
import fastbp
print(time.perf_counter() - start)
"""
SECOND_FIT = """
import time
start = time.perf_counter()
network = fastbp.Network([64, 30, 20, 10], loss="cross_entropy", rng=0)
network.fit(X, y, batch_size=50, progress=False)
print(time.perf_counter() - start)
"""
COMPILE = "import startup; startup.print_compile_times()"


def run(program, cache):
    """Run a program in a new process; return the process's seconds and what it printed."""
    paths = [str(BENCHMARKS), str(BENCHMARKS.parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "FASTBP_CACHE_DIR": str(cache),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, check=True
    )
    return time.perf_counter() - start, done.stdout.decode()


def measure(repeats, cold_repeats):
    """{what: seconds of each process}."""
    seconds = {}
    with tempfile.TemporaryDirectory() as cache:
        run(FIRST_FIT, cache)  # fills the cache and the system's own
        seconds["python, nothing else"] = [run("", cache)[0] for _ in range(repeats)]
        seconds["import fastbp"] = [float(run(IMPORT, cache)[1]) for _ in range(repeats)]
        seconds["first fit, warm cache"] = [run(FIRST_FIT, cache)[0] for _ in range(repeats)]
        seconds["second architecture"] = [
            float(run(FIRST_FIT + SECOND_FIT, cache)[1]) for _ in range(repeats)
        ]
    seconds["first fit, empty cache"] = []
    for _ in range(cold_repeats):
        with tempfile.TemporaryDirectory() as cache:
            seconds["first fit, empty cache"].append(run(FIRST_FIT, cache)[0])
    return seconds


STAGES = ("LLVM", "typing", "lowering", "other")
PASSES = {"nopython_type_inference": "typing", "native_lowering": "lowering"}


def print_compile_times():
    """Run the first fit; print {kernel: {stage: seconds, "functions": count}} as JSON."""
    from numba.core import event

    from fastbp.kernels.machine.jit import Kernel

    kernels, open_spans = {}, []  # a span: its kernel, its stage, when it was entered last

    def charge():
        now = time.perf_counter()
        if open_spans:
            kernel, stage, since = open_spans[-1]
            kernels.setdefault(kernel, Counter())[stage] += now - since
        return now

    def enter(kernel, stage):
        now = charge()
        open_spans.append([kernel, stage, now])

    def leave():
        now = charge()
        open_spans.pop()
        if open_spans:
            open_spans[-1][2] = now

    class Listener(event.Listener):
        def on_start(self, started):
            if open_spans:
                stage = "LLVM"
                if started.kind == "numba:run_pass":
                    stage = PASSES.get(started.data["name"].partition(" ")[0], "other")
                kernel = open_spans[0][0]
                kernels.setdefault(kernel, Counter())["functions"] += stage == "lowering"
                enter(kernel, stage)

        def on_end(self, ended):
            if open_spans:
                leave()

    compiled = Kernel.compiled

    def timed(kernel, dtype="float32"):
        enter(kernel.name, "other")
        try:
            return compiled(kernel, dtype)
        finally:
            leave()

    Kernel.compiled = timed
    for kind in ("numba:run_pass", "numba:llvm_lock"):
        event.register(kind, Listener())
    exec(FIRST_FIT, {})
    print(json.dumps(kernels))


def print_division(kernels):
    """The table of how compiling divides, by kernel and stage."""
    total = Counter()
    for times in kernels.values():
        total.update(times)
    print(f"{'kernel':38} {'seconds':>8}", *(f"{stage:>8}" for stage in (*STAGES, "functions")))
    rows = sorted(kernels.items(), key=lambda row: -sum(row[1].get(s, 0) for s in STAGES))
    for name, times in [*rows, ("all", total)]:
        seconds = [times.get(stage, 0.0) for stage in STAGES]
        print(
            f"{name:38} {sum(seconds):8.2f}",
            *(f"{s:8.2f}" for s in seconds),
            f"{times.get('functions', 0):9d}",
        )


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--cold-repeats", type=int, default=2, help="with an empty cache")
    arguments = parser.parse_args()
    print(f"{'seconds':26} {'best':>8} {'median':>8} {'limit':>8}")
    for name, seconds in measure(arguments.repeats, arguments.cold_repeats).items():
        limit = f"{LIMITS[name]:8.2f}" if name in LIMITS else ""
        print(f"{name:26} {min(seconds):8.3f} {np.median(seconds):8.3f} {limit}")
    print()
    with tempfile.TemporaryDirectory() as cache:
        print_division(json.loads(run(COMPILE, cache)[1]))


if __name__ == "__main__":
    main()
