"""Runs the kernels over one network's memory: fills in the plan, picks the team, calls.

Knows shapes, buffers and addresses; nothing of what a user may pass.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.configuration import Configuration
from fastbp.data.scaling import Scaling, fixed
from fastbp.data.sparse import SparseRows
from fastbp.engine import plans
from fastbp.engine.coefficients import Coefficients
from fastbp.engine.memory import Memory
from fastbp.engine.records import SPARSE, Kind, Plan, Program
from fastbp.kernels.machine import team
from fastbp.kernels.machine.jit import Kernel, address
from fastbp.kernels.step import sparse, step
from fastbp.kernels.step.parts import batch_in_parts
from fastbp.kernels.step.program import GRAIN
from fastbp.kernels.step.slabs import batch_in_slabs
from fastbp.layout.aligned import aligned_zeros
from fastbp.layout.cutting import cut_batch, slab_rows
from fastbp.layout.layout import TURNED_ROWS
from fastbp.rows.rows import Features, Rows, batch_totals, plain_order, whole_total

FLOPS_A_THREAD = 600_000  # of one step: less does not pay for another thread at the barriers
SLOWEST = 1e10  # operations a second that even a slow machine does, to bound a call's duration
ALONE = 1 << 13  # parameters whose update a single thread does as a whole
BLINK = 0.05  # seconds: a call that may take longer must not keep a signal waiting
BRIEF = 1_000_000  # operations during which other threads can wait for the GIL
STEP_FLOPS = 20_000  # operations that the slowest machine does in what a step takes around them
THREAD_START = 40_000_000  # operations that a core does while a thread is started
STEPS_A_CALL = 1 << 16  # bounds the memory of the coefficients of a call

_kind_of = functools.cache(Kind)  # to look one up takes a third of making it


class TrainingResult(NamedTuple):
    """What a call of `Engine.train` did."""

    losses: NDArray[np.float64]  # mean loss of each whole epoch
    failure: tuple[int, int] | None  # epoch and batch of a loss that was not finite


class Engine:
    """The memory and the kernels of one network.

    Parameters
    ----------
    parts : Configuration
        What the network is made of.
    threads : int or None
        Threads of a team; None for as many as help. A prediction has no more than help.

    Attributes
    ----------
    state : ndarray
        Parameters and optimizer slots, flat.
    """

    def __init__(self, parts: Configuration, threads: int | None) -> None:
        self._parts, self.layout, self.threads = parts, parts.layout, threads
        self._memory = Memory(parts)
        self.state = self._memory.state
        self._coefficients = Coefficients(parts.optimizer)
        self.scaling = fixed(parts.scaling, parts.layout.widths[0])
        self._drops = parts.regularization.drops
        self._clips_norm = parts.regularization.clip_norm is not None

    @property
    def dropout_seed(self) -> int:
        """What the random numbers of dropout begin with."""
        return self._memory.dropout_seed

    @dropout_seed.setter
    def dropout_seed(self, value: int) -> None:
        self._memory.plans, self._memory.dropout_seed = {}, value

    @property
    def step(self) -> int:
        """How many steps the parameters have made."""
        return int(self._memory.steps[0])

    @step.setter
    def step(self, value: int) -> None:
        self._memory.steps[0] = value

    @property
    def scaling(self) -> Scaling | None:
        """What the features go through, if anything."""
        return self._scaling

    @scaling.setter
    def scaling(self, value: Scaling | None) -> None:
        memory = self._memory
        memory.plans, memory.scaling = {}, None if value is None else np.stack(value)
        self._scaling = value

    @property
    def nbytes(self) -> int:
        """Bytes that the network holds at the moment."""
        return self._memory.nbytes

    def train(
        self,
        data: Rows,
        order: NDArray[np.int64],
        batch: int,
        rates: NDArray[np.float64] | None = None,
        after_step: Callable[[float], bool] | None = None,
    ) -> TrainingResult:
        """Train for one or more epochs.

        Parameters
        ----------
        data : Rows
            Features and targets.
        order : (epochs, rows) int64
            The rows of `data` that each epoch visits, in order, as `row_orders` makes them.
        batch : int
            Rows of a batch; the last one of an epoch may be shorter.
        rates : (steps,) float64, optional
            The learning rate of each step; None for the optimizer's own.
        after_step : callable, optional
            Called with the loss of each step, which then takes a call of the kernels of its own;
            training ends where it returns False.

        Returns
        -------
        TrainingResult
            After a failure the state is what it was when the failing epoch began.
        """
        rows, most = order.shape[1], STEPS_A_CALL * batch
        if after_step is not None:
            most = batch
        elif rows <= most:
            return self._train(data, order, batch, rates, keep=rows > batch)
        losses: list[float] = []
        done = 0  # steps, of all epochs
        for epoch in order:
            before, total, mass = self.step, 0.0, 0.0
            for start in range(0, rows, most):
                part = np.ascontiguousarray(epoch[None, start : start + most])
                steps = -(-part.size // batch)
                of_part = None if rates is None else rates[done : done + steps]
                result = self._train(data, part, batch, of_part, keep=start == 0)
                done += steps
                if result.failure is not None:
                    if start or result.failure[1]:  # else nothing was changed
                        self.state[:] = self._memory.snapshot  # of the epoch's beginning
                    self.step = before
                    failure = (len(losses), start // batch + result.failure[1])
                    return TrainingResult(np.array(losses), failure)
                weight = part.size if data.totals is None else float(data.totals[part].sum())
                total, mass = total + result.losses[0] * weight, mass + weight
                if start + most >= rows:
                    losses.append(total / mass if mass else 0.0)
                if after_step is not None and not after_step(float(result.losses[0])):
                    return TrainingResult(np.array(losses), None)
        return TrainingResult(np.array(losses), None)

    def train_step(self, data: Rows) -> float:
        """One update on all rows; returns the loss before it, NaN where no update was made."""
        rows = len(data.features)
        order, _held = plain_order(rows)
        loss = np.empty(1)
        program = self._steps(data, order, 0, 1, rows, rows, address(loss), 0, whole_total(data))
        return float("nan") if program.failed_epoch >= 0 else float(loss[0])

    def _train(
        self,
        data: Rows,
        order: NDArray[np.int64],
        batch: int,
        rates: NDArray[np.float64] | None,
        keep: bool,
    ) -> TrainingResult:
        """One call of the kernel; `keep`: take a snapshot in each epoch's first update."""
        epochs, rows = order.shape
        memory, before, losses = self._memory, self.step, np.empty(epochs)
        if memory.snapshot is None:
            memory.snapshot = aligned_zeros(self.state.size, self.layout.dtype)
        snapshot = address(memory.snapshot) if keep else 0
        totals = batch_totals(data, order, batch)
        program = self._steps(
            data,
            address(order),
            order.strides[0] // order.itemsize,
            epochs,
            rows,
            batch,
            address(losses),
            snapshot,
            totals,
            rates,
        )
        failed, failed_step = program.failed_epoch, program.failed_step
        if failed < 0:
            return TrainingResult(losses, None)
        if failed_step > 0:  # else the epoch has changed nothing
            self.state[:] = memory.snapshot
            self.step = before + failed * -(-rows // batch)
        return TrainingResult(losses[:failed], (failed, failed_step))

    def _steps(
        self,
        data: Rows,
        order: int,
        order_rows: int,
        epochs: int,
        rows: int,
        batch: int,
        losses: int,
        snapshot: int,
        totals: NDArray[np.float64] | None,
        rates: NDArray[np.float64] | None = None,
    ) -> Program:
        """Call the kernel of training; `order`, `losses` and `snapshot` are addresses."""
        steps = epochs * -(-rows // batch)
        flops = self._step_flops(data.features, batch)
        work = steps * (flops + STEP_FLOPS)
        members = self._members(batch, flops, work)
        kind = self._kind(True, data.features, data, self._drops)
        plan = self._plan(kind, data.features, batch, members)
        program = plan.program
        program.coefficients, coefficients = self._coefficients.steps(self.step, steps, rates)
        program.coefficient_count = coefficients.shape[1]
        plans.hand_over(plan, data, totals)
        program.batch, program.rows, program.epochs = batch, rows, epochs
        program.order, program.order_rows = order, order_rows
        program.epoch_losses, program.snapshot = losses, snapshot
        program.updating, program.failed_epoch = int(not self._clips_norm), -1
        training = sparse.train if kind.source == SPARSE else step.train
        self._run(training, plan, members, work)
        return program

    def slot(self, number: int) -> NDArray[Any]:
        """The flat view of the parameters (0) or of an optimizer slot (from 1)."""
        size = self.layout.parameters
        return self.state[number * size : (number + 1) * size]

    def differentiate(self, data: Rows) -> tuple[float, NDArray[Any]]:
        """The mean loss of one batch and its gradient, flat in the layout's order."""
        rows = len(data.features)
        order, _held = plain_order(rows)
        loss = np.empty(1)
        work = self._step_flops(data.features, rows)
        members = self._members(rows, work, work)
        kind = self._kind(True, data.features, data)
        plan = self._plan(kind, data.features, rows, members, whole=True)
        program = plan.program
        totals = whole_total(data)
        plans.hand_over(plan, data, totals)
        program.batch = program.rows = rows
        program.order, program.epoch_losses, program.updating = order, address(loss), 0
        self._run(step.differentiate, plan, members, work)
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
        work = self._step_flops(features, rows) // 3
        members = min(work // THREAD_START, -(-rows // GRAIN))
        if members > 1:
            members = min(members, self.threads or team.available_cores())
        members = max(1, members)
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
        self._run(step.predict, plan, members, work)
        return not not_finite[0]

    def _step_flops(self, features: Features, batch: int) -> int:
        """Operations of a step with so many rows."""
        if isinstance(features, SparseRows):
            return features.step_flops(self.layout, batch)
        return batch * self.layout.row_flops

    def _members(self, batch: int, flops: int, work: int) -> int:
        """Threads of a team for steps of so many rows and operations, and a call of `work`."""
        pays = work // THREAD_START
        if self.threads is None and pays < 2:
            return 1
        widest = max(batch, *self.layout.widths[:-1])
        useful = -(-widest // GRAIN)
        if self.threads is not None:
            return min(self.threads, useful)
        useful = min(useful, pays, flops // FLOPS_A_THREAD)
        return min(useful, team.available_cores()) if useful > 1 else 1

    def _run(self, kernel: Kernel, plan: Plan, members: int, work: int) -> None:
        call = kernel.call(release=members > 1 or work > BRIEF)
        interruptible = work > SLOWEST * BLINK
        team.run_team(call, plan.address, members, self._memory.shared, interruptible)

    def _kind(
        self, training: bool, features: Features, data: Rows | None, dropping: bool = False
    ) -> Kind:
        source = SPARSE if isinstance(features, SparseRows) else features.dtype.char
        if data is None:
            return _kind_of(training, source)
        weights = training and data.weights is not None
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
            slab, parts = cut_batch(layout, rows, is_sparse)
            if rows <= TURNED_ROWS and layout.turned_layers:
                kind = kind._replace(turned=True)
            if members == 1 and slab >= rows and layout.parameters <= ALONE and not is_sparse:
                parts = 1  # the same numbers by fewer calls
        else:
            slab, parts = slab_rows(layout, rows, sparse=is_sparse), 0
        kept = whole or (kind.training and (slab < rows or is_sparse or self._clips_norm))
        gradients = max(parts, int(kept))
        memory.make_room(slab * members if parts else slab, members, gradients, is_sparse)
        plan = memory.plans.get(kind)
        if plan is None:
            plan = memory.plans[kind] = plans.make(self._parts, memory, kind)
        plan.program.slab, plan.program.parts, plan.program.team = slab, parts, members
        if kind.training:
            batch_kernel = batch_in_parts if parts else batch_in_slabs
            plan.program.batch_kernel = batch_kernel.address()
        if isinstance(features, SparseRows):
            self._set_sparse(plan, features)
        else:
            plan.program.features = address(features)
        return plan

    def _set_sparse(self, plan: Plan, rows: SparseRows) -> None:
        held = plan.sparse
        held.values, held.indices = address(rows.values), address(rows.indices)
        held.starts, held.wide = address(rows.starts), rows.indices.itemsize == 8
        self._memory.made.fill(0)
