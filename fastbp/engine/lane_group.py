"""The memory of networks side by side, and the calls of their kernel."""

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.configuration import Configuration
from fastbp.engine import coefficients, work
from fastbp.engine.course import Course, Stretch
from fastbp.engine.engine import Engine
from fastbp.engine.records import Group, LaneLayer
from fastbp.kernels.lanes import movement, product, step
from fastbp.kernels.machine.jit import Kernel, address
from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.panels import lane_labels, output_panels, penalties
from fastbp.kernels.panels.lane_losses import LANE_BLOCK
from fastbp.kernels.product import sums
from fastbp.layout.aligned import aligned_zeros
from fastbp.layout.layout import Layout
from fastbp.losses import BaseLoss, CrossEntropy

WORD = np.dtype(np.int64)
WORDS = (  # what the kernel reads of each network
    "states", "step_counters", "features", "targets", "orders", "losses", "carried",
    "coefficients", "order_rows", "active", "failed", "epoch_orders",
)  # fmt: skip
QUICKER = 4  # than one after the other, on which `work.QUANTUM` counts


def width(dtype: np.dtype[Any]) -> int:
    """How many networks go together at the most."""
    return LINE // dtype.itemsize


def steps_a_call(layout: Layout, batch: int) -> int:
    """Steps that a full group makes before readers have their turn."""
    flops = width(layout.dtype) * batch * layout.row_flops + work.STEP_FLOPS
    return max(1, QUICKER * work.QUANTUM // flops)


def slab_rows(layout: Layout, batch: int) -> int:
    """Rows whose activations stay in the cache, in whole groups of the sums for biases."""
    row_bytes = LINE * 2 * sum(layout.widths)
    return min(-(-batch // 8) * 8, max(8, layout.sizes.lane_slab // row_bytes // 8 * 8))


class LaneGroup:
    """Networks of one shape and their courses, as `lanes.train_together` takes them."""

    def __init__(self, engines: Sequence[Engine], courses: Sequence[Course]) -> None:
        self._engines, self._courses = engines, courses
        parts, first = engines[0].parts, courses[0]
        layout = self._layout = parts.layout
        self._lanes, self._dtype = width(layout.dtype), layout.dtype
        self._active = list(range(len(engines)))  # networks whose losses have been finite
        self._most = steps_a_call(layout, first.batch)
        self._held: list[NDArray[Any]] = []
        self._group, self._layers = Group(), (LaneLayer * layout.layers)()
        self._words = np.zeros((len(WORDS), self._lanes), WORD)
        self._fill(parts, first)

    @property
    def left(self) -> bool:
        """Whether there are steps to be made."""
        return any(self._courses[n].done < self._courses[n].steps for n in self._active)

    def _room(self, elements: int, dtype: np.dtype[Any] | None = None) -> int:
        """The address of room for so many elements, in whole LANE_BLOCKs."""
        blocks = -(-elements // LANE_BLOCK)
        self._held.append(aligned_zeros(blocks * LANE_BLOCK, dtype or self._dtype))
        return address(self._held[-1])

    def _fill(self, parts: Configuration, course: Course) -> None:
        group, lanes, dtype, layout = self._group, self._lanes, self._dtype, self._layout
        batch = course.batch
        group.layers, group.layer_count = ctypes.addressof(self._layers), layout.layers
        group.itemsize, group.lanes, group.batch = dtype.itemsize, lanes, batch
        group.rows = course.order.shape[1]
        group.slab = slab_rows(layout, batch)
        for name, row in zip(WORDS, self._words, strict=True):
            setattr(group, name, address(row))
        count = coefficients.width(parts.optimizer)
        group.coefficient_count, group.spread = count, self._room(count * LANE_BLOCK)
        group.values = self._room(batch * lanes, np.dtype(float))
        group.zeros = self._room(max(_strides(layout)) * lanes)
        self._fill_layers(parts, group.slab)
        self._fill_loss(parts, course.data.labels)
        group.load = movement.load_state.address(dtype)
        group.store = movement.store_state.address(dtype)
        group.gather = movement.gather_lanes.address(dtype)
        group.gather_labels = movement.gather_labels.address()
        group.spread_coefficients = step.spread_coefficients.address(dtype)
        group.product = product.product.address(dtype)
        group.column_sums = sums.column_sums.address(dtype)
        update = parts.optimizer.panel.in_lanes
        assert update is not None
        group.update = update.address(dtype)
        if parts.regularization.penalizes:
            group.penalize = penalties.penalize.address(dtype)
            self._held.append(parts.regularization.settings())
            group.settings = address(self._held[-1])

    def _fill_layers(self, parts: Configuration, slab: int) -> None:
        group, lanes, layout, size = self._group, self._lanes, self._layout, self._dtype.itemsize
        strides = _strides(layout)
        offsets, places, lines = _places(layout)
        self._held += [offsets, places]
        group.offsets, group.places = address(offsets), address(places)
        group.parameter_count, group.own_parameters = offsets.size, layout.parameters
        elements = -(-lines * lanes // LANE_BLOCK) * LANE_BLOCK
        group.parameters, group.slots = elements, 1 + parts.optimizer.slots
        group.state = self._room(group.slots * elements)
        group.gradients = self._room(elements)
        activations = [self._room(slab * units * lanes) for units in strides]
        deltas = [0, *(self._room(slab * units * lanes) for units in strides[1:])]
        at = 0
        for i, (layer, activation) in enumerate(zip(self._layers, parts.activations, strict=True)):
            layer.inputs, layer.outputs = layout.widths[i : i + 2]
            layer.ld_in, layer.ld_out = strides[i : i + 2]
            layer.weights, layer.gradient = group.state + at, group.gradients + at
            at += (layer.inputs + 1) * layer.ld_out * lanes * size
            layer.below, layer.output = activations[i : i + 2]
            layer.delta_below, layer.delta = deltas[i : i + 2]
            last = i == layout.layers - 1
            if last and (parts.loss.on_logits or _wants_rows(activation)):
                continue
            if not activation.from_output:
                layer.slope = self._room(slab * layer.ld_out * lanes)
            layer.operand = layer.output if activation.from_output else layer.slope
            for name in ("training_forward", "backward"):
                panel = getattr(activation, name)
                if panel is not None:
                    setattr(layer, name, panel.address(self._dtype))

    def _fill_loss(self, parts: Configuration, labels: bool) -> None:
        group, lanes, slab = self._group, self._lanes, self._group.slab
        loss, top, outputs = parts.loss, parts.activations[-1], self._layout.widths[-1]
        self._held.append(np.array([loss.parameter(), *[1.0] * outputs]))
        self._held[-1] = np.append(self._held[-1], loss.parameters_of_outputs(outputs))
        group.loss_parameters = address(self._held[-1])
        in_lanes = None if _wants_rows(top) and not loss.on_logits else _in_lanes(loss, labels)
        group.labels = int(labels)
        if in_lanes is not None:
            group.loss = in_lanes.address(self._dtype)
            group.target_columns = 1 if labels else outputs
            columns = group.target_columns
            group.wanted = self._room(slab * columns * lanes, WORD if labels else self._dtype)
            # Labels keep two numbers a row there.
            group.worth = self._room((slab * max(outputs, 2) + LANE_BLOCK) * lanes)
            return
        group.own_loss = loss.panel(labels).address(self._dtype)
        group.own_ld = self._layout.strides[-1]
        group.own_z, group.own_delta = (self._room(slab * group.own_ld) for _ in range(2))
        group.own_values = self._room(slab, np.dtype(float))
        group.to_rows = movement.to_rows.address(self._dtype)
        group.from_rows = movement.from_rows.address(self._dtype)
        if _wants_rows(top) and not loss.on_logits:
            assert top.forward is not None
            assert top.backward is not None
            group.own_forward = top.forward.address(self._dtype)
            group.own_backward = top.backward.address(self._dtype)

    def go_on(self) -> None:
        """One call of the kernel, with the networks in hand."""
        group, active = self._group, self._active
        epoch = self._courses[active[0]].epoch
        stretches = {n: self._courses[n].ahead(self._most) for n in active}
        _tables = self._hand_over(stretches)
        one = stretches[active[0]]
        group.epochs, group.first_row, group.most_steps = one.epochs, one.first_row, one.steps
        repeats = all(own.order_rows == 0 or own.epochs == 1 for own in stretches.values())
        group.still = int(repeats and group.rows <= min(group.batch, group.slab))
        group.made, group.failed_epoch = 0, -1
        before = {n: self._engines[n].step for n in active}
        try:
            for n in active:
                self._engines[n].turns.writing, self._engines[n].forwarded = True, None
            step.train_lanes.call()(ctypes.addressof(group))
        finally:
            for n in active:
                self._engines[n].turns.writing = False
                self._courses[n].done += self._engines[n].step - before[n]
        if group.failed_epoch >= 0:
            failed = self._words[WORDS.index("failed")]
            for n in active:
                if failed[n]:
                    self._courses[n].failure = epoch + group.failed_epoch, group.failed_step
            self._active = [n for n in active if not failed[n]]

    def _hand_over(self, stretches: dict[int, Stretch]) -> list[NDArray[Any]]:
        """Tell the kernel what each network has of its own; returns what must live meanwhile.

        Lanes without a network do what that of the first one does.
        """
        tables = self._tables(stretches)
        for lane in range(self._lanes):
            n = lane if lane in stretches else self._active[0]
            engine, data, own = self._engines[n], self._courses[n].data, stretches[n]
            assert isinstance(data.features, np.ndarray)
            self._words[:, lane] = (
                address(engine.state), address(engine.step_counter), address(data.features),
                address(data.targets), own.order, own.losses, own.carried, tables[n][0],
                own.order_rows, lane in stretches, 0, 0,
            )  # fmt: skip
        return [table for _, table in tables.values()]

    def _tables(self, stretches: dict[int, Stretch]) -> dict[int, tuple[int, NDArray[Any]]]:
        """The address of the coefficients of each network's steps, and their memory."""
        made: dict[Any, tuple[int, NDArray[Any]]] = {}
        found = {}
        for n, stretch in stretches.items():
            engine = self._engines[n]
            rates = None if stretch.rates is None else stretch.rates.tobytes()
            key = engine.parts.optimizer, engine.step, rates
            if key not in made:
                made[key] = engine.coefficients(stretch)
            found[n] = made[key]
        return found


def _wants_rows(activation: Any) -> bool:
    """Whether an activation is one of whole rows."""
    return activation.forward is output_panels.softmax


def _in_lanes(loss: BaseLoss, labels: bool) -> Kernel | None:
    """The kernel of a loss for networks side by side, where there is one."""
    if isinstance(loss, CrossEntropy) and labels:
        return lane_labels.cross_entropy if loss.label_smoothing == 0 else None
    return loss.panel(labels).in_lanes


def _strides(layout: Layout) -> list[int]:
    """Lines from one row of each layer's values to the next; those of the outputs are not padded.

    Rows that are a multiple of half a page apart share a few sets of the cache.
    """
    return [n + 1 if n % 32 == 0 else n for n in layout.widths[:-1]] + [layout.widths[-1]]


@functools.lru_cache(64)
def _places(layout: Layout) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Where each parameter lies in a network's slot, and its line in that of a group; all lines."""
    strides, places, at = _strides(layout), [], 0
    for inputs, outputs, stride in zip(
        layout.widths[:-1], layout.widths[1:], strides[1:], strict=True
    ):
        rows = np.arange(inputs + 1, dtype=np.int64)[:, None]
        places.append((at + rows * stride + np.arange(outputs)).ravel())
        at += (inputs + 1) * stride
    return layout.packed(np.arange(layout.parameters)), np.concatenate(places), at
