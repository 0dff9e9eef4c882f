"""What of a network can be replaced once it is made: its optimizer, and how layers are trained."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from fastbp import groups
from fastbp.choices import optimizer_of
from fastbp.network.core import Core, HasCore
from fastbp.optimizers import BaseOptimizer


def get_optimizer(network: HasCore) -> BaseOptimizer:
    """The optimizer's settings; assign a name or another optimizer to go on with that one.

    Where its settings differ, what the optimizer keeps of each parameter begins anew, and so does
    the count of `steps`, on which its corrections and dropout depend. Parameters stay; `weights`
    and `biases` that were taken before are views of old memory where the optimizers keep different
    numbers of values. During a fit it is a RuntimeError; one that a file holds cannot be resumed
    any more.
    """
    return network._core.configuration.optimizer


def set_optimizer(network: HasCore, value: str | BaseOptimizer) -> None:
    """Go on with another optimizer."""
    _replace(network._core, optimizer=optimizer_of(value, "optimizer"))


def get_trainable(network: HasCore) -> tuple[bool, ...]:
    """Whether each layer is trained; assign one for all or one for each, at least one True.

    A layer that is not keeps its bits in every update, and what the optimizer keeps of it, too.
    Derivatives are still those by all parameters.
    """
    return network._core.configuration.groups.trainable


def set_trainable(network: HasCore, value: bool | Sequence[bool]) -> None:
    """Train these layers from now on."""
    core = network._core
    factors = core.configuration.groups.rate_factors
    _replace(core, groups=groups.make(len(factors), value, factors))


def get_rate_factors(network: HasCore) -> tuple[float, ...]:
    """What the learning rate is multiplied by in each layer; assign one for all or one for each."""
    return network._core.configuration.groups.rate_factors


def set_rate_factors(network: HasCore, value: float | Sequence[float]) -> None:
    """Train with these factors from now on."""
    core = network._core
    trainable = core.configuration.groups.trainable
    _replace(core, groups=groups.make(len(trainable), trainable, value))


def _replace(core: Core, **changed: Any) -> None:
    """Replace parts of the configuration."""
    turns = core.engine.turns
    with turns.changing:
        if turns.fit_under_way:
            name = "optimizer" if "optimizer" in changed else "trainable or rate_factors"
            raise RuntimeError(f"{name} cannot be replaced during a fit")
        parts = dataclasses.replace(core.configuration, **changed)
        core.outputs = core.interrupted = None
        with turns.lock:  # for who reads both
            try:
                core.engine.reconfigure(parts)
            finally:  # also where a signal came behind it
                core.configuration = core.engine.parts
