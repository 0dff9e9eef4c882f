"""Losses of a user's own, from functions of whole rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.machine.jit import Kernel
from fastbp.losses.base import BaseLoss
from fastbp.own import at_path, path_of
from fastbp.validation import expect_functions, expect_name, shown

RowFunction = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class RowLoss(BaseLoss):
    """A loss of your own of whole rows, the mean of what a function of outputs and targets returns.

    Parameters
    ----------
    name : str
        What it is called in messages.
    f : callable
        ``f(outputs, targets)`` of a batch, in NumPy or compiled by ``numba.njit``: outputs (rows,
        outputs) behind the output activation and targets (rows, columns), of the network's dtype.
        Returns ``values, d_outputs``: the loss of each row, (rows,), and its derivative by that
        row's outputs, (rows, outputs).
    output_activation : str
        The name of the activation of the output layer where the network is given none.

    Notes
    -----
    `y` may have any number of columns; a flat one is one column. A function passed to
    `fastbp.Network` itself is such a loss by the name of the function.

    Each step goes back to Python for `f`, with a call of the kernels before and behind it: some 30
    microseconds beside what `f` takes, where many steps of a small network are one call with a loss
    of fastbp's own, or with a `fastbp.Loss`. And behind each epoch all rows are predicted once
    more, to see whether their loss is finite.

    Files and pickles hold the import path of `f`, as those of a `fastbp.Activation`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> def distance(outputs, targets):
    ...     away = outputs - targets
    ...     norms = np.sqrt((away**2).sum(axis=1) + 1e-6)
    ...     return norms, away / norms[:, None]
    >>> net = fastbp.Network([2, 8, 2], loss=distance, rng=0)
    >>> X = np.random.default_rng(0).random((50, 2))
    >>> history = net.fit(X, X**2, epochs=100)
    >>> history["loss"][-1] < 0.5 * history["loss"][0]
    True
    """

    name: str  # type: ignore[misc]  # here of an object, not of the class
    f: RowFunction = field(repr=False)
    output_activation: str = field(default="identity", kw_only=True)  # type: ignore[misc]
    targets = "rows"
    elementwise = False

    def __post_init__(self) -> None:
        expect_name(self.name)
        expect_functions(f=self.f)
        if not isinstance(self.output_activation, str):
            raise TypeError(
                "output_activation must be the name of an activation, "
                f"got {shown(self.output_activation)}"
            )

    def panel(self, labels: bool = False, masked: bool = False) -> Kernel:
        raise TypeError("a loss of whole rows has no panel")

    def of_rows(
        self, outputs: NDArray[Any], targets: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """The losses of rows in float64, and their slopes in the dtype of the outputs.

        Raises
        ------
        TypeError, ValueError
            `f` returned something else.
        """
        rows, found = len(outputs), self.f(outputs, targets)
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise TypeError(
                f"the loss {self.name!r} must return values and d_outputs, got {shown(found)}"
            )
        return (
            self._checked(found[0], "values", (rows,), np.dtype(np.float64)),
            self._checked(found[1], "d_outputs", outputs.shape, outputs.dtype),
        )

    def _checked(
        self, value: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> NDArray[Any]:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise TypeError(
                f"{name} of the loss {self.name!r} must be real numbers, got {shown(value)}"
            )
        if array.shape != shape:
            raise ValueError(
                f"{name} of the loss {self.name!r} must have the shape {shape}, got {array.shape}"
            )
        with np.errstate(all="ignore"):
            return np.ascontiguousarray(array, dtype)

    def described(self) -> dict[str, Any]:
        """What a model file says of it; raises ValueError for a lambda."""
        f = path_of(self.f, f"loss {self.name!r}", "f")
        activation = self.output_activation
        return {"name": self.name, "f": f, "rows": True, "output_activation": activation}

    def __reduce__(self) -> tuple[Any, ...]:
        made = partial(RowLoss, output_activation=self.output_activation)
        return made, (self.name, self.f)


def parsed(described: dict[str, Any]) -> RowLoss:
    """The loss of whole rows that a model file describes."""
    if set(described) != {"name", "f", "rows", "output_activation"}:
        raise ValueError(f"a loss must have name, f, rows, output_activation; got {described!r}")
    f, activation = at_path(described["f"], "f of a loss"), described["output_activation"]
    return RowLoss(described["name"], f, output_activation=activation)
