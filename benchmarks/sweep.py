"""The sweep: time of a training step by operation over widths and batches, and its cliffs.

``python benchmarks/sweep.py --plot sweep.png`` trains networks whose layers all have one width, in
`fit` with shuffling, and prints and draws picoseconds an operation, which are microseconds a
million of them. An operation is a floating-point operation of the matrix products. `--peers` are
swept beside fastbp, in processes of their own. ``--random N`` takes N shapes that nobody tuned
instead, and with each its neighbours that have one row or one unit more.

Neighbours that differ by `--cliff` times what their operations explain are measured again, in
turn. The exit code is 1 where a cliff is left.
"""

import argparse
import importlib.util
import math
import platform
import shlex
import sys
import time
from pathlib import Path

import numpy as np
from cliffs import HIDDEN, LOSSES, Cell, find_cliffs, grid_pairs, larger_neighbours, random_cell
from contenders import CONTENDERS, version
from contenders.base import NotPossibleError
from contenders.process import WorkerError, cores, pin
from race import positive, whole
from steptime import Here, Peer, TooSlowError, Training
from tqdm import tqdm

import fastbp
from fastbp.kernels.machine.peak import fma_peak
from fastbp.optimizers import OPTIMIZERS
from fastbp.system import processor

WIDTHS = [
    2, 3, 5, 9, 17, 33, 50, 67, 100, 129, 200, 257, 400, 513, 600, 700, 850, 1025, 1250, 1500,
    2049, 3000, 4096,
]  # fmt: skip
BATCHES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000]
PLAIN = {"activation": "relu", "loss": "mse", "optimizer": "adam", "dtype": "float32", "depth": 4}
CHOICES = {
    "activation": HIDDEN,
    "loss": LOSSES,
    "optimizer": list(OPTIMIZERS),
    "dtype": ["float32", "float64"],
}
GRID_ONLY = ["widths", "batches", "peers", "plot"]  # options
OURS = "fastbp"


def threads(text):
    """Return the number of threads in `text`, or None for auto, for argparse."""
    if text == "auto":
        return None
    if not 1 <= int(text) <= len(cores()):
        raise argparse.ArgumentTypeError(
            f"{text} given, auto or 1 to {len(cores())} needed: the cores that there are"
        )
    return int(text)


def factor(text):
    """Return the number above 1 in `text`, for argparse."""
    if not 1 < float(text) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} given, a number above 1 needed")
    return float(text)


def picture(text):
    """Return the path in `text`, for argparse."""
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text} given, a name ending in .png needed")
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} given, there is no such folder")
    if importlib.util.find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError("matplotlib is absent; pip install matplotlib")
    return path


def parse(arguments):
    """Return the options; exits with a message on those that cannot be."""
    parser = argparse.ArgumentParser(
        prog="sweep.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--widths", nargs="+", type=whole, metavar="N", help="of all layers of a network")
    add("--batches", nargs="+", type=whole, metavar="N", help="rows of a batch")
    add("--peers", nargs="+", choices=[name for name in CONTENDERS if name != OURS], default=[])
    add("--plot", type=picture, metavar="FILE.png", help="draw heat maps")
    add("--random", type=whole, metavar="N", help="shapes to draw instead, and their neighbours")
    add("--seed", type=whole, default=1, metavar="N", help="of --random; 1")
    add("--depth", type=whole, metavar="N", help="layers, input and output included; 4")
    for name, choices in CHOICES.items():
        add(f"--{name}", choices=choices, help=f"{PLAIN[name]}; --random draws it")
    add("--threads", type=threads, default=1, metavar="N|auto", help="auto: fastbp chooses; 1")
    add("--cliff", type=factor, default=2.0, metavar="FACTOR", help="2")
    add("--seconds", type=positive, default=0.1, help="of a measurement; 0.1")
    add("--longest", type=positive, default=0.25, metavar="SECONDS",
        help="of a step: what takes longer is left out; 0.25")  # fmt: skip
    options = parser.parse_args(arguments)
    # What the cells of a grid have in common, and what those of --random are not free to choose.
    chosen = {name: getattr(options, name) for name in PLAIN if getattr(options, name) is not None}
    options.common = chosen if options.random else PLAIN | chosen
    for name in GRID_ONLY if options.random else []:
        if getattr(options, name):
            parser.error(f"argument --{name}: not allowed with --random")
    options.widths = sorted(set(options.widths or WIDTHS))
    options.batches = sorted(set(options.batches or BATCHES))
    if options.common.get("loss") == "cross_entropy" and options.widths[0] < 2:
        parser.error("argument --widths: 1 given, cross_entropy needs widths of at least 2")
    if options.depth == 1:
        parser.error("argument --depth: 1 given, at least 2 layers needed")
    absent = [package for name in options.peers for package in CONTENDERS[name].absent()]
    if absent:
        parser.error(f"argument --peers: absent packages; pip install {' '.join(set(absent))}")
    if options.peers and options.threads is None:
        parser.error("argument --threads: auto given, --peers need a number")
    if options.peers and options.common["dtype"] != "float32":
        parser.error(f"argument --dtype: {options.dtype} given, --peers train float32")
    return options


def best_seconds(trainer, cell, options):
    """Return the seconds of a step of a cell, or None where they are more than `longest`."""
    if cell.flops / options.peak > options.longest:
        return None
    try:
        training = Training(trainer, cell, options.seconds, options.longest)
    except TooSlowError:
        return None
    return min(training.seconds() for _ in range(training.fits))


def measure(trainers, cells, options):
    """Return {name: {cell: seconds of a step}} without what is too slow, and {name: failure}."""
    times, failures = {name: {} for name in trainers}, {}
    for cell in tqdm(cells, disable=None, leave=False):
        for name in [name for name in trainers if name not in failures]:
            try:
                seconds = best_seconds(trainers[name], cell, options)
            except (NotPossibleError, WorkerError) as error:
                failures[name] = f"{error} ({cell})"
            else:
                if seconds is not None:
                    times[name][cell] = seconds
    return times, failures


def confirmed(times, pairs, options):
    """Return [(cliff, its times)] of the cliffs that show when both cells are measured in turn.

    What the machine does for a while it then does to both. The best time of all stays in `times`.
    """
    left = []
    for cliff in tqdm(find_cliffs(times, pairs, options.cliff), disable=None, leave=False):
        pair = cliff.smaller, cliff.larger
        trainings = [
            Training(Here(options.threads), cell, options.seconds, math.inf) for cell in pair
        ]
        fits = range(3 * trainings[0].fits)
        rounds = [[training.seconds() for training in trainings] for _ in fits]
        again = dict(zip(pair, np.min(rounds, axis=0).tolist(), strict=True))
        for cell in pair:
            times[cell] = min(times[cell], again[cell])
        left += [(found, again) for found in find_cliffs(again, [pair], options.cliff)]
    return left


def described(times, cell):
    """Return a line about a cell of fastbp's; GB/s: parameters and slots read and written once."""
    seconds, moved = times[cell], 2 * cell.state_bytes
    return (
        f"{seconds * 1e6:11.2f} us {seconds / cell.flops * 1e12:9.2f} ps an operation "
        f"{moved / seconds / 1e9:6.1f} GB/s  {cell}"
    )


def sweep_grid(options):
    """Measure all contenders over the grid; return cells by place, times and failures by name."""
    common = {name: value for name, value in options.common.items() if name != "depth"}
    cells = {
        (width, batch): Cell((width,) * options.common["depth"], batch, 1, **common)
        for width in options.widths
        for batch in options.batches
    }
    trainers = {OURS: Here(options.threads)}
    try:
        trainers |= {name: Peer(name, options.threads) for name in options.peers}
        return cells, *measure(trainers, cells.values(), options)
    finally:
        for trainer in trainers.values():
            trainer.close()


def show_grid(cells, times, failures, options, about):
    """Print a table for each contender, and draw them."""
    tables = {}
    for name, seconds in times.items():
        rates = [seconds.get(cell, math.nan) / cell.flops * 1e12 for cell in cells.values()]
        table = tables[CONTENDERS[name].title] = np.reshape(rates, (len(options.widths), -1))
        print(f"{CONTENDERS[name].title}, ps an operation; rows: width, columns: batch")
        print(" " * 6, *(f"{batch:8}" for batch in options.batches))
        for width, row in zip(options.widths, table, strict=True):
            print(f"{width:6}", *(" " * 7 + "-" if np.isnan(x) else f"{x:8.2f}" for x in row))
        print()
    print(f"-: a step takes more than {options.longest:g} s")
    for name, failure in failures.items():
        print(f"{CONTENDERS[name].title} stopped: {failure}")
    if options.plot is not None:
        import heatmap  # it needs matplotlib

        heatmap.plot(tables, options.widths, options.batches, "\n".join(about), options.plot)


def sweep_random(options):
    """Measure random shapes and their neighbours, print a line each; return times and pairs."""
    rng, most = np.random.default_rng(options.seed), options.peak * options.longest
    times, pairs = {}, []
    for _ in range(options.random):
        cell = random_cell(rng, most, **options.common)
        family = [cell, *larger_neighbours(cell)]
        measured, _ = measure({OURS: Here(options.threads)}, family, options)
        times |= measured[OURS]
        pairs += [(cell, neighbour) for neighbour in family[1:]]
        left_out = f"left out, a step takes more than {options.longest:g} s: {cell}"
        print(described(times, cell) if cell in times else left_out, flush=True)
    return times, pairs


def circumstances(options, arguments):
    """Return lines that say where, with what and how the sweep is run."""
    packages = {"numpy", "numba", *(p for name in options.peers for p in CONTENDERS[name].packages)}
    versions = [f"{package} {version(package)}" for package in sorted(packages)]
    common = [f"{name} {value}" for name, value in options.common.items()]
    return [
        f"{processor()}, {platform.system()}, threads: {options.threads or 'as many as help'}; "
        f"Python {platform.python_version()}, fastbp {fastbp.__version__}, {', '.join(versions)};",
        f"{', '.join(common) or 'everything drawn'}; {time.strftime('%Y-%m-%d')}; "
        f"python benchmarks/sweep.py {shlex.join(arguments)}",
    ]


def main(arguments):
    """Sweep, print, and return the exit code."""
    options = parse(arguments)
    if options.threads is not None:
        pin(options.threads)
    options.peak = fma_peak() * 1e9 * (options.threads or len(cores()))
    about = circumstances(options, arguments)
    print(*about, "", sep="\n", flush=True)
    if options.random:
        times, pairs = sweep_random(options)
        cliffs = confirmed(times, pairs, options)
    else:
        cells, all_times, failures = sweep_grid(options)
        times, pairs = all_times[OURS], grid_pairs(cells)
        cliffs = confirmed(times, pairs, options)  # before the tables: it mends outliers
        show_grid(cells, all_times, failures, options, about)
    print()
    for (smaller, larger, by), again in cliffs:
        print(f"cliff of {by:.2f}:", described(again, smaller), described(again, larger), sep="\n")
    if not cliffs:
        print(f"no cliff of {options.cliff:g} or more")
    return int(bool(cliffs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
