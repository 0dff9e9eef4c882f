"""fastbp's activations in the operators of ONNX.

In float32 nearly each that ONNX knows is one operator, with fastbp's own parameters. In float64 it
is composed of those for which onnxruntime has kernels in that dtype: it has none for these, and
their parameters are float32.
"""

from collections.abc import Callable, Sequence
from typing import Any

from numba import types

from fastbp.interchange.onnx_graph import Graph
from fastbp.kernels.machine.coefficients import NORMAL
from fastbp.kernels.panels.activation_rules import (
    GELU_CUBE,
    GELU_TANH,
    SELU_ALPHA,
    SELU_SCALE,
)

# In both dtypes: the operator and its attributes.
OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "softmax": ("Softmax", {"axis": 1}),
    "exponential": ("Exp", {}),
}
# In float32 alone.
OPERATORS_32: dict[str, tuple[str, dict[str, Any]]] = {
    "leaky_relu": ("LeakyRelu", {"alpha": 0.01}),
    "elu": ("Elu", {"alpha": 1.0}),
    "selu": ("Selu", {"alpha": SELU_ALPHA, "gamma": SELU_SCALE}),
    "gelu": ("Gelu", {"approximate": "none"}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "softsign": ("Softsign", {}),
}


def leaky_relu(g: Graph, z: str) -> str:
    """``max(z, 0.01 z)``."""
    return g.node("Max", z, g.node("Mul", z, 0.01))


def _expm1_below(g: Graph, z: str) -> str:
    """``exp(min(z, 0)) - 1``."""
    return g.node("Sub", g.node("Exp", g.node("Min", z, 0.0)), 1.0)


def elu(g: Graph, z: str) -> str:
    """``max(z, 0) + exp(min(z, 0)) - 1``."""
    return g.node("Add", g.node("Relu", z), _expm1_below(g, z))


def selu(g: Graph, z: str) -> str:
    """``s max(z, 0) + s alpha (exp(min(z, 0)) - 1)``."""
    above = g.node("Mul", g.node("Relu", z), SELU_SCALE)
    return g.node("Add", above, g.node("Mul", _expm1_below(g, z), SELU_SCALE * SELU_ALPHA))


def _polynomial(g: Graph, z: str, coefficients: Sequence[Any]) -> str:
    """By Horner's rule, the constant first."""
    *rest, value = (float(one) for one in coefficients)
    total: str | float = value
    for one in reversed(rest):
        total = g.node("Add", g.node("Mul", z, total), one)
    return str(total)


def gelu(g: Graph, z: str) -> str:
    """``z Phi(z)``, as the kernels compute it: onnxruntime has no Erf in float64."""
    normal = NORMAL[types.float64]
    size = g.node("Min", g.node("Abs", z), float(normal.highest))
    b, a = (_polynomial(g, size, one) for one in (normal.b, normal.a))
    power = g.node("Exp", g.node("Mul", g.node("Mul", size, size), -0.5))
    density = g.node("Mul", power, float(normal.density))
    ratio = g.node("Div", b, g.node("Add", g.node("Mul", size, b), a))
    tail = g.node("Mul", density, ratio)
    below = g.node("Less", z, 0.0)
    return g.node("Mul", z, g.node("Where", below, tail, g.node("Sub", 1.0, tail)))


def gelu_tanh(g: Graph, z: str) -> str:
    """``z sigmoid(2 sqrt(2 / pi) (z + 0.044715 z**3))``."""
    cube = g.node("Mul", g.node("Mul", g.node("Mul", z, z), z), GELU_CUBE)
    inner = g.node("Mul", g.node("Add", z, cube), 2 * GELU_TANH)
    return g.node("Mul", z, g.node("Sigmoid", inner))


def silu(g: Graph, z: str) -> str:
    """``z sigmoid(z)``; in float64 onnxruntime would make of that what it has no kernel for."""
    if g.dtype == "float64":
        return g.node("Div", z, g.node("Add", g.node("Exp", g.node("Neg", z)), 1.0))
    return g.node("Mul", z, g.node("Sigmoid", z))


def softplus(g: Graph, z: str) -> str:
    """``max(z, 0) + log(1 + exp(-abs(z)))``: Softplus overflows where it is computed as defined."""
    power = g.node("Exp", g.node("Neg", g.node("Abs", z)))
    return g.node("Add", g.node("Relu", z), g.node("Log", g.node("Add", power, 1.0)))


def softsign(g: Graph, z: str) -> str:
    """``z / (1 + abs(z))``."""
    return g.node("Div", z, g.node("Add", g.node("Abs", z), 1.0))


def hard_tanh(g: Graph, z: str) -> str:
    """``min(max(z, -1), 1)``."""
    return g.node("Clip", z, -1.0, 1.0)


FORMULAS: dict[str, Callable[[Graph, str], str]] = {
    formula.__name__: formula
    for formula in (
        leaky_relu, elu, selu, gelu, gelu_tanh, silu, softplus, softsign, hard_tanh,
    )
}  # fmt: skip


def activated(graph: Graph, name: str, z: str) -> str:
    """The name of the values after the activation of that name."""
    if name == "identity":
        return z
    operators = OPERATORS | (OPERATORS_32 if graph.dtype == "float32" else {})
    if name in operators:
        operator, how = operators[name]
        return graph.node(operator, z, **how)
    return FORMULAS[name](graph, z)
