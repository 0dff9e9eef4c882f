"""Sizes of blocks: every number of the kernels that was found on one processor, in one table.

They say what stays in which cache and what is asked for ahead. No number that is computed depends
on them: each is one chain of sums in one order, wherever blocks begin. What a sum's order does
depend on is not here and is a matter of shapes alone: in how many parts a long batch goes, and in
which groups losses, biases and squares are added up. Nor is the register tile: how many rows and
vectors fit is a matter of registers, of which compiled code has to know.

Kernels read the table at run time, so that none is compiled anew for another one.
"""

import contextlib
import functools
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numba
import numpy as np

from fastbp.kernels.machine import tuned
from fastbp.kernels.machine.caches import KIB, Caches, caches
from fastbp.kernels.machine.fields import record
from fastbp.kernels.machine.jit import address
from fastbp.kernels.machine.pointers import pointer_maker
from fastbp.kernels.machine.vectors import LINE


class Sizes(NamedTuple):
    """The sizes of blocks; `of_caches` says where each comes from."""

    strip: int  # elements of a gradient strip, which the L1 cache or nearly so can hold
    least_strip: int  # rows of one: whole cache lines of the activations and of the mirror
    few_strip: int  # rows of a strip of a layer of few outputs, which lies in the L1 cache twice
    block: int  # columns of a strip of a wide layer: what is read again and again stays in L2
    whole: int  # columns of a strip that is not cut, at the most
    few_rows: int  # of a slab, with which it is not: its weights and slots are one long run
    k_block: int  # rows of B at a time: what a tile reads of A and B stays in the L2 cache
    turned_depth: int  # the same where A is read along its columns
    far: int  # bytes from row to row from which on what is read again and again is copied first
    pack_rows: int  # rows of a product from which on a copy of B pays
    pack_depth: int  # rows of B in a packed panel, which the L2 cache keeps
    delta_bytes: int  # of a copy of deltas, at the most, which the L2 cache keeps
    below_bytes: int  # of a copy of a strip's activations, at the most
    streaming: int  # bytes of W from which on its columns are asked for during a product
    state_streaming: int  # bytes of parameters and slots from which on they are, before an update
    turned_rows: int  # of a batch, at the most, whose deltas are turned rather than W mirrored
    turned_bytes: int  # of weights from which on that pays: much of a cache to write and read
    slab: int  # bytes of activations and deltas of rows that a team takes through both phases
    part_slab: int  # of rows that one thread does
    lane_slab: int  # of rows of networks side by side
    lane_parameters: int  # bytes of the parameters of such networks, whose state stays in L2


NEVER = 1 << 40  # no stride is as large, and nothing has as many bytes

SIZES = record(*Sizes._fields)
sizes_at = pointer_maker(numba.from_dtype(SIZES))

# Of each field: its least and its greatest value, and what it is a multiple of. Kernels are right
# within these bounds.
LEGAL: dict[str, tuple[int, int, int]] = {
    "strip": (16, 1 << 20, 16),
    "least_strip": (16, 128, 16),
    "few_strip": (16, 1 << 14, 16),
    "block": (16, 1 << 14, 16),
    "whole": (16, 1 << 16, 16),
    "few_rows": (0, 1 << 20, 1),
    "k_block": (1, 1 << 20, 1),
    "turned_depth": (1, 1 << 20, 1),
    "far": (0, NEVER, 1),
    "pack_rows": (16, 1 << 20, 1),
    "pack_depth": (1, 1 << 13, 1),
    "delta_bytes": (0, 1 << 26, 1),
    "below_bytes": (0, 1 << 24, 1),
    "streaming": (0, NEVER, 1),
    "state_streaming": (0, NEVER, 1),
    "turned_rows": (8, 1 << 10, 8),
    "turned_bytes": (0, NEVER, 1),
    "slab": (1, NEVER, 1),
    "part_slab": (1, NEVER, 1),
    "lane_slab": (1, NEVER, 1),
    "lane_parameters": (0, NEVER, 1),
}


def of_caches(found: Caches) -> Sizes:
    """The table for a processor with these caches."""
    l1, l2 = found.l1, found.l2_share
    slow = l2 >= 2048 * KIB  # one of them has been found to want copies; one of 1 MB has not
    small = min(l2, 1024 * KIB)  # no larger ones have been found to want larger blocks
    sizes = Sizes(
        strip=_power(l1 // 4),
        least_strip=LINE // 4,
        few_strip=_power(l1 // (2 * LINE)),
        block=_power(small // (4 * KIB)),
        whole=_power(l2 // 256) + 64,
        few_rows=_power(small // (16 * KIB)),
        k_block=_power(small // KIB),
        turned_depth=128 if slow else _power(small // KIB),
        far=2560 if slow else NEVER,
        pack_rows=32,
        pack_depth=512,
        delta_bytes=3 * l2 // 8,
        below_bytes=128 * KIB,
        streaming=small // 2,
        state_streaming=l2,
        turned_rows=48,
        turned_bytes=l2 // 8,
        slab=l2 // 2,
        part_slab=l2 // 4,
        lane_slab=l2 // 4,
        lane_parameters=l2 // 4,
    )
    bounded = {
        name: min(max(getattr(sizes, name), least), most) // of * of
        for name, (least, most, of) in LEGAL.items()
    }
    return Sizes(**bounded)


def of_rounded(sizes: Sizes) -> Sizes:
    """The table where the operands of products are rounded to half their bytes."""
    return sizes._replace(block=min(2 * sizes.block, LEGAL["block"][1]))


def _power(number: int) -> int:
    """The largest power of two that is not above the number."""
    return 1 << max(0, number.bit_length() - 1)


def check(sizes: Sizes) -> None:
    """Raise ValueError for a table that the kernels do not take."""
    for name, (least, most, of) in LEGAL.items():
        value = getattr(sizes, name)
        if type(value) is not int or not least <= value <= most or value % of:
            multiple = f", a multiple of {of}" if of > 1 else ""
            raise ValueError(
                f"{name} must be an int from {least} to {most}{multiple}, got {value!r}"
            )


class Table(NamedTuple):
    """The sizes of a processor; measured: the names of those that were."""

    sizes: Sizes
    measured: frozenset[str] = frozenset()


@functools.cache
def of_machine() -> Table:
    """The table of this processor: by the rule, and what `python -m fastbp tune` has measured.

    Warns where that is there and cannot be used.
    """
    rule = of_caches(caches())
    try:
        kept = tuned.read()
        return with_measured(rule, kept)
    except ValueError as error:
        warnings.warn(
            f"sizes of blocks that were measured are not used: {tuned.path()}: {error}. Results "
            "are the same, maybe slower; python -m fastbp tune measures anew",
            stacklevel=2,
        )
        return Table(rule)


def with_measured(rule: Sizes, kept: dict[str, dict[str, Any]]) -> Table:
    """The table with what a file has kept; ValueError for what does not belong there."""
    measured = kept.get("sizes", {})
    unknown = (kept.keys() - {"sizes"}) | (measured.keys() - LEGAL.keys())
    if unknown:
        raise ValueError(f"nothing is called {min(unknown)!r}")
    sizes = rule._replace(**measured)
    check(sizes)
    return Table(sizes, frozenset(measured))


_used: list[Sizes] = []  # those of `using`, innermost last


def current() -> Sizes:
    """The table in use, which networks take up when they are made."""
    return _used[-1] if _used else of_machine().sizes


@contextlib.contextmanager
def using(sizes: Sizes) -> Iterator[None]:
    """Within, networks that are made take up this table, in all threads."""
    check(sizes)
    _used.append(sizes)
    try:
        yield
    finally:
        _used.remove(sizes)


def address_of(sizes: Sizes) -> int:
    """Where the table lies for kernels, for as long as the process lives."""
    return address(_words(sizes))


@functools.cache
def _words(sizes: Sizes) -> np.ndarray:
    return np.array(sizes, np.int64)
