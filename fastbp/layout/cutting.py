"""How a batch is cut into slabs, or into parts for single threads: by shape alone."""

import math
from typing import NamedTuple

from fastbp.layout.layout import Layout

PART_SLAB, PART_LEAST = 1 << 18, 128  # bytes and rows: a slab of one thread's
PART_GRADIENT = 1 << 18  # bytes of a gradient that stays in the cache of a core
WHOLE = 1 << 28  # bytes of activations and deltas of a batch that is held as a whole
PARTS = (4, 6, 8, 12, 16, 24, 48)  # numbers that many a team can share evenly


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


def cut_batch(layout: Layout, batch: int, sparse: bool = False, kept: bool = False) -> Cut:
    """Cut a batch into slabs, or that of a small network into parts for single threads.

    One of sparse rows always into slabs: a part's gradient would be whole. kept: its activations
    had better stay for another call, in one slab.
    """
    if kept and not sparse:
        slab = -(-batch // 16) * 16
        if slab * layout.row_elements * layout.dtype.itemsize <= WHOLE:
            return Cut(slab, 0)
    if sparse:
        return Cut(slab_rows(layout, batch, sparse=True), 0)
    if batch > PART_LEAST and layout.parameters * layout.dtype.itemsize <= PART_GRADIENT:
        slabs = math.ceil(batch / slab_rows(layout, batch, PART_SLAB, PART_LEAST))
        if slabs > 1:
            parts = min((count for count in PARTS if count >= slabs), default=PARTS[-1])
            rows = math.ceil(batch / parts / 8) * 8
            return Cut(slab_rows(layout, rows, PART_SLAB, PART_LEAST), parts)
    return Cut(slab_rows(layout, batch), 0)
