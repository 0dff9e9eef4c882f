"""Memory that begins at a cache line, and rows that are whole vectors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.machine.jit import address
from fastbp.kernels.machine.vectors import LINE

PAGE = 4096  # bytes of memory that have one place, near the core that touches them first
ALIASING = 2048  # rows that are a multiple of this many bytes apart share a few cache sets


def aligned_zeros(elements: int, dtype: np.dtype[Any], to: int = LINE) -> NDArray[Any]:
    """Zeros that begin at a multiple of so many bytes, a cache line."""
    memory = np.zeros(elements * dtype.itemsize + to, np.uint8)
    start = -address(memory) % to
    return memory[start : start + elements * dtype.itemsize].view(dtype)


def row_stride(width: int, itemsize: int) -> int:
    """Elements from one row of `width` to the next: whole vectors, and off powers of two."""
    lanes = LINE // itemsize
    stride = -(-width // lanes) * lanes
    return stride + lanes if stride * itemsize % ALIASING == 0 else stride
