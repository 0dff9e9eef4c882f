"""Configurations: all combinations of some values, or draws from them and from distributions."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from fastbp.validation import positive_int, shown

Parameters = dict[str, Any]
Space = dict[str, "tuple[Any, ...] | Callable[[np.random.Generator], Any]"]

OF_FIT = "fit__"  # before the names of what goes to the fit, not to make
FIT_OPTIONS = ("batch_size", "class_weight", "epochs", "schedule", "shuffle", "tol")


def checked_spaces(space: Any) -> list[Space]:
    """The spaces that a user passed: one, or several.

    Raises
    ------
    TypeError, ValueError
        Something that is no space, has no values, or has a name that cannot be used.
    """
    several = isinstance(space, list | tuple)
    given = list(space) if several else [space]
    if not given:
        raise ValueError("space is empty")
    found = []
    for number, one in enumerate(given):
        name = f"space[{number}]" if several else "space"
        if not isinstance(one, Mapping):
            raise TypeError(
                f"{name} must be a dict from names to values, or a list of such; got {shown(one)}"
            )
        if not one:
            raise ValueError(f"{name} is empty")
        found.append({key: _checked(key, values, name) for key, values in one.items()})
    return found


def _checked(key: Any, values: Any, space: str) -> "tuple[Any, ...] | Callable[..., Any]":
    if not isinstance(key, str):
        raise TypeError(f"{space} must have names of parameters, strings; got {shown(key)}")
    if key == "rng":
        raise ValueError(f"{space} must not have 'rng': make gets a seed; see repeats and rng")
    if key.startswith(OF_FIT) and key.removeprefix(OF_FIT) not in FIT_OPTIONS:
        accepted = ", ".join(repr(OF_FIT + name) for name in FIT_OPTIONS)
        raise ValueError(
            f"{space} has {key!r}; names that begin with {OF_FIT!r} are options of the fit: "
            f"{accepted}"
        )
    name = f"{space}[{key!r}]"
    if callable(getattr(values, "rvs", None)):
        return lambda rng: values.rvs(random_state=rng)
    if callable(values):
        drawn: Callable[..., Any] = values
        return drawn
    unordered = isinstance(values, str | bytes | Mapping | AbstractSet)
    if unordered or not isinstance(values, Iterable):
        raise TypeError(
            f"{name} must be a sequence of values, a distribution with rvs(random_state=), or a "
            f"function of a numpy.random.Generator; got {shown(values)}"
        )
    found = tuple(values)
    if not found:
        raise ValueError(f"{name} has no values")
    return found


def combinations(spaces: Iterable[Space]) -> Iterator[Parameters]:
    """All combinations of the values, those of one space after another; the last name varies first.

    Raises
    ------
    ValueError
        A space has a distribution.
    """
    for space in spaces:
        for name, values in space.items():
            if callable(values):
                raise ValueError(
                    f"space has a distribution for {name!r}: it has no grid; give values, or n "
                    "with method='random' or 'halving'"
                )
        lists = [values for values in space.values() if not callable(values)]
        for chosen in itertools.product(*lists):
            yield {name: _plain(value) for name, value in zip(space, chosen, strict=True)}


def draws(spaces: list[Space], n: Any, rng: np.random.Generator) -> list[Parameters]:
    """So many random configurations, each of one of the spaces.

    Combinations of values, without a distribution, come only once.

    Raises
    ------
    TypeError, ValueError
        n is no count, or more than there are combinations.
    """
    n = positive_int(n, "n")
    most = sum(_size(space) for space in spaces)
    if n > most:
        raise ValueError(f"n must be at most {most}, the combinations that space has; got {n}")
    found: list[Parameters] = []
    seen: set[tuple[int, ...]] = set()
    while len(found) < n:
        number = int(rng.integers(len(spaces)))
        places, parameters = [number], {}
        for name, values in spaces[number].items():
            if callable(values):
                parameters[name] = _plain(values(rng))
            else:
                places.append(int(rng.integers(len(values))))
                parameters[name] = _plain(values[places[-1]])
        if math.isfinite(_size(spaces[number])):
            if tuple(places) in seen:
                continue
            seen.add(tuple(places))
        found.append(parameters)
    return found


def _size(space: Space) -> float:
    """How many combinations there are; infinity with a distribution."""
    sizes = [math.inf if callable(values) else len(values) for values in space.values()]
    return math.prod(sizes)


def _plain(value: Any) -> Any:
    """A NumPy number as Python's."""
    return value.item() if isinstance(value, np.generic) else value


def parted(parameters: Parameters) -> tuple[Parameters, Parameters]:
    """What of a configuration goes to make, and what to the fit."""
    own = {name: value for name, value in parameters.items() if not name.startswith(OF_FIT)}
    fit = {
        name.removeprefix(OF_FIT): value
        for name, value in parameters.items()
        if name.startswith(OF_FIT)
    }
    return own, fit
