"""New networks, from the user's function and seeds that depend on nothing but `rng`."""

import reprlib
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastbp.many.arguments import naming
from fastbp.network import Network
from fastbp.validation import expect_functions, generator, shown

Make = Callable[..., Network]

HOW = "make must be a function that returns a new network: lambda rng: fastbp.Network(..., rng=rng)"


class Randomness:
    """What is random of a search, each part independent of how much the others draw.

    Parameters
    ----------
    rng : int, numpy.random.Generator or None
        As the user passed it.

    Attributes
    ----------
    folds, draws : numpy.random.Generator
        For the rows that are held out, and for the configurations.
    """

    def __init__(self, rng: Any) -> None:
        words = generator(rng).integers(1 << 32, size=4).tolist()
        networks, folds, draws = np.random.SeedSequence(words).spawn(3)
        self._networks = networks
        self.folds, self.draws = np.random.default_rng(folds), np.random.default_rng(draws)

    def seeds(self, count: int) -> list[int]:
        """Seeds of so many networks; fewer are the first of them."""
        words = self._networks.generate_state(count, np.uint64)
        return [word >> 1 for word in words.tolist()]  # as signed integers have them


def told(number: int, parameters: Mapping[str, Any]) -> str:
    """A configuration as messages call it."""
    return f"{number} ({', '.join(f'{k}={reprlib.repr(v)}' for k, v in parameters.items())})"


class Maker:
    """Calls the user's function, and sees that each network is a new one.

    Parameters
    ----------
    make : callable
        As the user passed it.

    Raises
    ------
    TypeError
        It cannot be called.
    """

    def __init__(self, make: Any) -> None:
        if isinstance(make, Network):
            raise TypeError(f"{HOW}; got {shown(make)}")
        expect_functions(make=make)
        self._make = make
        self._last: Callable[[], Network | None] = lambda: None

    def network(self, seed: int, parameters: Mapping[str, Any], who: str, kind: str) -> Network:
        """A new network; errors name the `kind` of thing it is for, and `who` of these."""
        with naming(who, kind):
            made = self._make(**parameters, rng=seed)
            if not isinstance(made, Network):
                raise TypeError(f"{HOW}; it returned {shown(made)}")
            if made is self._last():
                raise ValueError(f"{HOW}; it returned the network of its last call")
        self._last = weakref.ref(made)
        return made
