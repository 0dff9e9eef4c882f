"""Fashion-MNIST: train 784-128-10 on the IDX files and print the accuracy of every epoch.

Run ``python examples/fashion_mnist.py --data DIR``, DIR being the folder with the four ``.gz``
files. Debian's package dataset-fashion-mnist installs them (``dpkg -L dataset-fashion-mnist``).
"""

import argparse
import gzip
import math
import struct
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import fastbp

LAYERS = [784, 128, 10]


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a gzip-compressed IDX file of unsigned bytes.

    The format is that of http://yann.lecun.com/exdb/mnist/: two zero bytes, the element type
    (8: unsigned byte), the number of dimensions, each dimension as a big-endian 32-bit integer,
    then the elements in C order.

    Raises
    ------
    ValueError
        The file is no such file, or is longer or shorter than its header says.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path}: not a whole gzip file ({error})") from error
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path}: no IDX file of unsigned bytes, starts with {content[:4].hex()}")
    ndim = content[3]
    header = 4 + 4 * ndim
    if len(content) < header:
        raise ValueError(f"{path}: ends within its header of {header} bytes")
    shape = struct.unpack(f">{ndim}I", content[4:header])
    if len(content) - header != math.prod(shape):
        raise ValueError(
            f"{path}: shape {shape} needs {math.prod(shape)} bytes, the file holds "
            f"{len(content) - header}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def read_split(folder: Path, name: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the images (rows, 784), scaled to [0, 1], and labels (rows,) of one split."""
    images = read_idx(folder / f"{name}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{name}-labels-idx1-ubyte.gz")
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{folder}: {name} images of shape {images.shape} and labels of shape "
            f"{labels.shape}, expected (rows, 28, 28) and (rows,)"
        )
    X = images.reshape(-1, 784).astype(np.float32)
    X /= 255
    return X, labels.astype(np.int64)


def main() -> None:
    """Train and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR",
        help="folder with train-images-idx3-ubyte.gz and its three siblings, as installed by "
        "Debian's package dataset-fashion-mnist (dpkg -L dataset-fashion-mnist shows where)",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    if arguments.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {arguments.epochs}")
    try:
        X, y = read_split(arguments.data, "train")
        X_test, y_test = read_split(arguments.data, "t10k")
    except (OSError, ValueError) as error:
        parser.error(str(error))
    # Inputs around zero train better; the test images must not take part in choosing the shift.
    mean_image = X.mean(axis=0)
    X -= mean_image
    X_test -= mean_image

    net = fastbp.Network(
        LAYERS,
        activation="relu", loss="cross_entropy", optimizer=fastbp.Adam(1e-3),
        rng=0, threads=arguments.threads,
    )  # fmt: skip
    print(net)
    training_seconds = 0.0
    for epoch in range(1, arguments.epochs + 1):
        start = time.perf_counter()
        # fit goes on where the last call stopped, with the optimizer's state.
        history = net.fit(X, y, batch_size=arguments.batch_size, progress=False)
        seconds = time.perf_counter() - start
        training_seconds += seconds
        result = net.evaluate(X_test, y_test)
        print(
            f"epoch {epoch:2d}: training loss {history['loss'][-1]:.4f}, test loss "
            f"{result['loss']:.4f}, test accuracy {100 * result['accuracy']:.2f} %, {seconds:.2f} s"
        )
    rate = arguments.epochs * len(X) / training_seconds
    print(f"trained in {training_seconds:.2f} s, {rate:,.0f} samples per second")
    print(f"test accuracy {100 * result['accuracy']:.2f} %")


if __name__ == "__main__":
    main()
