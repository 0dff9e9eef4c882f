"""Where a function stands in its source, and whether that is still the source it was made of."""

import ast
import functools
import inspect
from types import CodeType
from typing import Any

SCOPES = (ast.FunctionDef, ast.Lambda)


class UnwritableError(ValueError):
    """A function that cannot be written anew; the message tells the line."""


def located(function: Any) -> Any:
    """The node of a function: an ast.FunctionDef or ast.Lambda.

    Raises
    ------
    UnwritableError
        There is no source, or it has changed.
    """
    code = getattr(function, "__code__", None)
    if code is None:
        raise UnwritableError(f"{function!r} is no function of Python")
    try:
        lines, _ = inspect.findsource(function)
        tree, codes = _parsed("".join(lines), code.co_filename)
    except (OSError, SyntaxError, ValueError):
        tree, codes = None, ()
    if tree is None or not any(_same(code, one) for one in codes):
        name, file, line = function.__name__, code.co_filename, code.co_firstlineno
        raise UnwritableError(
            f"{file}, line {line}, in {name}: its source cannot be read, or has changed"
        )
    nodes = [node for node in ast.walk(tree) if isinstance(node, SCOPES) and _may_be(node, code)]
    if not nodes:
        raise UnwritableError(f"{code.co_filename}, line {code.co_firstlineno}: it is not found")
    return min(nodes, key=_size)


@functools.lru_cache(16)
def _parsed(text: str, file: str) -> tuple[ast.Module, tuple[CodeType, ...]]:
    """The tree of a source, and the code of everything in it."""
    tree = ast.parse(text)
    codes = [compile(tree, file, "exec", dont_inherit=True)]
    for code in codes:  # which grows
        codes += [one for one in code.co_consts if isinstance(one, CodeType)]
    return tree, tuple(codes)


def _same(code: CodeType, other: CodeType) -> bool:
    def known(one: CodeType) -> tuple[Any, ...]:
        return one.co_name, one.co_code, one.co_names, one.co_varnames, [*one.co_positions()]

    return known(code) == known(other)


def _may_be(node: Any, code: CodeType) -> bool:
    """Whether this node may have been compiled to that code; of those the smallest was."""
    names = tuple(one.arg for one in (*node.args.posonlyargs, *node.args.args))
    if names != code.co_varnames[: code.co_argcount]:
        return False
    if isinstance(node, ast.FunctionDef):
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        return (node.name, first) == (code.co_name, code.co_firstlineno)
    begin, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
    return code.co_name == "<lambda>" and all(
        begin <= (first, column) and (last, last_column) <= end
        for first, last, column, last_column in code.co_positions()
        if None not in (first, last, column, last_column) and (first, column) < (last, last_column)
    )


def _size(node: Any) -> tuple[int, int]:
    lines = (node.end_lineno or 0) - node.lineno
    return lines, (node.end_col_offset or 0) - node.col_offset
