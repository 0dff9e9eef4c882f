"""Functions of a user's own: their names and import paths, whether a derivative is right, panels.

A file holds no code. It names a function as "module:function", and whoever loads it imports the
module first: nothing is imported for a file, and nothing that it names is called.
"""

import sys
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from numba.core.registry import CPUDispatcher

from fastbp import derivation
from fastbp.kernels.machine.jit import inline
from fastbp.kernels.machine.raising import refuse_raising, scalar
from fastbp.validation import expect_name, shown

Function = Callable[..., Any]
# Where a derivative is looked at: no multiples of each other, and zero, where many have a kink.
POINTS = (-4.3, -1.7, -0.61, -0.037, 0.0, 0.023, 0.47, 1.3, 2.9, 5.1)
TARGETS = (-1.1, 0.0, 0.35, 1.0, 2.2)
STEPS = (1e-3, 1e-5)  # of difference quotients: what a derivative is must not depend on them
TOLERANCE = 1e-4


class Own:
    """What is made of a function of a user's, which may decorate it."""

    @property
    def _function(self) -> Function:
        raise NotImplementedError


def called(function: Function, name: Any) -> str:
    """What a function of a user's is called: `name`, or by the function's own."""
    chosen = getattr(function, "__name__", None) if name is None else name
    if chosen is None:
        raise TypeError(f"name must be given for a function without one, got {shown(function)}")
    expect_name(chosen)
    return str(chosen)


class Compiled:
    """A function as panels call it, and what is to be checked before.

    Parameters
    ----------
    function : callable
        The user's.
    arguments : int
        How many numbers it takes.
    derive : bool
        Whether its derivative by the first of them is meant.
    spare : int
        How many more numbers panels hand over: none, or one to functions of two.

    Raises
    ------
    ValueError
        There is no derivative to be had from its source.
    """

    def __init__(
        self, function: Function, arguments: int, derive: bool = False, spare: int = 0
    ) -> None:
        self.own, self._arguments, self._may_raise = function, arguments, True
        make = derivation.derivative if derive else derivation.value
        try:
            if derive or not isinstance(function, CPUDispatcher):  # made as its author wants it
                self.function, self._may_raise = make(function, arguments, spare), False
                return
        except derivation.UnwritableError as error:
            if derive:
                why = f"f has no derivative to be found; give df: {error}"
                raise ValueError(why) from None
        taken = scalar(function)
        self.function = inline(lambda a, y, _: taken(a, y)) if spare else taken

    def refuse_raising(self, owner: str, parameter: str, dtype: Any) -> None:
        """Raise ValueError where an exception could be lost in a panel."""
        if self._may_raise:
            refuse_raising(owner, {parameter: self.own}, dtype, self._arguments)


def check_derivative(f: Function, df: Function, targets: bool, from_output: bool = False) -> None:
    """Raise ValueError where df is not the derivative of f in its first argument, or never works.

    At some points, by difference quotients in float64. A kink may have any slope between those of
    its two sides; where f is not finite, raises or jumps, nothing is asked of df.

    targets: whether both take a target, too; from_output: whether df takes what f returns.
    """
    f, df = (one.py_func if isinstance(one, CPUDispatcher) else one for one in (f, df))
    failed, worked = None, False
    with np.errstate(all="ignore"):
        for at in _points(targets):
            low, high = _slopes(f, at)
            if low is None or high is None:
                continue
            try:
                taken = (np.float64(f(*at)),) if from_output else at
                got = float(df(*taken))
            except Exception as error:  # noqa: BLE001 - Python, where compiled code has a number
                failed = error
                continue
            worked = True
            room = TOLERANCE * (1 + max(abs(low), abs(high)))
            if not low - room <= got <= high + room:
                names = ("a", "y") if targets else ("z",)
                where = ", ".join(f"{n} = {v:g}" for n, v in zip(names, at, strict=True))
                slope = f"{low:.6g}" if high - low < room else f"from {low:.6g} to {high:.6g}"
                raise ValueError(
                    f"df is not the derivative of f at {where}: df gives {got:.6g}, and the slope "
                    f"of f is {slope} there (check=False takes df as it is)"
                )
    if failed is not None and not worked:
        raise ValueError(
            f"df fails wherever it is called, with {type(failed).__name__}: {failed} (check=False "
            "takes df as it is)"
        ) from failed


def _points(targets: bool) -> Iterator[tuple[np.float64, ...]]:
    for z in map(np.float64, POINTS):
        if targets:
            yield from ((z, np.float64(y)) for y in TARGETS)
        else:
            yield (z,)


def _slopes(f: Function, at: tuple[Any, ...]) -> tuple[float, float] | tuple[None, None]:
    """The least and the greatest slope of f at a point, or None where that cannot be told."""
    first, *rest = at
    sides = []
    for step in STEPS:
        try:
            low, here, high = (float(f(first + move, *rest)) for move in (-step, 0.0, step))
        except Exception:  # noqa: BLE001 - of a domain, and whatever a user's code raises
            return None, None
        sides.append(((here - low) / step, (high - low) / (2 * step), (high - here) / step))
    if not np.isfinite(sides).all():
        return None, None
    (left, middle, right), (near_left, near_middle, near_right) = sides
    near = TOLERANCE * (1 + abs(near_middle))
    if (
        abs(near_left - near_right) < 10 * near
        and abs(middle - near_middle) < 0.1 * abs(left - right) + near
    ):
        return near_middle, near_middle
    # A kink, if both sides have slopes that do not change with the step.
    slack = 0.05 * (1 + abs(near_left) + abs(near_right))
    if abs(left - near_left) > slack or abs(right - near_right) > slack:
        return None, None
    return min(near_left, near_right), max(near_left, near_right)


def path_of(function: Any, owner: str, parameter: str) -> str:
    """The import path of a function; raises ValueError where it has none."""
    name, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", "")
    path = f"{module}:{name}"
    if "<lambda>" in name:
        why = "it is a lambda"
    elif not name.isidentifier():
        why = f"{name!r} is not at the top level of a module"
    elif _found(path) is not function:
        why = f"{path!r} is now something else"
    else:
        return path
    raise ValueError(
        f"{owner} cannot be saved: a file holds no code, but the import path of {parameter}, and "
        f"{why}; define it with def at the top level of a module"
    )


def at_path(path: Any, parameter: str) -> Function:
    """The function at an import path that a file names.

    Raises
    ------
    ValueError
        The module is not imported, or has no such function.
    """
    module, _, name = path.partition(":") if isinstance(path, str) else ("", "", "")
    if not name.isidentifier():
        raise ValueError(f"{parameter} must be 'module:function', got {shown(path)}")
    if not isinstance(sys.modules.get(module), ModuleType):
        raise ValueError(
            f"{parameter} is {path!r}: import {module} first, nothing is imported here"
        )
    function = _found(path)
    if function is None:
        raise ValueError(
            f"{parameter} is {path!r}, and {module} has no function {name!r} of its own"
        )
    return function


def _found(path: str) -> Function | None:
    """The function that was defined there, if a module that is imported has one."""
    module, _, name = path.partition(":")
    # Not by getattr: a module's own __getattr__ is code, too.
    value = vars(sys.modules[module]).get(name) if module in sys.modules else None
    value = value._function if isinstance(value, Own) else value
    if not isinstance(value, FunctionType | CPUDispatcher):
        return None
    return value if f"{value.__module__}:{value.__qualname__}" == path else None
