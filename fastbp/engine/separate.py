"""Programs of a network for compiled code that calls the kernels by itself.

They share parameters, slots and step count with the network, and have memory of their own for all
that a call writes besides.
"""

import ctypes
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.engine import plans
from fastbp.engine.engine import Engine
from fastbp.engine.memory import Memory
from fastbp.engine.records import Kind, Plan
from fastbp.kernels.machine.jit import address
from fastbp.kernels.step.parts import batch_in_parts
from fastbp.kernels.step.slabs import batch_in_slabs
from fastbp.kernels.step.step import differentiate, predict, train
from fastbp.layout.cutting import cut_batch, slab_rows

MOST_TABLE = 1 << 19  # steps whose coefficients are computed ahead, at the most
CHUNK = 1 << 12


class Programs(NamedTuple):
    """What compiled code needs to call the kernels.

    Attributes
    ----------
    predicting : (fields,) ndarray of int64
        The record of `kernels.step.program.PROGRAM` for predictions.
    training, training_labels : (fields,) ndarray of int64
        For steps, with targets that are values, or labels: empty for losses without such.
    gradient_program, gradient_labels : (fields,) ndarray of int64
        The same without dropout.
    kernels : (5,) ndarray of int64
        Addresses: predict, train, differentiate, slabs.batch_in_slabs, parts.batch_in_parts.
    shared : (team.WORDS,) ndarray of int64
        The team's words.
    gradient : (parameters,) ndarray
        Where `differentiate` leaves the gradient.
    numbers : ndarray of int64
        0, 1, ..., at least as many as a batch has rows.
    """

    predicting: NDArray[np.int64]
    training: NDArray[np.int64]
    training_labels: NDArray[np.int64]
    gradient_program: NDArray[np.int64]
    gradient_labels: NDArray[np.int64]
    kernels: NDArray[np.int64]
    shared: NDArray[np.int64]
    gradient: NDArray[Any]
    numbers: NDArray[np.int64]


class _Record:
    """A plan's program as an array that keeps alive all that the addresses in it lead to."""

    def __init__(self, plan: Plan, memory: Memory, engine: Engine) -> None:
        self._held = plan, memory, engine
        size = ctypes.sizeof(plan.program) // 8
        self.__array_interface__ = {
            "data": (plan.address, False),
            "shape": (size,),
            "typestr": np.dtype(np.int64).str,
            "version": 3,
        }


def programs(engine: Engine, rows: int) -> Programs:
    """The programs for batches of at most so many rows; predictions are of any number."""
    parts, layout = engine.configuration, engine.layout
    memory = Memory(parts)
    memory.state, memory.steps = engine.state, engine.step_counter
    memory.dropout_seed = engine.dropout_seed
    memory.scaling = None if engine.scaling is None else np.stack(engine.scaling)
    cuts = [cut_batch(layout, count) for count in range(1, rows + 1)]
    predicted = slab_rows(layout, rows)
    slab = max(predicted, *(one.slab for one in cuts))
    memory.make_room(slab, 1, max(1, *(one.parts for one in cuts)))
    numbers = np.arange(max(rows, slab), dtype=np.int64)
    source, drops = layout.dtype.char, parts.regularization.drops

    def record(training: bool, labels: bool | None = None, dropping: bool = False) -> Any:
        if labels and parts.loss.targets != "labels":
            return np.empty(0, np.int64)
        kind = Kind(training, source, labels, dropping=dropping)
        plan = plans.make(parts, memory, kind)
        plan.program.team, plan.program.slab = 1, predicted
        plan.program.check = 0  # what is not finite goes through
        plan.program.order = address(numbers)
        return np.asarray(_Record(plan, memory, engine))

    kernels = [predict, train, differentiate, batch_in_slabs, batch_in_parts]
    assert memory.gradients is not None
    return Programs(
        record(False),
        record(True, False, drops),
        record(True, True, drops),
        record(True, False),
        record(True, True),
        np.array([kernel.address() for kernel in kernels]),
        memory.shared,
        memory.gradients[0],
        numbers,
    )


def coefficients(engine: Engine) -> tuple[NDArray[np.float64], bool]:
    """The coefficients of the steps to come, one a row, and whether the last is that of all after.

    There are as many as it takes until they no longer change, or `MOST_TABLE`.
    """
    optimizer, before = engine.configuration.optimizer, engine.step
    tables: list[NDArray[np.float64]] = []
    count = 0
    while count < MOST_TABLE:
        numbers = np.arange(before + count + 1, before + count + CHUNK + 1, dtype=np.float64)
        with np.errstate(all="ignore"):
            table = optimizer.coefficients(numbers, optimizer.lr)
        same = (table[1:] == table[:-1]).all(axis=1)
        changes = np.flatnonzero(~same)
        if not len(changes):
            return np.concatenate([*tables, table[:1]]), True
        tables.append(table)
        count += CHUNK
    return np.concatenate(tables), False
