"""How a batch is cut into slabs, or into parts for single threads.

Parts change bits, so they are a matter of shape alone. Slabs change none: a team's has as many
times the rows of one thread's as it has threads, so that weights are read, and barriers come, less
often.
"""

from typing import NamedTuple

from numba.extending import register_jitable

from fastbp.layout.layout import Layout

SLAB, SLAB_LEAST = 1 << 19, 256  # bytes and rows: a slab that a team shares
MOST = 1 << 26  # bytes of a team's slab, at the most, but for what one thread would have
PART_SLAB, PART_LEAST = 1 << 18, 128  # bytes and rows: a slab of one thread's
PART_GRADIENT = 1 << 18  # bytes of a gradient that stays in the cache of a core
WHOLE = 1 << 28  # bytes of activations and deltas of a batch that is held as a whole
PARTS = (4, 6, 8, 12, 16, 24, 48)  # numbers that many a team can share evenly


class Cut(NamedTuple):
    """How a batch is worked on."""

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
def _team_slab(row_bytes: int, batch: int, team: int) -> int:
    """Rows of a slab that a team shares."""
    most = _most_rows(row_bytes, min(SLAB * team, MOST), SLAB_LEAST)
    least = min(SLAB_LEAST * team, _most_rows(row_bytes, MOST, SLAB_LEAST))
    rows: int = equal_slabs(row_bytes, batch, most * row_bytes, least)
    return rows


@register_jitable  # type: ignore[untyped-decorator]
def cut(row_bytes: int, gradient_bytes: int, batch: int, team: int = 1) -> tuple[int, int]:
    """`cut_batch` of dense rows from numbers alone, also for compiled code."""
    if batch > PART_LEAST and gradient_bytes <= PART_GRADIENT:
        rows = equal_slabs(row_bytes, batch, PART_SLAB, PART_LEAST)
        slabs = (batch + rows - 1) // rows
        if slabs > 1:
            parts = PARTS[-1]
            for count in PARTS[::-1]:
                if count >= slabs:
                    parts = count
            share = ((batch + parts - 1) // parts + 7) // 8 * 8
            return equal_slabs(row_bytes, share, PART_SLAB, PART_LEAST), parts
    return _team_slab(row_bytes, batch, team), 0


def slab_rows(layout: Layout, batch: int, team: int = 1, sparse: bool = False) -> int:
    """Rows of a slab that a team shares."""
    elements = layout.row_elements - (layout.strides[0] if sparse else 0)
    rows: int = _team_slab(elements * layout.dtype.itemsize, batch, team)
    return rows


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
    size = layout.dtype.itemsize
    return Cut(*cut(layout.row_elements * size, layout.parameters * size, batch, team))


def most(layout: Layout, batch: int) -> Cut:
    """No less than one thread's slab and the parts of any batch of dense rows up to this one."""
    size = layout.dtype.itemsize
    row_bytes = layout.row_elements * size
    slab = min(-(-batch // 16) * 16, _most_rows(row_bytes, SLAB, SLAB_LEAST))
    slabs = -(-batch // _most_rows(row_bytes, PART_SLAB, PART_LEAST))
    if slabs == 1 or layout.parameters * size > PART_GRADIENT:
        return Cut(slab, 0)
    return Cut(slab, min((count for count in PARTS if count >= slabs), default=PARTS[-1]))
