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

from fastbp.derivation.names import NAMESPACES
from fastbp.derivation.reading import UnwritableError
from fastbp.derivation.statements import Body

__all__ = ["UnwritableError", "derivative", "value"]


def value(function: Callable[..., Any], arguments: int, spare: int = 0, fast: bool = True) -> Any:
    """The function itself.

    Parameters
    ----------
    function : callable
        As its user wrote it.
    arguments : int
        How many numbers it takes.
    spare : int
        How many more the result takes, and ignores.
    fast : bool
        Whether the result is for compiled functions to call, or for Python.

    Raises
    ------
    UnwritableError
        It has no source, or something in it is not known.
    """
    return _made(function, (False,) * arguments, spare, fast)


def derivative(
    function: Callable[..., Any], arguments: int, spare: int = 0, fast: bool = True
) -> Any:
    """The derivative by the first argument; else as `value`."""
    return _made(function, (True, *(False,) * (arguments - 1)), spare, fast)


def _made(function: Callable[..., Any], active: tuple[bool, ...], spare: int, fast: bool) -> Any:
    writer, names = _Writer(), dict(NAMESPACES[fast])
    main = Body(writer.function, _plain(function), active).main("main", spare)
    exec("\n".join([*writer.definitions, main]), names)
    return names["main"]


def _plain(function: Any) -> Any:
    return function.py_func if isinstance(function, CPUDispatcher) else function


class _Writer:
    """Writes functions, each once for each pattern of arguments with tangents."""

    def __init__(self) -> None:
        self.definitions: list[str] = []
        self._names: dict[Any, str | None] = {}  # None while it is written

    def function(self, function: Callable[..., Any], active: tuple[bool, ...]) -> str:
        """The name of the written function, which takes a number for its type and the duals."""
        plain = _plain(function)
        key = plain, active
        if key not in self._names:
            self._names[key] = None
            name = f"f{len(self._names)}"
            self.definitions.append(Body(self.function, plain, active).inner(name))
            self._names[key] = name
        found = self._names[key]
        if found is None:
            raise UnwritableError(f"{plain.__name__} calls itself")
        return found
