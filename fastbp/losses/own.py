"""Losses of a user's own, from scalar functions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.machine.raising import refuse_raising, scalar
from fastbp.kernels.panels.panels import elementwise_loss_panel
from fastbp.losses.base import BaseLoss
from fastbp.validation import expect_functions, expect_name, shown


@dataclass(frozen=True)
class ElementwiseLoss(BaseLoss):
    """A loss of your own, ``mean(f(a, y))`` over rows and outputs.

    Parameters
    ----------
    name : str
        What it is called in messages.
    f : callable
        ``f(a, y)`` of an output `a`, after the output activation, and its target `y`, which may
        be any finite number. In the subset of Python that Numba compiles, as the functions of a
        `fastbp.Activation`: what can raise an exception is refused (ValueError) when it is
        compiled.
    df : callable
        ``df(a, y)``, the derivative of `f` in `a`.
    output_activation : str
        The name of the activation of the output layer where the network is given none.

    Notes
    -----
    Networks with it can be pickled where `f` and `df` can, but not saved: a file holds no code.

    Examples
    --------
    >>> import numpy as np
    >>> def log_cosh(a, y):
    ...     return np.log(np.cosh(a - y))
    >>> def slope(a, y):
    ...     return np.tanh(a - y)
    >>> loss = ElementwiseLoss("log_cosh", log_cosh, slope)
    """

    name: str  # type: ignore[misc]  # here of an object, not of the class
    f: Callable[[Any, Any], Any]
    df: Callable[[Any, Any], Any]
    # By keyword, since the class's own that it stands for comes before f.
    output_activation: str = field(default="identity", kw_only=True)  # type: ignore[misc]

    def __post_init__(self) -> None:
        expect_name(self.name)
        expect_functions(f=self.f, df=self.df)
        if not isinstance(self.output_activation, str):
            raise TypeError(
                "output_activation must be the name of an activation, "
                f"got {shown(self.output_activation)}"
            )

    @cached_property
    def _own(self) -> tuple[Kernel, ...]:
        f, df = scalar(self.f), scalar(self.df)
        value, slope = scalar(lambda a, y, p: f(a, y)), scalar(lambda a, y, p: df(a, y))
        return tuple(
            elementwise_loss_panel(self.name, value, slope, masked, False, self._refuse_raising)
            for masked in (False, True)
        )

    def _refuse_raising(self, dtype: Any) -> None:
        refuse_raising(f"loss {self.name!r}", {"f": self.f, "df": self.df}, dtype, arguments=2)

    def panel(self, labels: bool = False, masked: bool = False) -> Kernel:
        return self._own[masked]

    def __reduce__(self) -> tuple[Any, ...]:
        made = partial(ElementwiseLoss, output_activation=self.output_activation)
        return made, (self.name, self.f, self.df)
