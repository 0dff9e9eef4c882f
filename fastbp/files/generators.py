"""The state of a random generator: for a model file, and back from one that may be hostile."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastbp.validation import shown

# What NumPy's bit generators tell of their state: each integer is below the number here. Their
# setters do not look: a position past the end of an array would be read out of bounds.
_HALF = {"has_uint32": 2, "uinteger": 1 << 32}
_PCG = {"state": {"state": 1 << 128, "inc": 1 << 128}, **_HALF}
_STATES: dict[str, dict[str, Any]] = {
    "MT19937": {"state": {"key": [1 << 32] * 624, "pos": 625}},
    "PCG64": _PCG,
    "PCG64DXSM": _PCG,
    "Philox": {
        "state": {"counter": [1 << 64] * 4, "key": [1 << 64] * 2},
        "buffer": [1 << 64] * 4,
        "buffer_pos": 5,
        **_HALF,
    },
    "SFC64": {"state": {"state": [1 << 64] * 4}, **_HALF},
}


def describe(generator: np.random.Generator) -> dict[str, Any] | None:
    """The state of a generator as JSON holds it.

    Parameters
    ----------
    generator : numpy.random.Generator

    Returns
    -------
    dict or None
        None where the bit generator is not one of NumPy's own: a file holds no code.
    """
    bits = generator.bit_generator
    name = type(bits).__name__
    if name not in _STATES or type(bits) is not getattr(np.random, name):
        return None
    described: dict[str, Any] = _plain(bits.state)
    return described


def restore(described: Any) -> np.random.Generator:
    """A generator in the state that `describe` told.

    Parameters
    ----------
    described : dict
        From a file, and checked here.

    Raises
    ------
    ValueError
        No such state can be.
    """
    if not isinstance(described, Mapping):
        raise ValueError(f"rng must be an object, got {shown(described)}")
    state = dict(described)
    name = state.pop("bit_generator", None)
    if not isinstance(name, str) or name not in _STATES:
        raise ValueError(
            f"rng must be one of the bit generators {', '.join(_STATES)}; got {shown(name)}"
        )
    checked = _checked(state, _STATES[name], "rng")
    if name == "MT19937" and not (checked["state"]["key"] & ([1 << 31] + [~0] * 623)).any():
        raise ValueError("rng of MT19937 has a key of zeros, which would never change")
    if name.startswith("PCG64") and checked["state"]["inc"] % 2 == 0:
        raise ValueError("rng of PCG64 has an even increment")
    bits = getattr(np.random, name)(0)
    bits.state = {"bit_generator": name, **checked}
    return np.random.Generator(bits)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value if isinstance(value, str) else int(value)


def _checked(value: Any, limits: Any, name: str) -> Any:
    """`value`, where it has the form of `limits` and each integer is below the one there."""
    if isinstance(limits, dict):
        if not isinstance(value, dict) or value.keys() != limits.keys():
            raise ValueError(f"{name} must have the keys {sorted(limits)}")
        return {key: _checked(value[key], limit, f"{name}.{key}") for key, limit in limits.items()}
    if isinstance(limits, list):
        if not isinstance(value, list) or len(value) != len(limits):
            raise ValueError(f"{name} must be a list of {len(limits)} integers, got {shown(value)}")
        entries = [_checked(entry, limits[0], name) for entry in value]
        return np.array(entries, np.uint32 if limits[0] == 1 << 32 else np.uint64)
    if type(value) is not int or not 0 <= value < limits:  # True is an int too
        raise ValueError(f"{name} must be an integer from 0 to {limits - 1}, got {shown(value)}")
    return value
