"""Runs the kernels over one network's memory: fills in the program, picks the team, calls.

Knows shapes, buffers and addresses; nothing of what a user may pass.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.activations import Activation, FixedActivation
from fastbp.kernels import ahead, gemm, movement, step, sums, team, transpose
from fastbp.kernels.jit import Kernel, address
from fastbp.layout import Layout, Workspace, aligned_zeros, slab_rows
from fastbp.losses import Loss
from fastbp.optimizers import Optimizer
from fastbp.rows import Rows

FLOPS_A_THREAD = 600_000  # of one step: less does not pay for another thread at the barriers
SLOWEST = 1e10  # operations a second that even a slow machine does, to bound a call's duration
BLINK = 0.05  # seconds: a call that may take longer must not keep a signal waiting
STEP_FLOPS = 20_000  # operations that the slowest machine does in what a step takes around them
THREAD_START = 5_000_000  # operations done in the time that starting a thread takes
STEPS_A_CALL = 1 << 16  # bounds the memory of the coefficients of a call
SCRATCH = 12288  # elements of a thread's gradient strip: 16 rows of a layer of 600 columns and more
STREAMING = 1 << 19  # bytes: what is larger is not in the L2 cache when it is needed


class TrainingResult(NamedTuple):
    """What a call of `Engine.train` did."""

    losses: NDArray[np.float64]  # mean loss of each epoch
    failure: tuple[int, int] | None  # epoch and batch of a loss that was not finite


def drawn_order(rng: np.random.Generator | None, epochs: int, rows: int) -> NDArray[np.int64]:
    """The rows that each epoch visits, (epochs, rows): shuffled by `rng`, or in order without."""
    if rng is None:
        return np.tile(np.arange(rows, dtype=np.int64), (epochs, 1))
    order = np.zeros((epochs, rows), np.int64)
    for epoch in order:  # several times as fast as rng.shuffle
        fractions = rng.random(rows)
        movement.permutation.call()(address(epoch), address(fractions), rows)
    return order


class Engine:
    """The memory and the kernels of one network.

    Parameters
    ----------
    layout : Layout
        Widths and dtype.
    activations : sequence of Activation
        One a layer, the output layer's last.
    loss : Loss
        The loss.
    optimizer : Optimizer
        The optimizer.
    threads : int or None
        Threads of a team; None for as many as help.
    """

    def __init__(
        self,
        layout: Layout,
        activations: Sequence[Activation | FixedActivation],
        loss: Loss,
        optimizer: Optimizer,
        threads: int | None,
    ) -> None:
        self.layout, self.activations = layout, activations
        self.loss, self.optimizer, self.threads = loss, optimizer, threads
        self.state = aligned_zeros((1 + optimizer.slots) * layout.parameters, layout.dtype)
        self._steps = np.zeros(1, np.int64)  # made so far; the kernel counts
        self._gradient: NDArray[Any] | None = None
        self._snapshot: NDArray[Any] | None = None
        self._workspace: Workspace | None = None
        self._shared = aligned_zeros(team.WORDS, np.dtype(np.int64))
        self._zeros = aligned_zeros(2 * max(layout.strides) + 64, layout.dtype)
        self._loss_parameters = np.array([loss.parameter()])
        self._scratch = aligned_zeros(0, layout.dtype)

    @property
    def step(self) -> int:
        """How many steps the parameters have made."""
        return int(self._steps[0])

    @step.setter
    def step(self, value: int) -> None:
        self._steps[0] = value

    @property
    def nbytes(self) -> int:
        """Bytes that the network holds at the moment."""
        held = [self.state, self._gradient, self._snapshot, self._scratch]
        arrays = sum(array.nbytes for array in held if array is not None)
        return arrays + (self._workspace.nbytes if self._workspace else 0)

    def train(self, data: Rows, order: NDArray[np.int64], batch: int) -> TrainingResult:
        """Train for one or more epochs.

        Parameters
        ----------
        data : Rows
            Features and targets.
        order : (epochs, rows) int64
            The rows of `data` that each epoch visits, in order.
        batch : int
            Rows of a batch; the last one of an epoch may be shorter.

        Returns
        -------
        TrainingResult
            After a failure the state is what it was when the failing epoch began.
        """
        rows, most = order.shape[1], STEPS_A_CALL * batch
        if rows <= most:
            return self._train(data, order, batch, keep=True)
        losses: list[float] = []
        for epoch in order:
            before, total = self.step, 0.0
            for start in range(0, rows, most):
                part = np.ascontiguousarray(epoch[None, start : start + most])
                result = self._train(data, part, batch, keep=start == 0)
                if result.failure is not None:
                    self.state[:] = self._snapshot  # of the epoch's beginning, not the part's
                    self.step = before
                    failure = (len(losses), start // batch + result.failure[1])
                    return TrainingResult(np.array(losses), failure)
                total += result.losses[0] * part.size
            losses.append(total / rows)
        return TrainingResult(np.array(losses), None)

    def train_step(self, data: Rows) -> float:
        """One update on all rows; returns the loss before it, NaN where no update was made."""
        order = np.arange(len(data.features), dtype=np.int64)[None]
        result = self._train(data, order, order.size, keep=False)
        return float("nan") if result.failure is not None else float(result.losses[0])

    def _train(
        self, data: Rows, order: NDArray[np.int64], batch: int, keep: bool
    ) -> TrainingResult:
        """One call of the kernel; `keep`: take a snapshot as each epoch begins."""
        epochs, rows = order.shape
        steps = -(-rows // batch)
        before = self.step
        counted = np.arange(before + 1, before + epochs * steps + 1, dtype=np.float64)
        coefficients = self.optimizer.coefficients(counted)
        losses = np.full(epochs, np.nan)
        if self._snapshot is None:
            self._snapshot = np.empty_like(self.state)
        work = epochs * (rows * self.layout.row_flops + steps * STEP_FLOPS)
        members = self._members(batch, work)
        program = self._program(data, batch, members, training=True)
        program["batch"], program["rows"], program["epochs"] = batch, rows, epochs
        program["order"] = address(order)
        program["updating"] = 1
        program["coefficients"] = address(coefficients)
        program["coefficient_count"] = coefficients.shape[1]
        program["epoch_losses"] = address(losses)
        program["state"] = address(self.state)
        program["state_bytes"] = self.state.nbytes
        program["snapshot"] = address(self._snapshot) if keep else 0
        program["step_counter"] = address(self._steps)
        self._run(step.train, program, members, work)
        failed = int(program["failed_epoch"][0])
        if failed < 0:
            return TrainingResult(losses, None)
        if order.size > batch:  # else nothing was changed
            self.state[:] = self._snapshot
            self.step = before + failed * steps
        return TrainingResult(losses[:failed], (failed, int(program["failed_step"][0])))

    def slot(self, number: int) -> NDArray[Any]:
        """The flat view of the parameters (0) or of an optimizer slot (from 1)."""
        size = self.layout.parameters
        return self.state[number * size : (number + 1) * size]

    def differentiate(self, data: Rows) -> tuple[float, NDArray[Any]]:
        """The mean loss of one batch and its gradient, flat in the layout's order."""
        rows = len(data.features)
        gradient, loss, order = self._flat_gradient(), np.zeros(1), np.arange(rows, dtype=np.int64)
        work = rows * self.layout.row_flops
        members = self._members(rows, work)
        program = self._program(data, rows, members, training=True)
        program["batch"] = program["rows"] = rows
        program["order"], program["epoch_losses"] = address(order), address(loss)
        self._run(step.differentiate, program, members, work)
        return float(loss[0]), gradient

    def predict(self, data: Rows) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
        """The outputs of all rows, and the loss of each where `data` has targets."""
        rows = len(data.features)
        outputs = np.empty((rows, self.layout.widths[-1]), self.layout.dtype)
        losses = np.empty(rows) if data.targets is not None else None
        order = np.arange(rows, dtype=np.int64) if losses is not None else None
        work = rows * self.layout.row_flops // 3
        members = self._members(rows, work)
        program = self._program(data, rows, members, training=False)
        program["rows"], program["predictions"] = rows, address(outputs)
        if losses is not None and order is not None:
            program["row_losses"], program["order"] = address(losses), address(order)
        self._run(step.predict, program, members, work)
        return outputs, losses

    def _members(self, batch: int, work: int) -> int:
        """Threads of a team for batches of this many rows and a call of `work` operations."""
        widest = max(batch, *self.layout.widths[:-1])
        useful = -(-widest // step.GRAIN)
        if self.threads is not None:
            return min(self.threads, useful)
        if work < THREAD_START:
            return 1
        pays = batch * self.layout.row_flops // FLOPS_A_THREAD
        return max(1, min(pays, useful, team.available_cores()))

    def _flat_gradient(self) -> NDArray[Any]:
        if self._gradient is None:
            self._gradient = aligned_zeros(self.layout.parameters, self.layout.dtype)
        return self._gradient

    def _run(self, kernel: Kernel, program: NDArray[Any], members: int, work: int) -> None:
        interruptible = work > SLOWEST * BLINK
        team.run_team(kernel.call(), address(program), members, self._shared, interruptible)

    def _program(self, data: Rows, batch: int, members: int, training: bool) -> NDArray[Any]:
        """The record of a call, but for what only one of the kernels reads."""
        layout, dtype = self.layout, self.layout.dtype
        slab = slab_rows(layout, batch)
        if self._workspace is None or self._workspace.rows < slab:
            sloped = [not activation.from_output for activation in self.activations]
            # The size that is asked for comes last: an interrupt leaves both new or neither in use.
            self._row_losses, self._workspace = np.zeros(slab), Workspace(layout, slab, sloped)
        if self._scratch.size < members * SCRATCH:
            self._queues, self._scratch = (
                aligned_zeros(members * ahead.WORDS, np.dtype(np.int64)),
                aligned_zeros(members * SCRATCH, dtype),
            )
        if training and slab < batch:
            self._flat_gradient()
        self._records = self._layers(self._workspace)  # the program holds their address alone
        program = np.zeros(1, step.PROGRAM)
        program["layers"], program["layer_count"] = address(self._records), layout.layers
        program["itemsize"], program["team"] = dtype.itemsize, members
        program["shared"], program["yield_address"] = address(self._shared), team.YIELD_ADDRESS
        program["slab"] = slab
        program["features"], program["features_ld"] = address(data.features), layout.widths[0]
        program["on_logits"] = self.loss.on_logits
        program["gemm"] = gemm.gemm.address(dtype)
        if training:
            program["update"] = self.optimizer.panel.address(dtype)
            program["column_sums"] = sums.column_sums.address(dtype)
            program["gather"] = movement.gather.address(dtype)
            program["transpose"] = transpose.transpose.address(dtype)
        else:
            program["copy_rows"] = movement.copy_rows.address(dtype)
        if data.targets is not None:
            program["targets"] = address(data.targets)
            program["loss"] = self.loss.panel(data.labels).address(dtype)
        program["loss_parameters"] = address(self._loss_parameters)
        program["row_losses"] = address(self._row_losses)
        program["slot_bytes"] = layout.parameters * dtype.itemsize
        program["scratch"] = address(self._scratch)
        queues = self._queues.reshape(-1, ahead.WORDS)
        queues[:] = 0  # a call that ended early leaves row numbers whose memory may be gone
        for at, rows in ((ahead.FEATURES, data.features), (ahead.TARGETS, data.targets)):
            if rows is not None:
                queues[:, at : at + ahead.NUMBERS] = ahead.listed(address(rows), rows.strides[0])
        program["queues"], program["streaming"] = address(self._queues), STREAMING
        program["slots"] = self.optimizer.slots
        program["scratch_bytes"] = SCRATCH * dtype.itemsize
        program["zeros"] = address(self._zeros)
        program["failed_epoch"] = -1
        return program

    def _layers(self, workspace: Workspace) -> NDArray[Any]:
        """One record a layer."""
        layout = self.layout
        records = np.zeros(layout.layers, step.LAYER)
        base = address(self.state)
        gradient = address(self._gradient) if self._gradient is not None else 0
        for i, (record, activation) in enumerate(zip(records, self.activations, strict=True)):
            offset = layout.parameter_offsets[i] * layout.dtype.itemsize
            record["inputs"], record["outputs"] = layout.widths[i : i + 2]
            record["ld_in"], record["ld_out"] = layout.strides[i : i + 2]
            record["weights"], record["gradient"] = base + offset, gradient + offset
            record["mirror"] = workspace.mirrors[i]
            record["below"], record["output"] = workspace.outputs[i : i + 2]
            record["delta_below"], record["delta"] = workspace.deltas[i : i + 2]
            record["slope"] = workspace.slopes[i]
            record["operand"] = record["output"] if activation.from_output else record["slope"]
            for name in ("forward", "training_forward", "backward"):
                panel = getattr(activation, name)
                record[name] = panel.address(layout.dtype) if panel is not None else 0
        return records
