"""Calls of the kernels for outputs as training sees them, and for derivatives of single rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.data.sparse import UPDATE_FLOPS
from fastbp.engine import plans, work
from fastbp.engine.engine import Engine
from fastbp.engine.records import GAUSS_NEWTON, GIVEN, HESSIAN, INPUTS, SAMPLES, UNIT, Kind, Plan
from fastbp.kernels.machine.jit import address
from fastbp.kernels.panels import slopes
from fastbp.kernels.step import curvature, derivatives, movement
from fastbp.layout.cutting import curved_rows, slab_rows
from fastbp.layout.grid import by_rows
from fastbp.rows.rows import Features, Rows, Slopes, plain_order, whole_total


def forward(
    engine: Engine, features: Features, of: Slopes, order: NDArray[np.int64] | None = None
) -> NDArray[Any]:
    """The outputs of a batch, whose activations stay in the workspace where they have room.

    Parameters
    ----------
    engine : Engine
        The network's; it is the caller's turn.
    features : (rows, inputs) ndarray or SparseRows
        Checked.
    of : Slopes
        By which a step with slopes of these outputs is told to be one; with dropout of the next
        step, if it says so.
    order : (batch,) ndarray of int64, optional
        The rows of the batch; None for all.
    """
    rows = len(features) if order is None else len(order)
    outputs = np.empty((rows, engine.layout.widths[-1]), engine.layout.dtype)
    total = work.step_flops(engine.layout, features, rows) // 3
    members = work.prediction_members(engine.team_threads, rows, total)
    kind = engine._kind(True, features, None, False)
    kind = kind._replace(labels=False, slopes=GIVEN, dropping=engine._drops and of.dropping)
    plan = engine._plan(kind, features, rows, members)
    program = plan.program
    numbers, held = plain_order(rows) if order is None else (address(order), order)
    program.order, program.rows, program.predictions = numbers, rows, address(outputs)
    engine._run(derivatives.forward_batch, plan, members, total)
    engine.forwarded = of
    del held
    return outputs


def gradient_room(engine: Engine) -> NDArray[Any]:
    """The flat buffer of the gradient, to be filled for `apply`."""
    memory = engine._memory
    memory.make_room(16, 16, 1, 1)
    assert memory.gradients is not None
    flat: NDArray[Any] = memory.gradients[0]
    return flat


def apply(engine: Engine, rows: int) -> None:
    """One update by the gradient in that buffer, which is the mean of so many rows."""
    layout = engine.layout
    total = UPDATE_FLOPS * layout.parameters
    members = work.update_members(layout, engine.team_threads, total)
    kind = Kind(True, layout.dtype.char, False, slopes=GIVEN, updating=True)
    plan = _plan(engine, kind, 16, members, gradients=1)
    masses = np.array([float(rows)]) if engine._alpha else None
    _held = engine._prepare_update(plan.program, 1, None, masses)
    engine._update(derivatives.apply, plan, members, total)


def input_gradients(engine: Engine, data: Rows) -> NDArray[Any]:
    """The derivative of the mean loss, or of what slopes are given of, by every input."""
    found = np.empty((len(data.features), 1, engine.layout.widths[0]), engine.layout.dtype)
    _of_rows(engine, engine._kind(True, data.features, data), data, found)
    return found[:, 0]


def jacobian(engine: Engine, features: NDArray[Any]) -> NDArray[Any]:
    """The derivative of every output by every input, (rows, outputs, inputs)."""
    shape = len(features), engine.layout.widths[-1], engine.layout.widths[0]
    found = np.empty(shape, engine.layout.dtype)
    kind = engine._kind(True, features, None)._replace(labels=False, slopes=UNIT)
    _of_rows(engine, kind, Rows(features, np.empty((0, 0))), found)
    return found


def sample_gradients(
    engine: Engine, data: Rows
) -> tuple[tuple[NDArray[Any], ...], tuple[NDArray[Any], ...]]:
    """The gradient of each row's own loss: weights (rows, inputs, outputs) and biases of layers."""
    layout, rows = engine.layout, len(data.features)
    pairs = list(zip(layout.widths[:-1], layout.widths[1:], strict=True))
    weights = tuple(np.empty((rows, *pair), layout.dtype) for pair in pairs)
    biases = tuple(np.empty((rows, outputs), layout.dtype) for _, outputs in pairs)
    _of_rows(engine, engine._kind(True, data.features, data), data, None, weights, biases)
    return weights, biases


def _of_rows(
    engine: Engine,
    kind: Kind,
    data: Rows,
    inputs: NDArray[Any] | None,
    weights: tuple[NDArray[Any], ...] = (),
    biases: tuple[NDArray[Any], ...] = (),
) -> None:
    """Overwrite `inputs` (rows, passes, inputs) by slopes, or gradients of samples."""
    layout, memory, rows = engine.layout, engine._memory, len(data.features)
    passes = 1 if inputs is None else inputs.shape[1]
    total = layout.row_flops * rows * passes
    members = work.prediction_members(engine.team_threads, rows, total)
    if inputs is not None:
        memory.make_entry_mirror()
    kind = kind._replace(each=SAMPLES if inputs is None else INPUTS)
    plan = _plan(engine, kind, slab_rows(layout, rows, members), members)
    program = plan.program
    plans.set_features(plan, data.features, memory)
    program.order, _held = plain_order(rows)
    program.rows, program.passes = rows, passes
    losses, totals = np.empty(rows), whole_total(data)
    program.row_losses = address(losses)
    if kind.slopes == UNIT:
        program.targets = 0
    else:
        plans.hand_over(plan, data, totals)
    program.batch = rows if inputs is not None else 1
    if inputs is not None:
        program.predictions, program.scaling = address(inputs), address(memory.scaling_terms())
        program.copy_scaled = movement.copy_scaled.address(layout.dtype)
    else:
        outer = slopes.outer_rounded if engine.parts.products else slopes.outer
        program.predictions, program.outer = 0, outer.address(layout.dtype)
        for layer, weight, bias in zip(plan.layers, weights, biases, strict=True):
            layer.sample_weights, layer.sample_biases = address(weight), address(bias)
    engine._run(derivatives.differentiate_rows, plan, members, total)


def curved(engine: Engine, data: Rows, direction: NDArray[Any], whole: bool) -> NDArray[Any]:
    """The product of second derivatives of the mean loss with a direction, both without padding.

    whole: with the Hessian; else with Gauss-Newton's part of it.
    """
    layout, memory, rows = engine.layout, engine._memory, len(data.features)
    total = 3 * layout.row_flops * rows
    members = work.training_members(layout, 0, engine.team_threads, rows, total, total)
    slab = curved_rows(layout, rows)
    memory.make_tangents(slab)
    layout.unpack(direction, memory.direction)
    kind = engine._kind(True, data.features, data)
    kind = kind._replace(product=HESSIAN if whole else GAUSS_NEWTON)
    plan = _plan(engine, kind, slab, members, gradients=1)
    program, totals = plan.program, whole_total(data)
    plans.set_features(plan, data.features, memory)
    plans.hand_over(plan, data, totals)
    program.order, _held = plain_order(rows)
    program.rows, program.updating = rows, 0
    engine._run(curvature.curvature, plan, members, total)
    assert memory.gradients is not None
    return layout.packed(memory.gradients[0])


def _plan(engine: Engine, kind: Kind, slab: int, members: int, gradients: int = 0) -> Plan:
    """The plan of a call of this file's own kernels."""
    memory = engine._memory
    memory.make_room(slab, slab, members, gradients)
    plan = memory.plans.get(kind)
    if plan is None:
        plan = memory.plans[kind] = plans.make(engine.parts, memory, kind)
    plan.program.slab, plan.program.parts, plan.program.team = slab, 0, members
    plans.share_out(plan, by_rows(engine.layout.layers))
    return plan
