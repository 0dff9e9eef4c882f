"""One function's statements, from its syntax tree to source with tangents."""

import ast

from fastbp.derivation.expressions import Expressions
from fastbp.derivation.rules import Dual


class Body(Expressions):
    """One function; what it is made of: see `Expressions`."""

    def inner(self, name: str) -> str:
        """The definition for others to call: it takes x and duals and returns one."""
        lines = self._text()
        given = [
            f"u_{one}, d_{one}" if on else f"u_{one}"
            for one, on in zip(self._parameters, self._active, strict=True)
        ]
        return f"@compiled\ndef {name}(x, {', '.join(given)}):\n{lines}"

    def main(self, name: str, spare: int) -> str:
        """The definition for panels to call: it takes numbers, and returns a value or a tangent."""
        self._is_main = True
        lines = self._text()
        first = self._parameters[0]
        given = [f"u_{one}" for one in self._parameters] + [f"spare{k}" for k in range(spare)]
        begin = [f"x = u_{first}"] + [f"d_{first} = like(x, 1.0)"] * self._active[0]
        head = "".join(f"    {line}\n" for line in begin)
        return f"@compiled\ndef {name}({', '.join(given)}):\n{head}{lines}"

    def _text(self) -> str:
        """The lines of the body; again until it is known which variables have tangents."""
        while True:
            before = set(self._moving), dict(self._kinds)
            self._lines, self._depth, self._count = [], 1, 0
            self._defined = set(self._parameters)
            for one, on in zip(self._parameters, self._active, strict=True):
                if one in self._moving and not on:
                    self._line(f"d_{one} = like(x, 0.0)")
            for one, default in self._constants.items():
                if one in self._locals:
                    self._assign(ast.Name(one), self._constant(self._node, default))
            body = self._node.body
            if isinstance(body, list):
                self._block(body)
                if not _returns(body):
                    self._refuse(self._node, "it has an end without a return")
            else:
                self._return(self._expression(body))
            if before == (self._moving, self._kinds):
                break
        return "\n".join(self._lines) + "\n"

    def _block(self, statements: list[ast.stmt]) -> None:
        for one in statements:
            handler = getattr(self, f"_do_{type(one).__name__.lower()}", None)
            if handler is None:
                self._refuse(one, f"{ast.unparse(one).splitlines()[0]!r} is not understood")
            handler(one)

    def _nested(self, statements: list[ast.stmt]) -> None:
        self._depth += 1
        self._block(statements)
        self._line("pass")
        self._depth -= 1

    def _do_expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self._expression(node.value)

    def _do_pass(self, node: ast.Pass) -> None:
        self._line("pass")

    def _do_break(self, node: ast.Break) -> None:
        self._line("break")

    def _do_continue(self, node: ast.Continue) -> None:
        self._line("continue")

    def _do_return(self, node: ast.Return) -> None:
        if isinstance(node.value, ast.Tuple) and not any(self._active):
            parts = [self._expression(one).number(self) for one in node.value.elts]
            self._line(f"return {', '.join(parts)},")
        elif node.value is None:
            self._refuse(node, "it returns nothing")
        else:
            self._return(self._expression(node.value))

    def _return(self, dual: Dual) -> None:
        if not any(self._active):
            self._line(f"return {dual.number(self)}")
        elif self._is_main:
            self._line(f"return {dual.slope()}")
        else:
            self._line(f"return {dual.number(self)}, {dual.slope()}")

    def _do_assign(self, node: ast.Assign) -> None:
        value = node.value
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                if len(target.elts) != len(value.elts):
                    self._refuse(node, "it has not as many values as names")
                duals = [self._kept(self._expression(one)) for one in value.elts]
                for one, dual in zip(target.elts, duals, strict=True):
                    self._assign(one, dual)
            else:
                self._assign(target, self._expression(value))

    def _do_annassign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._assign(node.target, self._expression(node.value))

    def _do_augassign(self, node: ast.AugAssign) -> None:
        if not isinstance(node.target, ast.Name):
            self._refuse(node, f"{ast.unparse(node.target)!r} is not a variable")
        left = self._name(ast.copy_location(ast.Name(node.target.id, ast.Load()), node))
        self._assign(node.target, self._binary(node, node.op, left, self._expression(node.value)))

    def _kept(self, dual: Dual) -> Dual:
        """The dual in temporaries, for variables that change at once."""
        if dual.boolean:
            return dual
        tangent = None if dual.tangent is None else self.store(dual.tangent)
        return Dual(self.store(dual.number(self)), tangent)

    def _assign(self, target: ast.expr, dual: Dual) -> None:
        if not isinstance(target, ast.Name):
            self._refuse(target, f"{ast.unparse(target)!r} is not a variable")
        name = target.id
        self._defined.add(name)
        if self._kinds.setdefault(name, dual.boolean) != dual.boolean:
            self._refuse(target, f"{name!r} is now a number and now a truth value")
        if dual.tangent is not None:
            self._moving.add(name)
        if name in self._moving:
            self._line(f"d_{name} = {dual.slope()}")
        self._line(f"u_{name} = {dual.value if dual.boolean else dual.number(self)}")

    def _do_if(self, node: ast.If) -> None:
        self._line(f"if {self._truth(node.test)}:")
        before = set(self._defined)
        self._nested(node.body)
        defined, self._defined = self._defined, before
        if node.orelse:
            self._line("else:")
            self._nested(node.orelse)
        if node.orelse and _leaves(node.orelse):
            self._defined = defined
        elif not _leaves(node.body):
            self._defined &= defined

    def _do_while(self, node: ast.While) -> None:
        if node.orelse:
            self._refuse(node, "a loop with an else is not understood")
        self._line("while True:")
        self._depth += 1
        self._line(f"if not ({self._truth(node.test)}):")
        self._line("    break")
        self._depth -= 1
        self._loop(node.body)

    def _loop(self, body: list[ast.stmt]) -> None:
        """What is first given a value in it has none where it is not entered."""
        before = set(self._defined)
        self._nested(body)
        self._defined = before

    def _do_for(self, node: ast.For) -> None:
        call = node.iter
        ranges = isinstance(call, ast.Call) and self._object(call.func) is range
        if not ranges or node.orelse or not isinstance(node.target, ast.Name):
            self._refuse(node, "a loop must be over a range, without an else")
        assert isinstance(call, ast.Call)
        bounds = [self._expression(one) for one in call.args]
        if call.keywords or any(not isinstance(one.constant, int) for one in bounds):
            self._refuse(node, "the bounds of a range must be constants")
        count = self.store("0")
        self._line(f"for {count} in range({', '.join(str(one.constant) for one in bounds)}):")
        self._depth += 1
        before = set(self._defined)
        self._assign(node.target, Dual(f"like(x, {count})"))
        self._depth -= 1
        self._loop(node.body)
        self._defined = before


def _returns(statements: list[ast.stmt]) -> bool:
    """Whether every way through the statements ends in a return."""
    last = statements[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and _returns(last.body) and _returns(last.orelse)
    return isinstance(last, ast.Return)


def _leaves(statements: list[ast.stmt]) -> bool:
    """Whether what comes behind the statements is not reached through them."""
    return isinstance(statements[-1], ast.Break | ast.Continue) or _returns(statements)
