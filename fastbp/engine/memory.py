"""All that the kernels of one network read and write, but for the caller's data."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.configuration import Configuration
from fastbp.engine.records import Kind, Plan
from fastbp.kernels.machine import team
from fastbp.kernels.machine.jit import address
from fastbp.kernels.machine.sizes import Sizes, address_of
from fastbp.kernels.product import ahead
from fastbp.kernels.product.bfloat16_pack import ROOM
from fastbp.kernels.step.clipping import BLOCK
from fastbp.layout.aligned import PAGE, aligned_zeros, row_stride
from fastbp.layout.cutting import PARTS
from fastbp.layout.workspace import Workspace
from fastbp.losses import BaseLoss
from fastbp.tasks import Tasks

WORD, BYTE = np.dtype(np.int64), np.dtype(np.uint8)


class Memory:
    """The arrays of a network, and the plans that hold their addresses.

    Parameters
    ----------
    parts : Configuration
        What the network is made of.

    Attributes
    ----------
    state : ndarray
        Parameters and optimizer slots, flat; the same memory as long as there are as many slots.
    steps : (3,) ndarray of int64
        Steps made so far, which the kernel counts; how many threads train by a separate record; how
        often there were other settings, which such a record does not know.
    dropout_seed : int
        What the random numbers of dropout begin with.
    carried : int
        The address of what a single step carries from call to call: nothing, zeros.
    gradients : (parts, parameters) ndarray or None
        One for each part of a long batch, the first of them the sum; made when first needed.
    kept, kept_step : ndarray or None, and int
        A copy of the state and its steps; made when first needed.
    workspace : Workspace or None
        Likewise.
    flags : ndarray of int64
        Of the barriers of a team and its groups, zeros as a call begins; as many as scratch.
    made : ndarray of int64
        What a sparse layer notes of each row of W; see `kernels.step.program.SPARSE`.
    scaling : (2, inputs) ndarray of float64 or None
        Shifts and factors of the features; replaced after the plans are dropped.
    entry_mirror : ndarray
        W of the first layer, transposed, for deltas of inputs; made when first needed.
    tangents : Workspace or None
        Derivatives of activations and deltas along a direction; likewise.
    direction : ndarray
        That, flat as the parameters; likewise.
    plans : dict
        By what kind of call they are for. They are dropped before any array is replaced.
    """

    def __init__(self, parts: Configuration) -> None:
        layout = self._layout = parts.layout
        self._sloped = [not activation.from_output for activation in parts.activations]
        regularization = parts.regularization
        self._dropped = [*(rate > 0 for rate in regularization.dropout), False]
        slots = 1 + parts.optimizer.slots
        self.state = aligned_zeros(slots * layout.parameters, layout.dtype)
        self.steps = np.zeros(3, WORD)
        self.gradients: NDArray[Any] | None = None
        self.kept: NDArray[Any] | None = None
        self.kept_step = 0
        self.workspace: Workspace | None = None
        self.scaling: NDArray[np.float64] | None = None
        self._unscaled: NDArray[np.float64] | None = None
        self.plans: dict[Kind, Plan] = {}
        self.shared = aligned_zeros(team.WORDS, WORD)
        self.zeros = aligned_zeros(2 * max(layout.strides), layout.dtype)
        self._carried = np.zeros(4)
        self.carried = address(self._carried)
        self.not_finite = np.zeros(1, WORD)  # whether the check of features found one
        groups = parts.loss.groups if isinstance(parts.loss, Tasks) else ()
        self.task_weights = np.array([task.weight for task in groups])
        strides = [row_stride(task.outputs, layout.dtype.itemsize) for task in groups]
        self.task_stride = max(strides, default=0)  # elements of a row of any task's outputs
        self.task_values, self.task_scratch = np.empty(0), np.empty((3, 0), layout.dtype)
        if groups:
            self.loss_parameters = [_parameters(task.loss, task.outputs) for task in groups]
        else:
            self.loss_parameters = [_parameters(parts.loss, layout.widths[-1], parts.loss_weights)]
        self.dropout_seed = 0
        self.settings = regularization.settings()
        clips = regularization.clip_norm is not None
        self.weight_squares = np.empty((2, layout.weight_blocks if regularization.alpha else 0))
        self.square_sums = np.empty(-(-layout.parameters // BLOCK) if clips else 0)
        self.row_losses = np.empty(0)
        self.part_losses = np.empty(PARTS[-1])
        self.queues = self.flags = np.empty(0, WORD)
        self.copies = np.empty(0, BYTE)
        self.scratch = np.empty(0, layout.dtype)
        # Bytes of each thread: rounded operands, or what is copied of rows that lie far apart.
        self._copied = (ROOM, 0, 0) if parts.products else layout.copied
        self.made = np.empty(0, WORD)
        self.entry_mirror = self.direction = np.empty(0, layout.dtype)
        self.tangents: Workspace | None = None

    def scaling_terms(self) -> NDArray[np.float64]:
        """The scaling, or one that changes nothing."""
        if self.scaling is not None:
            return self.scaling
        if self._unscaled is None:
            self._unscaled = np.repeat([[0.0], [1.0]], self._layout.widths[0], axis=1)
        return self._unscaled

    @property
    def nbytes(self) -> int:
        """Bytes held at the moment."""
        held = [self.state, self.gradients, self.kept, self.scratch, self.copies, self.made]
        held += [self.entry_mirror, self.direction]
        arrays = sum(array.nbytes for array in held if array is not None)
        return arrays + sum(one.nbytes for one in (self.workspace, self.tangents) if one)

    def release(self) -> None:
        """Give back what is made when it is needed."""
        dtype = self._layout.dtype
        self.plans = {}
        self.gradients = self.kept = self.workspace = self.tangents = None
        self.row_losses = self.task_values = np.empty(0)
        self.queues = self.flags = self.made = np.empty(0, WORD)
        self.copies = np.empty(0, BYTE)
        self.task_scratch = np.empty((3, 0), dtype)
        self.scratch = self.entry_mirror = self.direction = np.empty(0, dtype)

    def make_entry_mirror(self) -> None:
        """Room for the mirror of the first layer."""
        if not self.entry_mirror.size:
            layout = self._layout
            size = layout.widths[1] * layout.strides[0]
            self.plans, self.entry_mirror = {}, aligned_zeros(size, layout.dtype)

    def make_tangents(self, rows: int) -> None:
        """Room for derivatives of `rows` rows at a time along a direction."""
        layout = self._layout
        if not self.direction.size:
            self.plans, self.direction = {}, aligned_zeros(layout.parameters, layout.dtype)
        if self.tangents is None or self.tangents.rows < rows:
            every, none = [True] * layout.layers, [False] * layout.layers
            self.plans, self.tangents = {}, Workspace(layout, rows, every, none, inputs=False)

    def make_room(
        self, rows: int, batch: int, members: int, gradients: int, sparse: bool = False
    ) -> None:
        """Room for `rows` rows of a batch at a time and a team, and for whole gradients.

        sparse: the rows are, and come with no dense input of the first layer.

        An interrupt may come after any assignment: what says that there is room is assigned last,
        and the plans go first.
        """
        layout = self._layout
        held = self.workspace
        if held is None or held.rows < rows or not (held.inputs or sparse):
            inputs = not sparse or (held is not None and held.inputs)
            self.plans = {}
            if self.task_stride:
                self.task_values = np.empty(rows)
                scratch = aligned_zeros(3 * rows * self.task_stride, layout.dtype)
                self.task_scratch = scratch.reshape(3, rows * self.task_stride)
            self.workspace = Workspace(layout, rows, self._sloped, self._dropped, inputs)
        if self.row_losses.size < batch:
            self.plans, self.row_losses = {}, np.empty(batch)
        if sparse and not self.made.size:
            self.plans, self.made = {}, np.zeros(layout.widths[0], WORD)
        if self.scratch.size < members * layout.scratch:
            self.plans, self.copies = {}, aligned_zeros(members * sum(self._copied), BYTE)
            queues = _queues(members, layout.sizes, self._copied, self.copies)
            self.plans, self.flags, self.queues, self.scratch = (
                {},
                aligned_zeros(2 * members * team.FLAGS, WORD),
                queues,
                aligned_zeros(members * layout.scratch, layout.dtype, PAGE),
            )
        if gradients > (0 if self.gradients is None else len(self.gradients)):
            size = layout.parameters
            self.plans, self.gradients = (
                {},
                aligned_zeros(gradients * size, layout.dtype).reshape(gradients, size),
            )


def _queues(
    members: int, sizes: Sizes, copied: tuple[int, int, int], copies: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """The prefetch queues of a team, which know the sizes of blocks and where copies go."""
    queues = aligned_zeros(members * ahead.WORDS, WORD).reshape(members, ahead.WORDS)
    queues[:, ahead.SIZES] = address_of(sizes)
    own = address(copies) + np.arange(members) * sum(copied)
    for word, size in zip((ahead.PANEL, ahead.DELTA, ahead.BELOW), copied, strict=True):
        if size:
            queues[:, word] = own
        own += size
    return queues.ravel()


def _parameters(
    loss: BaseLoss, outputs: int, weights: tuple[float, ...] | None = None
) -> NDArray[np.float64]:
    """What a loss's panel takes: the number that is its own, and the weights of its outputs."""
    of_outputs = loss.parameters_of_outputs(outputs)
    return np.array([loss.parameter(), *(weights or [1.0] * outputs), *of_outputs])
