"""Recorded quantities that decide something: which way they improve, and whether they did."""

import math
from dataclasses import dataclass

from fastbp.validation import choice, shown

HIGHER = (
    "accuracy", "precision", "recall", "f1", "auc", "matthews", "r2", "explained_variance",
)  # fmt: skip
LOWER = ("loss", "error", "mae", "mse", "rmse", "mape")


@dataclass(frozen=True)
class Monitor:
    """A quantity and what counts as better.

    Parameters
    ----------
    name : str
        As the history calls it.
    mode : str
        "min" or "max": where it is to go; "auto" tells by the name.
    change : float
        By how much it must improve, at least 0.
    relative : bool
        Whether `change` is a share of the best value.
    """

    name: str
    mode: str = "auto"
    change: float = 0.0
    relative: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"monitor must be the name of a quantity, got {shown(self.name)}")
        mode = choice(self.mode, ("auto", "min", "max"), "mode")
        object.__setattr__(self, "mode", _direction(self.name) if mode == "auto" else mode)

    def better(self, value: float, best: float | None) -> bool:
        """Whether a value is better than the best so far, if there is one; NaN never is."""
        if best is None:
            return math.isfinite(value)
        change = self.change * abs(best) if self.relative else self.change
        return value < best - change if self.mode == "min" else value > best + change


def _direction(name: str) -> str:
    """Where a quantity of that name is to go."""
    if name.endswith(HIGHER):
        return "max"
    if name.endswith(LOWER):
        return "min"
    raise ValueError(
        f"mode must be 'min' or 'max' for monitor={name!r}: its name does not tell which is better"
    )
