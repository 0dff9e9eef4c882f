"""Records of a network for compiled code that calls the kernels by itself.

They share parameters, slots and step count with the network, and have memory of their own for all
that a call writes besides.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.engine import plans
from fastbp.engine.coefficients import table
from fastbp.engine.engine import ALONE, Engine
from fastbp.engine.memory import Memory
from fastbp.engine.records import GIVEN, INPUTS, Kind, Plan
from fastbp.kernels.machine.jit import address
from fastbp.kernels.step.check import check_finite
from fastbp.kernels.step.derivatives import differentiate_rows, forward_batch
from fastbp.kernels.step.movement import copy_scaled
from fastbp.kernels.step.parts import batch_in_parts
from fastbp.kernels.step.slabs import batch_in_slabs
from fastbp.kernels.step.step import differentiate, predict, train
from fastbp.layout.cutting import most

MOST_TABLE = 1 << 19  # steps whose coefficients are computed ahead, at the most
CHUNK = 1 << 12

# All that compiled code needs besides what it is called with. In one array, because Numba counts
# the references to each that a function takes: to twenty for as long as a small layer takes.
RECORD = np.dtype(
    [
        (name, np.int64)
        for name in (
            "busy", "learning",  # 1 where a thread uses this record; address: trains the network
            "own",            # the record's address: Numba makes a copy of a state that is global
            "settings", "settings_now",  # how often the network had other ones; address: by now
            "inputs", "outputs", "targets", "parameters", "rows",  # bounds of what is passed
            "steps",          # address of the step count
            "predicting",     # address of `kernels.step.program.PROGRAM` for predictions
            # address of int64 (2, 2, 2): such addresses for values and labels, for steps and for
            # gradients, for long and for short batches; 0 for labels that the loss does not take
            "programs",
            "short",          # rows of a short batch, at the most
            # programs for slopes that the caller has: the way forward, a step, the gradient; and
            # for slopes of inputs, with targets that are values and labels
            "forwarding", "given_step", "given_gradient", "input_values", "input_labels",
            "forward_batch", "differentiate_rows",
            # bytes of the features whose activations are in the slab, or 0; and were when the call
            # that is under way began
            "forwarded", "was_forwarded",
            "kept",           # address of a copy of them
            "forwarded_step",  # the step whose dropout they have
            "predict", "train", "differentiate", "in_slabs", "in_parts", "check",  # kernels
            "numbers",        # address of int64 0, 1, ..., at least as many as a batch has rows
            "first_step",     # of which the table of coefficients has the first row
            "lasts",          # 1: its last row is that of all steps that follow
            "coefficients", "coefficient_rows", "coefficient_count",  # float64 (rows, count)
            "row",            # address of float64: one row of it, with a decay where there is alpha
            "row_count",
            "alone",          # 1: a batch of one slab goes by parts
            "row_bytes", "gradient_bytes",  # what the cut of a batch is computed from
            "not_finite",     # 1 where the check of features found one
        )
    ]
    + [("alpha", np.float64), ("loss", np.float64), ("carried", np.float64, 4)]
)  # fmt: skip


def offset(field: str) -> int:
    """Where a field of `RECORD` begins, in bytes."""
    assert RECORD.fields is not None
    return RECORD.fields[field][1]


class _Held:
    """A record as an array of words that keeps alive all that the addresses in it lead to."""

    def __init__(self, record: NDArray[Any], held: tuple[Any, ...]) -> None:
        self._held = held, record
        self.__array_interface__ = record.view(np.int64).__array_interface__


def record(engine: Engine, rows: int) -> NDArray[np.int64]:
    """The words of `RECORD` for batches of at most so many rows; predictions are of any number."""
    parts, layout = engine.parts, engine.layout
    dtype, size = layout.dtype, layout.dtype.itemsize
    made, drops = np.zeros(1, RECORD), parts.regularization.drops
    memory = _memory(engine, rows)
    assert memory.workspace is not None
    room = memory.workspace.rows
    numbers = np.arange(max(rows, room), dtype=np.int64)
    at = address(made)

    def plan(training: bool, labels: bool | None = None, **of_kind: Any) -> Plan:
        one = plans.make(parts, memory, Kind(training, dtype.char, labels, **of_kind))
        program = one.program
        program.team, program.slab = 1, room
        program.check = 0  # what is not finite goes through
        program.order = address(numbers)
        program.epochs = program.most_steps = 1
        program.epoch_losses = at + offset("loss")
        program.carried = at + offset("carried")
        program.updating = int(parts.regularization.clip_norm is None)
        return one

    predicting = plan(False)
    training = [
        None
        if labels and parts.loss.targets != "labels"
        else plan(
            True, labels, dropping=drops and not gradient, turned=turned, updating=not gradient
        )
        for turned in (False, bool(layout.turned_layers))
        for gradient in (False, True)
        for labels in (False, True)
    ]
    programs = np.array([0 if one is None else one.address for one in training], np.int64)
    given = [
        plan(True, False, dropping=drops, slopes=GIVEN, updating=updating)
        for updating in (False, True, False)  # the way forward, a step, the gradient
    ]
    for gradient in filter(None, [*training[2:4], *training[6:8], given[0], given[2]]):
        gradient.program.updating = 0
    memory.make_entry_mirror()
    inputs = [
        None if labels and parts.loss.targets != "labels" else plan(True, labels, each=INPUTS)
        for labels in (False, True)
    ]
    losses = np.empty(max(rows, room))
    kept = np.empty((rows, layout.widths[0]), layout.dtype)
    for one in filter(None, inputs):
        one.program.passes, one.program.row_losses = 1, address(losses)
        one.program.copy_scaled = copy_scaled.address(dtype)
        one.program.scaling = address(memory.scaling_terms())
    ahead, lasts = coefficients(engine)
    alpha = parts.regularization.alpha
    row = np.zeros(ahead.shape[1] + (alpha > 0))
    values = {
        "learning": address(engine.step_counter[1:]),
        "own": at,
        "settings": engine.step_counter[2],
        "settings_now": address(engine.step_counter[2:]),
        "inputs": layout.widths[0],
        "outputs": layout.widths[-1],
        "targets": parts.loss.target_columns(layout.widths[-1]),
        "parameters": layout.parameter_count,
        "rows": rows,
        "steps": address(engine.step_counter),
        "predicting": predicting.address,
        "programs": address(programs),
        "short": layout.sizes.turned_rows,
        "forwarding": given[0].address,
        "given_step": given[1].address,
        "given_gradient": given[2].address,
        "input_values": 0 if inputs[0] is None else inputs[0].address,
        "input_labels": 0 if inputs[1] is None else inputs[1].address,
        "kept": address(kept),
        "forward_batch": forward_batch.address(),
        "differentiate_rows": differentiate_rows.address(),
        "predict": predict.address(),
        "train": train.address(),
        "differentiate": differentiate.address(),
        "in_slabs": batch_in_slabs.address(),
        "in_parts": batch_in_parts.address(),
        "check": check_finite.address(dtype),
        "numbers": address(numbers),
        "first_step": engine.step,
        "lasts": lasts,
        "coefficients": address(ahead),
        "coefficient_rows": len(ahead),
        "coefficient_count": ahead.shape[1],
        "row": address(row),
        "row_count": len(row),
        "alone": layout.parameters <= ALONE,
        "row_bytes": layout.row_elements * size,
        "gradient_bytes": layout.parameters * size,
        "alpha": alpha,
    }
    for name, value in values.items():
        made[name] = value
    held = (
        engine,
        memory,
        predicting,
        training,
        given,
        inputs,
        losses,
        kept,
        programs,
        numbers,
        ahead,
        row,
    )
    return np.asarray(_Held(made, held))


def _memory(engine: Engine, rows: int) -> Memory:
    """Memory with room for batches of so many rows, and the network's own parameters."""
    layout = engine.layout
    memory = Memory(engine.parts)
    memory.state, memory.steps = engine.state, engine.step_counter
    memory.dropout_seed = engine.dropout_seed
    memory.scaling = None if engine.scaling is None else np.stack(engine.scaling)
    slab, parts = most(layout, rows)
    memory.make_room(slab, rows, 1, max(parts, 1))
    return memory


def coefficients(engine: Engine) -> tuple[NDArray[np.float64], bool]:
    """The coefficients of the steps to come, one a row, and whether the last is that of all after.

    There are as many as it takes until they no longer change, or `MOST_TABLE`.
    """
    optimizer, factors = engine.parts.optimizer, engine.parts.groups.factors
    tables: list[NDArray[np.float64]] = []
    count = 0
    while count < MOST_TABLE:
        found = table(optimizer, factors, engine.step + count, CHUNK, optimizer.lr)
        if np.array_equal(found[1:], found[:-1], equal_nan=True):
            return np.concatenate([*tables, found[:1]]), True
        tables.append(found)
        count += CHUNK
    return np.concatenate(tables), False
