"""Where every array lies in the flat buffers: the only owner of offsets.

One flat buffer, the state, holds all parameters and behind them each optimizer slot in the same
order; the gradient buffer has that order too. Within it a layer is a block of (inputs + 1) rows,
W above its biases, and rows are padded to whole vectors.
"""

import itertools
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.machine.sizes import Sizes, current
from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.product.gemm import panel_bytes
from fastbp.kernels.step.clipping import COLUMNS
from fastbp.kernels.step.penalty import ROWS
from fastbp.kernels.step.weight_rows import scratch_elements
from fastbp.layout.aligned import PAGE, row_stride


@dataclass(frozen=True)
class Layout:
    """The offsets of a network of these widths, in elements.

    Parameters
    ----------
    widths : tuple of int
        Layer widths, input first.
    dtype : numpy.dtype
        float32 or float64.
    sizes : Sizes, optional
        Of blocks; those in use by default. No offset depends on them.
    """

    widths: tuple[int, ...]
    dtype: np.dtype[Any]
    sizes: Sizes = field(default_factory=current, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        # Not the sizes, nor what was computed by them: they are the machine's, and its version's.
        return {"widths": self.widths, "dtype": self.dtype}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["widths"], state["dtype"])  # type: ignore[misc]

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
    def weight_blocks(self) -> int:
        """Blocks of all weights whose squares are added up one by one."""
        return sum(-(-inputs // ROWS) for inputs in self.widths[:-1])

    @cached_property
    def mirror_sizes(self) -> tuple[int, ...]:
        """Elements of each layer's mirror; the first layer needs none."""
        sizes = [self.widths[i + 1] * self.strides[i] for i in range(self.layers)]
        return (0, *sizes[1:])

    @cached_property
    def scratch(self) -> int:
        """Elements of a thread's gradient strip, or of the norms of columns, in whole pages."""
        lanes = LINE // self.dtype.itemsize
        strip = scratch_elements(max(self.strides[1:]), lanes, self.sizes)
        page = PAGE // self.dtype.itemsize
        return -(-max(strip, COLUMNS) // page) * page

    @cached_property
    def copied(self) -> tuple[int, int, int]:
        """Bytes of a thread's packed panel, copied deltas and copied activations, by need.

        Of networks whose rows lie close together they are 0.
        """
        s, size = self.sizes, self.dtype.itemsize
        inputs, outputs = (size * max(strides) for strides in (self.strides[:-1], self.strides[1:]))
        needs = (
            (panel_bytes(s), outputs >= s.far),
            (s.delta_bytes, outputs >= s.far),
            (s.below_bytes, inputs >= s.far),
        )
        panel, delta, below = (-(-most // LINE) * LINE if used else 0 for most, used in needs)
        return panel, delta, below

    @cached_property
    def turned_layers(self) -> tuple[int, ...]:
        """Layers whose mirror takes longer to keep than a small batch's deltas to transpose."""
        size, room = self.dtype.itemsize, self.sizes.turned_rows // 8 * LINE
        return tuple(
            i
            for i, elements in enumerate(self.mirror_sizes)
            if elements * size >= max(self.sizes.turned_bytes, room * sum(self.widths[i : i + 2]))
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

    def packed(self, flat: NDArray[Any]) -> NDArray[Any]:
        """A copy of a flat buffer without padding: of each layer W by rows, then its biases."""
        numbers = range(self.layers)
        return np.concatenate([self._counting(flat, number).ravel() for number in numbers])

    def unpack(self, values: NDArray[Any], flat: NDArray[Any]) -> None:
        """Put what `packed` returned into a flat buffer, whose padding stays."""
        begin = 0
        for number in range(self.layers):
            block = self._counting(flat, number)
            block[:] = values[begin : begin + block.size].reshape(block.shape)
            begin += block.size

    def _counting(self, flat: NDArray[Any], layer: int) -> NDArray[Any]:
        return self._block(flat, layer)[:, : self.widths[layer + 1]]

    def _block(self, flat: NDArray[Any], layer: int) -> NDArray[Any]:
        start, stop = self.parameter_offsets[layer], self.parameter_offsets[layer + 1]
        return flat[start:stop].reshape(-1, self.strides[layer + 1])
