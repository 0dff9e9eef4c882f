"""Optimizers of a user's own, from a scalar rule."""

import inspect
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numba.core.registry import CPUDispatcher

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.panels.updates import own_update
from fastbp.optimizers.base import BaseOptimizer, Floats, columns
from fastbp.own import Compiled, Own, at_path, called, path_of
from fastbp.validation import expect_functions, flag, natural, real, shown

MOST_SLOTS = 16


@dataclass(frozen=True)
class Optimizer(BaseOptimizer, Own):
    """An optimizer of your own, from the rule by which one parameter changes.

    Parameters
    ----------
    rule : callable
        ``rule(w, g, *slots, lr, t)`` of a parameter, its gradient, the numbers that are kept for
        it, the learning rate of the step and the number of the step, from 1. Returns the new
        parameter and behind it, where there are slots, their new values: ``w, *slots``. In the
        subset of Python that `fastbp.Activation` takes; all numbers are of the network's type.
    slots : int
        How many numbers are kept for each parameter; they begin at zero. Numbers too small to be
        normal ones are kept as zero.
    lr : float
        The learning rate, at least 0; schedules change it as that of any optimizer.
    name : str, optional
        What it is called in messages and in saved models; the name of `rule` by default.
    check : bool
        Whether the rule is called once, to see what it takes and returns.

    Raises
    ------
    TypeError, ValueError
        A rule that takes or returns another number of values.

    Notes
    -----
    Files and pickles hold the import path of `rule`, as that of a `fastbp.Activation`, and files
    the slots.

    Examples
    --------
    >>> import fastbp
    >>> import numpy as np
    >>> def lion(w, g, m, lr, t):
    ...     step = np.sign(0.9 * m + 0.1 * g)
    ...     return w - lr * step, 0.99 * m + 0.01 * g
    >>> net = fastbp.Network([4, 32, 1], optimizer=fastbp.Optimizer(lion, slots=1, lr=1e-4))
    """

    rule: Callable[..., Any]
    slots: int = field(default=0, kw_only=True)
    lr: float = field(kw_only=True)
    name: str = field(default=None, kw_only=True)  # type: ignore[misc, assignment]
    check: InitVar[bool] = field(default=True, kw_only=True)

    def __post_init__(self, check: bool) -> None:
        expect_functions(rule=self.rule)
        object.__setattr__(self, "name", called(self.rule, self.name))
        object.__setattr__(self, "slots", natural(self.slots, "slots"))
        if self.slots > MOST_SLOTS:
            raise ValueError(f"slots must be at most {MOST_SLOTS}, got {self.slots}")
        object.__setattr__(self, "lr", real(self.lr, "lr", low=0))
        if flag(check, "check"):
            self._check_rule()

    def _check_rule(self) -> None:
        """Raise TypeError where the rule takes or returns another number of values."""
        plain = self.rule.py_func if isinstance(self.rule, CPUDispatcher) else self.rule
        taken, returned = 4 + self.slots, "w and behind it the slots" if self.slots else "w alone"
        try:
            inspect.signature(plain).bind(*range(taken))
        except (TypeError, ValueError):
            raise TypeError(
                f"rule must take {taken} numbers with slots={self.slots}: w, g, "
                f"{'*slots, ' if self.slots else ''}lr and t; got {shown(self.rule)}"
            ) from None
        numbers = [np.float64(one) for one in (0.5, 0.25, *[0.0] * self.slots, self.lr, 1.0)]
        try:
            with np.errstate(all="ignore"):
                made = plain(*numbers)
        except Exception:  # noqa: BLE001 - Python raises where compiled code has a number
            return
        right = len(made) == 1 + self.slots if isinstance(made, tuple) else np.ndim(made) == 0
        if isinstance(made, tuple) != (self.slots > 0) or not right or made is None:
            raise TypeError(
                f"rule must return {returned} with slots={self.slots}; it returned {shown(made)}"
            )

    @cached_property
    def _compiled(self) -> Compiled:
        return Compiled(self.rule, 4 + self.slots)

    @cached_property
    def panel(self) -> Kernel:
        """The compiled update."""
        return own_update(self.name, self._compiled.function, self.slots, self._refuse_raising)

    def _refuse_raising(self, dtype: Any) -> None:
        self._compiled.refuse_raising(f"optimizer {self.name!r}", "rule", dtype)

    def coefficients(self, steps: Floats, rates: float | Floats) -> Floats:
        return columns(steps, rates, steps)

    @property
    def _function(self) -> Callable[..., Any]:
        return self.rule

    def described(self) -> dict[str, Any]:
        """What a model file says of it; raises ValueError for a lambda."""
        rule = path_of(self.rule, f"optimizer {self.name!r}", "rule")
        return {"name": self.name, "rule": rule, "slots": self.slots, "lr": self.lr}

    def __reduce__(self) -> tuple[Any, ...]:
        made = partial(Optimizer, slots=self.slots, lr=self.lr, name=self.name, check=False)
        return made, (self.rule,)

    def __deepcopy__(self, memo: Any) -> "Optimizer":
        return self


def parsed(described: dict[str, Any]) -> Optimizer:
    """The optimizer of a user's own that a model file describes."""
    if set(described) != {"name", "rule", "slots", "lr"} or described["name"] is None:
        raise ValueError(f"an optimizer must have name, rule, slots, lr; got {shown(described)}")
    rule = at_path(described["rule"], "rule of an optimizer")
    return Optimizer(
        rule, slots=described["slots"], lr=described["lr"], name=described["name"], check=False
    )
