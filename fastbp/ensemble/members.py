"""Members: what an ensemble is inside, for the functions that are its methods."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastbp.ensemble.alike import before_activation, expect_alike, judge
from fastbp.ensemble.bags import Bags
from fastbp.ensemble.outputs import outputs_of
from fastbp.losses import BaseLoss
from fastbp.many.fitting import SOME
from fastbp.network import Network
from fastbp.rows.rows import Targets
from fastbp.validation import shown


class HasMembers(Protocol):
    """A `fastbp.Ensemble`, as the functions see it that are its methods."""

    _members: "Members"


class Members:
    """What an ensemble is inside.

    Parameters
    ----------
    networks : sequence of Network
        As `fastbp.Ensemble` takes them.
    rng : numpy.random.Generator
        What draws bags.

    Attributes
    ----------
    networks, rng
        Those of the parameters.
    bags : Bags or None
        The rows that the networks were trained on; None for all.
    failed : tuple of int
        The networks whose last fit has failed.
    """

    def __init__(self, networks: Any, rng: np.random.Generator) -> None:
        expect_alike(networks)
        self.networks: tuple[Network, ...] = tuple(networks)
        self.rng = rng
        self.bags: Bags | None = None
        self.failed: tuple[int, ...] = ()

    def some(self, numbers: Sequence[int]) -> "Members":
        """Some of them, by their numbers, with what is known of them."""
        some = Members([self.networks[number] for number in numbers], self.rng)
        some.bags = None if self.bags is None else self.bags.some(numbers)
        some.failed = tuple(at for at, number in enumerate(numbers) if number in self.failed)
        return some

    @property
    def loss(self) -> BaseLoss:
        """The loss of all."""
        return self.networks[0].loss

    @property
    def dtype(self) -> np.dtype[Any]:
        """The widest of their dtypes."""
        return np.result_type(*(network.dtype for network in self.networks))

    def expect_sound(self) -> None:
        """Raise RuntimeError where the last fit of one has failed."""
        if self.failed:
            named = ", ".join(map(str, self.failed[:SOME]))
            more = f" and {len(self.failed) - SOME} more" if len(self.failed) > SOME else ""
            raise RuntimeError(
                f"network {named}{more} of {len(self.networks)} failed in the last fit (see "
                "histories): train the ensemble on, or use without_failed()"
            )

    def outputs(self, X: Any, threads: Any, workers: Any) -> Iterator[NDArray[Any]]:
        """The outputs of each, in their order."""
        self.expect_sound()
        return outputs_of(self.networks, X, None, threads, workers)

    def rounded(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """What was computed in float64, in the networks' dtype."""
        return values.astype(self.dtype)

    def judged(self, outputs: NDArray[np.float64], y: Targets, **options: Any) -> dict[str, float]:
        """What `Network.evaluate` returns, of a network with these outputs."""
        given = before_activation(outputs, self.loss, self.dtype)
        return judge(self.networks).evaluate(given, y, **options)


def spawned(rng: np.random.Generator, count: int) -> list[np.random.Generator]:
    """A generator of its own for each of so many networks."""
    try:
        return rng.spawn(count)
    except TypeError as error:
        raise TypeError(
            "rng must be a seed, or a generator that was made of one and can spawn others; got "
            f"{shown(rng)}"
        ) from error
