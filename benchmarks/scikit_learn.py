"""fastbp.sklearn's estimators beside scikit-learn's own: the same scores, in less time.

``python benchmarks/scikit_learn.py --data DIR`` prints three tables in Markdown. `scores`: default
estimators in five-fold cross-validation of small data sets. `mnist`: the networks of scikit-learn's
benchmarks/bench_mnist.py on Fashion-MNIST, whose files are in DIR as for examples/fashion_mnist.py.
`search`: the grid search of examples/scikit_learn_pipeline.py, in one process. The two take turns,
fit by fit, on the same cores; each time is the best of --rounds. The exit code is 1 where scores
differ by more than a standard deviation of the folds.

Where OPENBLAS_CORETYPE is set, it decides how fast scikit-learn's products are: the last line
tells which kernels they had.
"""

import argparse
import runpy
import shlex
import sys
import time
import warnings
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import sklearn.neural_network
from contenders.process import cores, pin
from race import whole
from race_report import machine
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

import fastbp.sklearn

THEIRS, OURS = "scikit-learn", "fastbp"
MODULES = {THEIRS: sklearn.neural_network, OURS: fastbp.sklearn}
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
FOLDS = 5


def california(rows=20_000):
    """Districts and the prices of their houses, by columns and scales as of the California set.

    The price is 0.4 of the income, 0.01 a year of age, 0.15 a room, -0.3 for each inhabitant of a
    house but one, and what is left of the coast's pull: 1.5 sqrt(income) exp(-d / 2), at d degrees
    from the line between (42, -124) and (32.5, -117); less 1.5, with noise of deviation 0.3, and
    clipped to what is between 0.15 and 5, as there.
    """
    rng = np.random.default_rng(0)
    income = rng.lognormal(1.2, 0.45, rows)
    age = rng.uniform(1, 52, rows)
    rooms = rng.lognormal(1.65, 0.25, rows)
    bedrooms = rooms * rng.uniform(0.15, 0.3, rows)
    people = rng.lognormal(7.0, 0.7, rows)
    occupants = rng.lognormal(1.05, 0.2, rows)
    north = rng.uniform(32.5, 42, rows)
    east = -124 + (42 - north) * 7 / 9.5 + rng.exponential(1.5, rows)
    distance = (east + 124 - (42 - north) * 7 / 9.5) / np.hypot(1, 7 / 9.5)
    price = 0.4 * income + 0.01 * age + 0.15 * rooms - 0.3 * (occupants - 1)
    price += 1.5 * np.sqrt(income) * np.exp(-distance / 2) - 1.5 + 0.3 * rng.standard_normal(rows)
    X = np.column_stack([income, age, rooms, bedrooms, people, occupants, north, east])
    return X, price.clip(0.15, 5)


SETS = {
    "digits": load_digits,
    "breast cancer": load_breast_cancer,
    "wine": load_wine,
    "iris": load_iris,
    "diabetes": load_diabetes,
    "California-like": None,  # of as many rows as asked for
}
REGRESSIONS = "diabetes", "California-like"
NOT_SCALED = ("digits",)  # its columns are of one scale


@dataclass
class Pair:
    """What both did at one task: their seconds, by round, and their scores, by fold."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {THEIRS: [], OURS: []})
    scores: dict[str, list[float]] = field(default_factory=lambda: {THEIRS: [], OURS: []})
    farthest: float = 0.0  # predictions from each other

    @property
    def ratio(self):
        """Of the best rounds."""
        return min(self.seconds[THEIRS]) / min(self.seconds[OURS])

    @property
    def difference(self):
        """Of the mean scores."""
        return float(np.mean(self.scores[OURS]) - np.mean(self.scores[THEIRS]))

    @property
    def same(self):
        """Whether the scores are the same within a standard deviation of scikit-learn's."""
        return abs(self.difference) <= np.std(self.scores[THEIRS])


def take_turns(fits, rounds, begin=0):
    """Call the functions in turn, another one first each time; each one's results, and seconds."""
    found, seconds = {}, {name: [] for name in fits}
    for turn in range(begin, begin + rounds):
        for name in sorted(fits, reverse=bool(turn % 2)):
            start = time.perf_counter()
            found[name] = fits[name]()
            seconds[name].append(time.perf_counter() - start)
    return found, seconds


def cross_validated(regression, X, y, scaled, rounds):
    """The `Pair` of a data set."""
    models = {}
    for name, module in MODULES.items():
        kind = module.MLPRegressor if regression else module.MLPClassifier
        steps = [StandardScaler()] if scaled else []
        models[name] = make_pipeline(*steps, kind(random_state=0))
    split = (KFold if regression else StratifiedKFold)(FOLDS, shuffle=True, random_state=0)
    pair = Pair(seconds={name: [0.0] for name in MODULES})
    for fold, (train, test) in enumerate(split.split(X, y)):
        fits = {name: partial(fitted, model, X[train], y[train]) for name, model in models.items()}
        found, seconds = take_turns(fits, rounds, fold)
        outputs = []
        for name, model in found.items():
            pair.seconds[name][0] += min(seconds[name])
            pair.scores[name].append(model.score(X[test], y[test]))
            outputs.append(predicted(model, X[test]))
        scale = y.std() if regression else 1.0
        pair.farthest = max(pair.farthest, float(abs(outputs[0] - outputs[1]).max() / scale))
    return pair


def fitted(model, X, y):
    """A clone of a model, fitted."""
    return clone(model).fit(X, y)


def predicted(model, X):
    """Probabilities, or what a regressor predicts."""
    return model.predict_proba(X) if is_classifier(model) else model.predict(X)


def score_table(options):
    """Lines of the table of scores, and whether all are the same."""
    lines = header(
        "data", "rows x columns", "inputs", f"{THEIRS}: score", f"{OURS}: score", "difference",
        "predictions differ by", f"{THEIRS} s", f"{OURS} s", "ratio",
    )  # fmt: skip
    different = []
    for name in options.sets:
        X, y = california(options.rows) if SETS[name] is None else SETS[name](return_X_y=True)
        for scaled in (False, True)[: 1 + (name not in NOT_SCALED)]:
            pair = cross_validated(name in REGRESSIONS, X, y, scaled, options.rounds)
            inputs = "standardized" if scaled else "as they are"
            scores = [
                f"{np.mean(pair.scores[by]):.4f} ± {np.std(pair.scores[by]):.4f}" for by in MODULES
            ]
            differences = f"{round(pair.difference, 4) + 0.0:+.4f}", f"{pair.farthest:.1e}"
            lines.append(
                row(
                    name,
                    f"{X.shape[0]} x {X.shape[1]}",
                    inputs,
                    *scores,
                    *differences,
                    *times(pair),
                )
            )
            if not pair.same:
                different.append(f"{name}, {inputs}")
    lines += ["", f"Accuracy, of regressions R²: mean ± standard deviation of {FOLDS} folds."]
    if different:
        lines.append(f"DIFFERENT by more than a standard deviation: {'; '.join(different)}.")
    else:
        lines.append("All scores are the same within one standard deviation.")
    return lines, not different


def mnist_table(options):
    """Lines of the table of Fashion-MNIST."""
    read_split = runpy.run_path(str(EXAMPLES / "fashion_mnist.py"))["read_split"]
    X, y = read_split(options.data, "train")
    X_test, y_test = read_split(options.data, "t10k")
    settings = {"hidden_layer_sizes": (100, 100), "alpha": 1e-4, "tol": 1e-4, "random_state": 1}
    solvers = {
        "Adam": {"solver": "adam", "learning_rate_init": 0.001},
        "SGD, momentum 0.9": {"solver": "sgd", "learning_rate_init": 0.2, "momentum": 0.9},
    }
    lines = header(
        "solver", f"{THEIRS}: test accuracy", f"{OURS}: test accuracy", f"{THEIRS}: loss",
        f"{OURS}: loss", f"{THEIRS} s", f"{OURS} s", "ratio",
    )  # fmt: skip
    for solver, changes in solvers.items():
        chosen = settings | changes | {"max_iter": options.epochs}
        fits = {
            name: partial(fitted, module.MLPClassifier(**chosen), X, y)
            for name, module in MODULES.items()
        }
        found, seconds = take_turns(fits, options.rounds)
        accuracies = [f"{found[name].score(X_test, y_test):.4f}" for name in MODULES]
        losses = [f"{found[name].loss_:.5f}" for name in MODULES]
        lines.append(row(solver, *accuracies, *losses, *times(Pair(seconds))))
    shape = f"{X.shape[1]}-100-100-{len(np.unique(y))}"
    return [*lines, "", f"{len(X)} rows, {shape}, batch 200, {options.epochs} epochs, {X.dtype}."]


def search_table(options):
    """Lines of the table of the grid search."""
    example = runpy.run_path(str(EXAMPLES / "scikit_learn_pipeline.py"))
    X, y = load_digits(return_X_y=True)
    fits = {
        name: partial(example["search"], classifier, X, y, n_jobs=1)
        for name, classifier in example["CLASSIFIERS"].items()
    }
    found, seconds = take_turns(fits, options.rounds)
    lines = header(
        "search", f"{THEIRS}: best", f"{OURS}: best", f"{THEIRS} s", f"{OURS} s", "ratio"
    )
    best = [f"{found[name].best_score_:.4f}, {values(found[name])}" for name in MODULES]
    count = len(found[OURS].cv_results_["params"]) * found[OURS].n_splits_ + 1
    return [*lines, row(f"digits, {count} fits", *best, *times(Pair(seconds)))]


def values(search):
    """The parameters that a search has found, without the names of their steps."""
    return ", ".join(
        f"{name.rpartition('__')[2]} {value}" for name, value in search.best_params_.items()
    )


def header(*names):
    """The first two lines of a table."""
    return [row(*names), row(*["---"] * len(names))]


def row(*cells):
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def times(pair):
    """The cells of a pair's times."""
    return [*(f"{min(pair.seconds[name]):.3f}" for name in MODULES), f"**{pair.ratio:.1f}**"]


def warm_up():
    """Compile the kernels, and import what is imported late."""
    X, y = load_iris(return_X_y=True)
    for dtype in (np.float64, np.float32):
        for module in MODULES.values():
            module.MLPClassifier(max_iter=2).fit(X.astype(dtype), y).predict(X)


def circumstances(options, pinned):
    """Where, with what and how it is measured."""
    blas = {
        f"{found['internal_api']} {found['version']} ({found.get('architecture', '?')})"
        for found in threadpool_info()
        if found["user_api"] == "blas"
    }
    given = ["DIR" if value == str(options.data) else value for value in options.given]
    where = machine(["scikit-learn", "numpy", "scipy", "numba"], options.threads, pinned)
    return (
        f"{where}, BLAS {', '.join(sorted(blas))}; {time.strftime('%Y-%m-%d')}; seconds of the "
        f"fits, each the best of {options.rounds}, by `python benchmarks/scikit_learn.py "
        f"{shlex.join(given)}`."
    )


def parse(arguments):
    """The options."""
    parser = argparse.ArgumentParser(
        prog="scikit_learn.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tables = ["scores", "mnist", "search"]
    parser.add_argument("--threads", type=whole, default=1, metavar="N")
    parser.add_argument("--rounds", type=whole, default=3, metavar="N")
    parser.add_argument("--only", nargs="+", choices=tables, default=tables)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--rows", type=whole, default=20_000, help="of the California-like set")
    parser.add_argument("--data", type=Path, metavar="DIR", help="Fashion-MNIST's folder")
    parser.add_argument("--epochs", type=whole, default=20, help="on Fashion-MNIST")
    options = parser.parse_args(arguments)
    if options.threads > len(cores()):
        parser.error(
            f"argument --threads: {options.threads} given, the process may use {len(cores())} cores"
        )
    options.given = arguments
    return options


def main(arguments):
    """Print the tables; returns the exit code."""
    options = parse(arguments)
    pinned = pin(options.threads)
    same = True
    with threadpool_limits(options.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warm_up()
        if "scores" in options.only:
            lines, same = score_table(options)
            print(*lines, "", sep="\n", flush=True)
        if "mnist" in options.only:
            lines = ["mnist: left out; --data names the folder of Fashion-MNIST's files"]
            if options.data is not None:
                lines = mnist_table(options)
            print(*lines, "", sep="\n", flush=True)
        if "search" in options.only:
            print(*search_table(options), "", sep="\n", flush=True)
        print(circumstances(options, pinned))
    return int(not same)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
