"""The records that a kernel reads, as ctypes: their fields are much quicker to set than NumPy's."""

import ctypes
from typing import Any, NamedTuple

import numpy as np

from fastbp.kernels.lanes import program as lanes
from fastbp.kernels.panels import slopes, tasks, weighted
from fastbp.kernels.step import program


def _fields(record: np.dtype[Any]) -> list[tuple[str, Any]]:
    return [(name, ctypes.c_int64) for name in record.names or ()]


class Program(ctypes.Structure):
    """`kernels.step.program.PROGRAM`."""

    __slots__ = ()  # a field that does not exist is an error
    _fields_ = _fields(program.PROGRAM)


class Layer(ctypes.Structure):
    """`kernels.step.program.LAYER`."""

    __slots__ = ()
    _fields_ = _fields(program.LAYER)


class Weighted(ctypes.Structure):
    """`kernels.panels.weighted.WEIGHTED`."""

    __slots__ = ()
    _fields_ = _fields(weighted.WEIGHTED)


class Given(ctypes.Structure):
    """`kernels.panels.slopes.GIVEN`."""

    __slots__ = ()
    _fields_ = _fields(slopes.GIVEN)


class Task(ctypes.Structure):
    """`kernels.panels.tasks.TASK`."""

    __slots__ = ()
    _fields_ = _fields(tasks.TASK)


class Tasks(ctypes.Structure):
    """`kernels.panels.tasks.TASKS`."""

    __slots__ = ()
    _fields_ = _fields(tasks.TASKS)


class Sparse(ctypes.Structure):
    """`kernels.step.program.SPARSE`."""

    __slots__ = ()
    _fields_ = _fields(program.SPARSE)


class LaneLayer(ctypes.Structure):
    """`kernels.lanes.program.LANE_LAYER`."""

    __slots__ = ()
    _fields_ = _fields(lanes.LANE_LAYER)


class Group(ctypes.Structure):
    """`kernels.lanes.program.GROUP`."""

    __slots__ = ()
    _fields_ = _fields(lanes.GROUP)


SPARSE = "sparse"  # among the sources of a kind
GIVEN, UNIT = "given", "unit"  # slopes of a kind
INPUTS, SAMPLES = "inputs", "samples"  # what a kind wants of each row
GAUSS_NEWTON, HESSIAN = "Gauss-Newton", "Hessian"  # products of a kind


class Kind(NamedTuple):
    """What decides which kernels a call needs.

    training: and gradients, rather than prediction; source: the features' dtype, by its
    character, or SPARSE; labels: whether targets are integer class labels, None where there are
    no targets; weights: whether the rows have weights, which count in training; masked: whether
    some targets are NaN; dropping: whether dropout is at work; turned: whether the layers of
    `Layout.turned_layers` have no mirror; tasks: labels and masked of each task, where there are
    tasks; slopes: where those of outputs come from, GIVEN by the caller or of one output (UNIT), or
    "" for the loss; each: what is wanted of each row by itself, slopes of INPUTS or gradients of
    SAMPLES, or ""; product: of a direction with second derivatives, GAUSS_NEWTON or HESSIAN, or "";
    updating: whether parameters are updated, of which some layers may have none.
    """

    training: bool
    source: str
    labels: bool | None = None
    weights: bool = False
    masked: bool = False
    dropping: bool = False
    turned: bool = False
    tasks: tuple[tuple[bool, bool], ...] = ()
    slopes: str = ""
    each: str = ""
    product: str = ""
    updating: bool = False


class Plan:
    """One kind of call: the program and the records of the layers, which it points to.

    Parameters
    ----------
    layers : int
        How many layers the network has.
    tasks : int
        How many tasks it has, where it has some.

    Attributes
    ----------
    program : Program
    layers : ctypes array of Layer
    weighted : ctypes array of Weighted
        For losses with weights: the network's, or that of each task.
    given : Given
        For slopes that are given.
    curve : Weighted
        For the second derivative of a loss with weights.
    tangents : ctypes array of Layer
        For derivatives along a direction.
    tasks : ctypes array of Task
    several : Tasks
        Which points to them.
    sparse : Sparse
        For sparse rows, whose program's `features` points to it.
    address : int
        The program's.
    grid : layout.grid.Grid or None
        How the team shares a step, as the records say.
    """

    def __init__(self, layers: int, tasks: int = 0) -> None:
        self.program, self.layers = Program(), (Layer * layers)()
        self.weighted, self.sparse = (Weighted * max(tasks, 1))(), Sparse()
        self.given, self.curve, self.tangents = Given(), Weighted(), (Layer * layers)()
        self.tasks, self.several = (Task * tasks)(), Tasks()
        self.address = ctypes.addressof(self.program)
        self.grid: object = None
        self.program.layers, self.program.layer_count = ctypes.addressof(self.layers), layers
