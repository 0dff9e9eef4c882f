"""Losses, optimizers and activations: the objects that names and settings stand for."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from fastbp.activations import ACTIVATIONS, Activation, FixedActivation
from fastbp.losses import LOSSES, BaseLoss, Loss, RowLoss
from fastbp.optimizers import OPTIMIZERS, BaseOptimizer, Optimizer
from fastbp.validation import choice, shown


def loss_of(value: Any, name: str) -> BaseLoss:
    """The loss that a user named or passed."""
    if callable(value) and not isinstance(value, type | BaseLoss):
        return RowLoss(getattr(value, "__name__", type(value).__name__), value)
    if isinstance(value, Loss | RowLoss):
        choice(value.output_activation, ACTIVATIONS, f"output_activation of {name}")
        return value
    chosen: BaseLoss = named(value, LOSSES, BaseLoss, name)
    return chosen


def optimizer_of(value: Any, name: str) -> BaseOptimizer:
    """The optimizer that a user named or passed."""
    if isinstance(value, Optimizer):
        return value
    chosen: BaseOptimizer = named(value, OPTIMIZERS, BaseOptimizer, name)
    return chosen


def expect_outputs(loss: BaseLoss, outputs: int, name: str) -> None:
    """Raise ValueError where so many outputs are no whole number of targets of the loss."""
    each = loss.outputs_of_target()
    if outputs % each:
        raise ValueError(
            f"{name} must be a multiple of {each}, since loss {loss.name!r} has {each} outputs for "
            f"each target; got {outputs}"
        )


def named(value: Any, entries: Mapping[str, Any], kind: type, name: str) -> Any:
    """An object of `kind`, or the entry of that name with its defaults."""
    if isinstance(value, kind) and type(value) in entries.values():
        return value
    if isinstance(value, type) and value in entries.values():
        raise TypeError(f"{name} must be an object: write {value.__name__}(), with the brackets")
    return _default(entries[choice(value, entries, name)])


@functools.cache  # they cannot be changed, so that networks can share them
def _default(entry: type) -> Any:
    return entry()


def activation_of(value: Any, name: str, options: Sequence[str]) -> Activation | FixedActivation:
    """The activation that a user named or passed, a built-in one being among `options`."""
    if isinstance(value, Activation | FixedActivation):
        value = value.name if value is ACTIVATIONS.get(value.name) else value
    if isinstance(value, Activation):
        return value
    return ACTIVATIONS[choice(value, options, name)]


def output_activation_of(
    value: Any, loss: BaseLoss, name: str = "output_activation"
) -> Activation | FixedActivation:
    """The activation of outputs with this loss."""
    natural = ACTIVATIONS[loss.output_activation]
    if value is None:
        return natural
    chosen = activation_of(value, name, tuple(ACTIVATIONS))
    if loss.on_logits and chosen is not natural:
        raise ValueError(
            f"{name} of loss {loss.name!r} must be {natural.name!r}, got {chosen.name!r}"
        )
    return chosen


def is_built_in(value: Activation | FixedActivation | BaseLoss) -> bool:
    """Whether an activation or a loss is fastbp's own, whatever a user's is called."""
    if isinstance(value, BaseLoss):
        return type(value) in LOSSES.values()
    return ACTIVATIONS.get(value.name) is value


def described_activation(value: Activation | FixedActivation) -> str | dict[str, Any]:
    """What a model file says of an activation; raises ValueError for a lambda of the user's."""
    if is_built_in(value) or not isinstance(value, Activation):
        return value.name
    return value.described()


def from_settings(value: Any, entries: Mapping[str, Any], name: str, own: Any) -> Any:
    """The entry with the settings that a model file describes; own: makes one of a user's own."""
    if not isinstance(value, dict) or "name" not in value:
        raise ValueError(f"{name} must be an object with a name, got {shown(value)}")
    if "f" in value or "rule" in value:
        return own(value)
    settings = dict(value)
    return entries[choice(settings.pop("name"), entries, name)](**settings)
