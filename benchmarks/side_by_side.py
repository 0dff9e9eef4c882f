"""What a step of networks side by side takes, each beside one after the other.

``taskset -c 0 python benchmarks/side_by_side.py`` prints a table in Markdown: microseconds a step
and network in full groups, the best of some runs. A gain stands in brackets where
`fastbp.engine.lanes.pays` says that there is none.
"""

import argparse
import time

import numpy as np

import fastbp
from fastbp.engine import lanes
from fastbp.engine.course import Course
from fastbp.engine.lane_group import width
from fastbp.rows.rows import row_orders

NETWORKS = [  # layers, rows of a batch, loss, optimizer, activation
    ((2, 8, 1), 1, "mse", "sgd", "tanh"),
    ((2, 8, 1), 16, "mse", "sgd", "tanh"),
    ((4, 16, 1), 32, "mse", "adam", "tanh"),
    ((4, 32, 16, 4), 1, "mse", "adam", "tanh"),
    ((4, 32, 16, 4), 16, "mse", "adam", "tanh"),
    ((4, 32, 16, 4), 64, "mse", "adam", "tanh"),
    ((3, 16, 16, 16, 2), 16, "mse", "adam", "tanh"),
    ((16, 16, 16), 16, "mse", "adam", "tanh"),
    ((8, 32, 32, 4), 16, "mse", "adam", "tanh"),
    ((8, 64, 64, 4), 64, "cross_entropy", "adam", "relu"),
]
BATCHES = 32  # of an epoch


def one_by_one(engines, courses):
    """Train each through its course."""
    for engine, course in zip(engines, courses, strict=True):
        engine.train(course)


def measured(shape, dtype, seconds):
    """Microseconds of a step alone and together, and whether that is said to pay."""
    layers, batch, loss, optimizer, activation = shape
    options = {"loss": loss, "optimizer": optimizer, "activation": activation, "dtype": dtype}
    rng, rows, count = np.random.default_rng(0), batch * BATCHES, width(np.dtype(dtype))
    networks = [fastbp.Network(layers, rng=n, threads=1, **options) for n in range(count)]
    engines = [network._core.engine for network in networks]
    X = rng.standard_normal((rows, layers[0]))
    labels = loss == "cross_entropy"
    y = rng.integers(layers[-1], size=rows) if labels else rng.standard_normal((rows, layers[-1]))
    data = networks[0]._core.rows(X, y)
    epochs, best = 1, {one_by_one: float("inf"), lanes.train_together: float("inf")}

    def courses():
        return [Course(data, row_orders(rows, epochs, batch, rng), batch) for _ in engines]

    for train in best:
        train(engines, courses())  # compiles
    end = time.perf_counter() + 2 * seconds
    while time.perf_counter() < end:
        for train in best:
            given = courses()
            start = time.perf_counter()
            train(engines, given)
            took = time.perf_counter() - start
            best[train] = min(best[train], took / (count * epochs * BATCHES))
        if took < seconds / 20:
            epochs *= 2
    pays = lanes.pays(engines[0].layout, batch, count)
    return *(1e6 * one for one in best.values()), pays


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure")
    parser.add_argument("--networks", type=int, default=len(NETWORKS), help="how many of them")
    given = parser.parse_args(arguments)
    print("| | batch | float32, alone | together | gain | float64, alone | together | gain |")
    print("|---|---|---|---|---|---|---|---|")
    for shape in NETWORKS[: given.networks]:
        cells = ["-".join(map(str, shape[0])), str(shape[1])]
        for dtype in ("float32", "float64"):
            alone, together, pays = measured(shape, dtype, given.seconds)
            gain = alone / together
            cells += [f"{alone:.2f}", f"{together:.3f}", f"{gain:.1f}" if pays else f"({gain:.1f})"]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
