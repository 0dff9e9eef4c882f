"""What the source calls by its names: functions of kernels, and of Python."""

import math
from typing import Any

import numba
import numpy as np

from fastbp.derivation.rules import IN_MATH, UNARY
from fastbp.kernels.machine import vecmath
from fastbp.kernels.machine.jit import FLAGS

# As `jit.inline`, however long: a loop with a call in it is not vectorized.
inline = numba.njit(**FLAGS, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)


@inline
def _sign(a):  # type: ignore[no-untyped-def]
    below = vecmath.like(a, -1.0) if a < 0 else vecmath.like(a, 0.0)
    return vecmath.like(a, 1.0) if a > 0 else below


ROOT_2, TWO_ROOTS = math.sqrt(2), 2 * math.sqrt(2)


@inline
def _erfc(a):  # type: ignore[no-untyped-def]
    return vecmath.like(a, 2.0) * vecmath.normal_cdf(vecmath.like(a, -ROOT_2) * a)


@inline
def _density(a):  # type: ignore[no-untyped-def]
    """The slope of erf, by the same number as in it."""
    return vecmath.like(a, TWO_ROOTS) * vecmath.normal_pdf(vecmath.like(a, -ROOT_2) * abs(a))


def _near_erf() -> Any:
    """erf(a) where abs(a) < 0.25: its series, written out: constants of tuples are loaded."""
    sum_of = ""
    for k in range(8, -1, -1):
        term = 2 / math.sqrt(math.pi) * (-1) ** k / (math.factorial(k) * (2 * k + 1))
        sum_of = f"({sum_of}) * s + like(a, {term!r})" if sum_of else f"like(a, {term!r})"
    names = {"like": vecmath.like}
    exec(f"def near(a):\n    s = a * a\n    return a * ({sum_of})", names)
    return inline(names["near"])


_near = _near_erf()


@inline
def _erf(a):  # type: ignore[no-untyped-def]
    tail = vecmath.like(a, 1.0) - _erfc(abs(a))
    near, far = _near(a), tail if a > 0 else -tail
    return near if abs(a) < vecmath.like(a, 0.25) else far  # of what is known: no branch


@inline
def _power_of(a, b):  # type: ignore[no-untyped-def]
    return a**b


NAMED = {"inf": math.inf, "nan": math.nan, "float32": np.float32, "float64": np.float64}
_COMPILED = {
    name: getattr(math, called) for called, name in IN_MATH.items() if hasattr(math, called)
}
# What the source calls by its names: of kernels, and of Python.
NAMESPACES: dict[bool, dict[str, Any]] = {
    True: {
        **NAMED,
        **_COMPILED,
        "exp2": np.exp2,
        "erf": _erf,
        "erfc": _erfc,
        "density": _density,
        **{name: getattr(vecmath, name) for name in ("exp", "expm1", "log", "log1p", "tanh")},
        **{name: getattr(np, name) for name in ("floor", "ceil", "trunc")},
        "abs": abs,
        "sign": _sign,
        "power": _power_of,
        "like": vecmath.like,
        "compiled": inline,
    },
    False: {
        **NAMED,
        **{name: getattr(np, name) for name in UNARY if hasattr(np, name)},
        "erf": math.erf,
        "erfc": math.erfc,
        "density": lambda a: 2 / math.sqrt(math.pi) * math.exp(-a * a),
        "power": np.power,
        "like": lambda x, given: given,
        "compiled": lambda function: function,
    },
}
