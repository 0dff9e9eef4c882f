"""Activation functions: what each computes, and how its derivative is found.

Every entry is a scalar rule. Most derivatives follow from the activation's own output, which the
backward pass has at hand; the others (`from_output=False`) are computed together with the output.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from numba.core.registry import CPUDispatcher

from fastbp.kernels import output_panels
from fastbp.kernels.jit import Kernel, inline
from fastbp.kernels.panels import (
    backward_panel,
    forward_panel,
    forward_with_derivative_panel,
    multiply,
)
from fastbp.kernels.simd import fma
from fastbp.kernels.vecmath import expm1, like, normal_cdf, normal_pdf, sigmoid, softplus, tanh

SELU_SCALE = 1.0507009873554805  # Klambauer et al. 2017, section 2
SELU_ALPHA = 1.6732632423543772
GELU_TANH = 0.7978845608028654  # sqrt(2 / pi), Hendrycks & Gimpel 2016
GELU_CUBE = 0.044715


@dataclass(frozen=True)
class Activation:
    """An element-wise activation ``a = f(z)`` made of two scalar functions.

    Parameters
    ----------
    name : str
        What it is called in messages and in saved models.
    f : callable
        ``f(z)``, in the subset of Python that Numba compiles. Literals should be made with
        ``numpy.float32`` for a float32 network, since Numba computes in float64 otherwise.
    df : callable
        ``f'`` as a function of ``z``, or of ``f(z)`` if `from_output`.
    from_output : bool
        Whether `df` takes the activation's output.

    Examples
    --------
    >>> import numpy as np
    >>> square = Activation("square", lambda z: z * z, lambda z: z + z)
    """

    name: str
    f: Callable[[Any], Any]
    df: Callable[[Any], Any]
    from_output: bool = False
    _built_in: bool = field(default=False, repr=False, compare=False)
    output_only: ClassVar[bool] = False

    @cached_property
    def _scalars(self) -> tuple[Any, Any]:
        def compiled(function: Callable[[Any], Any]) -> Any:
            return function if isinstance(function, CPUDispatcher) else inline(function)

        return compiled(self.f), compiled(self.df)

    @cached_property
    def forward(self) -> Kernel | None:
        """The panel of `f` alone, for prediction."""
        return forward_panel(self.name, self._scalars[0], self._built_in)

    @cached_property
    def training_forward(self) -> Kernel | None:
        """The panel of `f` for training, which leaves the slopes behind if it must."""
        if self.from_output:
            return self.forward
        return forward_with_derivative_panel(self.name, *self._scalars, self._built_in)

    @cached_property
    def backward(self) -> Kernel | None:
        """The panel that multiplies delta by the derivative."""
        if self.from_output:
            return backward_panel(self.name, self._scalars[1], self._built_in)
        return multiply

    def __reduce__(self) -> tuple[Any, ...]:
        if self._built_in:
            return activation, (self.name,)
        return Activation, (self.name, self.f, self.df, self.from_output)


@dataclass(frozen=True)
class FixedActivation:
    """An activation with panels of its own: identity, and those for the output layer alone."""

    name: str
    forward: Kernel | None
    backward: Kernel | None
    output_only: bool = True
    from_output: bool = True

    @property
    def training_forward(self) -> Kernel | None:
        return self.forward

    def __reduce__(self) -> tuple[Any, ...]:
        return activation, (self.name,)


@inline
def _relu(z):
    return z if not z <= 0 else like(z, 0.0)  # NaN stays NaN


@inline
def _relu_slope(a):
    return like(a, 1.0) if a > 0 else like(a, 0.0)


@inline
def _leaky_relu(z):
    return z if z > 0 else like(z, 0.01) * z


@inline
def _leaky_relu_slope(a):
    return like(a, 1.0) if a > 0 else like(a, 0.01)


@inline
def _elu(z):
    return z if z > 0 else expm1(z)


@inline
def _elu_slope(a):
    return like(a, 1.0) if a > 0 else a + like(a, 1.0)


@inline
def _selu(z):
    return like(z, SELU_SCALE) * z if z > 0 else like(z, SELU_SCALE * SELU_ALPHA) * expm1(z)


@inline
def _selu_slope(a):
    return like(a, SELU_SCALE) if a > 0 else a + like(a, SELU_SCALE * SELU_ALPHA)


@inline
def _gelu(z):
    return z * normal_cdf(z)


@inline
def _gelu_slope(z):
    return normal_cdf(z) + z * normal_pdf(z)


@inline
def _gelu_tanh_gate(z):
    # (1 + tanh(u)) / 2 = sigmoid(2 u)
    return sigmoid(like(z, 2 * GELU_TANH) * (z + like(z, GELU_CUBE) * z * z * z))


@inline
def _gelu_tanh(z):
    return z * _gelu_tanh_gate(z)


@inline
def _gelu_tanh_slope(z):
    gate = _gelu_tanh_gate(z)
    inner = like(z, 2 * GELU_TANH) * (like(z, 1.0) + like(z, 3 * GELU_CUBE) * z * z)
    # Where the gate is shut or open for good, inner may overflow: 0 * inf would be NaN.
    steep = gate * (like(z, 1.0) - gate)
    inner = inner if steep > 0 else like(z, 0.0)
    # One rounding on every processor: behind a choice the compiler would fuse on some alone.
    return fma(z * steep, inner, gate)


@inline
def _silu(z):
    return z * sigmoid(z)


@inline
def _silu_slope(z):
    s = sigmoid(z)
    return s + z * s * (like(z, 1.0) - s)


@inline
def _softplus_slope(a):
    return -expm1(-a)  # sigmoid(z) where a = log(1 + exp(z))


@inline
def _softsign(z):
    return z / (like(z, 1.0) + abs(z))


@inline
def _softsign_slope(a):
    rest = like(a, 1.0) - abs(a)
    return rest * rest


@inline
def _hard_tanh(z):
    low = like(z, -1.0) if z < -1 else z
    return like(z, 1.0) if low > 1 else low


@inline
def _hard_tanh_slope(a):
    return like(a, 1.0) if abs(a) < 1 else like(a, 0.0)


@inline
def _sigmoid_slope(a):
    return a * (like(a, 1.0) - a)


@inline
def _tanh_slope(a):
    return like(a, 1.0) - a * a


@inline
def _tanh(z):
    return tanh(z)


@inline
def _sigmoid(z):
    return sigmoid(z)


@inline
def _softplus(z):
    return softplus(z)


def _entry(name: str, f: Any, df: Any, from_output: bool = True) -> Activation:
    return Activation(name, f, df, from_output, True)


ACTIVATIONS: dict[str, Activation | FixedActivation] = {
    entry.name: entry
    for entry in (
        FixedActivation("identity", None, None, output_only=False),
        _entry("relu", _relu, _relu_slope),
        _entry("leaky_relu", _leaky_relu, _leaky_relu_slope),
        _entry("elu", _elu, _elu_slope),
        _entry("selu", _selu, _selu_slope),
        _entry("gelu", _gelu, _gelu_slope, from_output=False),
        _entry("gelu_tanh", _gelu_tanh, _gelu_tanh_slope, from_output=False),
        _entry("silu", _silu, _silu_slope, from_output=False),
        _entry("softplus", _softplus, _softplus_slope),
        _entry("softsign", _softsign, _softsign_slope),
        _entry("hard_tanh", _hard_tanh, _hard_tanh_slope),
        _entry("sigmoid", _sigmoid, _sigmoid_slope),
        _entry("tanh", _tanh, _tanh_slope),
        FixedActivation("softmax", output_panels.softmax, output_panels.softmax_backward),
        FixedActivation("exponential", output_panels.exponential, output_panels.exponential_backward),
    )
}


def activation(name: str) -> Activation | FixedActivation:
    """The built-in activation of that name."""
    return ACTIVATIONS[name]
