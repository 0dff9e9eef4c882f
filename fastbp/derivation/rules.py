"""What operations and functions make of values and tangents."""

import builtins
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Store(Protocol):
    """What holds temporaries."""

    def store(self, text: str) -> str:
        """The name of a temporary that holds what an expression gives."""


@dataclass(frozen=True)
class Dual:
    """An expression and its tangent, None where that is zero; whether it is a truth value."""

    value: str
    tangent: str | None = None
    boolean: bool = False
    constant: Any = None

    def number(self, w: Store) -> str:
        """The expression of the value as a number."""
        if not self.boolean:
            return self.value
        return w.store(f"like(x, 1.0) if {self.value} else like(x, 0.0)")

    def slope(self) -> str:
        """The expression of the tangent."""
        return "like(x, 0.0)" if self.tangent is None else self.tangent


def constant(given: Any) -> Dual:
    """A number as it stands in a function."""
    if isinstance(given, bool | np.bool_):
        return Dual(str(bool(given)), boolean=True, constant=bool(given))
    kept = int(given) if isinstance(given, int | np.integer) else float(given)
    return Dual(f"like(x, {float(given)!r})", constant=kept)


Rule = Callable[..., Dual]


def _sum(w: Store, parts: list[str | None]) -> str | None:
    """A temporary with the sum of tangents, if there are any."""
    there = [one for one in parts if one is not None]
    return w.store(" + ".join(there)) if there else None


def _times(factor: str, tangent: str | None) -> str | None:
    return None if tangent is None else f"{factor} * {tangent}"


def _folded(function: Callable[..., Any], *duals: Dual) -> Dual | None:
    """The constant that the function makes of constants."""
    if any(one.constant is None for one in duals):
        return None
    try:
        with np.errstate(all="ignore"):
            made = function(*(one.constant for one in duals))
    except (ArithmeticError, ValueError):
        return None
    return constant(made) if isinstance(made, int | float | np.number | np.bool_) else None


def _add(w: Store, a: Dual, b: Dual) -> Dual:
    v = w.store(f"{a.number(w)} + {b.number(w)}")
    return Dual(v, _sum(w, [a.tangent, b.tangent]))


def _subtract(w: Store, a: Dual, b: Dual) -> Dual:
    v = w.store(f"{a.number(w)} - {b.number(w)}")
    if b.tangent is None:
        return Dual(v, a.tangent)
    return Dual(v, w.store(f"{a.tangent or ''} - {b.tangent}".strip()))


def _multiply(w: Store, a: Dual, b: Dual) -> Dual:
    left, right = a.number(w), b.number(w)
    return Dual(
        w.store(f"{left} * {right}"),
        _sum(w, [_times(right, a.tangent), _times(left, b.tangent)]),
    )


def _divide(w: Store, a: Dual, b: Dual) -> Dual:
    left, right = a.number(w), b.number(w)
    v = w.store(f"{left} / {right}")
    if a.constant == 1 and b.tangent is not None:
        return Dual(v, w.store(f"-{v} * {v} * {b.tangent}"))
    if b.tangent is None:
        return Dual(v, a.tangent and w.store(f"{a.tangent} / {right}"))
    change = w.store(f"{a.tangent or ''} - {v} * {b.tangent}".strip())
    return Dual(v, w.store(f"{change} / {right}"))


def _floor_divide(w: Store, a: Dual, b: Dual) -> Dual:
    return Dual(w.store(f"floor({a.number(w)} / {b.number(w)})"))


def _modulo(w: Store, a: Dual, b: Dual) -> Dual:
    left, right = a.number(w), b.number(w)
    turns = w.store(f"floor({left} / {right})")
    v = w.store(f"{left} - {turns} * {right}")
    if b.tangent is None:
        return Dual(v, a.tangent)
    return Dual(v, w.store(f"{a.tangent or ''} - {turns} * {b.tangent}".strip()))


MOST_PRODUCTS = 64  # exponents up to here are products


def _whole_power(w: Store, base: str, exponent: int) -> str:
    """Base ** exponent, of an exponent of at least 0, by squares."""
    if exponent == 0:
        return "like(x, 1.0)"
    half = _whole_power(w, base, exponent // 2) if exponent > 1 else base
    if exponent == 1:
        return base
    square = w.store(f"{half} * {half}")
    return w.store(f"{square} * {base}") if exponent % 2 else square


def _power(w: Store, a: Dual, b: Dual) -> Dual:
    base, exponent = a.number(w), b.constant
    if b.constant is not None and float(exponent).is_integer() and abs(exponent) <= MOST_PRODUCTS:
        n = int(exponent)
        if n < 0:
            return _divide(w, constant(1.0), _power(w, a, constant(-n)))
        v = _whole_power(w, base, n)
        if a.tangent is None or n == 0:
            return Dual(v)
        below = _whole_power(w, base, n - 1)
        return Dual(v, w.store(f"like(x, {float(n)}) * {below} * {a.tangent}"))
    if exponent == 0.5:
        return RULES[math.sqrt](w, a)
    power = b.number(w)
    v = w.store(f"power({base}, {power})")
    parts = []
    if a.tangent is not None:
        # Of 0 ** 0 the slope is 0, as of any other number: without this, 0 * 0 ** -1.
        lower = w.store(f"power({base}, {power} - like(x, 1.0))")
        zero = f"{power} == like(x, 0.0)"
        parts.append(w.store(f"like(x, 0.0) if {zero} else {power} * {lower} * {a.tangent}"))
    if b.tangent is not None:
        # 0 ** b stays 0 for b > 0, and is 1 at 0: by convention its slope is 0 there, too.
        zero = f"({base} == like(x, 0.0)) and ({power} >= like(x, 0.0))"
        parts.append(w.store(f"like(x, 0.0) if {zero} else {v} * log({base}) * {b.tangent}"))
    return Dual(v, _sum(w, list(parts)))


def _negate(w: Store, a: Dual) -> Dual:
    return Dual(w.store(f"-{a.number(w)}"), a.tangent and w.store(f"-{a.tangent}"))


def _where(w: Store, test: Dual, a: Dual, b: Dual) -> Dual:
    if a.boolean and b.boolean:
        return Dual(w.store(f"{a.value} if {test.value} else {b.value}"), boolean=True)
    decided = test.value if test.boolean else f"({test.value} != 0)"
    left, right = a.number(w), b.number(w)
    v = w.store(f"{left} if {decided} else {right}")
    if a.tangent is None and b.tangent is None:
        return Dual(v)
    return Dual(v, w.store(f"{a.slope()} if {decided} else {b.slope()}"))


def _chosen(sign: str, with_nan: bool) -> Rule:
    """The greater or the lesser of two or more; as NumPy, with NaN where one is, or as Python."""

    def rule(w: Store, first: Dual, second: Dual, *more: Dual) -> Dual:
        for other in (second, *more):
            a, b = first.number(w), other.number(w)
            test = f"({a} {sign}= {b}) or ({a} != {a})" if with_nan else f"not ({b} {sign} {a})"
            first = _where(w, Dual(w.store(test), boolean=True), first, other)
        return first

    return rule


def _clip(w: Store, a: Dual, low: Dual, high: Dual) -> Dual:
    return _chosen("<", True)(w, _chosen(">", True)(w, a, low), high)


def _unary(name: str, slope: str) -> Rule:
    """A function by its name in the source; slope: of {x}, its argument, and {v}, its value."""

    def rule(w: Store, a: Dual) -> Dual:
        argument = a.number(w)
        v = w.store(f"{name}({argument})")
        if a.tangent is None or not slope:
            return Dual(v)
        return Dual(v, w.store(f"({slope.format(x=argument, v=v)}) * {a.tangent}"))

    return rule


def _hypot(w: Store, a: Dual, b: Dual) -> Dual:
    return RULES[math.sqrt](w, _add(w, _multiply(w, a, a), _multiply(w, b, b)))


def _cast(name: str) -> Rule:
    def rule(w: Store, a: Dual) -> Dual:
        return Dual(
            w.store(f"{name}({a.number(w)})"), a.tangent and w.store(f"{name}({a.tangent})")
        )

    return rule


def _same(w: Store, a: Dual) -> Dual:
    return Dual(a.number(w), a.tangent)


def _folding(function: Callable[..., Any], rule: Rule) -> Rule:
    """The rule, but where all is constant."""

    def folding(w: Store, *duals: Dual) -> Dual:
        return _folded(function, *duals) or rule(w, *duals)

    folding.__wrapped__ = rule  # type: ignore[attr-defined]  # its signature
    return folding


ONE = "like(x, 1.0)"
UNARY = {
    "exp": "{v}",
    "expm1": f"{{v}} + {ONE}",
    "exp2": "like(x, 0.6931471805599453) * {v}",
    "log": f"{ONE} / {{x}}",
    "log1p": f"{ONE} / ({ONE} + {{x}})",
    "log2": "like(x, 1.4426950408889634) / {x}",
    "log10": "like(x, 0.4342944819032518) / {x}",
    "sqrt": "like(x, 0.5) / {v}",
    "sin": "cos({x})",
    "cos": "-sin({x})",
    "tan": f"{ONE} + {{v}} * {{v}}",
    "sinh": "cosh({x})",
    "cosh": "sinh({x})",
    "tanh": f"{ONE} - {{v}} * {{v}}",
    "arcsin": f"{ONE} / sqrt({ONE} - {{x}} * {{x}})",
    "arccos": f"-{ONE} / sqrt({ONE} - {{x}} * {{x}})",
    "arctan": f"{ONE} / ({ONE} + {{x}} * {{x}})",
    "arcsinh": f"{ONE} / sqrt({{x}} * {{x}} + {ONE})",
    "arccosh": f"{ONE} / sqrt({{x}} * {{x}} - {ONE})",
    "arctanh": f"{ONE} / ({ONE} - {{x}} * {{x}})",
    "erf": "density({x})",
    "erfc": "-density({x})",
    "abs": "sign({x})",
    "sign": "",
    "floor": "",
    "ceil": "",
    "trunc": "",
}
IN_MATH = {name.replace("arc", "a"): name for name in UNARY} | {"fabs": "abs"}

RULES: dict[Any, Rule] = {
    "+": _folding(operator.add, _add),
    "-": _folding(operator.sub, _subtract),
    "*": _folding(operator.mul, _multiply),
    "/": _folding(operator.truediv, _divide),
    "//": _folding(operator.floordiv, _floor_divide),
    "%": _folding(operator.mod, _modulo),
    "**": _folding(operator.pow, _power),
    "neg": _folding(operator.neg, _negate),
    "where": _where,
    np.where: _where,
    np.clip: _clip,
    float: _same,
}
for _name, _slope in UNARY.items():
    for _function in (getattr(np, _name, None), getattr(builtins, _name, None)):
        if _function is not None:
            RULES[_function] = _folding(_function, _unary(_name, _slope))
for _called, _name in IN_MATH.items():
    if hasattr(math, _called):
        _function = getattr(math, _called)
        RULES[_function] = _folding(_function, _unary(_name, UNARY[_name]))
RULES[np.fabs] = RULES[np.absolute]
for _function in (max, np.maximum, np.fmax):
    RULES[_function] = _folding(_function, _chosen(">", _function is np.maximum))
for _function in (min, np.minimum, np.fmin):
    RULES[_function] = _folding(_function, _chosen("<", _function is np.minimum))
for _function in (pow, math.pow, np.power):
    RULES[_function] = _folding(_function, _power)
for _function in (math.hypot, np.hypot):
    RULES[_function] = _folding(_function, _hypot)
for _function in (np.float32, np.float64):
    RULES[_function] = _folding(_function, _cast(_function.__name__))
RULES[np.square] = lambda w, a: _multiply(w, a, a)
for _function, _rule in {
    np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/", np.negative: "neg",
}.items():  # fmt: skip
    RULES[_function] = RULES[_rule]
