"""Tasks: groups of outputs that have a loss each, in one network."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp import activations, losses
from fastbp.activations import Activation, FixedActivation
from fastbp.choices import (
    described_activation,
    expect_outputs,
    from_settings,
    loss_of,
    output_activation_of,
)
from fastbp.kernels.machine.jit import Kernel, address
from fastbp.kernels.panels import tasks as panels
from fastbp.layout.aligned import aligned_zeros, row_stride
from fastbp.losses import LOSSES, BaseLoss, Loss, RowLoss
from fastbp.validation import positive_int, real, shown, storable

PIECE = 1 << 16  # elements that go through an output activation at a time


@dataclass(frozen=True)
class Task:
    """A group of outputs: its name, how many they are, their loss, its weight, their activation."""

    name: str
    outputs: int
    loss: BaseLoss
    activation: Activation | FixedActivation
    weight: float

    def activated(self, logits: NDArray[Any]) -> NDArray[Any]:
        """The (rows, outputs) outputs from the columns of this task before its activation."""
        forward, dtype = self.activation.forward, logits.dtype
        outputs = np.array(logits, order="C")
        if forward is None:
            return outputs
        ld = row_stride(self.outputs, dtype.itemsize)
        height = max(1, PIECE // ld)
        padded = aligned_zeros(height * ld, dtype).reshape(height, ld)
        at, panel = address(padded), forward.call(dtype)
        for first in range(0, len(outputs), height):
            piece = outputs[first : first + height]
            padded[: len(piece), : self.outputs] = piece
            panel(at, at, len(piece), self.outputs, ld)
            piece[:] = padded[: len(piece), : self.outputs]
        return outputs


@dataclass(frozen=True)
class Tasks(BaseLoss):
    """The weighted sum of the losses of groups of outputs.

    Attributes
    ----------
    groups : tuple of Task
        The groups, in the order of their columns.
    """

    groups: tuple[Task, ...]
    name = "tasks"
    on_logits = True
    targets = "tasks"
    elementwise = False

    def panel(self, labels: bool = False, masked: bool = False) -> Kernel:
        """The panel that calls those of the tasks."""
        return panels.several

    def columns(self) -> Iterator[tuple[Task, slice]]:
        """Each task and its columns of the outputs."""
        begin = 0
        for task in self.groups:
            yield task, slice(begin, begin + task.outputs)
            begin += task.outputs

    def split(self, logits: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs of each task from the (rows, outputs) outputs before their activations."""
        return {task.name: task.activated(logits[:, at]) for task, at in self.columns()}

    def total(self, losses: list[float]) -> float:
        """The weighted sum of the tasks' losses."""
        return float(
            sum(task.weight * loss for task, loss in zip(self.groups, losses, strict=True))
        )

    def __str__(self) -> str:
        return ", ".join(f"{task.name}: {task.loss} of {task.outputs}" for task in self.groups)


def make(loss: Any, outputs: Any, weights: Any, activations: Any, width: int) -> Tasks:
    """Check what a user passed as loss, outputs, loss_weights and output_activation."""
    names = list(loss)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"loss must have a name for each of its losses, got {shown(loss)}")
    for name in names:
        storable(name, "a name of loss")
    if taken := [name for name in names if name == "val" or name.startswith("val_")]:
        raise ValueError(f"loss must not have the name {taken[0]!r}: 'val_' means validation")
    if not isinstance(outputs, Mapping):
        raise TypeError(
            "outputs must be a dict of how many outputs each of the losses has, "
            f"got {shown(outputs)}"
        )
    if set(outputs) != set(names):
        raise ValueError(f"outputs must have the names of the losses, {names}; got {list(outputs)}")
    counts = {name: positive_int(count, f"outputs[{name!r}]") for name, count in outputs.items()}
    if sum(counts.values()) != width:
        raise ValueError(
            f"outputs must add up to the {width} outputs of the network, "
            f"got {' + '.join(map(str, counts.values()))}"
        )
    chosen = {name: loss_of(loss[name], f"loss[{name!r}]") for name in counts}
    if of_rows := [name for name, one in chosen.items() if isinstance(one, RowLoss)]:
        raise ValueError(
            f"loss[{of_rows[0]!r}] must not be a function of whole rows: such a loss is one of a "
            "whole network"
        )
    for name, count in counts.items():
        expect_outputs(chosen[name], count, f"outputs[{name!r}]")
    of_tasks = by_name(weights, names, "loss_weights")
    scales = {n: real(of_tasks.get(n, 1.0), f"loss_weights[{n!r}]", 0) for n in counts}
    if not any(scales.values()):
        raise ValueError("loss_weights must not all be zero")
    given = by_name(activations, names, "output_activation")
    return Tasks(
        tuple(
            Task(
                name,
                count,
                chosen[name],
                output_activation_of(given.get(name), chosen[name], f"output_activation[{name!r}]"),
                scales[name],
            )
            for name, count in counts.items()
        )
    )


def by_name(given: Any, tasks: "Tasks | list[str]", argument: str) -> Mapping[str, Any]:
    """What is given for some of the tasks, by their names."""
    names = [task.name for task in tasks.groups] if isinstance(tasks, Tasks) else tasks
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f"{argument} must be a dict with names of {names}, got {shown(given)}")
    if unknown := [name for name in given if name not in names]:
        raise ValueError(f"{argument} must have names of {names}; got {shown(unknown[0])}")
    return given


def describe(loss: BaseLoss) -> dict[str, Any]:
    """What a model file says of a loss, which may be one of tasks."""
    if isinstance(loss, Loss | RowLoss):
        return loss.described()
    if not isinstance(loss, Tasks):
        settings = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(loss).items()}
        return {"name": loss.name, **settings}
    return {
        "name": loss.name,
        "groups": [
            {
                "name": task.name,
                "outputs": task.outputs,
                "loss": describe(task.loss),
                "activation": described_activation(task.activation),
                "weight": task.weight,
            }
            for task in loss.groups
        ],
    }


def parse(described: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The loss, outputs, loss_weights and output_activation that a model file describes."""
    groups = described.get("groups")
    keys = {"name", "outputs", "loss", "activation", "weight"}
    if set(described) != {"name", "groups"} or not isinstance(groups, list):
        raise ValueError(f"loss must be tasks with a list of groups, got {shown(described)}")
    for group in groups:
        if not isinstance(group, dict) or set(group) != keys or not isinstance(group["name"], str):
            raise ValueError(f"a group of the loss must have the keys {sorted(keys)} and a name")

    def each(key: str) -> dict[str, Any]:
        return {group["name"]: group[key] for group in groups}

    if len(each("name")) != len(groups):
        raise ValueError("groups of the loss must have different names")
    of_groups = {
        name: from_settings(one, LOSSES, "loss", losses.parsed)
        for name, one in each("loss").items()
    }
    activated = {name: activations.parsed(one) for name, one in each("activation").items()}
    return of_groups, each("outputs"), each("weight"), activated
