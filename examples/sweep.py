"""Model selection on handwritten digits: 60 networks, of which the hopeless are stopped early.

Run ``pip install ".[examples]"``, then ``python examples/sweep.py``.
"""

import argparse
import functools
import time
from collections.abc import Callable

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastbp


def make(width: int, depth: int, lr: float, l2: float, rng: int) -> fastbp.Network:
    """A network of one configuration."""
    return fastbp.Network(
        [64, *[width] * depth, 10],
        loss="cross_entropy",
        optimizer=fastbp.Adam(lr),
        scaling=1 / 16,
        l2=l2,
        rng=rng,
    )


def log_uniform(low: float, high: float) -> Callable[[np.random.Generator], float]:
    """What draws numbers of all orders of magnitude; `scipy.stats.loguniform` would do as well."""
    return lambda rng: float(np.exp(rng.uniform(np.log(low), np.log(high))))


SPACE = {
    "width": [16, 32, 64, 128],
    "depth": [1, 2],
    "lr": log_uniform(1e-4, 1e-1),
    "l2": log_uniform(1e-6, 1e-2),
    "fit__batch_size": [16, 32, 64],
}


def main() -> None:
    """Search, fit the best, and judge it by images that no network has seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configurations", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=45)
    arguments = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

    start = time.perf_counter()
    found = fastbp.sweep(
        make,
        SPACE,
        X_train,
        y_train,
        arguments.epochs,
        method="halving",
        n=arguments.configurations,
        cv=3,
        rng=0,
    )
    seconds = time.perf_counter() - start
    columns = [f"param_{name}" for name in SPACE]
    columns += ["epochs", "mean_val_loss", "mean_val_accuracy"]
    print(found.to_frame()[columns].head().to_string(float_format="%.4g"))
    epochs = sum(row["epochs"] for row in found.rows)
    print(f"{len(found.rows)} configurations, {3 * epochs} epochs in all, {seconds:.1f} s")
    best, parameters = found.best, found.best_params
    if best is None or parameters is None:
        raise SystemExit("all configurations have failed")
    print(f"accuracy on test images {best.evaluate(X_test, y_test)['accuracy']:.4f}")

    batch_size = parameters.pop("fit__batch_size")
    folds = fastbp.cross_validate(
        functools.partial(make, **parameters),
        X,
        y,
        arguments.epochs,
        batch_size,
        cv=10,
        rng=1,
    )
    print(f"in ten folds {folds.mean['accuracy']:.4f}, deviation {folds.std['accuracy']:.4f}")
    wrong = np.flatnonzero(folds.predictions.argmax(axis=1) != y)
    print(f"{len(wrong)} of {len(y)} images taken for another digit, unseen before")


if __name__ == "__main__":
    main()
