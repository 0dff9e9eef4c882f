"""each: an argument with a value for each network, where others are the same for all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any

from fastbp.validation import shown


class Each(Sequence[Any]):
    """The values of an argument, network by network; made by `each`."""

    def __init__(self, values: Iterable[Any]) -> None:
        self._values = tuple(values)

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"each({list(self._values)!r})"


def each(values: Iterable[Any]) -> Each:
    """An argument of `fit_many` and the like with a value for each network.

    Parameters
    ----------
    values : iterable
        As many as there are networks, in their order.

    Returns
    -------
    Each
        To be passed in the place of a value that is the same for all.

    Raises
    ------
    TypeError
        These are no values in an order of theirs.

    Examples
    --------
    >>> import fastbp
    >>> networks = [fastbp.Network([1, 4, 1], rng=seed) for seed in range(3)]
    >>> X = [[0.0], [1.0]]
    >>> histories = fastbp.fit_many(networks, X, X, epochs=fastbp.each([1, 2, 3]))
    >>> [history.epochs for history in histories]
    [1, 2, 3]
    """
    unordered = isinstance(values, str | bytes | Mapping | AbstractSet)
    if unordered or not isinstance(values, Iterable):
        raise TypeError(f"values must be a sequence, one for each network; got {shown(values)}")
    return Each(values)


def value_of(argument: Any, number: int) -> Any:
    """What an argument is for one of the networks."""
    return argument[number] if isinstance(argument, Each) else argument


def expect_lengths(count: int, **arguments: Any) -> None:
    """Raise ValueError where an argument has not as many values as there are networks."""
    for name, argument in arguments.items():
        if isinstance(argument, Each) and len(argument) != count:
            raise ValueError(
                f"{name}=each(...) must have a value for each of the {count} networks; it has "
                f"{len(argument)}"
            )


@contextmanager
def naming(number: int | str, kind: str = "network") -> Iterator[None]:
    """Name the network, by its number, in errors of its arguments, or another kind of thing."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError, ModuleNotFoundError) as error:
        if type(error) not in (TypeError, ValueError, RuntimeError, ModuleNotFoundError):
            error.add_note(f"of {kind} {number}")
            raise
        raise type(error)(f"{kind} {number}: {error}") from error


def expect_own_generators(generators: Iterable[Any]) -> None:
    """Raise ValueError where a bit generator is that of two networks; None for one without."""
    owners: dict[int, int] = {}
    for number, generator in enumerate(generators):
        owner = number if generator is None else owners.setdefault(id(generator), number)
        if owner != number:
            raise ValueError(
                f"networks {owner} and {number} have one numpy.random.Generator, from which they "
                "cannot draw side by side as one after the other: give each its own, as by "
                "rng.spawn(1)[0]"
            )
