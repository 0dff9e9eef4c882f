"""What a call from Python costs, and how close the prediction of many rows comes to the peak.

``taskset -c 0 python benchmarks/calls.py`` prints a table in Markdown: microseconds of a call, the
best of many, on rows of float32; then the prediction of a million rows of the last network, which
takes 3 GB for the features (``--rows`` for less), and the memory that it needed besides.
"""

import argparse
import itertools
import platform
import time

import numba
import numpy as np

import fastbp
from fastbp.kernels.machine.peak import fma_peak
from fastbp.system import processor

NETWORKS = [4, 32, 16, 4], [784, 128, 10], [784, 512, 512, 10]
PREDICTED, TRAINED = (1, 16, 100), (1, 64)  # rows of a call
SECONDS = 0.3  # of calls for each figure


def best(function):
    """Microseconds of the fastest of many calls."""
    least, end = float("inf"), time.perf_counter() + SECONDS
    while (start := time.perf_counter()) < end:
        function()
        least = min(least, time.perf_counter() - start)
    return least * 1e6


def rows(count, widths):
    """Random features and targets."""
    rng = np.random.default_rng(0)
    return [
        rng.standard_normal((count, width), dtype=np.float32) for width in (widths[0], widths[-1])
    ]


def calls(widths, threads):
    """{call: microseconds} for a network of these widths."""
    network = fastbp.Network(widths, rng=0, threads=threads)
    found = {}
    for count in PREDICTED:
        X, _ = rows(count, widths)
        found[f"`predict`, n = {count}"] = best(lambda X=X: network.predict(X))
    for count in TRAINED:
        X, y = rows(count, widths)
        found[f"`train_step`, n = {count}"] = best(lambda X=X, y=y: network.train_step(X, y))
    for count in TRAINED:
        X, y = rows(count, widths)
        found[f"`forward` and `step`, n = {count}"] = best(
            lambda X=X, y=y: (network.forward(X), network.step(y))
        )
    X, y = rows(64, widths)
    found["`partial_fit`, n = 64, one batch"] = best(lambda: network.partial_fit(X, y, 64))

    def new():
        return fastbp.Network(widths, rng=0, threads=threads)

    found["`Network(...)`"] = best(new)
    found["`Network(...)` and its first `fit`, n = 64"] = best(
        lambda: new().fit(X, y, progress=False)
    )
    return found


def resident():
    """Bytes that this process has ever held at once, None where the system does not tell."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def predict_many(widths, count, threads):
    """Print how fast `predict` takes so many rows, and what memory it needs."""
    network = fastbp.Network(widths, rng=0, threads=threads)
    X, _ = rows(count, [widths[0], 1])
    network.predict(X[:1000])
    before = resident()
    network.predict(X)
    peak, seconds = fma_peak(), best(lambda: network.predict(X)) / 1e6
    peak = max(peak, fma_peak())
    flops = 2 * count * sum(a * b for a, b in itertools.pairwise(widths))
    rate = flops / seconds / 1e9
    held = "" if before is None else f"; {(resident() - before) / 1e6:.0f} MB besides the features"
    print(
        f"`predict` of {count} rows, {'-'.join(map(str, widths))}, {threads} thread(s): "
        f"{seconds:.2f} s, {rate:.0f} GFLOP/s, {100 * rate / (peak * threads):.0f} % of the "
        f"peak{held}"
    )


def main():
    """Print the table and the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    columns = [calls(widths, arguments.threads) for widths in NETWORKS]
    print("| call |", " | ".join("-".join(map(str, widths)) for widths in NETWORKS), "|")
    print("|---|" + "---|" * len(NETWORKS))
    for name in columns[0]:
        cells = [f"{us:.0f}" if us >= 20 else f"{us:.1f}" for us in (c[name] for c in columns)]
        print(f"| {name} |", " | ".join(cells), "|")
    print()
    print(
        f"{processor()}, {platform.system()}, Python {platform.python_version()}, fastbp "
        f"{fastbp.__version__}, numba {numba.__version__}, {time.strftime('%Y-%m-%d')}"
    )
    predict_many(NETWORKS[-1], arguments.rows, arguments.threads)


if __name__ == "__main__":
    main()
