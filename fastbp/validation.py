"""Checks of the scalar arguments: counts, layer widths, names and hyper-parameters."""

import difflib
import math
import numbers
import operator
import os
import reprlib
import sys
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np


class _Short(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        try:
            return super().repr_int(x, level)
        except ValueError:  # more digits than Python writes
            return f"<int of {x.bit_length()} bits>"


_REPR = _Short()
_REPR.maxstring = _REPR.maxother = 60
_MOST = 1 << 63  # counts end up in 64 bits


def shown(value: object) -> str:
    """Return `value` as an error message shows it: one short line, then its type."""
    return f"{' '.join(_REPR.repr(value).split())} ({type(value).__name__})"


def outside() -> int:
    """The `stacklevel` with which the caller warns of the innermost line that is not fastbp's."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "fastbp":
        frame, level = frame.f_back, level + 1
    return level


def positive_int(value: Any, name: str) -> int:
    """Return `value` as a Python int of at least 1.

    Parameters
    ----------
    value : int
        A Python or NumPy integer. Booleans and floats are not accepted, not even whole ones.
    name : str
        What the caller calls the argument, for the message.

    Raises
    ------
    TypeError
        `value` is not an integer.
    ValueError
        `value` is below 1, or does not fit into 64 bits.
    """
    return _integer(value, name, 1)


def natural(value: Any, name: str) -> int:
    """Return `value` as a Python int of at least 0; otherwise as `positive_int`."""
    return _integer(value, name, 0)


def _integer(value: Any, name: str, low: int) -> int:
    accepted = f"{name} must be an integer of at least {low}"
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{accepted}, got {shown(value)}") from None
    if number < low:
        raise ValueError(f"{accepted}, got {_REPR.repr(number)}")
    if number >= _MOST:
        raise ValueError(f"{accepted} and below 2**63, got {_REPR.repr(number)}")
    return number


def flag(value: Any, name: str) -> bool:
    """Return `value` where it is True or False.

    Raises
    ------
    TypeError
        `value` is no boolean: 1, "yes" and None are not accepted.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def generator(rng: Any) -> np.random.Generator:
    """Return the random generator that `rng` stands for.

    Parameters
    ----------
    rng : int, numpy.random.Generator or None
        A seed, a generator, which is used as it is, or None for a seed of the system's.

    Raises
    ------
    TypeError, ValueError
        `rng` is none of these.
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"rng must be a seed of at least 0, a numpy.random.Generator or None; got {shown(rng)}"
        ) from error


def expect_name(name: Any) -> None:
    """Raise TypeError or ValueError where what a user calls a thing of theirs is no name."""
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {shown(name)}")
    if not name or not name.isprintable():
        raise ValueError(
            f"name must be a non-empty string of printable characters, got {shown(name)}"
        )


def expect_functions(**functions: Any) -> None:
    """Raise TypeError where one of the arguments, given by their names, is no function."""
    for name, function in functions.items():
        if not callable(function):
            raise TypeError(f"{name} must be a function, got {shown(function)}")


def path_text(path: Any, name: str = "path") -> str:
    """Return a path as text.

    Parameters
    ----------
    path : str, bytes or path-like
        Of a file or folder, which need not exist.
    name : str
        What the caller calls the argument, for the message.

    Raises
    ------
    TypeError
        `path` is neither text nor path-like.
    ValueError
        It is empty, holds a null character, or one that the file system cannot encode: nothing can
        be called so.
    """
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"{name} must be a string or path-like, got {shown(path)}")
    text = os.fsdecode(path)
    if not text or "\0" in text:
        fault = "must not hold a null character" if text else "must not be empty"
        raise ValueError(f"{name} {fault}, got {shown(path)}")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} must be a string that the file system can encode ({error.encoding}), "
            f"got {shown(path)}"
        ) from None
    return text


def storable(text: str, name: str) -> str:
    """Return a text where a file can hold it.

    Raises
    ------
    ValueError
        It holds a lone surrogate, which no encoding knows.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        surrogate = ascii(text[error.start])
        raise ValueError(
            f"{name} must not hold a lone surrogate ({surrogate}), got {shown(text)}"
        ) from None
    return text


def returned(value: Any, what: str, where: str = "") -> float:
    """Return as a float what a user's function returned.

    Parameters
    ----------
    value : object
        A real number, or an object that makes a float of itself: a scalar tensor.
    what, where : str
        The function and its call, for the message: "metric 'f'" and " at step 3".

    Raises
    ------
    TypeError
        `value` is no real number: text, complex, None.
    ValueError
        It is an integer too large for a float.
    """
    array = value.dtype.kind if isinstance(value, np.ndarray | np.generic) else "f"
    try:
        if isinstance(value, str | bytes | bytearray) or array not in "biuf":
            raise TypeError
        return float(value)
    except OverflowError:
        raise ValueError(
            f"{what} must return a number that a float can hold, got {shown(value)}{where}"
        ) from None
    except (TypeError, ValueError):
        raise TypeError(f"{what} must return a number, got {shown(value)}{where}") from None


def widths(layers: Any, name: str = "layers") -> tuple[int, ...]:
    """Return the layer widths, input first, as a tuple of Python ints.

    Parameters
    ----------
    layers : iterable of int
        At least two widths, each at least 1: a list, a tuple, a range, a 1-D integer array.
    name : str
        What the caller calls the argument, for the message.

    Raises
    ------
    TypeError
        `layers` is no ordered iterable, or one of the widths is not an integer.
    ValueError
        There are fewer than two widths, or one is below 1.
    """
    accepted = f"{name} must be a sequence of at least two widths (integers), input first"
    # A string or a mapping can be iterated too, and a set has lost the order of the layers.
    unordered = isinstance(layers, str | bytes | Mapping | AbstractSet)
    try:
        items = None if unordered else tuple(layers)
    except TypeError:
        items = None
    if items is None:
        raise TypeError(f"{accepted}; got {shown(layers)}")
    checked = tuple(positive_int(item, f"{name}[{index}]") for index, item in enumerate(items))
    if len(checked) < 2:
        raise ValueError(f"{accepted}; got {shown(layers)}")
    return checked


def choice(value: Any, options: Iterable[str], name: str) -> str:
    """Return `value` where it is one of the names in `options`.

    Parameters
    ----------
    value : str
        The name given. Upper and lower case differ.
    options : iterable of str
        The names accepted.
    name : str
        What the caller calls the argument, for the message.

    Raises
    ------
    TypeError
        `value` is not a string.
    ValueError
        `value` is not one of `options`; the message suggests the nearest and lists them all.
    """
    names = tuple(options)
    if isinstance(value, str) and value in names:
        return str(value)
    listed = ", ".join(map(repr, names))
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {listed}; got {shown(value)}")
    near = difflib.get_close_matches(_plain(value), [_plain(option) for option in names], n=1)
    hint = ""
    if near:
        nearest = next(option for option in names if _plain(option) == near[0])
        hint = f"; did you mean {nearest!r}?"
    raise ValueError(f"{name} must be one of {listed}; got {_REPR.repr(value)}{hint}")


def _plain(text: str) -> str:
    """Drop what people spell differently: case, spaces, hyphens and underscores."""
    return "".join(character for character in text.lower() if character not in " -_")


def real(
    value: Any,
    name: str,
    low: float | None = None,
    high: float | None = None,
    *,
    low_open: bool = False,
    high_open: bool = False,
) -> float:
    """Return a hyper-parameter as a finite Python float within its bounds.

    Parameters
    ----------
    value : float
        A real number: Python's int, float or Fraction, or a NumPy scalar. Not a boolean.
    name : str
        What the caller calls the argument, for the message.
    low, high : float, optional
        The bounds; none by default.
    low_open, high_open : bool
        Whether the bound itself is excluded.

    Raises
    ------
    TypeError
        `value` is not a real number.
    ValueError
        `value` is NaN, infinite, too large for a float, or out of bounds.
    """
    accepted = f"{name} must be a finite real number"
    bounds = []
    if low is not None:
        bounds.append(f"greater than {low:g}" if low_open else f"at least {low:g}")
    if high is not None:
        bounds.append(f"less than {high:g}" if high_open else f"at most {high:g}")
    if bounds:
        accepted += ", " + " and ".join(bounds)
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{accepted}; got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    below = low is not None and (number <= low if low_open else number < low)
    above = high is not None and (number >= high if high_open else number > high)
    if not math.isfinite(number) or below or above:
        raise ValueError(f"{accepted}; got {_REPR.repr(value)}")
    return number
