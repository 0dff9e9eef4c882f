"""How close training comes to the floating-point peak of the machine.

``taskset -c 0 python benchmarks/share.py`` prints for each workload the time of a step, its
matrix products' operations a second, and their share of the peak measured in the same run.
"""

import argparse
import platform
import time

import numba
import numpy as np
from suite.workloads import WORKLOADS

import fastbp

EPOCHS_SECONDS = 0.2  # a fit lasts about as long


def step_seconds(workload, threads, repeats):
    """Seconds of each step, the best and the median of `repeats` fits of several epochs."""
    X, y = workload.data()
    network = workload.network(threads)

    def fit(epochs):
        start = time.perf_counter()
        network.fit(X, y, epochs=epochs, batch_size=workload.batch_size, progress=False)
        return (time.perf_counter() - start) / (epochs * workload.steps)

    fit(1)  # the first compiles, and touches the memory
    epochs = max(5, round(EPOCHS_SECONDS / (fit(1) * workload.steps)))
    times = [fit(epochs) for _ in range(repeats)]
    return min(times), float(np.median(times))


def main():
    """Print the table."""
    from fastbp.kernels.machine.peak import (
        fma_peak,  # not in older versions, which asv measures too
    )
    from fastbp.system import processor

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    print(
        f"{processor()}, {platform.system()}, Python {platform.python_version()}, fastbp "
        f"{fastbp.__version__}, numba {numba.__version__}, {arguments.threads} threads, "
        f"{time.strftime('%Y-%m-%d')}"
    )
    print(
        f"{'workload':9} {'us a step':>10} {'median':>10} {'GFLOP/s':>8} {'peak':>6} {'share':>6}"
    )
    for name in arguments.only:
        workload = WORKLOADS[name]
        before = fma_peak()
        best, median = step_seconds(workload, arguments.threads, arguments.repeats)
        peak = max(before, fma_peak())  # of one core
        rate = workload.flops / best / 1e9
        print(
            f"{name:9} {best * 1e6:10.2f} {median * 1e6:10.2f} {rate:8.1f} {peak:6.1f} "
            f"{100 * rate / (peak * arguments.threads):5.1f}%",
            flush=True,
        )


if __name__ == "__main__":
    main()
