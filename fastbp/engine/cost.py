"""How long a training step takes on so many threads, by a model of its costs; how many are best.

What one thread computes, its slowest share of both phases: operations of the products, elements,
rows of the batch, parameters; what it reads from beyond its caches. What others of the team have
written last, a cache line at a time. The barriers. The last two take a multiple of the time in
which two threads meet, whatever that is on a machine.
"""

import functools
import math
from typing import NamedTuple

from fastbp.kernels.machine.caches import Caches
from fastbp.kernels.machine.sizes import Speeds
from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.step.program import GRAIN
from fastbp.layout.cutting import Cut, cut_batch
from fastbp.layout.layout import Layout

BEGINNING = 6  # turns of a tile's loop that its beginning and end take as long as
ALONE = 0.12  # of a column of tiles of one vector, which loads more for each operation, and so on
KERNELS = 6.6e-8  # seconds of what a layer's calls take besides, for each slab
JOINED = 0.3  # of an update's time: to add the gradient of a part to another
UNEVEN = 0.09  # of a thread's time, for each doubling of the team: what the slowest is behind
# In times that two threads take to meet:
BARRIER = 4.2  # all that waits at a barrier, for each doubling of the team
WEIGHTS_LINE = 1 / 27  # a line of weights or mirror that another thread has updated; prefetched
ROWS_LINE = 1 / 15  # of activations or deltas, in phase 2
OWN_LINE = 1 / 68  # of its own weights or mirror, which others have read
PART_LINE = 1 / 8  # of the gradient of a part
FAR = 2.8e-7  # seconds that two threads take to meet at least, where they share no L3 cache
GAIN = 1.03  # times as fast a larger team has to be: an idle core is worth something


class Machine(NamedTuple):
    """What a step's time depends on besides the step.

    lanes: elements of float32 in a vector; speeds: of these, see there.
    """

    caches: Caches
    lanes: int
    speeds: Speeds


@functools.lru_cache(1 << 12)
def best_threads(layout: Layout, batch: int, slots: int, most: int, machine: Machine) -> int:
    """The least number of threads that is about as fast as any up to `most`."""
    seconds = [
        step_seconds(layout, batch, slots, threads, machine) for threads in range(1, most + 1)
    ]
    good = min(seconds) * GAIN
    return next(threads for threads, time in enumerate(seconds, 1) if time <= good)


def step_seconds(layout: Layout, batch: int, slots: int, threads: int, machine: Machine) -> float:
    """Seconds of a step with so many rows and optimizer slots, in a long fit on so many threads."""
    cut = cut_batch(layout, batch)
    sizes = _Bytes(layout, batch, cut, slots)
    alone = _computing(layout, batch, cut, threads, machine)
    alone += _streaming(sizes, threads, machine)
    if threads == 1:
        return alone
    doublings = math.log2(threads)
    barriers = 2 * (1 if cut.parts else -(-batch // cut.slab))
    together = BARRIER * barriers * doublings + _lines(layout, batch, cut, sizes, threads, machine)
    meeting = machine.speeds.barrier
    if threads > machine.caches.l3_cores:
        meeting = max(meeting, FAR)
    return alone * (1 + UNEVEN * doublings) + together * meeting


class _Bytes:
    """Bytes of what a step touches: weights, mirrors, a slab, a gradient that adds up, all state."""

    def __init__(self, layout: Layout, batch: int, cut: Cut, slots: int) -> None:
        size = layout.dtype.itemsize
        turned = layout.turned_layers if batch <= layout.sizes.turned_rows else ()
        mirrors = sum(n for i, n in enumerate(layout.mirror_sizes) if i not in turned)
        self.weights, self.mirrors = layout.parameters * size, mirrors * size
        self.rows = min(cut.slab, batch) * layout.row_elements * size
        self.gradient = self.weights if not cut.parts and cut.slab < batch else 0
        self.state = (1 + slots) * self.weights + self.gradient
        self.slabs = -(-batch // cut.slab)


def _share(count: int, threads: int, grain: int = GRAIN) -> int:
    """The most of `count` items that a thread has, in whole grains."""
    return min(count, -(-(-(-count // grain)) // threads) * grain)


def _rows_of_batch(batch: int, cut: Cut, threads: int) -> tuple[int, int]:
    """How many rows the slowest thread takes through phase 1, and in how many pieces."""
    if cut.parts:
        rows = -(-cut.parts // threads) * _share(batch, cut.parts)
        return rows, -(-rows // cut.slab)
    whole, rest = divmod(batch, cut.slab)
    rows = whole * _share(cut.slab, threads) + _share(rest, threads)
    return rows, whole + (rest > 0)


def _operations(rows: int, columns: int, depth: int, lanes: int) -> float:
    """Operations of a product in whole tiles, and what takes as long as some."""
    vectors = -(-columns // lanes)
    alone = ALONE if vectors % 3 == 1 and vectors != 4 else 0.0
    return 2 * (-(-rows // 4) * 4) * lanes * (vectors + alone) * (depth + BEGINNING)


def _computing(layout: Layout, batch: int, cut: Cut, threads: int, machine: Machine) -> float:
    """Seconds of what the slowest thread computes."""
    size, speeds = layout.dtype.itemsize, machine.speeds
    lanes = max(1, machine.lanes * 4 // size)
    rows, pieces = _rows_of_batch(batch, cut, threads)
    operations = elements = 0.0
    parameters = cut.parts * JOINED * layout.parameters / threads
    for i, (inputs, outputs) in enumerate(zip(layout.widths[:-1], layout.widths[1:], strict=True)):
        # Of the weights' rows; with parts the whole gradient of this thread's rows of the batch.
        own, depth = (inputs, rows) if cut.parts else (_share(inputs, threads), batch)
        operations += _operations(rows, outputs, inputs, lanes)
        if i > 0:
            operations += _operations(rows, inputs, outputs, lanes)
        few = layout.strides[i + 1] * size == LINE and outputs < inputs
        across = (outputs, own) if few else (own, outputs)
        operations += _operations(*across, depth, lanes)
        elements += rows * outputs
        parameters += _share(inputs, threads) * layout.strides[i + 1]
    narrower = size / 4 * 16 / machine.lanes  # than vectors of 16 elements
    return (
        (operations * speeds.product + elements * speeds.element) * narrower
        + parameters * speeds.parameter * size / 4
        + rows * layout.widths[0] * size * speeds.row_byte
        + layout.layers * pieces * KERNELS
    )


def _streaming(sizes: _Bytes, threads: int, machine: Machine) -> float:
    """Seconds in which a thread waits for what is in none of its own caches, nor in another's."""
    caches, speeds = machine.caches, machine.speeds
    everywhere = sizes.mirrors + (sizes.weights if threads > 1 else 0)
    kept = (sizes.state + sizes.rows) / threads + everywhere
    moved = (sizes.weights + 2 * sizes.mirrors + 2 * sizes.state) / threads
    moved += 2 * sizes.gradient * (sizes.slabs - 1) / threads
    beyond = max(0.0, 1 - caches.l2_share / kept)
    far = 1 - _within(sizes, machine)
    return moved * (beyond * speeds.beyond_byte + far * speeds.memory_byte)


def _within(sizes: _Bytes, machine: Machine) -> float:
    """How much of all that a step touches the caches hold."""
    caches = machine.caches
    held = max(caches.l3, caches.l2)
    return min(1.0, held / (sizes.state + sizes.mirrors + sizes.rows))


def _lines(
    layout: Layout, batch: int, cut: Cut, sizes: _Bytes, threads: int, machine: Machine
) -> float:
    """What a thread waits for cache lines that others had last, in times that two take to meet."""
    others = (threads - 1) / threads
    shared = (sizes.weights + sizes.mirrors) / LINE * _within(sizes, machine)
    lines = shared * (WEIGHTS_LINE + OWN_LINE / threads)
    if cut.parts:
        return others * (lines + cut.parts * sizes.weights / LINE / threads * PART_LINE)
    size = layout.dtype.itemsize
    across = sum(
        -(-_share(inputs, threads) * size // LINE) + stride * size // LINE
        for inputs, stride in zip(layout.widths[:-1], layout.strides[1:], strict=True)
    )
    return others * (lines + batch * across * ROWS_LINE)
