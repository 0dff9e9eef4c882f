"""The kinds of data that fit, predict and evaluate take: the same numbers, the same network.

A small table of made-up flats, as whatever of pandas, polars, PyArrow and PyTorch is installed
holds it, as a file that is mapped into memory, and as batches that come one by one. Then images of
bytes, and sparse rows.

Run ``python examples/data_kinds.py``.
"""

import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastbp

ROWS, BATCH = 6000, 100
Columns = dict[str, NDArray[Any]]


def flats() -> tuple[Columns, NDArray[Any]]:
    """Columns of several dtypes, and the rents, all of order 1."""
    rng = np.random.default_rng(0)
    columns: Columns = {
        "area": rng.uniform(0.2, 1.5, ROWS).astype(np.float32),  # 100 square metres
        "rooms": rng.integers(1, 6, ROWS).astype(np.int8),
        "lift": rng.random(ROWS) < 0.4,
    }
    rent = columns["area"] * (1 + 0.1 * columns["lift"]) + 0.1 * columns["rooms"]
    return columns, rent.astype(np.float32)


def with_library(name: str, columns: Columns) -> Any:
    """The table as the library of this name holds it, or None where it is not installed."""
    try:
        library = importlib.import_module(name)
    except ImportError:
        return None
    if name == "pyarrow":
        return library.table(columns)
    if name == "torch":
        return library.tensor(np.column_stack(list(columns.values())))
    return library.DataFrame(columns)


def network() -> fastbp.Network:
    """A new network, always from the same initial weights."""
    return fastbp.Network([3, 32, 1], optimizer=fastbp.Adam(1e-2), rng=0)


def train(features: Any, rents: Any) -> fastbp.Network:
    """A network after three epochs on the rows in their order."""
    net = network()
    net.fit(features, rents, epochs=3, batch_size=BATCH, shuffle=False)
    return net


def show(kind: str, net: fastbp.Network, features: Any, rents: Any) -> None:
    """Print how good the network is on the same rows."""
    print(f"{kind:10} mean squared error {net.evaluate(features, rents)['loss']:.6f}")


def sparse_rows() -> None:
    """Bags of words: 20 000 columns of which a row has some ten, never made dense."""
    try:
        from scipy.sparse import coo_array
    except ImportError:
        print("scipy      not installed")
        return
    rng = np.random.default_rng(2)
    about = rng.integers(0, 2, 4000)
    words = rng.integers(0, 10_000, (4000, 10)) + 5000 * about[:, None]  # half of them shared
    entries = (np.ones(words.size), (np.repeat(np.arange(4000), 10), words.ravel()))
    rows = coo_array(entries, shape=(4000, 20_000)).tocsr()
    net = fastbp.Network([20_000, 16, 2], loss="cross_entropy", rng=0)
    net.fit(rows[:3000], about[:3000], epochs=3)
    print(f"sparse     accuracy {net.evaluate(rows[3000:], about[3000:])['accuracy']:.3f}")


def main() -> None:
    """Train on each kind and print a line."""
    columns, rents = flats()
    table = np.column_stack([column.astype(np.float32) for column in columns.values()])
    show("NumPy", train(table, rents), table, rents)

    for name in ("pandas", "polars", "pyarrow", "torch"):
        frame = with_library(name, columns)
        if frame is None:
            print(f"{name:10} not installed")
        else:
            show(name, train(frame, rents), frame, rents)

    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "table.npy", table)
        mapped = np.load(Path(folder) / "table.npy", mmap_mode="r")  # read where it lies
        show("a map", train(mapped, rents), mapped, rents)
        del mapped  # Windows removes no file that is mapped

    def batches() -> Iterator[tuple[Any, Any]]:
        """Whatever makes them, for instance from files that are too large for memory."""
        for start in range(0, ROWS, BATCH):
            yield table[start : start + BATCH], rents[start : start + BATCH]

    net = network()
    net.fit_batches(batches, epochs=3)
    show("batches", net, table, rents)

    # Bytes stay bytes: each batch is converted, and scaled, as it is gathered.
    rng = np.random.default_rng(1)
    bright = rng.integers(0, 2, 2000)
    images = (rng.integers(0, 200, (2000, 64)) + 20 * bright[:, None]).astype(np.uint8)
    net = fastbp.Network([64, 32, 2], loss="cross_entropy", scaling=1 / 255, rng=0)
    net.fit(images, bright, epochs=20)
    print(f"bytes      accuracy {net.evaluate(images, bright)['accuracy']:.3f}")

    sparse_rows()

    # A stream of rows: each piece is gone through once.
    net = network()
    for start in range(0, ROWS, 1000):
        rows = slice(start, start + 1000)
        net.partial_fit(table[rows], rents[rows], batch_size=BATCH)
    show("a stream", net, table, rents)

    try:
        net.predict(columns["area"])
    except ValueError as error:
        print(f"\nwhat does not fit is told: {error}")


if __name__ == "__main__":
    main()
