"""The race: the same networks trained by fastbp and by other libraries, side by side.

``python benchmarks/race.py`` trains each workload with each contender that is installed, all pinned
to the same cores, in turn: so whatever else the machine does, it does to all. Everything that an
epoch costs its user is timed (order, gather, every step); imports, compilation and the conversion
of the data set are not. Before, all train as many steps from the same weights with the same
batches, and their losses must agree: the exit code is 1 where they do not, or where one fails.

Ratios and shares compare each contender's best round, as the peak is the best of several
measurements too; the median is shown beside it.
"""

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import math
import shlex
import sys
import time
from pathlib import Path

import race_report
from contenders import CONTENDERS
from contenders.base import NotPossibleError
from contenders.process import Worker, WorkerError, cores, pin
from race_report import Result
from suite.workloads import WORKLOADS
from tqdm import tqdm

from fastbp.kernels.machine.peak import fma_peak

CHECK_STEPS, CHECK_FLOPS = 200, 3e11  # how far all train before their losses are compared


def whole(text):
    """Return the whole number in `text`, at least 1, for argparse."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} given, a whole number of at least 1 needed")
    return int(text)


def positive(text):
    """Return the number above 0 in `text`, for argparse."""
    if not 0 < float(text) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} given, a number above 0 needed")
    return float(text)


def parse(arguments):
    """Return the options; exits with a message on those that cannot be."""
    parser = argparse.ArgumentParser(
        prog="race.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=whole, default=1, metavar="N")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--rounds", type=whole, default=7, metavar="N")
    parser.add_argument("--seconds", type=positive, default=0.2, help="of a round")
    parser.add_argument("--markdown", action="store_true", help="print README's table")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw a bar chart")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rounds and losses")
    options = parser.parse_args(arguments)
    if options.threads > len(cores()):
        parser.error(
            f"argument --threads: {options.threads} given, the process may use {len(cores())} cores"
        )
    for option, path in (("--plot", options.plot), ("--json", options.json)):
        if path is not None and not path.absolute().parent.is_dir():
            parser.error(f"argument {option}: {path} given, there is no such folder")
    if options.plot is not None:
        if options.plot.suffix.lower() != ".png":
            parser.error(f"argument --plot: {options.plot} given, a name ending in .png needed")
        if importlib.util.find_spec("matplotlib") is None:
            parser.error("argument --plot: matplotlib is absent; pip install matplotlib")
    # Every contender once, in the order of the tables.
    options.contenders = [name for name in CONTENDERS if name in options.contenders]
    options.only = [name for name in WORKLOADS if name in options.only]
    options.given = arguments
    return options


def race(name, names, options, advance):
    """Return the `Result` of one workload; calls ``advance(what)`` as each part begins."""
    workload = WORKLOADS[name]
    check = max(1, round(min(CHECK_STEPS, CHECK_FLOPS / workload.flops) / workload.steps))
    result = Result(name, workload, options.threads, fma_peak(), check * workload.steps)
    with contextlib.ExitStack() as stack:
        workers, epochs = {}, {}
        for contender in names:
            advance(f"{name}: {contender}")
            worker = stack.enter_context(Worker(contender, options.threads))
            try:
                worker.prepare(workload)
                worker.run(check)  # compiles, too
                loss = worker.loss()
                epochs[contender] = max(1, round(options.seconds / worker.run(1)))
            except NotPossibleError as error:
                result.impossible[contender] = str(error)
            except WorkerError as error:
                result.failed[contender] = str(error)
            else:
                workers[contender] = worker
                result.losses[contender], result.rounds[contender] = loss, []
        for turn in range(options.rounds):
            advance(f"{name}: round {turn + 1}")
            racing = list(workers)
            first = turn % max(1, len(racing))  # another one begins each round
            for contender in racing[first:] + racing[:first]:
                try:
                    seconds = workers[contender].run(epochs[contender])
                except WorkerError as error:
                    result.failed[contender] = str(error)
                    del workers[contender], result.rounds[contender]
                else:
                    result.rounds[contender].append(seconds / (epochs[contender] * workload.steps))
    result.peak = max(result.peak, fma_peak())
    return result


def circumstances(names, options, pinned):
    """Return lines that say where, with what and how the race is run."""
    packages = ["numpy", *(package for name in names for package in CONTENDERS[name].packages)]
    return [
        f"{race_report.machine(packages, options.threads, pinned)}; float32; "
        f"{time.strftime('%Y-%m-%d')};",
        f"us a step, best (median) of {options.rounds} rounds of {options.seconds:g} s or one epoch"
        f" by `python benchmarks/race.py {shlex.join(options.given)}`.",
    ]


def main(arguments):
    """Race, print, and return the exit code."""
    options = parse(arguments)
    absent = {name: CONTENDERS[name].absent() for name in options.contenders}
    names = [name for name in options.contenders if not absent[name]]
    lacking = [
        f"{CONTENDERS[name].title}: absent, `pip install {' '.join(packages)}`."
        for name, packages in absent.items()
        if packages
    ]
    if not names:
        print(*lacking, "race.py: no contender is left", sep="\n", file=sys.stderr)
        return 2
    about = circumstances(names, options, pin(options.threads))
    if not options.markdown:
        print(*about, *lacking, "", sep="\n", flush=True)
    results = []
    total = len(options.only) * (len(names) + options.rounds)
    with tqdm(total=total, disable=None, leave=False) as bar:

        def advance(what):
            bar.set_description(what)
            bar.update()

        for workload in options.only:
            results.append(race(workload, names, options, advance))
            if not options.markdown:
                bar.write("\n".join([*race_report.block(results[-1]), ""]))
                sys.stdout.flush()
    if options.markdown:
        print(*race_report.table(results, names), "", *about, sep="\n")
        print(*race_report.notes(results), *lacking, sep="\n")
    print(*race_report.agreement(results), sep="\n")
    if options.json is not None:
        found = {"about": about, "results": [as_json(result) for result in results]}
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if options.plot is not None:
        import race_plot  # it needs matplotlib

        race_plot.plot(results, names, about, options.plot)
    return int(any(result.disagreeing() or result.failed for result in results))


def as_json(result):
    """Return all of a result, for `json`."""
    return {**dataclasses.asdict(result), "floor": result.floor, "ratio": result.ratio}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
