"""Fashion-MNIST's files with few images, which are easy."""

import gzip
import struct

import numpy as np


def write_idx(path, array):
    """Write `array` of unsigned bytes as a gzip-compressed IDX file."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def write_fashion_mnist(folder):
    """Write a small data set in which class k is bright in rows 2k and 2k + 1 of the image."""
    rng = np.random.default_rng(0)
    for name, rows in (("train", 500), ("t10k", 100)):
        labels = rng.integers(0, 10, rows).astype(np.uint8)
        images = rng.integers(0, 100, (rows, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label : 2 * label + 2] += 150
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels)
