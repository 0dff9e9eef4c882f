"""Bags: the rows that each network of an ensemble is trained on, drawn from a seed of its own."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.validation import positive_int, real, shown

MOST_SEED = 1 << 63
MOST_ROWS = 1 << 53  # up to which the double of a random number tells all rows


class Bags(NamedTuple):
    """The rows of all networks.

    They are made of the raw words of a generator whose stream NumPy promises to keep: a file that
    holds the seeds holds the rows.

    Attributes
    ----------
    seeds : tuple of int
        Of each network.
    rows : int
        How many rows there are.
    drawn : int
        How many of them each network has, counted with those that it has more than once.
    replace : bool
        Whether it may have rows more than once.
    """

    seeds: tuple[int, ...]
    rows: int
    drawn: int
    replace: bool

    def of(self, number: int) -> NDArray[np.int64]:
        """The rows of a network, by its number."""
        words = np.random.PCG64(self.seeds[number])
        if self.replace:
            fractions = (words.random_raw(self.drawn) >> np.uint64(11)) * 2.0**-53  # in [0, 1)
            return (fractions * self.rows).astype(np.int64)
        order = np.argsort(words.random_raw(self.rows), kind="stable")
        return order[: self.drawn].astype(np.int64)

    def left_out(self, number: int) -> NDArray[np.int64]:
        """The rows that a network does not have, in their order."""
        without = np.ones(self.rows, bool)
        without[self.of(number)] = False
        return np.flatnonzero(without)

    def some(self, numbers: Sequence[int]) -> "Bags":
        """Those of some of the networks."""
        return self._replace(seeds=tuple(self.seeds[number] for number in numbers))

    def described(self) -> dict[str, Any]:
        """As a model file holds them."""
        return self._asdict() | {"seeds": list(self.seeds)}


def size(max_samples: Any, rows: int) -> int:
    """How many rows a network gets; a whole number of them, or a share."""
    if isinstance(max_samples, int | np.integer) and not isinstance(max_samples, bool):
        if positive_int(max_samples, "max_samples") > rows:
            raise ValueError(
                f"max_samples must be at most the {rows} rows of X, got {shown(max_samples)}"
            )
        return int(max_samples)
    share = real(max_samples, "max_samples", low=0, low_open=True, high=1)
    return max(1, int(share * rows))


def drawn(
    rng: np.random.Generator, networks: int, rows: int, drawn_rows: int, replace: bool
) -> Bags:
    """Seeds for so many networks."""
    seeds: list[int] = rng.integers(MOST_SEED, size=networks, dtype=np.uint64).tolist()
    return Bags(tuple(seeds), rows, drawn_rows, replace)


def parsed(described: Any, networks: int) -> Bags:
    """The bags of a model file, which may be hostile."""
    if not isinstance(described, Mapping) or set(described) != set(Bags._fields):
        raise ValueError(f"bags must have the keys {list(Bags._fields)}, got {shown(described)}")
    seeds, replace = described["seeds"], described["replace"]
    if not isinstance(seeds, list) or len(seeds) != networks:
        raise ValueError(f"bags must have a list of {networks} seeds, got {shown(seeds)}")
    seeds = [_whole(seed, "a seed of bags", 0, MOST_SEED) for seed in seeds]
    if not isinstance(replace, bool):
        raise ValueError(f"replace of bags must be true or false, got {shown(replace)}")
    rows = _whole(described["rows"], "rows of bags", 1, MOST_ROWS)
    return Bags(
        tuple(seeds), rows, _whole(described["drawn"], "drawn of bags", 1, rows + 1), replace
    )


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if type(value) is not int or not low <= value < high:  # True is an int too
        raise ValueError(f"{name} must be an integer from {low} to {high - 1}, got {shown(value)}")
    return value
