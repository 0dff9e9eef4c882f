"""Files of ensembles: all networks in one, and the checks of what is read from one.

What is alike in many networks is in a file once. Networks of one configuration are a group, whose
arrays lie in one array for each name, network by network; ``groups`` of the file's configuration
tells for each group what `Network.save` would tell of all of them, their numbers, and what is each
one's own. ``ensemble`` tells the rest.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.ensemble import bags
from fastbp.ensemble.members import Members, spawned
from fastbp.files import container, generators, strict_json
from fastbp.network import Network, model_files
from fastbp.network.loading import network_of
from fastbp.validation import generator, shown

KEY = "ensemble"  # of the configuration, by which a file of an ensemble is told
OWN = ("steps", "rng", "dropout_seed", "fit")  # what of a network is told for each one

Arrays = dict[str, NDArray[Any]]


class _Group(NamedTuple):
    """Networks of one configuration: their numbers, what is each one's own, and their arrays."""

    shared: dict[str, Any]
    numbers: list[int]
    own: list[dict[str, Any]]
    arrays: list[Arrays]


def write(path: str | os.PathLike[str], members: Members) -> None:
    """Write an ensemble; raises as `container.write` and `configuration.describe` do."""
    groups: dict[tuple[Any, ...], _Group] = {}
    for number, network in enumerate(members.networks):
        arrays, described = network._core.content()
        own = {key: described.pop(key) for key in OWN if key in described}
        forms = (*((name, array.shape, array.dtype) for name, array in arrays.items()),)
        key = strict_json.encode(described), forms
        group = groups.setdefault(key, _Group(described, [], [], []))
        group.numbers.append(number)
        group.own.append(own)
        group.arrays.append(arrays)
    stacked, told = {}, []
    for at, group in enumerate(groups.values()):
        told.append({"configuration": group.shared, "networks": group.numbers, "own": group.own})
        for name in tuple(group.arrays[0]):  # each is freed when it is stacked
            stacked[f"{at}.{name}"] = np.stack([arrays.pop(name) for arrays in group.arrays])
    of_all: dict[str, Any] = {"failed": list(members.failed)}
    rng = generators.describe(members.rng)
    if rng is not None:
        of_all["rng"] = rng
    if members.bags is not None:
        of_all["bags"] = members.bags.described()
    container.write(path, stacked, {KEY: of_all, "groups": told})


def restored(
    arrays: Arrays,
    described: dict[str, Any],
    threads: int | None = None,
    rng: np.random.Generator | None = None,
) -> Members:
    """The members of an ensemble, from what `container.read` has found.

    threads, rng: as `fastbp.load` takes them.

    Raises
    ------
    TypeError, ValueError
        They are none.
    """
    of_all = _object(described, {KEY, "groups"}, set(), "an ensemble")[KEY]
    _object(of_all, {"failed"}, {"rng", "bags"}, KEY)
    found = _networks(arrays, described["groups"])
    given = [None] * len(found) if rng is None else spawned(rng, len(found))
    networks: list[Network] = []
    for number, own in enumerate(given):
        networks.append(network_of(model_files.checked(*found.pop(number)), threads, own))
    if rng is None:
        rng = generators.restore(of_all["rng"]) if "rng" in of_all else generator(None)
    members = Members(networks, rng)
    if "bags" in of_all:
        members.bags = bags.parsed(of_all["bags"], len(networks))
    members.failed = _numbers(of_all["failed"], "failed", len(networks))
    return members


def _networks(arrays: Arrays, groups: Any) -> dict[int, tuple[Arrays, dict[str, Any]]]:
    """What the file of each network would hold, by its number; uncopied."""
    if not isinstance(groups, list) or not groups:
        raise ValueError(f"groups must be a list of groups of networks, got {shown(groups)}")
    of_groups = _by_group(arrays, len(groups))
    found: dict[int, tuple[Arrays, dict[str, Any]]] = {}
    for group, stacked in zip(groups, of_groups, strict=True):
        _object(group, {"configuration", "networks", "own"}, set(), "a group")
        shared, numbers, own = group["configuration"], group["networks"], group["own"]
        _object(shared, set(), None, "the configuration of a group")
        if not isinstance(numbers, list) or not isinstance(own, list) or len(numbers) != len(own):
            raise ValueError("a group must have lists, of one length, as networks and own")
        for name, array in stacked.items():
            if not array.ndim or len(array) != len(numbers):
                raise ValueError(
                    f"the array {shown(name)} of a group of {len(numbers)} networks has the shape "
                    f"{array.shape}"
                )
        for at, (number, of_network) in enumerate(zip(numbers, own, strict=True)):
            _object(of_network, set(), set(OWN), "own of a group")
            if type(number) is not int or number in found:
                raise ValueError(
                    f"networks of groups must have a number each, got {shown(number)} of one"
                )
            its_arrays = {name: array[at] for name, array in stacked.items()}
            # What is of a network is taken out of its dict by who checks it.
            found[number] = its_arrays, {**shared, **of_network}
    if not found or sorted(found) != list(range(len(found))):
        raise ValueError(f"the numbers of networks must be those from 0 to {len(found) - 1}")
    return found


def _by_group(arrays: Arrays, count: int) -> list[Arrays]:
    """The arrays of each group, without its number in their names."""
    found: dict[str, Arrays] = {str(group): {} for group in range(count)}
    for name, array in arrays.items():
        group, dot, rest = name.partition(".")
        if not dot or group not in found:
            raise ValueError(f"the array {shown(name)} belongs to no group of networks")
        found[group][rest] = array
    return list(found.values())


def _object(value: Any, needed: set[str], optional: set[str] | None, name: str) -> Any:
    """The value, where it is an object with these keys; optional: None for any others."""
    if not isinstance(value, Mapping) or needed - value.keys():
        raise ValueError(f"{name} must be an object with {sorted(needed)}, got {shown(value)}")
    if optional is not None and (unknown := value.keys() - needed - optional):
        raise ValueError(f"{name} has the unknown entry {shown(min(unknown))}")
    return value


def _numbers(value: Any, name: str, count: int) -> tuple[int, ...]:
    """Numbers of networks, each once, in their order."""
    if not isinstance(value, list) or not all(type(one) is int for one in value):
        raise ValueError(f"{name} must be a list of numbers of networks, got {shown(value)}")
    if sorted(set(value)) != value or (value and not 0 <= value[0] <= value[-1] < count):
        raise ValueError(
            f"{name} must hold numbers from 0 to {count - 1}, in their order; got {shown(value)}"
        )
    return tuple(value)
