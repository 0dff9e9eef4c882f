"""What a fit can do besides: schedules, regularisation, an early stop, weights, gaps, going on.

On scikit-learn's handwritten digits, each feature in a few lines. Run
``pip install ".[examples]"``, then ``python examples/training_features.py``.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastbp
from fastbp import schedules
from fastbp.callbacks import Checkpoint, EarlyStopping

Array = NDArray[Any]
EPOCHS = 30


def network(**settings: Any) -> fastbp.Network:
    """A network for digits of 8 x 8 pixels from 0 to 16, which it scales by itself."""
    return fastbp.Network([64, 100, 10], loss="cross_entropy", scaling=1 / 16, rng=0, **settings)


def regularised(X: Array, y: Array, test: tuple[Array, Array]) -> None:
    """Dropout, weight decay and clipping, under a rate that rises for an epoch and then falls."""
    net = network(optimizer=fastbp.AdamW(5e-3, weight_decay=1e-3), dropout=0.2, clip_norm=1.0)
    print(net.summary())
    schedule = schedules.Warmup(1, schedules.Cosine(), unit="epoch")
    history = net.fit(X, y, EPOCHS, schedule=schedule, validation_data=test, progress=False)
    rates = history["learning_rate"]
    print(f"\nlearning rate {rates[0]:.2g}, at most {max(rates):.2g}, at last {rates[-1]:.2g}")
    print(f"test accuracy {history['val_accuracy'][-1]:.3f}")


def stopped_early(X: Array, y: Array, test: tuple[Array, Array]) -> None:
    """A fifth of the rows judges the others' epochs; the best of these is what remains."""
    net = network()
    stop = EarlyStopping(patience=5)
    history = net.fit(X, y, 500, validation_split=0.2, callbacks=[stop], progress=False)
    print(f"{history.stopped}; its test accuracy {net.evaluate(*test)['accuracy']:.3f}")
    found = net.evaluate(*test, metrics=["balanced_accuracy", "top_2_accuracy"])
    print(", ".join(f"{name} {value:.3f}" for name, value in found.items()))


def weighted(X: Array, y: Array, test: tuple[Array, Array]) -> None:
    """Few eights and nines: as they are, and with weights that make up for it."""
    rare = (y >= 8) & (np.random.default_rng(0).random(len(y)) < 0.96)
    of_rare = test[1] >= 8
    for weight in (None, "balanced"):
        net = network()
        net.fit(X[~rare], y[~rare], 20, class_weight=weight, progress=False)
        share = net.evaluate(test[0][of_rare], test[1][of_rare])["accuracy"]
        print(f"class_weight={weight!r:10} finds {share:.3f} of the rare classes")


def with_gaps(X: Array) -> None:
    """The lower half of a picture from the upper one, where most of the pixels are not known."""
    upper, lower = X[:, :32], X[:, 32:] / 16
    known = np.random.default_rng(1).random(lower.shape) < 0.3
    net = fastbp.Network([32, 100, 32], scaling=1 / 16, rng=0)
    net.fit(upper, np.where(known, lower, np.nan), 20, mask_nan=True, progress=False)
    error = ((net.predict(upper) - lower)[~known] ** 2).mean()
    print(f"mean squared error of unknown pixels {error:.4f}, their variance {lower.var():.4f}")


def resumed(X: Array, y: Array) -> None:
    """A fit that breaks off, and goes on in another process perhaps: to the same bits."""
    whole = network()
    whole.fit(X, y, 6, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.safetensors"
        network().fit(X, y, 3, callbacks=[Checkpoint(path)], progress=False)
        net = fastbp.load(path)
    history = net.fit(X, y, 6, resume=True, progress=False)
    same = all((a == b).all() for a, b in zip(net.weights, whole.weights, strict=True))
    print(f"{history.epochs} epochs, of which 3 before the break; the same bits: {same}")


def main() -> None:
    """Show one after the other."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    regularised(X_train, y_train, (X_test, y_test))
    stopped_early(X_train, y_train, (X_test, y_test))
    weighted(X_train, y_train, (X_test, y_test))
    with_gaps(X)
    resumed(X_train, y_train)


if __name__ == "__main__":
    main()
