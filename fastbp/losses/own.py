"""Losses of a user's own, from scalar functions."""

from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from functools import cached_property, partial
from typing import Any

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.panels.panels import elementwise_loss_panel
from fastbp.losses.base import BaseLoss
from fastbp.own import Compiled, Own, at_path, called, check_derivative, path_of
from fastbp.validation import expect_functions, flag, shown


@dataclass(frozen=True)
class Loss(BaseLoss, Own):
    """A loss of your own, ``mean(f(a, y))`` over rows and outputs.

    Parameters
    ----------
    f : callable
        ``f(a, y)`` of an output `a`, after the output activation, and its target `y`, which may
        be any finite number; in the subset of Python that `fastbp.Activation` takes.
    df : callable, optional
        ``df(a, y)``, the derivative of `f` in `a`. Without it, it is made from the source of `f`,
        as for a `fastbp.Activation`.
    name : str, optional
        What it is called in messages and in saved models; the name of `f` by default.
    output_activation : str
        The name of the activation of the output layer where the network is given none.
    check : bool
        Whether `df` is compared with difference quotients of `f` at some points.

    Raises
    ------
    TypeError, ValueError
        As `fastbp.Activation` does.

    Notes
    -----
    Files and pickles hold the import paths of `f` and `df`, as those of a `fastbp.Activation`.

    Examples
    --------
    >>> import fastbp
    >>> import numpy as np
    >>> def cauchy(a, y):
    ...     return np.log1p((a - y) ** 2)
    >>> net = fastbp.Network([4, 32, 1], loss=fastbp.Loss(cauchy))
    """

    f: Callable[[Any, Any], Any]
    df: Callable[[Any, Any], Any] | None = None
    # By keyword, since those of the class that they stand for come before f.
    name: str = field(default=None, kw_only=True)  # type: ignore[misc, assignment]
    output_activation: str = field(default="identity", kw_only=True)  # type: ignore[misc]
    check: InitVar[bool] = field(default=True, kw_only=True)

    def __post_init__(self, check: bool) -> None:
        expect_functions(f=self.f, **({} if self.df is None else {"df": self.df}))
        object.__setattr__(self, "name", called(self.f, self.name))
        if not isinstance(self.output_activation, str):
            raise TypeError(
                "output_activation must be the name of an activation, "
                f"got {shown(self.output_activation)}"
            )
        if self.df is None:
            _ = self._compiled  # says what cannot be derived
        elif flag(check, "check"):
            check_derivative(self.f, self.df, targets=True)

    @cached_property
    def _compiled(self) -> dict[str, Compiled]:
        derive = self.df is None
        slope = Compiled(self.f if self.df is None else self.df, 2, derive, spare=1)
        return {"f": Compiled(self.f, 2, spare=1), "df": slope}

    @cached_property
    def _own(self) -> tuple[Kernel, ...]:
        value, slope = self._compiled["f"].function, self._compiled["df"].function
        return tuple(
            elementwise_loss_panel(self.name, value, slope, masked, False, self._refuse_raising)
            for masked in (False, True)
        )

    def _refuse_raising(self, dtype: Any) -> None:
        for parameter, one in self._compiled.items():
            one.refuse_raising(f"loss {self.name!r}", parameter, dtype)

    def panel(self, labels: bool = False, masked: bool = False) -> Kernel:
        return self._own[masked]

    @property
    def _function(self) -> Callable[..., Any]:
        return self.f

    def described(self) -> dict[str, Any]:
        """What a model file says of it; raises ValueError for a lambda."""
        owner = f"loss {self.name!r}"
        f = path_of(self.f, owner, "f")
        df = None if self.df is None else path_of(self.df, owner, "df")
        return {"name": self.name, "f": f, "df": df, "output_activation": self.output_activation}

    def __reduce__(self) -> tuple[Any, ...]:
        activation = self.output_activation
        made = partial(Loss, name=self.name, output_activation=activation, check=False)
        return made, (self.f, self.df)

    def __deepcopy__(self, memo: Any) -> "Loss":
        return self


def parsed(described: dict[str, Any]) -> Loss:
    """The loss of a user's own that a model file describes."""
    if set(described) != {"name", "f", "df", "output_activation"} or described["name"] is None:
        raise ValueError(f"a loss must have name, f, df, output_activation; got {shown(described)}")
    df = None if described["df"] is None else at_path(described["df"], "df of a loss")
    f, activation = at_path(described["f"], "f of a loss"), described["output_activation"]
    return Loss(f, df, name=described["name"], output_activation=activation, check=False)
