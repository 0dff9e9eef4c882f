"""What is to be done elsewhere, and whether all of it can be sent there."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fastbp.many import bundles
from fastbp.many.arguments import Each, expect_own_generators
from fastbp.network import Network


class Work(NamedTuple):
    """What is to be done with networks.

    Attributes
    ----------
    call : callable
        What a worker calls with the networks, `threads`, `glance` and the arguments.
    networks : sequence of Network
        With what.
    arguments : dict
        By name; `Each` of what differs.
    operations : sequence of float
        About how many each network takes.
    trains : bool
        Whether the networks change.
    back : callable
        Called with the number of a network and what has come back of it.
    fail : callable
        Called with the number of a network and why it could not be sent.
    copies : int
        Bytes that each worker needs besides the data as they were sent.
    """

    call: Callable[..., Any]
    networks: Sequence[Network]
    arguments: Mapping[str, Any]
    operations: Sequence[float]
    trains: bool
    back: Callable[[int, Any], None]
    fail: Callable[[int, Exception], None]
    copies: int

    @property
    def common(self) -> dict[str, Any]:
        """The arguments that are the same for all."""
        return {name: one for name, one in self.arguments.items() if not isinstance(one, Each)}

    @property
    def own(self) -> dict[str, Each]:
        """Those with a value for each network."""
        return {name: one for name, one in self.arguments.items() if isinstance(one, Each)}


def message_of(what: Work, numbers: Sequence[int]) -> tuple[Any, ...]:
    """What a worker is sent of some networks."""
    networks = [what.networks[number] for number in numbers]
    values = {name: [value[number] for number in numbers] for name, value in what.own.items()}
    return what.call, networks, values, what.trains


def expect_sendable(what: Work) -> None:
    """Raise TypeError for what cannot be pickled, and ValueError for a generator of several."""
    for name, value in what.common.items():
        _expect_picklable(value, name)
    if what.trains:
        expect_own_generators([network._core.rng.bit_generator for network in what.networks])
    for number, network in enumerate(what.networks):
        try:
            bundles.expect_sendable(message_of(what, [number]))
        except Exception:
            _expect_picklable(network, f"network {number}")
            for name, value in what.own.items():
                _expect_picklable(value[number], f"network {number}: {name}")
            raise


def _expect_picklable(value: Any, name: str) -> None:
    try:
        bundles.expect_sendable(value)
    except Exception as error:  # whatever a class of a user's raises
        raise TypeError(
            f"{name} cannot be sent to a worker, since it cannot be pickled: "
            f"{type(error).__name__}: {error}"
        ) from error
