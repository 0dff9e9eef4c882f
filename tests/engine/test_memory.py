"""A network's memory: what it makes room for, and that no plan outlives what it points to."""

import ctypes

import numpy as np
import pytest

from fastbp import configuration
from fastbp.engine import plans
from fastbp.engine.memory import Memory
from fastbp.engine.records import Kind, Layer, Plan, Program
from fastbp.kernels.machine.jit import address
from fastbp.kernels.step.program import LAYER, PROGRAM

KIND = Kind(True, "f", labels=False)


@pytest.fixture
def parts():
    return configuration.make([5, 9, 4], "gelu", "mse", None, "adam", "auto", "float32")


def test_room_is_made_once_and_grows(parts):
    memory = Memory(parts)
    memory.make_room(16, 40, 1, 0)
    first = memory.workspace, memory.scratch, memory.row_losses
    assert memory.gradients is None
    for rows, batch, members, gradients in ((16, 40, 1, 0), (8, 8, 1, 0)):
        memory.plans[KIND] = plan = Plan(2)
        memory.make_room(rows, batch, members, gradients)
        assert (memory.workspace, memory.scratch, memory.row_losses) == first
        assert memory.plans == {KIND: plan}
    wanted = (17, 1, 1, 0), (1, 41, 1, 0), (1, 1, 2, 0), (1, 1, 1, 1), (1, 1, 1, 3)
    for rows, batch, members, gradients in wanted:
        memory.plans[KIND] = Plan(2)
        memory.make_room(rows, batch, members, gradients)
        assert memory.plans == {}
    assert (memory.workspace.rows, memory.row_losses.size) == (17, 41)
    assert memory.scratch.size == 2 * parts.layout.scratch
    assert memory.gradients.shape == (3, parts.layout.parameters)


def test_the_state_never_moves(parts):
    memory = Memory(parts)
    at = address(memory.state)
    memory.make_room(1000, 1000, 4, 2)
    assert address(memory.state) == at
    assert memory.state.size == 3 * parts.layout.parameters


@pytest.mark.parametrize("record", [(Program, PROGRAM), (Layer, LAYER)])
def test_records_are_those_of_the_kernels(record):
    structure, described = record
    assert ctypes.sizeof(structure) == described.itemsize
    for name in described.names:
        assert getattr(structure, name).offset == described.fields[name][1]
    with pytest.raises(AttributeError):
        structure().no_such_field = 1


@pytest.mark.parametrize(
    ("training", "labels"), [(True, False), (False, None), (False, False)], ids=str
)
def test_a_plan_names_what_its_call_needs(training, labels, parts):
    memory = Memory(parts)
    memory.make_room(16, 16, 1, 1)
    plan = plans.make(parts, memory, Kind(training, "f", labels))
    program = np.frombuffer(plan.program, PROGRAM)[0]
    layers = np.frombuffer(plan.layers, LAYER)
    assert program["layers"] == ctypes.addressof(plan.layers)
    assert plan.address == ctypes.addressof(plan.program)
    for name in ("update", "gather", "transpose"):
        assert (program[name] != 0) == training
    assert (program["check"] != 0) == (labels is None)
    assert (program["loss"] != 0) == (labels is not None)
    first = layers[0]
    assert (first["backward"] != 0) == training
    assert (first["training_forward"] != 0) == (labels is not None)
    assert (first["forward"] != 0) == (not training)
    assert layers["weights"].tolist() == [
        address(memory.state) + 4 * offset for offset in parts.layout.parameter_offsets[:-1]
    ]
