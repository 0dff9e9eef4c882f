"""Activation functions: what each computes, and how its derivative is found.

Every entry is a scalar rule. Most derivatives follow from the activation's own output, which the
backward pass has at hand; the others (`from_output=False`) are computed together with the output.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.machine.raising import refuse_raising, scalar
from fastbp.kernels.panels import activation_rules as rules
from fastbp.kernels.panels import output_panels
from fastbp.kernels.panels.panels import (
    backward_panel,
    forward_panel,
    forward_with_derivative_panel,
    multiply,
)
from fastbp.validation import expect_functions, expect_name


@dataclass(frozen=True)
class Activation:
    """An element-wise activation ``a = f(z)`` made of two scalar functions.

    Parameters
    ----------
    name : str
        What it is called in messages and in saved models.
    f : callable
        ``f(z)``, in the subset of Python that Numba compiles. Literals should be made with
        ``numpy.float32`` for a float32 network, since Numba computes in float64 otherwise. What
        can raise an exception is refused (ValueError) when it is compiled.
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

    def __post_init__(self) -> None:
        expect_name(self.name)
        expect_functions(f=self.f, df=self.df)

    @cached_property
    def _scalars(self) -> tuple[Any, Any]:
        return scalar(self.f), scalar(self.df)

    @property
    def _check(self) -> Callable[[Any], None] | None:
        return None if self._built_in else self._refuse_raising

    def _refuse_raising(self, dtype: Any) -> None:
        refuse_raising(f"activation {self.name!r}", {"f": self.f, "df": self.df}, dtype)

    @cached_property
    def forward(self) -> Kernel | None:
        """The panel of `f` alone, for prediction."""
        return forward_panel(self.name, self._scalars[0], self._built_in, self._check)

    @cached_property
    def training_forward(self) -> Kernel | None:
        """The panel of `f` for training, which leaves the slopes behind if it must."""
        if self.from_output:
            return self.forward
        return forward_with_derivative_panel(self.name, *self._scalars, self._built_in, self._check)

    @cached_property
    def backward(self) -> Kernel | None:
        """The panel that multiplies delta by the derivative."""
        if self.from_output:
            return backward_panel(self.name, self._scalars[1], self._built_in, self._check)
        return multiply

    def __reduce__(self) -> tuple[Any, ...]:
        if self._built_in:
            return activation, (self.name,)
        return Activation, (self.name, self.f, self.df, self.from_output)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Activation":
        return self  # which nothing can change: a copy would be compiled again


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
        """The same panel in training."""
        return self.forward

    def __reduce__(self) -> tuple[Any, ...]:
        return activation, (self.name,)


def _entry(name: str, f: Any, df: Any, from_output: bool = True) -> Activation:
    return Activation(name, f, df, from_output, True)


ACTIVATIONS: dict[str, Activation | FixedActivation] = {
    entry.name: entry
    for entry in (
        FixedActivation("identity", None, None, output_only=False),
        _entry("relu", rules.relu, rules.relu_slope),
        _entry("leaky_relu", rules.leaky_relu, rules.leaky_relu_slope),
        _entry("elu", rules.elu, rules.elu_slope),
        _entry("selu", rules.selu, rules.selu_slope),
        _entry("gelu", rules.gelu, rules.gelu_slope, from_output=False),
        _entry("gelu_tanh", rules.gelu_tanh, rules.gelu_tanh_slope, from_output=False),
        _entry("silu", rules.silu, rules.silu_slope, from_output=False),
        _entry("softplus", rules.softplus, rules.softplus_slope),
        _entry("softsign", rules.softsign, rules.softsign_slope),
        _entry("hard_tanh", rules.hard_tanh, rules.hard_tanh_slope),
        _entry("sigmoid", rules.sigmoid, rules.sigmoid_slope),
        _entry("tanh", rules.tanh, rules.tanh_slope),
        FixedActivation("softmax", output_panels.softmax, output_panels.softmax_backward),
        FixedActivation(
            "exponential", output_panels.exponential, output_panels.exponential_backward
        ),
    )
}


def activation(name: str) -> Activation | FixedActivation:
    """The built-in activation of that name."""
    return ACTIVATIONS[name]
