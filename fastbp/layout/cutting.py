"""How a batch is cut into slabs, or into parts for single threads.

Slabs change no number, so their sizes may come from the machine, and a team's has as many times the
rows of one thread's as there are threads: weights are read, and barriers come, less often. The
number of parts decides in which order gradients are added up: it comes from the shape alone.
"""

from typing import NamedTuple

from numba.extending import register_jitable

from fastbp.layout.layout import Layout

SLAB_LEAST, PART_LEAST = 256, 128  # rows of a slab that a team shares, and of one thread's
MOST = 1 << 26  # bytes of a team's slab, at the most, but for SLAB_LEAST rows
PART_BYTES = 1 << 18  # of activations and deltas, of which a batch with more has parts
PART_GRADIENT = 1 << 18  # bytes of a gradient, at the most, of which each part has one
CURVED = 1 << 19  # of a slab of second derivatives, which adds two products to the sum, in turn
WHOLE = 1 << 28  # bytes of activations and deltas of a batch that is held as a whole
PARTS = (4, 6, 8, 12, 16, 24, 48)  # numbers that many a team can share evenly


class Cut(NamedTuple):
    """How a batch is worked on; the same number of parts for any number of threads."""

    slab: int  # rows whose activations are held at a time
    parts: int  # of a long batch, each with a gradient of its own; 0: a team shares every slab


@register_jitable  # type: ignore[untyped-decorator]
def _most_rows(row_bytes: int, cache_bytes: int, least: int) -> int:
    """Rows of a slab, at the most."""
    return max(least, cache_bytes // row_bytes // 16 * 16)


@register_jitable  # type: ignore[untyped-decorator]
def equal_slabs(row_bytes: int, batch: int, cache_bytes: int, least: int) -> int:
    """Rows of a slab: equal slabs, rather than a short one at the end.

    row_bytes: what a row takes in activations and deltas together.
    """
    if batch <= least:
        return (batch + 15) // 16 * 16
    slab: int = _most_rows(row_bytes, cache_bytes, least)
    slabs = (batch + slab - 1) // slab
    return ((batch + slabs - 1) // slabs + 15) // 16 * 16


@register_jitable  # type: ignore[untyped-decorator]
def _team_slab(row_bytes: int, batch: int, slab_bytes: int, team: int) -> int:
    """Rows of a slab that a team shares; slab_bytes: of one thread's."""
    if batch <= SLAB_LEAST:  # as below, for the sake of calls that take no longer
        return (batch + 15) // 16 * 16
    bound = _most_rows(row_bytes, MOST, SLAB_LEAST)
    rows = min(bound, _most_rows(row_bytes, slab_bytes * team, SLAB_LEAST * team))
    slab: int = equal_slabs(row_bytes, batch, rows * row_bytes, min(rows, SLAB_LEAST * team))
    return slab


@register_jitable  # type: ignore[untyped-decorator]
def cut(
    row_bytes: int,
    gradient_bytes: int,
    batch: int,
    slab_bytes: int,
    part_slab: int,
    team: int = 1,
) -> tuple[int, int]:
    """`cut_batch` of dense rows from numbers alone, also for compiled code.

    slab_bytes, part_slab: of a slab of one thread's, with all of a batch and with parts of it.
    """
    if batch > PART_LEAST and gradient_bytes <= PART_GRADIENT:
        rows = equal_slabs(row_bytes, batch, PART_BYTES, PART_LEAST)
        slabs = (batch + rows - 1) // rows
        if slabs > 1:
            parts = PARTS[-1]
            for count in PARTS[::-1]:
                if count >= slabs:
                    parts = count
            share = ((batch + parts - 1) // parts + 7) // 8 * 8
            return equal_slabs(row_bytes, share, part_slab, PART_LEAST), parts
    return _team_slab(row_bytes, batch, slab_bytes, team), 0


def slab_rows(layout: Layout, batch: int, team: int = 1, sparse: bool = False) -> int:
    """Rows of a slab that a team shares."""
    elements = layout.row_elements - (layout.strides[0] if sparse else 0)
    rows: int = _team_slab(elements * layout.dtype.itemsize, batch, layout.sizes.slab, team)
    return rows


def curved_rows(layout: Layout, rows: int) -> int:
    """Rows of a slab of a product with second derivatives, by the shape alone."""
    row_bytes = layout.row_elements * layout.dtype.itemsize
    slab: int = equal_slabs(row_bytes, rows, CURVED, SLAB_LEAST)
    return slab


def cut_batch(
    layout: Layout, batch: int, team: int = 1, sparse: bool = False, kept: bool = False
) -> Cut:
    """Cut a batch into slabs, or that of a small network into parts for single threads.

    One of sparse rows always into slabs: a part's gradient would be whole. kept: its activations
    had better stay for another call, in one slab.
    """
    if kept and not sparse:
        slab = -(-batch // 16) * 16
        if slab * layout.row_elements * layout.dtype.itemsize <= WHOLE:
            return Cut(slab, 0)
    if sparse:
        return Cut(slab_rows(layout, batch, team, sparse=True), 0)
    size, sizes = layout.dtype.itemsize, layout.sizes
    row_bytes, gradient_bytes = layout.row_elements * size, layout.parameters * size
    return Cut(*cut(row_bytes, gradient_bytes, batch, sizes.slab, sizes.part_slab, team))


def most(layout: Layout, batch: int) -> Cut:
    """No less than one thread's slab and the parts of any batch of dense rows up to this one."""
    size = layout.dtype.itemsize
    row_bytes, sizes = layout.row_elements * size, layout.sizes
    slab = max(
        _most_rows(row_bytes, sizes.slab, SLAB_LEAST),
        _most_rows(row_bytes, sizes.part_slab, PART_LEAST),
    )
    slab = min(-(-batch // 16) * 16, slab)
    slabs = -(-batch // _most_rows(row_bytes, PART_BYTES, PART_LEAST))
    if slabs == 1 or layout.parameters * size > PART_GRADIENT:
        return Cut(slab, 0)
    return Cut(slab, min((count for count in PARTS if count >= slabs), default=PARTS[-1]))
