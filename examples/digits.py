"""Handwritten digits: train on scikit-learn's bundled images, then save the model and a plot.

Run ``python examples/digits.py``; nothing is downloaded.
"""

import argparse
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # draw into files; no screen is needed

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastbp

LAYERS = [64, 100, 10]
BATCH_SIZE = 50


def build() -> fastbp.Network:
    """Return the untrained classifier; the seed makes every run the same."""
    return fastbp.Network(
        LAYERS, activation="relu", loss="cross_entropy", optimizer=fastbp.Adam(2e-3), rng=0
    )


def plot(history: fastbp.History, path: Path) -> None:
    """Draw the loss and accuracy curves of `history` into the PNG file `path`."""
    epochs = range(1, len(history["loss"]) + 1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    left.plot(epochs, history["loss"], label="training")
    left.plot(epochs, history["val_loss"], label="test")
    left.set(xlabel="epoch", ylabel="cross-entropy", yscale="log")
    left.legend()
    right.plot(epochs, 100 * np.asarray(history["val_accuracy"]), color="C1", label="test")
    right.set(xlabel="epoch", ylabel="accuracy (%)")
    right.legend(loc="lower right")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Train, report, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument(
        "--output", type=Path, default=Path("digits-output"), metavar="DIR",
        help="folder for the model and the plot, made if missing (default: %(default)s)",
    )  # fmt: skip
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    images, labels = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        (images / 16).astype(np.float32), labels, test_size=0.25, stratify=labels, random_state=0
    )

    start = time.perf_counter()
    build().fit(X[:BATCH_SIZE], y[:BATCH_SIZE], batch_size=BATCH_SIZE)
    print(f"kernels ready in {time.perf_counter() - start:.2f} s (first run compiles them)")

    net = build()
    start = time.perf_counter()
    history = net.fit(
        X, y,
        epochs=arguments.epochs, batch_size=BATCH_SIZE,
        validation_data=(X_test, y_test), progress=True,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    result = net.evaluate(X_test, y_test)
    print(f"trained on {len(X)} images for {arguments.epochs} epochs in {seconds:.2f} s")
    print(f"{arguments.epochs * len(X) / seconds:,.0f} samples per second")
    print(f"test loss {result['loss']:.4f}, test accuracy {100 * result['accuracy']:.2f} %")

    model, curves = arguments.output / "model.safetensors", arguments.output / "curves.png"
    net.save(model)
    plot(history, curves)
    print(f"saved {model} and {curves}")


if __name__ == "__main__":
    main()
