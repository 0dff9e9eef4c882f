"""What a step writes besides the state: one allocation, and where each array begins in it."""

import itertools
from collections.abc import Sequence

from fastbp.kernels.machine.jit import address
from fastbp.layout.aligned import aligned_zeros
from fastbp.layout.layout import Layout


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
