"""The schedule that lowers the rate when a recorded quantity no longer improves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbp.history.monitoring import Monitor
from fastbp.schedules.base import Floats, Schedule, Span, Steps, replaced
from fastbp.validation import choice, natural, real


@dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """Lower the rate when a quantity no longer improves: ``ReduceLROnPlateau`` of ``torch.optim``.

    Parameters
    ----------
    monitor : str
        What is watched: any quantity that the fit records.
    factor : float
        In [0, 1): what the rate is multiplied by.
    patience : int
        How many epochs without improvement pass before; at least 0.
    threshold : float
        By how much the quantity must improve, at least 0.
    threshold_mode : str
        "rel": `threshold` is a share of the best value; "abs": it is not.
    cooldown : int
        How many epochs are not counted after a reduction; at least 0.
    minimum : float
        In [0, 1]: the factor of `lr` that it stays at.
    mode : str
        "min" or "max": where the quantity is to go; "auto" tells by its name.
    """

    monitor: str = "val_loss"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    minimum: float = 0.0
    mode: str = "auto"

    def __post_init__(self) -> None:
        replaced(self, factor=real(self.factor, "factor", low=0, high=1, high_open=True))
        replaced(self, patience=natural(self.patience, "patience"))
        replaced(self, threshold=real(self.threshold, "threshold", low=0))
        choice(self.threshold_mode, ("rel", "abs"), "threshold_mode")
        replaced(self, cooldown=natural(self.cooldown, "cooldown"))
        replaced(self, minimum=real(self.minimum, "minimum", low=0, high=1))
        replaced(self, mode=self._monitor.mode)

    @property
    def _monitor(self) -> Monitor:
        relative = self.threshold_mode == "rel"
        return Monitor(self.monitor, self.mode, self.threshold, relative)

    def begin(self) -> dict[str, Any]:
        """See `Schedule`."""
        return {"factor": 1.0, "best": None, "waited": 0, "cooling": 0}

    def after_epoch(self, state: dict[str, Any], quantities: Mapping[str, float]) -> dict[str, Any]:
        """See `Schedule`."""
        value, state = quantities[self.monitor], dict(state)
        if self._monitor.better(value, state["best"]):
            state["best"], state["waited"] = value, 0
        else:
            state["waited"] += 1
        if state["cooling"]:
            state["cooling"], state["waited"] = state["cooling"] - 1, 0
        if state["waited"] > self.patience:
            lowered = max(state["factor"] * self.factor, self.minimum)
            state["factor"], state["waited"], state["cooling"] = lowered, 0, self.cooldown
        return state

    def check(self, state: Mapping[str, Any]) -> None:
        """See `Schedule`."""
        if state.keys() != self.begin().keys():
            raise ValueError(f"the keys must be {sorted(self.begin())}, got {sorted(state)}")
        if state["best"] is not None:
            real(state["best"], "best")
        real(state["factor"], "factor", low=0, high=1)
        natural(state["waited"], "waited")
        natural(state["cooling"], "cooling")

    def factors(self, steps: Steps, span: Span, state: dict[str, Any]) -> Floats:
        """See `Schedule`."""
        return np.full(len(steps), float(state["factor"]))
