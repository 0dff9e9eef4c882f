"""State as model files hold it: a tree of plain values as JSON, the arrays in it beside it."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.validation import shown

__all__ = ["PREFIX", "pack", "unpack"]

PREFIX = "state."  # of the arrays' names, which go on with a number

# JSON has no arrays of a dtype and no NaN: objects with one of these keys alone stand for them.
_ARRAY, _FLOAT = "$array", "$float"
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def pack(tree: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Part a tree into what JSON holds and the arrays.

    Parameters
    ----------
    tree : mapping of str to object
        Of dict, list, str, bool, None, int, float (NaN and infinity, too) and ndarray. Keys are
        str and do not begin with ``$``.
    name : str
        What messages call it.

    Returns
    -------
    described : dict
        For `strict_json`, which checks what is neither dict, list nor array.
    arrays : dict of str to ndarray
        Those of the tree, uncopied.

    Raises
    ------
    ValueError
        A key that begins with ``$``.
    TypeError
        A key that is no str.
    """
    arrays: dict[str, NDArray[Any]] = {}

    def part(value: Any, at: str) -> Any:
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str):
                    raise TypeError(f"{at} has the key {shown(key)}; keys must be str")
                if key.startswith("$"):
                    raise ValueError(f"{at} has the key {key!r}: no key may begin with '$'")
            return {key: part(entry, f"{at}[{key!r}]") for key, entry in value.items()}
        if isinstance(value, list):
            return [part(entry, at) for entry in value]
        if isinstance(value, np.ndarray):
            arrays[f"{PREFIX}{len(arrays)}"] = value
            return {_ARRAY: len(arrays) - 1}
        if isinstance(value, float) and not math.isfinite(value):
            return {_FLOAT: str(float(value))}
        if value is None or isinstance(value, str | bool | int | float):
            return value
        raise TypeError(
            f"{at} is {shown(value)}; a file holds dict, list, str, bool, None, int, float, ndarray"
        )

    return part(tree, name), arrays


def unpack(described: Any, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Put the tree together again.

    Parameters
    ----------
    described : dict
        From a file: what `strict_json` lets pass may be anything.
    arrays : mapping of str to ndarray
        The file's arrays whose names begin with `PREFIX`.

    Raises
    ------
    ValueError
        It is no dict, or its arrays are not exactly those given.
    """
    left = dict(arrays)

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(entry) for entry in value]
        if not isinstance(value, dict):
            return value
        if not any(key.startswith("$") for key in value):
            return {key: whole(entry) for key, entry in value.items()}
        [(key, entry), *more] = value.items()
        if key == _FLOAT and not more and isinstance(entry, str) and entry in _NOT_FINITE:
            return _NOT_FINITE[entry]
        if key == _ARRAY and not more and type(entry) is int and f"{PREFIX}{entry}" in left:
            return left.pop(f"{PREFIX}{entry}")
        raise ValueError(f"the state of the fit has the unknown entry {shown(value)}")

    tree = whole(described)
    if not isinstance(tree, dict):
        raise ValueError(f"the state of the fit must be an object, got {shown(tree)}")
    if left:
        raise ValueError(f"{len(left)} arrays belong to no part of the state of the fit")
    return tree
