"""How long a training step takes on so many threads, by a model of its costs; how many are best.

What the thread with the most of it computes: operations of the products, elements, rows of the
batch, parameters; what it reads from beyond its caches. Cache lines that others of the team have
written last. The barriers. The last two take multiples of the time in which two threads meet, which
is measured: it differs from machine to machine, and on a virtual one from minute to minute.
"""

import functools
import math
from functools import cached_property
from typing import NamedTuple

from fastbp.kernels.machine.caches import Caches
from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.step.program import GRAIN
from fastbp.layout.cutting import cut_batch
from fastbp.layout.grid import by_rows, choose, step_cost
from fastbp.layout.layout import Layout

BEGINNING = 6  # turns of a tile's loop that its beginning and end take as long as
ALONE = 0.12  # of a column of tiles of one vector, which loads more for each operation, and so on
KERNELS = 6.6e-8  # seconds of what a layer's calls take besides, for each slab
PANEL = 1e-8  # seconds of a call of a panel, of which a range of columns has one for each row
JOINED = 0.3  # of an update's time: to add the gradient of a part to another
UNEVEN = 0.09  # of a thread's time, for each doubling of the team: what the slowest is behind
# In times that two threads take to meet:
BARRIER = 4  # all that waits at a barrier, for each doubling of the team
WEIGHTS_LINE = 1 / 22  # a line of weights or mirror that another thread has updated; prefetched
ROWS_LINE = 1 / 12  # of activations or deltas, in phase 2
OWN_LINE = 1 / 68  # of its own weights or mirror, which others have read
PART_LINE = 1 / 8  # of the gradient of a part
FAR = 2.8e-7  # seconds that two threads take to meet at least, where they share no L3 cache
IDLE = 0.1  # of the time: how much longer it may take with hardly any core than with all of them


class Speeds(NamedTuple):
    """How fast a core is, in seconds: what is usual, between two processors of servers."""

    barrier: float = 2.9e-7  # that two threads take to meet
    product: float = 4.8e-12  # an operation of a product, in vectors of 16 elements
    element: float = 2e-10  # an element's activation and derivative, in such vectors
    parameter: float = 2.5e-10  # the update of a parameter of float32
    row_byte: float = 2e-10  # a byte of a row of the features, which nobody has asked for before
    beyond_byte: float = 1e-11  # one that streams from beyond the L2 cache
    memory_byte: float = 2.8e-11  # the more, where no cache holds it


class Machine(NamedTuple):
    """What a step's time depends on besides the step.

    lanes: elements of float32 in a vector; speeds: of these, see there.
    """

    caches: Caches
    lanes: int
    speeds: Speeds


@functools.lru_cache(1 << 12)
def best_threads(layout: Layout, batch: int, slots: int, most: int, machine: Machine) -> int:
    """The number of threads, up to `most`, that is fastest; a core left idle is worth something."""

    def price(threads: int) -> float:
        seconds = step_seconds(layout, batch, slots, threads, machine)
        return seconds * (1 + IDLE * threads / most)

    return min(range(1, most + 1), key=price)


def step_seconds(layout: Layout, batch: int, slots: int, threads: int, machine: Machine) -> float:
    """Seconds of a step with so many rows and optimizer slots, in a long fit on so many threads."""
    return _Step(layout, batch, slots, threads, machine).seconds()


class _Step:
    """One step of a team, as `step_seconds` takes it."""

    def __init__(
        self, layout: Layout, batch: int, slots: int, threads: int, machine: Machine
    ) -> None:
        self.layout, self.batch, self.threads, self.machine = layout, batch, threads, machine
        self.size, self.cut = layout.dtype.itemsize, cut_batch(layout, batch, threads)
        self.pairs = list(zip(layout.widths[:-1], layout.widths[1:], strict=True))
        turned = batch <= layout.sizes.turned_rows
        self.lone = layout.turned_layers if turned else ()
        self.slab, self.grid = min(self.cut.slab, batch), by_rows(layout.layers)
        if threads > 1 and not self.cut.parts:
            self.grid = choose(layout, self.slab, threads, turned=turned)
        mirrors = sum(n for i, n in enumerate(layout.mirror_sizes) if i not in self.lone)
        self.weight_bytes, self.mirror_bytes = layout.parameters * self.size, mirrors * self.size
        self.slabs = 1 if self.cut.parts else _up(batch, self.slab)
        self.summed_bytes = self.weight_bytes if self.slabs > 1 else 0  # a gradient that adds up
        self.state_bytes = (1 + slots) * self.weight_bytes + self.summed_bytes
        self.row_bytes = self.slab * layout.row_elements * self.size

    def seconds(self) -> float:
        """How long it takes."""
        alone = self._computing() + self._streaming()
        if self.threads == 1:
            return alone
        doublings = math.log2(self.threads)
        meeting, machine = self.machine.speeds.barrier, self.machine
        if self.threads > machine.caches.l3_cores:
            meeting = max(meeting, FAR)
        waiting = BARRIER * self.slabs * 2 * doublings + self._lines()
        if self.grid.columns > 1:
            turned = bool(self.lone)
            cost = step_cost(self.layout, self.slab, self.threads, self.grid, turned)
            waiting += BARRIER * self.slabs * cost.barriers * math.log2(self.grid.columns)
            alone += PANEL * self.slabs * cost.calls
        return alone * (1 + UNEVEN * doublings) + waiting * meeting

    @cached_property
    def _rows(self) -> tuple[int, int, int]:
        """Of the batch: rows of a group in phase 1, of a thread's own, and in how many pieces."""
        if self.cut.parts:
            rows = _up(self.cut.parts, self.threads) * _share(self.batch, self.cut.parts)
            return rows, rows, _up(rows, self.cut.slab)
        group = own = 0
        for rows, times in (self.slab, self.batch // self.slab), (self.batch % self.slab, 1):
            of_group = _share(rows, self.threads // self.grid.columns)
            grain = max(1, min(GRAIN, of_group // self.grid.columns))
            group += times * of_group
            own += times * _share(of_group, self.grid.columns, grain)
        return group, own, self.slabs

    def _of_weights(self, layer: int) -> tuple[int, int]:
        """Rows and columns of a layer's weights that a thread has in phase 2."""
        across = self.grid.weights[layer]
        inputs, outputs = self.pairs[layer]
        return _share(inputs, self.threads // across), self._columns(outputs, across)

    def _columns(self, columns: int, across: int) -> int:
        """The most of one of so many ranges of columns, in whole cache lines."""
        line = LINE // self.size
        return min(columns, _up(_up(columns, line), across) * line)

    def _computing(self) -> float:
        """Seconds of what the slowest thread computes."""
        speeds, strides = self.machine.speeds, self.layout.strides
        lanes = max(1, self.machine.lanes * 4 // self.size)
        (group, own, pieces), columns = self._rows, self.grid.columns
        operations = elements = 0.0
        parameters = self.cut.parts * JOINED * self.layout.parameters / self.threads
        for i, (inputs, outputs) in enumerate(self.pairs):
            for n, (depth, width, across) in enumerate(
                ((inputs, outputs, self.grid.forward[i]), (outputs, inputs, self.grid.back[i]))
            ):
                if n == 0 or i > 0:
                    rows, width = (group, self._columns(width, columns)) if across else (own, width)
                    operations += _operations(rows, width, depth, lanes)
            rows, width = self._of_weights(i)
            parameters += rows * _up(width * self.size, LINE) * LINE / self.size
            depth = self.batch
            if self.cut.parts:  # the whole gradient, of this thread's rows of the batch
                rows, width, depth = inputs, outputs, own
            few = strides[i + 1] * self.size == LINE and outputs < inputs
            operations += _operations(*((width, rows) if few else (rows, width)), depth, lanes)
            elements += own * outputs
        wider = 16 / self.machine.lanes * self.size / 4  # vectors, those of the speeds
        return (
            (operations * speeds.product + elements * speeds.element) * wider
            + parameters * speeds.parameter * self.size / 4
            + own * self.layout.widths[0] * self.size * speeds.row_byte
            + self.layout.layers * pieces * KERNELS
        )

    def _streaming(self) -> float:
        """Seconds in which a thread waits for what is in no core's own cache."""
        caches, speeds = self.machine.caches, self.machine.speeds
        read = self.mirror_bytes + (self.weight_bytes if self.threads > 1 else 0)
        kept = (self.state_bytes + self.row_bytes) / self.threads + read / self.grid.columns
        moved = self.weight_bytes + 2 * self.mirror_bytes + 2 * self.state_bytes
        moved += 2 * self.summed_bytes * (self.slabs - 1)
        beyond = max(0.0, 1 - caches.l2_share / kept) * speeds.beyond_byte
        return moved / self.threads * (beyond + (1 - self._within) * speeds.memory_byte)

    @cached_property
    def _within(self) -> float:
        """How much of all that a step touches the caches hold."""
        held = max(self.machine.caches.l3, self.machine.caches.l2)
        return min(1.0, held / (self.state_bytes + self.mirror_bytes + self.row_bytes))

    def _lines(self) -> float:
        """What a thread waits for lines that others had last, in times that two take to meet."""
        size, columns = self.size, self.grid.columns
        weights = rows = 0.0
        for i, (inputs, outputs) in enumerate(self.pairs):
            for depth, width, across, there in (
                (inputs, outputs, self.grid.forward[i], True),
                (outputs, inputs, self.grid.back[i], i > 0 and i not in self.lone),
            ):
                lines = _up(width * size, LINE)
                weights += there * depth * (_up(lines, columns) if across else lines)
                if across and (i > 0 or width == outputs):
                    rows += (1 - 1 / columns) * self._rows[0] * _up(depth * size, LINE)
            of_rows, width = self._of_weights(i)
            if not self.cut.parts:
                rows += self.batch * (_up(of_rows * size, LINE) + _up(width * size, LINE))
        own = (self.weight_bytes + self.mirror_bytes) / LINE / self.threads
        shared = self._within * (weights * WEIGHTS_LINE + own * OWN_LINE)
        parts = self.cut.parts * self.weight_bytes / LINE / self.threads * PART_LINE
        return (1 - 1 / self.threads) * (shared + rows * ROWS_LINE + parts)


def _up(count: int, of: int) -> int:
    """How many of a size hold so many."""
    return -(-count // of)


def _share(count: int, threads: int, grain: int = GRAIN) -> int:
    """The most of `count` items that a thread has, in whole grains."""
    return min(count, _up(_up(count, grain), threads) * grain)


def _operations(rows: int, columns: int, depth: int, lanes: int) -> float:
    """Operations of a product in whole tiles, and what takes as long as some."""
    vectors = _up(columns, lanes)
    alone = ALONE if vectors % 3 == 1 and vectors != 4 else 0.0
    return 2 * _up(rows, 4) * 4 * lanes * (vectors + alone) * (depth + BEGINNING)
