"""JSON that comes back exactly as it went in, and a parser that hostile text cannot exhaust."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from fastbp.validation import storable

__all__ = ["decode", "encode", "encode_checked"]

_MAX_DEPTH = 32
_MAX_DIGITS = 128

# A string (closed or not, so that matching stays linear) or a bracket.
_NESTING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', re.DOTALL)


def encode(value: object) -> str:
    """Return `value` as compact JSON text with sorted keys: equal values give equal text.

    Raises
    ------
    TypeError
        An object JSON does not know.
    ValueError
        A number that is not finite.
    """
    return json.dumps(
        value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True
    )


def encode_checked(value: Mapping[str, object], name: str) -> str:
    """Return the JSON text of `value` after a check that `decode` gives the same value back.

    Parameters
    ----------
    value : mapping of str to object
        Of dict with str keys, list, str, bool, None, int of at most 128 digits and finite float,
        nested at most 32 deep.
    name : str
        What the caller calls the argument, for the message.

    Raises
    ------
    TypeError
        An object JSON does not know.
    ValueError
        What JSON would change (tuples, keys that are no str) or `decode` would refuse.
    """
    try:
        text = encode(dict(value))
        same = decode(text) == dict(value)
    except (TypeError, ValueError, RecursionError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} cannot be stored as JSON: {error}") from error
    if not same:
        raise ValueError(f"{name} does not come back from JSON as it is: use lists and str keys")
    return text


def decode(text: str) -> dict[str, Any]:
    """Parse a JSON object of bounded depth and finite numbers in which no name occurs twice.

    Its strings are text: an escape may stand for a lone surrogate, which no file takes back.

    Parameters
    ----------
    text : str
        The parsed value takes up to some 30 times the memory of the text, whose length is for
        the caller to bound.

    Raises
    ------
    ValueError
        The text is anything else.
    """
    depth = 0
    for match in _NESTING.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        # Before parsing, for the parser recurses as deep as the interpreter's limit lets it.
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
    value = json.loads(
        text,
        object_pairs_hook=_unique,
        parse_int=lambda digits: _number(int, digits),
        parse_float=lambda digits: _number(float, digits),
        parse_constant=lambda name: _number(float, name),
    )
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__} where an object is expected")
    storable(encode(value), "a string in it")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return value


def _number(kind: type[int] | type[float], digits: str) -> int | float:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits, at most {_MAX_DIGITS} are accepted")
    value = kind(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits} is not finite")
    return value
