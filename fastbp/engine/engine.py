"""Runs the kernels over one network's memory: fills in the plan, picks the team, calls.

Knows shapes, buffers and addresses; nothing of what a user may pass.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.data.sparse import SparseRows
from fastbp.engine import plans, work
from fastbp.engine.coefficients import with_decays
from fastbp.engine.course import Course, Stretch
from fastbp.engine.held import Held
from fastbp.engine.records import GIVEN, SPARSE, Kind, Plan, Program
from fastbp.kernels.machine import team
from fastbp.kernels.machine.jit import Kernel, address
from fastbp.kernels.step import sparse, step
from fastbp.kernels.step.parts import batch_in_parts
from fastbp.kernels.step.slabs import batch_in_slabs
from fastbp.layout.cutting import cut_batch, slab_rows
from fastbp.layout.grid import Grid, by_rows, choose
from fastbp.rows.rows import Features, Rows, Slopes, plain_order, whole_total

STEPS_A_CALL = 1 << 16  # bounds the memory of the coefficients of a call
ALONE = 1 << 13  # parameters whose update a single thread does as a whole

_kind_of = functools.cache(Kind)  # to look one up takes a third of making it


class Engine(Held):
    """The memory and the kernels of one network.

    Parameters and attributes are those of `Held`.
    """

    def train(
        self,
        course: Course,
        after_step: Callable[[float], bool] | None = None,
        until: int | None = None,
    ) -> None:
        """Train, call after call of the kernels, with readers in between who have asked.

        Parameters
        ----------
        course : Course
            The batches; it is told how far training has come, however that ends.
        after_step : callable, optional
            Called with the loss of each step, which then takes a call of the kernels of its own;
            training ends where it returns False.
        until : int, optional
            Go no further than that many steps of the course.
        """
        most = 1 if course.single or after_step is not None else STEPS_A_CALL
        end = course.steps if until is None else until
        while course.done < end and course.failure is None:
            self.turns.give_way()
            steps = min(most, end - course.done)
            self.turns.hold(self._go_on, course, steps, course.ready(self))
            if course.failure is None and after_step and not after_step(course.last_loss):
                break

    def _go_on(self, course: Course, most: int, data: Rows) -> None:
        """One call of the kernel."""
        before, epoch = self.step, course.epoch
        try:
            program = self._steps(data, course.ahead(most))
        finally:
            course.done += self.step - before
        if program.failed_epoch >= 0:
            course.failure = epoch + program.failed_epoch, program.failed_step

    def train_step(self, data: Rows, rates: NDArray[np.float64] | None = None) -> float:
        """One update on all rows; returns the loss before it, NaN where no update was made.

        rates: the learning rate as an array of one; None for the optimizer's own.
        """
        rows = len(data.features)
        order, _held = plain_order(rows)
        loss, carried = np.empty(1), self._memory.carried
        totals = whole_total(data)
        stretch = Stretch(order, 0, 1, rows, rows, address(loss), carried, 1, 0, totals, rates)
        program = self._steps(data, stretch)
        return float("nan") if program.failed_epoch >= 0 else float(loss[0])

    def _training_plan(self, data: Rows, batch: int, steps: int) -> tuple[Plan, int, int]:
        """The plan of so many steps, how many threads go through them, and their operations."""
        flops = work.step_flops(self.layout, data.features, batch)
        total = steps * (flops + work.STEP_FLOPS)
        slots, threads = self.parts.optimizer.slots, self.team_threads
        members = work.training_members(self.layout, slots, threads, batch, flops, total)
        kind = self._kind(True, data.features, data, self._drops)
        if not self.parts.groups.alike:
            kind = kind._replace(updating=True)
        return self._plan(kind, data.features, batch, members), members, total

    @staticmethod
    def _training_kernel(plan: Plan) -> Kernel:
        return sparse.train if plan.program.sparse else step.train

    def _steps(self, data: Rows, stretch: Stretch) -> Program:
        """Call the kernel of training."""
        plan, members, total = self._training_plan(data, stretch.batch, stretch.steps)
        program = plan.program
        masses = stretch.masses(data.unit) if self._alpha else None
        _held = self._prepare_update(program, stretch.steps, stretch.rates, masses)
        program.by_rows = stretch.by_rows
        plans.hand_over(plan, data, stretch.totals)
        program.batch, program.rows, program.epochs = stretch.batch, stretch.rows, stretch.epochs
        program.order, program.order_rows = stretch.order, stretch.order_rows
        program.epoch_losses, program.carried = stretch.losses, stretch.carried
        program.epoch_penalties = stretch.penalties
        program.first_row, program.most_steps = stretch.first_row, stretch.steps
        program.least_steps = work.QUANTUM * stretch.steps // total
        if data.slopes is not None:
            program.forwarded = self._is_forwarded(data.slopes, stretch.batch, plan)
        program.failed_epoch = -1
        self._update(self._training_kernel(plan), plan, members, total)
        return program

    def _prepare_update(
        self,
        program: Program,
        steps: int,
        rates: NDArray[np.float64] | None,
        masses: NDArray[np.float64] | None,
    ) -> NDArray[Any]:
        """Tell a program the numbers of so many steps; returns what must live as long as it runs.

        masses: what the rows of each batch weigh together, where `alpha` wants that.
        """
        program.coefficients, found = self._coefficients.steps(self.step, steps, rates)
        if masses is not None:
            found = with_decays(program.coefficients, found, self._alpha, masses)
            program.coefficients = address(found)
        program.coefficient_count = found.shape[1]
        program.updating = int(not self._clips_norm)
        return found

    def coefficients(self, stretch: Stretch) -> tuple[int, NDArray[Any]]:
        """The address of the numbers of a stretch's updates, and the memory they lie in."""
        return self._coefficients.steps(self.step, stretch.steps, stretch.rates)

    def _update(self, kernel: Kernel, plan: Plan, members: int, flops: int) -> None:
        """Call a kernel that changes parameters."""
        self.turns.writing = True
        try:
            self._run(kernel, plan, members, flops)
        finally:
            self.turns.writing = False

    def differentiate(self, data: Rows) -> tuple[float, NDArray[Any]]:
        """The mean loss of one batch and its gradient, flat in the layout's order."""
        rows = len(data.features)
        order, _held = plain_order(rows)
        loss = np.empty(1)
        total = work.step_flops(self.layout, data.features, rows)
        members = work.training_members(self.layout, 0, self.team_threads, rows, total, total)
        kind = self._kind(True, data.features, data, self._drops and data.slopes is not None)
        plan = self._plan(kind, data.features, rows, members, whole=True)
        program = plan.program
        totals = whole_total(data)
        plans.hand_over(plan, data, totals)
        program.batch = program.rows = rows
        if data.slopes is not None:
            program.forwarded = self._is_forwarded(data.slopes, rows, plan)
        program.order, program.epoch_losses, program.updating = order, address(loss), 0
        self._run(step.differentiate, plan, members, total)
        gradients = self._memory.gradients
        assert gradients is not None
        return float(loss[0]), gradients[0]

    def evaluate(self, data: Rows) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """The outputs of all rows and the loss of each."""
        rows = len(data.features)
        outputs = np.empty((rows, self.layout.widths[-1]), self.layout.dtype)
        losses = np.empty(rows)
        self._forward(data.features, address(outputs), data, address(losses))
        return outputs, losses

    def predict(self, features: Features, outputs: NDArray[Any]) -> bool:
        """Overwrite `outputs`; False, and they are of no use, if a feature is not finite.

        Parameters
        ----------
        features : (rows, inputs) ndarray or SparseRows
            C-contiguous, of a dtype that `tables.source_dtype` tells; finite or not. Sparse rows
            are finite.
        outputs : (rows, outputs) ndarray
            C-contiguous.
        """
        return self._forward(features, address(outputs))

    def _forward(
        self,
        features: Features,
        outputs: int,
        data: Rows | None = None,
        losses: int = 0,
    ) -> bool:
        """Call the kernel of prediction; `outputs` and `losses` are addresses."""
        rows = len(features)
        total = work.step_flops(self.layout, features, rows) // 3
        members = work.prediction_members(self.team_threads, rows, total)
        plan = self._plan(self._kind(False, features, data), features, rows, members)
        program = plan.program
        program.rows, program.predictions = rows, outputs
        if data is not None:
            program.order, _held = plain_order(rows)
            plans.hand_over(plan, data, None)
            program.row_losses = losses
        elif program.gather:
            program.order, _held = plain_order(program.slab)
        not_finite = self._memory.not_finite
        not_finite[0] = 0
        self._run(step.predict, plan, members, total)
        return not not_finite[0]

    def _run(self, kernel: Kernel, plan: Plan, members: int, flops: int) -> None:
        interruptible, brief = flops > work.SLOWEST * work.BLINK, flops <= work.BRIEF
        shared, self.forwarded = self._memory.shared, None
        shared.fill(0)
        if members > 1:
            self._memory.flags.fill(0)
        if self.turns.asked:
            shared[team.PAUSE] = 1
        watch = self.watch
        if watch is None:
            team.run_team(kernel, plan.address, members, shared, interruptible, brief)
        else:
            watch.call(
                lambda: team.run_team(kernel, plan.address, members, shared, False, brief), shared
            )

    def _grid(self, kind: Kind, rows: int, members: int) -> Grid:
        """How a team shares steps of training with slabs of so many rows."""
        if members == 1:
            return by_rows(self.layout.layers)
        logits = self.parts.loss.on_logits and not kind.slopes
        whole_rows = self.parts.activations[-1].output_only and not logits
        return choose(self.layout, rows, members, whole_rows, kind.source == SPARSE, kind.turned)

    def _is_forwarded(self, of: Slopes, rows: int, plan: Plan) -> bool:
        """Whether the activations of so many rows as one batch are still in the workspace."""
        program = plan.program
        return of is self.forwarded and program.slab >= rows and not program.sparse

    def _kind(
        self, training: bool, features: Features, data: Rows | None, dropping: bool = False
    ) -> Kind:
        source = SPARSE if isinstance(features, SparseRows) else features.dtype.char
        if data is None:
            return _kind_of(training, source)
        weights = training and data.weights is not None
        if data.slopes is not None:
            dropping = dropping and data.slopes.dropping
            kind = _kind_of(training, source, False, weights, False, dropping)
            return kind._replace(slopes=GIVEN)
        kind = _kind_of(training, source, data.labels, weights, data.masked, dropping)
        if not data.tasks:
            return kind
        return kind._replace(tasks=tuple((part.labels, part.masked) for part in data.tasks))

    def _plan(
        self, kind: Kind, features: Features, rows: int, members: int, whole: bool = False
    ) -> Plan:
        """The plan of a call with batches of so many rows, and room for it.

        whole: the gradient is wanted in the flat buffer, where long batches add it up anyway.
        """
        memory, layout = self._memory, self.layout
        is_sparse = kind.source == SPARSE
        if kind.training:
            slab, parts = cut_batch(layout, rows, members, is_sparse, kind.slopes == GIVEN)
            if layout.turned_layers and rows <= layout.sizes.turned_rows:
                kind = kind._replace(turned=True)
            if members == 1 and slab >= rows and layout.parameters <= ALONE and not is_sparse:
                parts = 1  # the same numbers by fewer calls
        else:
            slab, parts = slab_rows(layout, rows, members, is_sparse), 0
        kept = whole or (kind.training and (slab < rows or is_sparse or self._clips_norm))
        gradients = max(parts, int(kept))
        room = slab * members if parts else slab
        batch = rows if kind.training else 0
        memory.make_room(room, batch, members, gradients, is_sparse)
        plan = memory.plans.get(kind)
        if plan is None:
            plan = memory.plans[kind] = plans.make(self.parts, memory, kind)
        plan.program.slab, plan.program.parts, plan.program.team = slab, parts, members
        if kind.training:
            plans.share_out(plan, self._grid(kind, min(slab, rows), 1 if parts else members))
            batch_kernel = batch_in_parts if parts else batch_in_slabs
            plan.program.batch_kernel = batch_kernel.address()
        plans.set_features(plan, features, memory)
        return plan
