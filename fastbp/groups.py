"""Groups of parameters: layers that are not trained, and learning rates of single layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fastbp.validation import flag, real, shown


@dataclass(frozen=True)
class Groups:
    """How each layer is trained.

    Attributes
    ----------
    trainable : tuple of bool
        Whether at all; at least one is.
    rate_factors : tuple of float
        What the learning rate is multiplied by, at least 0.
    """

    trainable: tuple[bool, ...]
    rate_factors: tuple[float, ...]

    @cached_property
    def alike(self) -> bool:
        """Whether all layers are trained, at the optimizer's own rate."""
        return not self.freezes and set(self.rate_factors) == {1.0}

    @property
    def freezes(self) -> bool:
        """Whether some layer is not trained."""
        return not all(self.trainable)

    @property
    def factors(self) -> tuple[float, ...]:
        """The different factors, in the order of the coefficients of a step."""
        return tuple(dict.fromkeys(self.rate_factors))

    def options(self) -> dict[str, Any]:
        """The settings that are not the default, as `make` takes them and JSON holds them."""
        found: dict[str, Any] = {}
        if self.freezes:
            found["trainable"] = list(self.trainable)
        if set(self.rate_factors) != {1.0}:
            found["rate_factors"] = list(self.rate_factors)
        return found


def make(layers: int, trainable: Any = True, rate_factors: Any = 1.0) -> Groups:
    """Check the arguments of `fastbp.Network`; errors name the argument.

    layers : int
        How many layers there are.
    """
    trained = [flag(one, name) for one, name in _each(trainable, layers, "trainable")]
    if not any(trained):
        raise ValueError("trainable must be True for at least one layer")
    factors = [real(one, name, low=0) for one, name in _each(rate_factors, layers, "rate_factors")]
    return Groups(tuple(trained), tuple(factors))


def _each(value: Any, layers: int, name: str) -> list[tuple[Any, str]]:
    """The value for each layer, and what to call it."""
    listed = value.ndim == 1 if isinstance(value, np.ndarray) else isinstance(value, Sequence)
    if not listed or isinstance(value, str | bytes):
        return [(value, name)] * layers
    if len(value) != layers:
        raise ValueError(
            f"{name} must be one for all layers or one for each of the {layers}; got {shown(value)}"
        )
    return [(one, f"{name}[{i}]") for i, one in enumerate(value)]
