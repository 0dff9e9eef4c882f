"""Losses: what each computes from a network's outputs and the targets, and its slope.

All are means, computed as PyTorch's defaults are. A loss `on_logits` takes the outputs before the
output activation and holds the derivative of both together, which is exact and stays finite
where the two apart would not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.machine.jit import Kernel
from fastbp.kernels.machine.raising import refuse_raising, scalar
from fastbp.kernels.panels import loss_rules as rules
from fastbp.kernels.panels import output_panels
from fastbp.kernels.panels.panels import elementwise_loss_panel
from fastbp.validation import expect_functions, expect_name, real, shown


def _panels(name: str, value: Callable[..., Any], slope: Callable[..., Any]) -> tuple[Kernel, ...]:
    """The panel of an element-wise loss, and that for masked targets."""
    return tuple(elementwise_loss_panel(name, value, slope, masked) for masked in (False, True))


@dataclass(frozen=True)
class Loss:
    """What all losses share; use one of its subclasses.

    Attributes
    ----------
    name : str
        What it is called in messages and in saved models.
    output_activation : str
        The activation of the output layer where the network is given none.
    on_logits : bool
        Whether the loss takes the outputs before `output_activation`, which is then the only
        possible one.
    targets : str
        What `y` holds: "values", "labels" (or probabilities), "fractions" in [0, 1], "counts", or
        "rows" of any number of columns.
    elementwise : bool
        Whether the loss is a mean over outputs, each of which has a loss of its own.
    """

    name: ClassVar[str]
    output_activation: ClassVar[str] = "identity"
    on_logits: ClassVar[bool] = False
    targets: ClassVar[str] = "values"
    elementwise: ClassVar[bool] = True
    _kernels: ClassVar[tuple[Kernel, ...]]

    def panel(self, labels: bool = False, masked: bool = False) -> Kernel:
        """The compiled loss.

        Parameters
        ----------
        labels : bool
            Whether the targets are integer class labels.
        masked : bool
            Of an element-wise loss: whether targets may be NaN, or outputs have weights.
        """
        return self._kernels[masked]

    def parameter(self) -> float:
        """The one number that the panel takes, 0 where there is none."""
        return 0.0


@dataclass(frozen=True)
class MSE(Loss):
    """Mean squared error, ``mean((a - y)**2)`` over rows and outputs."""

    name = "mse"
    _kernels = _panels("mse", rules.mse, rules.mse_slope)


@dataclass(frozen=True)
class MAE(Loss):
    """Mean absolute error, ``mean(abs(a - y))`` over rows and outputs; slope 0 where they meet."""

    name = "mae"
    _kernels = _panels("mae", rules.mae, rules.mae_slope)


@dataclass(frozen=True)
class Huber(Loss):
    """Huber's loss: half the square of an error up to `delta`, linear beyond (Huber 1964).

    Parameters
    ----------
    delta : float
        Where the parabola becomes a line, above 0, in the units of `y`.
    """

    delta: float = 1.0
    name = "huber"
    _kernels = _panels("huber", rules.huber, rules.huber_slope)

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", real(self.delta, "delta", low=0, low_open=True))

    def parameter(self) -> float:
        return self.delta


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy of softmax outputs, ``-mean(sum(t * log(a)))`` over rows.

    `y` holds integer labels, one a row, or rows of class probabilities.

    Parameters
    ----------
    label_smoothing : float
        In [0, 1): the share of every target that is spread evenly over all classes
        (Szegedy et al. 2016). A class weight counts for the whole smoothed loss of the rows of
        its class, as in Keras; PyTorch weighs each class's share of the target instead.
    """

    label_smoothing: float = 0.0
    name = "cross_entropy"
    output_activation = "softmax"
    on_logits = True
    targets = "labels"
    elementwise = False

    def __post_init__(self) -> None:
        smoothing = real(self.label_smoothing, "label_smoothing", low=0, high=1, high_open=True)
        object.__setattr__(self, "label_smoothing", smoothing)

    def panel(self, labels: bool = False, masked: bool = False) -> Kernel:
        if labels:
            return output_panels.cross_entropy_labels
        return output_panels.cross_entropy_probabilities

    def parameter(self) -> float:
        return self.label_smoothing


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Cross-entropy of sigmoid outputs, ``-mean(y log(a) + (1 - y) log(1 - a))``.

    The mean is over rows and outputs; several outputs make a multi-label network.
    """

    name = "binary_cross_entropy"
    output_activation = "sigmoid"
    on_logits = True
    targets = "fractions"
    _kernels = _panels(
        "binary_cross_entropy", rules.binary_cross_entropy, rules.binary_cross_entropy_slope
    )


@dataclass(frozen=True)
class Poisson(Loss):
    """Poisson loss of a rate ``a = exp(z)``, ``mean(a - y * log(a))`` over rows and outputs.

    `y` holds counts, at least 0. The constant ``log(y!)`` is left out, as by PyTorch's default.
    Above a log rate of 60 (a rate of 1e26) the loss goes on along its tangent and stays finite.
    """

    name = "poisson"
    output_activation = "exponential"
    on_logits = True
    targets = "counts"
    _kernels = _panels("poisson", rules.poisson, rules.poisson_slope)


@dataclass(frozen=True)
class ElementwiseLoss(Loss):
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

    def __deepcopy__(self, memo: dict[int, Any]) -> "ElementwiseLoss":
        return self  # which nothing can change: a copy would be compiled again


RowFunction = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class RowLoss(Loss):
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
    of fastbp's own, or with an `ElementwiseLoss`. And behind each epoch all rows are predicted once
    more, to see whether their loss is finite.

    Networks with it can be pickled where `f` can, but not saved: a file holds no code.

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

    def __reduce__(self) -> tuple[Any, ...]:
        made = partial(RowLoss, output_activation=self.output_activation)
        return made, (self.name, self.f)


LOSSES: dict[str, type[Loss]] = {
    loss.name: loss for loss in (MSE, MAE, Huber, CrossEntropy, BinaryCrossEntropy, Poisson)
}
