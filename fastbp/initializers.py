"""Draws the initial weights of one layer.

A name, a constant or a function says how. Each name is a distribution with mean zero, scaled by
`fan_in` and `fan_out`, the widths of the layer before and after the weights:

==================  ===============================================================  ==========
name                weights                                                          source
==================  ===============================================================  ==========
glorot_uniform      uniform in [-a, a], a = sqrt(6 / (fan_in + fan_out))             [1]_
glorot_normal       normal, standard deviation sqrt(2 / (fan_in + fan_out))          [1]_
he_uniform          uniform in [-a, a], a = sqrt(6 / fan_in)                         [2]_
he_normal           normal, standard deviation sqrt(2 / fan_in)                      [2]_
lecun_uniform       uniform in [-a, a], a = sqrt(3 / fan_in)                         [3]_, [4]_
lecun_normal        normal, standard deviation sqrt(1 / fan_in)                      [3]_, [4]_
orthogonal          orthonormal columns, or rows where fan_in < fan_out              [5]_, [6]_
zeros               0
auto                he_normal before a relu, leaky_relu, elu, gelu, gelu_tanh, silu
                    or softplus; lecun_normal before a selu; glorot_uniform before
                    any other activation
==================  ===============================================================  ==========

References
----------
.. [1] X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
   networks", AISTATS 2010 (equation 16 and its normal counterpart).
.. [2] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015 (equation 10).
.. [3] Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient BackProp", 1998 (equation 16).
.. [4] G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural networks",
   NeurIPS 2017.
.. [5] A. Saxe, J. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning
   in deep linear neural networks", ICLR 2014.
.. [6] F. Mezzadri, "How to generate random matrices from the classical compact groups", Notices of
   the AMS 54 (2007): why the signs of R's diagonal must go into Q.
"""

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastbp.data.arrays import finite, numeric
from fastbp.validation import choice, real, shown

NAMES = (
    "auto",
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "orthogonal",
    "zeros",
)

_RELU_FAMILY = ("relu", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "softplus")


@dataclass(frozen=True)
class Constant:
    """Every weight of the layer the same number.

    Parameters
    ----------
    value : float
        A finite number. In a hidden layer equal weights stay equal, so that its units learn as
        one; it is meant for layers that feed the output directly, and for tests.

    Raises
    ------
    TypeError
        `value` is not a real number.
    ValueError
        `value` is not finite.
    """

    value: float

    def __post_init__(self) -> None:
        """Check the value and keep it as a Python float."""
        object.__setattr__(self, "value", real(self.value, "value of Constant"))


Initializer: TypeAlias = (
    str | float | Constant | Callable[[np.random.Generator, int, int], NDArray[Any]]
)


def check(spec: Any) -> str | Constant | Callable[[np.random.Generator, int, int], NDArray[Any]]:
    """Return `spec` if it says how to draw weights, a plain number as a `Constant`.

    Nothing is drawn and no function is called.

    Parameters
    ----------
    spec : str, float, Constant or callable
        One of `NAMES`, a number for all weights, or a function ``f(rng, fan_in, fan_out)`` that
        returns the weights, shape (fan_in, fan_out), and takes all its random numbers from `rng`.

    Raises
    ------
    TypeError
        `spec` is none of these.
    ValueError
        An unknown name, or a number that is not finite.
    """
    if isinstance(spec, str):
        return choice(spec, NAMES, "initializer")
    if isinstance(spec, Constant):
        return spec
    if not isinstance(spec, bool) and isinstance(spec, numbers.Real):
        return Constant(real(spec, "initializer"))
    if callable(spec) and not isinstance(spec, type):
        # mypy loses the type at `callable`; what the function returns is checked at each call.
        return spec  # type: ignore[no-any-return]
    raise TypeError(
        f"initializer must be one of {', '.join(map(repr, NAMES))}, a number, Constant(value) or "
        f"a function f(rng, fan_in, fan_out); got {shown(spec)}"
    )


def describe(spec: Initializer) -> str | float:
    """Return what a model file says of `spec`: its name or its number; `check` reads it back.

    A function cannot be stored, because loading a file must not run code from it. As the weights
    it drew are in the file, a function is recorded as ``"auto"`` and nothing is lost but the way
    to draw them again.

    Raises
    ------
    TypeError, ValueError
        As `check` does.
    """
    checked = check(spec)
    if isinstance(checked, Constant):
        return checked.value
    return checked if isinstance(checked, str) else "auto"


def initialize(
    spec: Initializer,
    fan_in: int,
    fan_out: int,
    rng: np.random.Generator,
    dtype: DTypeLike,
    activation: str,
) -> NDArray[Any]:
    """Draw the weights of one layer.

    Numbers are drawn in float64 and then rounded to `dtype`, so that a float32 and a float64
    network of one seed start from the same weights.

    Parameters
    ----------
    spec : str, float, Constant or callable
        As `check` accepts it.
    fan_in, fan_out : int
        The width before and after the weights.
    rng : numpy.random.Generator
        Where every random number comes from.
    dtype : dtype
        float32 or float64.
    activation : str
        Name of the activation after the weights; ``"auto"`` chooses by it.

    Returns
    -------
    ndarray of `dtype`, shape (fan_in, fan_out)
        A new C-contiguous array.

    Raises
    ------
    TypeError
        `spec` is not accepted, or the function did not return real numbers.
    ValueError
        `spec` is not accepted, the function returned another shape or a number that is not
        finite, or a constant is too large for `dtype`.
    """
    checked = check(spec)
    shape = (fan_in, fan_out)
    if isinstance(checked, Constant):
        return finite(np.full(shape, checked.value), dtype, "initializer")
    if isinstance(checked, str):
        weights = _draw(_auto(activation) if checked == "auto" else checked, shape, rng)
        return weights.astype(dtype, order="C", copy=False)
    name = "the array that the initializer function returned"
    result = numeric(checked(rng, fan_in, fan_out), name)
    if result.shape != shape:
        raise ValueError(
            f"{name} must have shape {shape}, which is (fan_in, fan_out); got shape {result.shape}"
        )
    weights = finite(result, dtype, name)
    # The function may keep what it returned.
    return weights.copy() if np.may_share_memory(weights, result) else weights


def _auto(activation: str) -> str:
    """Return the name that ``"auto"`` stands for before `activation`."""
    if activation in _RELU_FAMILY:
        return "he_normal"
    return "lecun_normal" if activation == "selu" else "glorot_uniform"


def _draw(name: str, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw float64 weights by the table at the head of this file."""
    if name == "zeros":
        return np.zeros(shape)
    if name == "orthogonal":
        return _orthogonal(shape, rng)
    family, distribution = name.split("_")
    fan_in, fan_out = shape
    variance = {"glorot": 2 / (fan_in + fan_out), "he": 2 / fan_in, "lecun": 1 / fan_in}[family]
    if distribution == "normal":
        weights = rng.standard_normal(shape)
        weights *= math.sqrt(variance)
        return weights
    bound = math.sqrt(3 * variance)  # of the uniform distribution with this variance
    return rng.uniform(-bound, bound, shape)


def _orthogonal(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a matrix with orthonormal columns, or rows where it is wide; uniform among them all."""
    is_wide = shape[0] < shape[1]
    q, r = np.linalg.qr(rng.standard_normal(shape[::-1] if is_wide else shape))
    # LAPACK fixes the signs by its algorithm; only with a positive diagonal of R is Q uniform.
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return q.T if is_wide else q
