"""Learning-rate schedules: a factor for every step, by which the optimizer's `lr` is multiplied.

``fit(schedule=...)`` takes one of these, or a function of the step's number, which is counted from
0 at the beginning of the fit. Factors are computed in float64 for all steps of a call of the
kernels at once. `unit` says what a schedule counts: steps, or epochs, within which the rate stays.

Schedules know steps and recorded quantities; nothing of networks, optimizers or the loop.
"""

from fastbp.schedules.base import Constant, Function, Schedule, checked_schedule
from fastbp.schedules.formulas import (
    Cosine,
    Exponential,
    InverseScaling,
    OneCycle,
    Polynomial,
    Step,
)
from fastbp.schedules.plateau import ReduceOnPlateau
from fastbp.schedules.warmup import Warmup

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "Function",
    "InverseScaling",
    "OneCycle",
    "Polynomial",
    "ReduceOnPlateau",
    "Schedule",
    "Step",
    "Warmup",
    "checked_schedule",
]
