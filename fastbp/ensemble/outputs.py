"""What the outputs of several networks tell together: means, deviations, votes.

They are added up in float64, network by network in their order: the bits depend on nothing else.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.losses import BaseLoss
from fastbp.many import each, predict_many
from fastbp.many.shared_rows import count
from fastbp.network import Network

AT_ONCE = 1 << 28  # bytes of outputs that are held at a time
LEAST = 64  # networks that predict at a time, also where these are more

Outputs = NDArray[np.float64]


def outputs_of(
    networks: Sequence[Network],
    X: Any,
    rows: Sequence[Any] | None = None,
    threads: int | None = None,
    workers: Any = None,
) -> Iterator[NDArray[Any]]:
    """The outputs of each network, in their order; rows: those of X that each one gets."""
    held = count(X) * networks[0].layers[-1] * networks[0].dtype.itemsize
    some = max(LEAST, AT_ONCE // max(held, 1))
    for first in range(0, len(networks), some):
        part = slice(first, first + some)
        yield from predict_many(
            networks[part],
            X,
            rows=None if rows is None else each(rows[part]),
            threads=threads,
            workers=workers,
        )


def mean(found: Iterable[NDArray[Any]]) -> Outputs:
    """The mean over networks."""
    total, networks = np.zeros(()), 0
    for outputs in found:
        total, networks = total + outputs.astype(np.float64), networks + 1
    return total / networks


def deviation(found: Iterable[NDArray[Any]]) -> Outputs:
    """The standard deviation over networks, by Welford's recurrence (1962)."""
    middle, squares, networks = np.zeros(()), np.zeros(()), 0
    for outputs in found:
        networks += 1
        exact = outputs.astype(np.float64)
        away = exact - middle
        middle = middle + away / networks
        squares = squares + away * (exact - middle)
    return np.sqrt(squares / networks)


def votes(found: Iterable[NDArray[Any]], loss: BaseLoss) -> Outputs:
    """The share of networks for each class; ValueError where the outputs tell no classes."""
    if loss.targets not in ("labels", "fractions", "signs"):
        raise ValueError(f"votes are for classes, and loss {loss.name!r} has none")

    def chosen(outputs: NDArray[Any]) -> NDArray[Any]:
        if loss.targets == "labels":
            return np.asarray(outputs.argmax(axis=1)[:, None] == np.arange(outputs.shape[1]))
        return np.asarray(outputs > loss.threshold)

    return mean(chosen(outputs) for outputs in found)


def mean_of_some(
    found: Iterable[NDArray[Any]], rows: Sequence[NDArray[np.int64]], shape: tuple[int, int]
) -> Outputs:
    """The mean, for each row, over the networks that have outputs for it; NaN where none has."""
    total, networks = np.zeros(shape), np.zeros((shape[0], 1))
    for which, outputs in zip(rows, found, strict=True):
        total[which] += outputs
        networks[which] += 1
    return np.asarray(np.divide(total, networks, out=np.full(shape, np.nan), where=networks > 0))
