"""Scalar functions of a user's, written anew from source: with kernels' arithmetic, and duals.

A function that is made of arithmetic, comparisons, branches, loops over ranges, functions of `math`
and NumPy, and other such functions becomes plain source in which every number is of the network's
type and `exp` and its like are those of fastbp's kernels. Nothing in that source can raise.

Derivatives are forward-mode automatic differentiation (Wengert 1964): beside each value that
depends on the argument stands its tangent, and each operation has a line for either. The room knows
nothing of networks.
"""

from collections.abc import Callable
from typing import Any

from numba.core.registry import CPUDispatcher

from fastbp.derivation.reading import UnwritableError
from fastbp.derivation.rules import NAMESPACES
from fastbp.derivation.statements import Body

__all__ = ["UnwritableError", "derivative", "source", "value"]


def value(function: Callable[..., Any], arguments: int, fast: bool = True) -> Any:
    """The function itself; `fast` for compiled functions to call, else for Python.

    Raises
    ------
    UnwritableError
        It has no source, or something in it is not known.
    """
    return _made(function, (False,) * arguments, fast)


def derivative(function: Callable[..., Any], arguments: int, fast: bool = True) -> Any:
    """The derivative by the first argument; else as `value`."""
    return _made(function, (True, *(False,) * (arguments - 1)), fast)


def source(function: Callable[..., Any], active: tuple[bool, ...]) -> str:
    """The text in which `main` is the function, or its derivative by the active arguments."""
    writer = _Writer()
    inner = writer.function(function, active)
    names = ", ".join(f"x{i}" for i in range(len(active)))
    given = ", ".join(f"x{i}, like(x0, 1.0)" if on else f"x{i}" for i, on in enumerate(active))
    part = "[1]" if any(active) else ""
    main = f"@compiled\ndef main({names}):\n    return {inner}(x0, {given}){part}\n"
    return "\n".join([*writer.definitions, main])


def _made(function: Callable[..., Any], active: tuple[bool, ...], fast: bool) -> Any:
    names = dict(NAMESPACES[fast])
    exec(source(function, active), names)
    return names["main"]


class _Writer:
    """Writes functions, each once for each pattern of arguments with tangents."""

    def __init__(self) -> None:
        self.definitions: list[str] = []
        self._names: dict[Any, str | None] = {}  # None while it is written

    def function(self, function: Callable[..., Any], active: tuple[bool, ...]) -> str:
        """The name of the written function, which takes a number for its type and the duals."""
        plain = function.py_func if isinstance(function, CPUDispatcher) else function
        key = plain, active
        if key not in self._names:
            self._names[key] = None
            name = f"f{len(self._names)}"
            self.definitions.append(Body(self.function, plain, active).text(name))
            self._names[key] = name
        found = self._names[key]
        if found is None:
            raise UnwritableError(f"{plain.__name__} calls itself")
        return found
