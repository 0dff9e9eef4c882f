"""Plans: everything that a kernel needs to know of a network, written down once for each use.

To fill in some hundred fields takes longer than a step of a small network. A call sets the few
that belong to it: its data and batches, and where the results go.
"""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp import curvature
from fastbp.configuration import Configuration
from fastbp.data.sparse import SparseRows
from fastbp.engine.coefficients import width
from fastbp.engine.memory import Memory
from fastbp.engine.records import GIVEN, HESSIAN, INPUTS, SPARSE, Kind, Plan, Weighted
from fastbp.kernels.machine import team
from fastbp.kernels.machine.jit import Kernel, address
from fastbp.kernels.machine.sizes import address_of
from fastbp.kernels.panels import dropout, panels, penalties, slopes, updates, weighted
from fastbp.kernels.product import gemm, sums, transpose
from fastbp.kernels.step import across, check, clipping, movement, scaled_rows, sparse, step
from fastbp.layout.aligned import row_stride
from fastbp.layout.grid import Grid
from fastbp.rows.rows import Features, Rows
from fastbp.tasks import Tasks


def make(parts: Configuration, memory: Memory, kind: Kind) -> Plan:
    """A plan but for what each call sets.

    Parameters
    ----------
    parts : Configuration
        What the network is made of.
    memory : Memory
        The network's, with room for the call.
    kind : Kind
        What the call is for.
    """
    training, labels = kind.training, kind.labels
    source = None if kind.source == SPARSE else np.dtype(kind.source)
    layout, dtype = parts.layout, parts.layout.dtype
    plan = Plan(layout.layers, len(kind.tasks))
    wanted = ["training_forward", "backward"] if training else ["forward"]
    if labels is not None and not training:
        wanted.append("training_forward")  # the loss may want what this one leaves
    _fill_layers(plan, parts, memory, wanted, kind)
    program = plan.program
    program.itemsize, program.features_ld = dtype.itemsize, layout.widths[0]
    if source is None:
        _fill_sparse(plan, parts, memory, training)
    elif source != dtype or memory.scaling is not None:
        program.gather = scaled_rows.gather_scaled[source].address(dtype)
        program.scaling = address(memory.scaling_terms())
    elif training:
        program.gather = movement.gather.address(dtype)
    program.shared, program.yield_address = address(memory.shared), team.YIELD_ADDRESS
    program.flags, program.columns = address(memory.flags), 1
    program.gemm, program.copy_rows = gemm.gemm.address(dtype), movement.copy_rows.address(dtype)
    if parts.products:
        from fastbp.kernels.product import bfloat16  # which asks LLVM what the processor has

        program.gemm, program.pack = bfloat16.gemm.address(dtype), bfloat16.pack.address(dtype)
    if training:
        program.update = parts.optimizer.panel.address(dtype)
        program.column_sums = sums.column_sums.address(dtype)
        program.add_parts = updates.add_parts.address(dtype)
        program.part_losses = address(memory.part_losses)
        program.part_bytes = layout.parameters * dtype.itemsize
        if not kind.tasks:
            columns = parts.loss.held_columns(layout.widths[-1])
            program.target_bytes = 8 if labels else columns * dtype.itemsize
        program.transpose = transpose.transpose.address(dtype)
        program.row_losses = address(memory.row_losses)
        _fill_regularization(plan, parts, memory)
    if source is not None:
        program.feature_bytes = layout.widths[0] * source.itemsize
        program.entry, program.entry_ld = plan.layers[0].below, layout.strides[0]
    if labels is None and source is not None:
        program.check = check.check_finite.address(dtype)
        program.not_finite = address(memory.not_finite)
    if kind.slopes:
        panel = slopes.given if kind.slopes == GIVEN else slopes.unit
        program.loss, program.loss_parameters = _loss(
            plan.weighted[0], panel, ctypes.addressof(plan.given), kind.weights, dtype
        )
    elif labels is not None and isinstance(parts.loss, Tasks):
        _fill_tasks(plan, parts.loss, memory, kind, dtype)
    elif labels is not None:
        masked = kind.masked or parts.loss_weights is not None
        own = address(memory.loss_parameters[0])
        program.loss, program.loss_parameters = _loss(
            plan.weighted[0], parts.loss.panel(labels, masked), own, kind.weights, dtype
        )
    program.total_count = max(len(kind.tasks), 1) if kind.weights else 0
    program.slots, program.slot_bytes = parts.optimizer.slots, layout.parameters * dtype.itemsize
    program.scratch, program.scratch_bytes = (
        address(memory.scratch),
        layout.scratch * dtype.itemsize,
    )
    program.queues, program.sizes = address(memory.queues), address_of(layout.sizes)
    program.zeros = address(memory.zeros)
    program.state, program.state_bytes = address(memory.state), memory.state.nbytes
    program.step_counter = address(memory.steps)
    if kind.dropping:
        _fill_dropout(plan, parts, memory)
    if kind.updating and not parts.groups.alike:
        _fill_groups(plan, parts)
    if kind.each == INPUTS:
        plan.layers[0].mirror = address(memory.entry_mirror)
        plan.layers[0].delta_below = plan.layers[0].below
    if kind.product:
        _fill_tangents(plan, parts, memory, kind)
    return plan


def share_out(plan: Plan, grid: Grid) -> None:
    """Tell a plan how the team shares a step."""
    if grid is plan.grid:
        return
    program = plan.program
    plan.grid, program.columns = grid, grid.columns
    if grid.columns > 1:
        program.batch_across = across.batch_across.address()
    for layer, forward, back, weights in zip(
        plan.layers, grid.forward, grid.back, grid.weights, strict=True
    ):
        layer.forward_across, layer.back_across, layer.weight_columns = forward, back, weights


def _fill_groups(plan: Plan, parts: Configuration) -> None:
    """Which layers are trained, and how fast."""
    groups, program = parts.groups, plan.program
    of_group = 8 * width(parts.optimizer)
    program.grouped, program.bottom = 1, groups.trainable.index(True)
    for layer, trainable, factor in zip(
        plan.layers, groups.trainable, groups.rate_factors, strict=True
    ):
        layer.frozen, layer.rates = not trainable, of_group * groups.factors.index(factor)
    lowest = plan.layers[program.bottom]
    lowest.mirror = lowest.turned = 0  # no deltas are wanted below


def _fill_tangents(plan: Plan, parts: Configuration, memory: Memory, kind: Kind) -> None:
    """The records of layers along a direction, and the second derivative of the loss."""
    layout, program, workspace = parts.layout, plan.program, memory.tangents
    assert workspace is not None
    for i, (tangent, layer) in enumerate(zip(plan.tangents, plan.layers, strict=True)):
        for name in ("inputs", "outputs", "ld_in", "ld_out", "gradient", "below"):
            setattr(tangent, name, getattr(layer, name))
        tangent.weight_columns = 1
        offset = layout.parameter_offsets[i] * layout.dtype.itemsize
        tangent.weights = address(memory.direction) + offset
        tangent.mirror, tangent.slope = workspace.mirrors[i], workspace.slopes[i]
        tangent.output, tangent.delta = workspace.outputs[i + 1], workspace.deltas[i + 1]
        tangent.delta_below = workspace.deltas[i]
        logits = parts.loss.on_logits and i == layout.layers - 1
        if kind.product == HESSIAN and not logits:
            panel = curvature.of_activation(parts.activations[i])
            tangent.forward = 0 if panel is None else panel.address(layout.dtype)
    masked = kind.masked or parts.loss_weights is not None
    of_loss = curvature.of_loss(parts.loss, bool(kind.labels), masked)
    own = address(memory.loss_parameters[0])
    program.curve, program.curve_parameters = _loss(
        plan.curve, of_loss, own, kind.weights, layout.dtype
    )
    program.curve_whole = int(not parts.loss.elementwise)
    program.tangents = ctypes.addressof(plan.tangents)
    program.curving = int(kind.product == HESSIAN)
    program.multiply = panels.multiply.address(layout.dtype)


def _fill_sparse(plan: Plan, parts: Configuration, memory: Memory, training: bool) -> None:
    layout, program, regularization = parts.layout, plan.program, parts.regularization
    rows = plan.sparse
    program.features, rows.program, program.sparse = ctypes.addressof(rows), plan.address, 1
    rows.made = address(memory.made)
    rows.rests = parts.optimizer.rests and not regularization.shrinks
    program.gather = sparse.product.address(layout.dtype)
    program.entry, program.entry_ld = plan.layers[0].output, layout.strides[1]
    if training:
        program.sparse_step = sparse.sparse_step.address(layout.dtype)
        program.train = step.train.address()


def _fill_regularization(plan: Plan, parts: Configuration, memory: Memory) -> None:
    program, dtype, regularization = plan.program, parts.layout.dtype, parts.regularization
    program.settings = address(memory.settings)
    program.square_sums = address(memory.square_sums)
    if regularization.penalizes:
        program.penalize = penalties.penalize.address(dtype)
    if regularization.alpha:
        program.decays = 1
        # The losses of tasks are added up elsewhere; sparse rows do not update W at every step.
        if not program.sparse and not isinstance(parts.loss, Tasks):
            program.square_sum = penalties.add_squares.address(dtype)
            program.squares = address(memory.weight_squares)
            program.square_count = memory.weight_squares.shape[1]
    if regularization.clip_norm is not None or regularization.max_norm is not None:
        program.finish = clipping.finish.address(dtype)


def _fill_dropout(plan: Plan, parts: Configuration, memory: Memory) -> None:
    workspace = memory.workspace
    assert workspace is not None
    program, dtype = plan.program, parts.layout.dtype
    program.drop, program.drop_delta = (
        dropout.drop.address(dtype),
        dropout.drop_delta.address(dtype),
    )
    program.dropout_seed = memory.dropout_seed
    for i, threshold in enumerate(parts.regularization.thresholds):
        if workspace.dropped[i]:
            plan.layers[i].drop_threshold = threshold
            plan.layers[i].dropped = plan.layers[i + 1].below = workspace.dropped[i]


def _fill_layers(
    plan: Plan, parts: Configuration, memory: Memory, wanted: list[str], kind: Kind
) -> None:
    turned = parts.layout.turned_layers if kind.turned else ()
    layout, workspace = parts.layout, memory.workspace
    assert workspace is not None
    size, state = layout.dtype.itemsize, address(memory.state)
    gradient = 0 if memory.gradients is None else address(memory.gradients)
    for i, (layer, activation) in enumerate(zip(plan.layers, parts.activations, strict=True)):
        offset = layout.parameter_offsets[i] * size
        layer.inputs, layer.outputs = layout.widths[i : i + 2]
        layer.weight_columns = 1
        layer.ld_in, layer.ld_out = layout.strides[i : i + 2]
        layer.weights, layer.gradient = state + offset, gradient + offset
        if i in turned:
            layer.turned = workspace.mirrors[i]
        else:
            layer.mirror = workspace.mirrors[i]
        layer.below, layer.output = workspace.outputs[i : i + 2]
        layer.delta_below, layer.delta = workspace.deltas[i : i + 2]
        layer.slope = workspace.slopes[i]
        layer.operand = layer.output if activation.from_output else layer.slope
        # A loss on logits stands for the output activation but where outputs are wanted.
        logits = parts.loss.on_logits and i == len(plan.layers) - 1 and not kind.slopes
        for name in wanted:
            panel = getattr(activation, name)
            if panel is not None and (name == "forward" or not logits):
                setattr(layer, name, panel.address(layout.dtype))


def _loss(
    record: Weighted, panel: Kernel, parameters: int, weights: bool, dtype: np.dtype[Any]
) -> tuple[int, int]:
    """The addresses of the panel of a loss, which may have weights, and of its parameters."""
    loss = panel.address(dtype)
    if not weights:
        return loss, parameters
    record.loss, record.parameters = loss, parameters
    return weighted.weighted.address(dtype), ctypes.addressof(record)


def _fill_tasks(plan: Plan, tasks: Tasks, memory: Memory, kind: Kind, dtype: np.dtype[Any]) -> None:
    """The losses of tasks; `several` calls each with the columns that it is for."""
    program, several = plan.program, plan.several
    program.loss = tasks.panel().address(dtype)
    program.loss_parameters = ctypes.addressof(several)
    assert memory.workspace is not None
    several.count, several.tasks = len(tasks.groups), ctypes.addressof(plan.tasks)
    several.weights, several.values = address(memory.task_weights), address(memory.task_values)
    several.delta = memory.workspace.deltas[-1]
    several.z, several.slope, several.change = map(address, memory.task_scratch)
    several.row_bytes = memory.task_stride * dtype.itemsize
    for number, (task, columns) in enumerate(tasks.columns()):
        record, (labels, masked) = plan.tasks[number], kind.tasks[number]
        panel = task.loss.panel(labels, masked)
        own = address(memory.loss_parameters[number])
        record.loss, record.parameters = _loss(
            plan.weighted[number], panel, own, kind.weights, dtype
        )
        record.begin, record.outputs = columns.start, task.outputs
        record.ld = row_stride(task.outputs, dtype.itemsize)
        activation = task.activation
        record.sloped = not activation.from_output
        if not task.loss.on_logits and activation.training_forward and activation.backward:
            record.forward = activation.training_forward.address(dtype)
            record.backward = activation.backward.address(dtype)


def hand_over(plan: Plan, data: Rows, totals: NDArray[np.float64] | None) -> None:
    """Tell a plan where targets and weights lie, and the total weights of the batches."""
    program = plan.program
    program.targets = address(data.targets)
    if totals is not None:
        program.totals = address(totals)
        for weighted, part in zip(plan.weighted, data.tasks or (data,), strict=True):
            assert part.weights is not None
            weighted.weights = address(part.weights)
        plan.curve.weights = plan.weighted[0].weights
    if data.slopes is not None:
        values = data.slopes.values
        plan.given.values = 0 if values is None else address(values)
    if data.tasks:
        for task, part in zip(plan.tasks, data.tasks, strict=True):
            assert part.losses is not None
            task.targets, task.row_losses = address(part.targets), address(part.losses)


def set_features(plan: Plan, features: Features, memory: Memory) -> None:
    """Tell a plan where the features lie."""
    if not isinstance(features, SparseRows):
        plan.program.features = address(features)
        return
    held = plan.sparse
    held.values, held.indices = address(features.values), address(features.indices)
    held.starts, held.wide = address(features.starts), features.indices.itemsize == 8
    held.entries = len(features.values)
    memory.made.fill(0)
