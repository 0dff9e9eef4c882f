"""One function's expressions, from its syntax tree to source with tangents."""

import ast
import inspect
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, NoReturn

import numpy as np
from numba.core.registry import CPUDispatcher

from fastbp.derivation.reading import UnwritableError, located
from fastbp.derivation.rules import RULES, Dual, constant

Constant = (bool, int, float, np.bool_, np.integer, np.floating)
OPERATORS: dict[type, str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
OPERATORS |= {ast.Pow: "**", ast.FloorDiv: "//", ast.Mod: "%"}
COMPARISONS: dict[type, str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
COMPARISONS |= {ast.Eq: "==", ast.NotEq: "!="}


class Expressions:
    """What is known of one function while it is written, and its expressions.

    Its variables keep their names behind `u_` and have tangents behind `d_`; temporaries are t1,
    t2, ...; `x` is a number of the type that all numbers have.

    Parameters
    ----------
    written : callable
        What makes the name of another function that is to be written, of it and of whether each of
        its arguments has a tangent.
    function : function
        Which one.
    active : tuple of bool
        Whether each of its arguments has a tangent.
    """

    def __init__(
        self,
        written: Callable[[Any, tuple[bool, ...]], str],
        function: Any,
        active: tuple[bool, ...],
    ) -> None:
        self._written, self._function = written, function
        self._node = located(function)
        self._file = function.__code__.co_filename
        arguments = self._node.args
        names = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
        others = (arguments.vararg, arguments.kwarg, *arguments.kwonlyargs)
        given = inspect.signature(function).parameters
        rest = {name: given[name].default for name in names[len(active) :]}
        if any(others) or len(names) < len(active) or inspect.Parameter.empty in rest.values():
            self._refuse(self._node, f"it must take {len(active)} numbers")
        self._parameters, self._active = names[: len(active)], active
        self._constants = rest
        variables = (n for n in ast.walk(self._node) if isinstance(n, ast.Name))
        assigned = {n.id for n in variables if isinstance(n.ctx, ast.Store)}
        self._locals = assigned | set(self._parameters)
        self._moving = {n for n, on in zip(self._parameters, active, strict=True) if on}
        # Of variables: whether they are truth values.
        self._kinds: dict[str, bool] = dict.fromkeys(self._parameters, False)
        self._defined: set[str] = set()  # variables that have a value wherever the last line is
        self._lines: list[str] = []
        self._depth, self._count, self._is_main = 1, 0, False

    def _refuse(self, node: Any, why: str) -> NoReturn:
        line = getattr(node, "lineno", self._function.__code__.co_firstlineno)
        raise UnwritableError(f"{self._file}, line {line}, in {self._function.__name__}: {why}")

    def _line(self, text: str) -> None:
        self._lines.append("    " * self._depth + text)

    def store(self, text: str) -> str:
        """The name of a temporary that holds what an expression gives."""
        self._count += 1
        self._line(f"t{self._count} = {text}")
        return f"t{self._count}"

    def _expression(self, node: ast.expr) -> Dual:
        handler = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if handler is None:
            self._refuse(node, f"{ast.unparse(node)!r} is not understood")
        dual: Dual = handler(node)
        return dual

    def _of_constant(self, node: ast.Constant) -> Dual:
        return self._constant(node, node.value)

    def _constant(self, node: ast.expr, given: Any) -> Dual:
        if not isinstance(given, Constant):
            self._refuse(node, f"{ast.unparse(node).splitlines()[0]!r} is no number")
        try:
            return constant(given)
        except OverflowError:
            self._refuse(node, f"{ast.unparse(node)!r} is too large")

    def _of_name(self, node: ast.Name) -> Dual:
        return self._name(node)

    def _name(self, node: ast.Name) -> Dual:
        name = node.id
        if name not in self._locals:
            return self._constant(node, self._object(node))
        if name not in self._defined:
            self._refuse(node, f"{name!r} may have no value")
        if self._kinds.get(name):
            return Dual(f"u_{name}", boolean=True)
        return Dual(f"u_{name}", f"d_{name}" if name in self._moving else None)

    def _of_attribute(self, node: ast.Attribute) -> Dual:
        return self._constant(node, self._object(node))

    def _object(self, node: ast.expr) -> Any:
        """What a name, or a name of a module, stands for."""
        if isinstance(node, ast.Attribute):
            owner = self._object(node.value)
            if isinstance(owner, ModuleType) and hasattr(owner, node.attr):
                return getattr(owner, node.attr)
        elif isinstance(node, ast.Name) and node.id not in self._locals:
            names = inspect.getclosurevars(self._function)
            for place in (self._constants, names.nonlocals, names.globals, names.builtins):
                if node.id in place:
                    return place[node.id]
        self._refuse(node, f"{ast.unparse(node)!r} is not known")

    def _of_binop(self, node: ast.BinOp) -> Dual:
        left, right = self._expression(node.left), self._expression(node.right)
        return self._binary(node, node.op, left, right)

    def _binary(self, node: Any, operator: ast.operator, left: Dual, right: Dual) -> Dual:
        if type(operator) not in OPERATORS:
            self._refuse(node, f"{ast.unparse(node)!r} is not understood")
        return RULES[OPERATORS[type(operator)]](self, left, right)

    def _of_unaryop(self, node: ast.UnaryOp) -> Dual:
        if isinstance(node.op, ast.Not):
            return Dual(f"(not {self._truth(node.operand)})", boolean=True)
        operand = self._expression(node.operand)
        if isinstance(node.op, ast.USub):
            return RULES["neg"](self, operand)
        if isinstance(node.op, ast.UAdd):
            return operand
        self._refuse(node, f"{ast.unparse(node)!r} is not understood")

    def _of_compare(self, node: ast.Compare) -> Dual:
        sides = [self._expression(one).number(self) for one in (node.left, *node.comparators)]
        parts = []
        for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
            if type(operator) not in COMPARISONS:
                self._refuse(node, f"{ast.unparse(node)!r} is not understood")
            parts.append(f"({left} {COMPARISONS[type(operator)]} {right})")
        return Dual(self.store(" and ".join(parts)), boolean=True)

    def _of_boolop(self, node: ast.BoolOp) -> Dual:
        parts = [self._expression(one) for one in node.values]
        if not all(one.boolean for one in parts):
            self._refuse(node, f"{ast.unparse(node)!r} is not of truth values")
        word = " and " if isinstance(node.op, ast.And) else " or "
        return Dual(self.store(word.join(one.value for one in parts)), boolean=True)

    def _truth(self, node: ast.expr) -> str:
        dual = self._expression(node)
        return dual.value if dual.boolean else f"({dual.number(self)} != 0)"

    def _of_ifexp(self, node: ast.IfExp) -> Dual:
        test = Dual(self._truth(node.test), boolean=True)
        return RULES["where"](
            self, test, self._expression(node.body), self._expression(node.orelse)
        )

    def _of_call(self, node: ast.Call) -> Dual:
        called = self._object(node.func)
        rule = RULES.get(called)
        if rule is None and not isinstance(called, FunctionType | CPUDispatcher):
            self._refuse(node, f"the derivative of {ast.unparse(node.func)!r} is not known")
        if any(isinstance(one, ast.Starred) for one in node.args) or (rule and node.keywords):
            self._refuse(node, f"the arguments of {ast.unparse(node)!r} are not understood")
        if rule is not None:
            operands = [self._expression(one) for one in node.args]
            try:
                inspect.signature(rule).bind(self, *operands)
            except TypeError:
                self._refuse(
                    node, f"{ast.unparse(node)!r} has not the number of arguments it takes"
                )
            return rule(self, *operands)
        return self._of_function(node, called)

    def _of_function(self, node: ast.Call, called: Any) -> Dual:
        """A call of another function."""
        plain = called.py_func if isinstance(called, CPUDispatcher) else called
        given = {one.arg: one.value for one in node.keywords if one.arg is not None}
        try:
            bound = inspect.signature(plain).bind(*node.args, **given)
        except TypeError as error:
            self._refuse(node, str(error))
        names = list(inspect.signature(plain).parameters)
        if list(bound.arguments) != names[: len(bound.arguments)]:
            bound.apply_defaults()  # else what is left out is constant in the other function
        duals = [
            self._expression(one) if isinstance(one, ast.expr) else self._constant(node, one)
            for one in bound.arguments.values()
        ]
        active = tuple(one.tangent is not None for one in duals)
        name = self._written(called, active)
        parts = ["x"]
        for one in duals:
            parts += [one.number(self)] + ([] if one.tangent is None else [one.tangent])
        made = self.store(f"{name}({', '.join(parts)})")
        return Dual(f"{made}[0]", f"{made}[1]") if any(active) else Dual(made)
