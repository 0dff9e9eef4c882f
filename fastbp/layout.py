"""Where every array lies in the flat buffers: the only owner of offsets.

One flat buffer, the state, holds all parameters and behind them each optimizer slot in the same
order; the gradient buffer has that order too. Within it a layer is a block of (inputs + 1) rows,
W above its biases, and rows are padded to whole vectors.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.jit import address
from fastbp.kernels.vectors import LINE
from fastbp.kernels.weight_rows import LEAST_STRIP

PART_SLAB, PART_LEAST = 1 << 18, 128  # bytes and rows: a slab of one thread's
PART_GRADIENT = 1 << 18  # bytes of a gradient that stays in the cache of a core
PARTS = (4, 6, 8, 12, 16, 24, 48)  # numbers that many a team can share evenly
CUT, WHOLE = 768, 4160  # columns of a gradient strip that is cut, and the most of one that is not
TURNED_ROWS, TURNED_BYTES = 48, 1 << 20  # a batch, and weights that are not in its cache
ALIASING = 2048  # rows that are a multiple of this many bytes apart share a few cache sets


def aligned_zeros(elements: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros that begin at a cache line."""
    memory = np.zeros(elements * dtype.itemsize + LINE, np.uint8)
    start = -address(memory) % LINE
    return memory[start : start + elements * dtype.itemsize].view(dtype)


def row_stride(width: int, itemsize: int) -> int:
    """Elements from one row of `width` to the next: whole vectors, and off powers of two."""
    lanes = LINE // itemsize
    stride = -(-width // lanes) * lanes
    return stride + lanes if stride * itemsize % ALIASING == 0 else stride


@dataclass(frozen=True)
class Layout:
    """The offsets of a network of these widths, in elements.

    Parameters
    ----------
    widths : tuple of int
        Layer widths, input first.
    dtype : numpy.dtype
        float32 or float64.
    """

    widths: tuple[int, ...]
    dtype: np.dtype[Any]

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """The row stride of each layer's values, input first."""
        return tuple(row_stride(width, self.dtype.itemsize) for width in self.widths)

    @cached_property
    def layers(self) -> int:
        """How many layers of weights there are."""
        return len(self.widths) - 1

    @cached_property
    def parameter_offsets(self) -> tuple[int, ...]:
        """Where each layer's block begins, and at the end where the last one ends."""
        sizes = [(self.widths[i] + 1) * self.strides[i + 1] for i in range(self.layers)]
        return tuple(itertools.accumulate(sizes, initial=0))

    @cached_property
    def parameters(self) -> int:
        """Elements of all parameters, padding included."""
        return self.parameter_offsets[-1]

    @cached_property
    def parameter_count(self) -> int:
        """How many weights and biases the network has."""
        pairs = zip(self.widths[:-1], self.widths[1:], strict=True)
        return sum((inputs + 1) * outputs for inputs, outputs in pairs)

    @cached_property
    def mirror_sizes(self) -> tuple[int, ...]:
        """Elements of each layer's mirror; the first layer needs none."""
        sizes = [self.widths[i + 1] * self.strides[i] for i in range(self.layers)]
        return (0, *sizes[1:])

    @cached_property
    def scratch(self) -> int:
        """Elements of a thread's gradient strip; that of the widest layers is always cut."""
        return LEAST_STRIP * min(max(CUT, *self.strides[1:]), WHOLE)

    @cached_property
    def turned_layers(self) -> tuple[int, ...]:
        """Layers whose mirror takes longer to keep than a small batch's deltas to transpose."""
        size, room = self.dtype.itemsize, TURNED_ROWS // 8 * LINE
        return tuple(
            i
            for i, elements in enumerate(self.mirror_sizes)
            if elements * size >= max(TURNED_BYTES, room * sum(self.widths[i : i + 2]))
        )

    @cached_property
    def row_elements(self) -> int:
        """Elements that one row of the batch takes in activations and deltas together."""
        return sum(self.strides) + sum(self.strides[1:])

    @cached_property
    def row_flops(self) -> int:
        """Floating-point operations of one row's training: the products alone."""
        pairs = zip(self.widths[:-1], self.widths[1:], strict=True)
        products = [2 * inputs * outputs for inputs, outputs in pairs]
        return 3 * sum(products) - products[0]

    def weights(self, flat: NDArray[Any], layer: int) -> NDArray[Any]:
        """The (inputs, outputs) view of a layer's weights in a flat buffer."""
        return self._block(flat, layer)[:-1, : self.widths[layer + 1]]

    def biases(self, flat: NDArray[Any], layer: int) -> NDArray[Any]:
        """The (outputs,) view of a layer's biases in a flat buffer."""
        return self._block(flat, layer)[-1, : self.widths[layer + 1]]

    def _block(self, flat: NDArray[Any], layer: int) -> NDArray[Any]:
        start, stop = self.parameter_offsets[layer], self.parameter_offsets[layer + 1]
        return flat[start:stop].reshape(-1, self.strides[layer + 1])


class Workspace:
    """What a step writes besides the state: activations, deltas, mirrors, scratch.

    Parameters
    ----------
    layout : Layout
        The network's.
    rows : int
        Rows that the activations have room for.
    sloped, dropped : sequence of bool
        For each layer, whether its activation leaves its slopes in a buffer of their own, and
        whether dropout has one.
    inputs : bool
        Whether there is room for the first layer's input, which sparse rows do not need.
    """

    def __init__(
        self,
        layout: Layout,
        rows: int,
        sloped: Sequence[bool],
        dropped: Sequence[bool],
        inputs: bool = True,
    ) -> None:
        self.rows, self.inputs = rows, inputs
        sizes = [rows * stride for stride in layout.strides]
        if not inputs:
            sizes[0] = 0
        lengths = sizes + sizes[1:] + list(layout.mirror_sizes)
        for wanted in (sloped, dropped):
            lengths += [size if one else 0 for size, one in zip(sizes[1:], wanted, strict=True)]
        starts = list(itertools.accumulate(lengths, initial=0))
        flat = aligned_zeros(starts.pop(), layout.dtype)
        base, size = address(flat), layout.dtype.itemsize
        at = [
            base + start * size if length else 0
            for start, length in zip(starts, lengths, strict=True)
        ]
        n = layout.layers
        self.outputs = at[: n + 1]  # of each layer, the input first
        self.deltas = [0, *at[n + 1 : 2 * n + 1]]
        self.mirrors = at[2 * n + 1 : 3 * n + 1]
        self.slopes, self.dropped = at[3 * n + 1 : 4 * n + 1], at[4 * n + 1 :]
        self.nbytes = flat.nbytes
        self._memory = flat


class Cut(NamedTuple):
    """How a batch is worked on, by shape alone: alike on any number of threads."""

    slab: int  # rows whose activations are held at a time
    parts: int  # of a long batch, each with a gradient of its own; 0: a team shares every slab


def slab_rows(
    layout: Layout,
    batch: int,
    cache_bytes: int = 1 << 19,
    least: int = 256,
    sparse: bool = False,
) -> int:
    """Rows of a slab: equal slabs, rather than a short one at the end."""
    if batch <= least:
        return -(-batch // 16) * 16
    elements = layout.row_elements - (layout.strides[0] if sparse else 0)
    fitting = cache_bytes // (elements * layout.dtype.itemsize)
    slab = max(least, fitting // 16 * 16)
    return math.ceil(math.ceil(batch / math.ceil(batch / slab)) / 16) * 16


def cut_batch(layout: Layout, batch: int, sparse: bool = False) -> Cut:
    """Cut a batch into slabs, or that of a small network into parts for single threads.

    One of sparse rows always into slabs: a part's gradient would be whole.
    """
    if sparse:
        return Cut(slab_rows(layout, batch, sparse=True), 0)
    if batch > PART_LEAST and layout.parameters * layout.dtype.itemsize <= PART_GRADIENT:
        slabs = math.ceil(batch / slab_rows(layout, batch, PART_SLAB, PART_LEAST))
        if slabs > 1:
            parts = min((count for count in PARTS if count >= slabs), default=PARTS[-1])
            rows = math.ceil(batch / parts / 8) * 8
            return Cut(slab_rows(layout, rows, PART_SLAB, PART_LEAST), parts)
    return Cut(slab_rows(layout, batch), 0)
