"""Activation functions: what each computes, and how its derivative is found.

Every entry is a scalar rule. Most derivatives follow from the activation's own output, which the
backward pass has at hand; the others (`from_output=False`) are computed together with the output.
"""

from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.panels import activation_rules as rules
from fastbp.kernels.panels import output_panels
from fastbp.kernels.panels.panels import (
    backward_panel,
    forward_panel,
    forward_with_derivative_panel,
    multiply,
)
from fastbp.own import Compiled, Own, at_path, called, check_derivative, path_of
from fastbp.validation import expect_functions, flag, shown


@dataclass(frozen=True)
class Activation(Own):
    """An element-wise activation ``a = f(z)`` made of scalar functions.

    Parameters
    ----------
    f : callable
        ``f(z)``, in the subset of Python that Numba compiles. Arithmetic, branches, loops over
        ranges and functions of `math` and NumPy are computed in the network's type, with
        fastbp's own ``exp`` and its like; anything else as Numba does it, which means in float64
        where there is a literal. What can raise an exception is refused (ValueError) when it is
        compiled.
    df : callable, optional
        ``f'`` as a function of ``z``, or of ``f(z)`` if `from_output`. Without it, the derivative
        is made from the source of `f` by forward-mode differentiation, exactly and never by
        differences.
    name : str, optional
        What it is called in messages and in saved models; the name of `f` by default.
    from_output : bool
        Whether `df` takes the activation's output.
    check : bool
        Whether `df` is compared with difference quotients of `f` at some points. False is for
        slopes that are meant to be others, as those of straight-through estimators.

    Raises
    ------
    TypeError, ValueError
        Among others a `df` that is not the derivative, with the point where it is not; or an `f`
        without `df` in which there is something whose derivative is not known, with the line.

    Notes
    -----
    A saved network names `f` and `df` by their import paths, "module:function", and so does a
    pickle: they must be defined with ``def`` at the top level of a module, which `fastbp.load`
    wants to be imported. A lambda can be neither saved nor pickled.

    Examples
    --------
    >>> import fastbp
    >>> import numpy as np
    >>> def swish(z):
    ...     return z / (1 + np.exp(-1.5 * z))
    >>> net = fastbp.Network([4, 32, 1], activation=fastbp.Activation(swish))
    """

    f: Callable[[Any], Any]
    df: Callable[[Any], Any] | None = None
    name: str = field(default=None, kw_only=True)  # type: ignore[assignment]  # set below
    from_output: bool = field(default=False, kw_only=True)
    check: InitVar[bool] = field(default=True, kw_only=True)
    _built_in: bool = field(default=False, repr=False, compare=False, kw_only=True)
    output_only: ClassVar[bool] = False

    def __post_init__(self, check: bool) -> None:
        if self._built_in:
            return
        expect_functions(f=self.f, **({} if self.df is None else {"df": self.df}))
        object.__setattr__(self, "name", called(self.f, self.name))
        flag(self.from_output, "from_output")
        if self.df is None and self.from_output:
            raise ValueError("from_output=True needs a df, which takes the output")
        if self.df is None:
            _ = self._compiled  # says what cannot be derived
        elif flag(check, "check"):
            check_derivative(self.f, self.df, targets=False, from_output=self.from_output)

    @cached_property
    def _compiled(self) -> dict[str, Compiled]:
        slope = Compiled(self.f, 1, derive=True) if self.df is None else Compiled(self.df, 1)
        return {"f": Compiled(self.f, 1), "df": slope}

    @cached_property
    def _scalars(self) -> tuple[Any, Any]:
        if self._built_in:
            return self.f, self.df
        return self._compiled["f"].function, self._compiled["df"].function

    @property
    def _check(self) -> Callable[[Any], None] | None:
        return None if self._built_in else self._refuse_raising

    def _refuse_raising(self, dtype: Any) -> None:
        for parameter, one in self._compiled.items():
            one.refuse_raising(f"activation {self.name!r}", parameter, dtype)

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

    @property
    def _function(self) -> Callable[..., Any]:
        return self.f

    def described(self) -> dict[str, Any]:
        """What a model file says of one of a user's own; raises ValueError for a lambda."""
        owner = f"activation {self.name!r}"
        f = path_of(self.f, owner, "f")
        df = None if self.df is None else path_of(self.df, owner, "df")
        return {"name": self.name, "f": f, "df": df, "from_output": self.from_output}

    def __reduce__(self) -> tuple[Any, ...]:
        if self._built_in:
            return activation, (self.name,)
        made = partial(Activation, name=self.name, from_output=self.from_output, check=False)
        return made, (self.f, self.df)

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
    return Activation(f, df, name=name, from_output=from_output, _built_in=True)


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


def parsed(described: Any) -> Any:
    """What a model file says of an activation: its name, or the activation of a user's own."""
    if not isinstance(described, dict):
        return described
    if set(described) != {"name", "f", "df", "from_output"} or described["name"] is None:
        raise ValueError(
            f"an activation must have name, f, df, from_output; got {shown(described)}"
        )
    df = None if described["df"] is None else at_path(described["df"], "df of an activation")
    f = at_path(described["f"], "f of an activation")
    return Activation(
        f, df, name=described["name"], from_output=described["from_output"], check=False
    )
