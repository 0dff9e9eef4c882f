"""How a team shares the two phases of a step: by rows and columns, by a rule of shape and team.

No number depends on it. Costs are counted in operations: those that the busiest thread does, those
that it could do while it waits for bytes from other cores' caches, at barriers, or for calls.
"""

import functools
from typing import NamedTuple

from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.step.program import GRAIN
from fastbp.layout.layout import Layout

BYTE, ROW_BYTE = 16, 4  # operations in the time of a byte of W, or of rows, from another core
ROUND = 20_000  # operations in the time of a round of a barrier
BARRIER = 30_000  # and of waiting for the last one to come
CALL = 1_500  # operations in the time of one call of a panel, of which there is one a row
PIECE = 40_000  # and of an update of a part of W's row, to whose ends other cores' prefetches reach
NARROW = (2.0, 1.15)  # times as long as full tiles take those of one line of columns, and of two
FEWER = 0.97  # of the costs of groups of fewer threads, for which larger ones are taken


class Grid(NamedTuple):
    """How a team shares a step.

    Phase 1: groups of `columns` threads share rows; of the layers for which `forward`, or `back`
    for the delta below, is true, each member computes a range of columns for all of them, of the
    others all columns for some. Phase 2: W's columns are cut into `weights` ranges.
    """

    columns: int
    forward: tuple[bool, ...]
    back: tuple[bool, ...]
    weights: tuple[int, ...]


class Cost(NamedTuple):
    """What a step of one slab costs a team, beside updates and panels.

    Attributes
    ----------
    operations : float
        Of the products of the thread that has the most; in narrow tiles they count for more.
    weight_bytes, row_bytes : float
        That such a thread reads of W, mirrors, activations and deltas that others have written.
    barriers : int
        Of groups of threads in phase 1. Those of the team are two more.
    calls, pieces : int
        Because a range of columns has one for each row: of panels, and updates.
    """

    operations: float = 0.0
    weight_bytes: float = 0.0
    row_bytes: float = 0.0
    barriers: int = 0
    calls: int = 0
    pieces: int = 0

    def plus(self, other: "Cost") -> "Cost":
        """Of both."""
        return Cost(*(a + b for a, b in zip(self, other, strict=True)))  # type: ignore[arg-type]

    def total(self, members: int) -> float:
        """In operations, where barriers are of so many members."""
        moved = BYTE * self.weight_bytes + ROW_BYTE * self.row_bytes
        barrier = BARRIER + ROUND * (members - 1).bit_length()
        calls = CALL * self.calls + PIECE * self.pieces
        return self.operations + moved + barrier * self.barriers + calls


@functools.cache
def by_rows(layers: int) -> Grid:
    """The grid of a team whose threads have rows alone, and of a thread that is alone."""
    return Grid(1, (False,) * layers, (False,) * layers, (1,) * layers)


def choose(
    layout: Layout,
    rows: int,
    team: int,
    whole_rows: bool = True,
    sparse: bool = False,
    turned: bool = False,
) -> Grid:
    """The grid of a step with slabs of so many rows.

    Parameters
    ----------
    layout : Layout
        The network's.
    rows, team : int
        Of a slab; how many threads share it.
    whole_rows : bool
        Whether something behind the last product needs whole rows of outputs at once.
    sparse : bool
        Whether the first layer is that of sparse rows, which are shared by rows alone.
    turned : bool
        Whether layers of `Layout.turned_layers` have no mirror.
    """
    shape = layout.widths, layout.dtype.itemsize
    lone = layout.turned_layers if turned else ()
    return _choose(*shape, rows, team, whole_rows, sparse, lone)


@functools.lru_cache(256)
def _choose(
    widths: tuple[int, ...],
    size: int,
    rows: int,
    team: int,
    whole_rows: bool,
    sparse: bool,
    lone: tuple[int, ...],
) -> Grid:
    layers = len(widths) - 1
    if team == 1:
        return by_rows(layers)
    best, least = 1, float("inf")
    cuts: dict[int, tuple[tuple[bool, ...], tuple[bool, ...]]] = {}
    for columns in (n for n in range(1, team + 1) if team % n == 0):
        shape = _Shape(widths, size, rows, team, columns)
        cuts[columns] = shape.cut(whole_rows, sparse, lone)
        cost = shape.cost(*cuts[columns], lone).total(columns)
        if columns > 1 and not any(map(any, cuts[columns])):
            continue
        if cost < FEWER * least:
            best, least = columns, cost
    weights = [_weight_columns(widths, size, rows, team, i) for i in range(layers)]
    if sparse:
        weights[0] = 1
    return Grid(best, *cuts[best], tuple(weights))


def step_cost(layout: Layout, rows: int, team: int, grid: Grid, turned: bool = False) -> Cost:
    """What both phases of a step of one slab cost with a grid."""
    size = layout.dtype.itemsize
    lone = layout.turned_layers if turned else ()
    shape = _Shape(layout.widths, size, rows, team, grid.columns)
    cost = shape.cost(grid.forward, grid.back, lone)
    for i, across in enumerate(grid.weights):
        cost = cost.plus(_weights_cost(layout.widths, size, rows, team, i, across))
    return cost


class _Shape:
    """Phase 1 of a slab with groups of so many threads."""

    def __init__(
        self, widths: tuple[int, ...], size: int, rows: int, team: int, columns: int
    ) -> None:
        self.widths, self.size, self.columns = widths, size, columns
        self.team = team
        self.rows = min(rows, GRAIN * _up(_up(rows, GRAIN), team // columns))  # of a group
        grain = max(1, min(GRAIN, self.rows // columns))
        self.rows_own = min(self.rows, grain * _up(_up(self.rows, grain), columns))

    def _product(self, inputs: int, outputs: int, across: bool) -> Cost:
        """Of a layer's output, or the delta below it, by columns or by rows."""
        lines, rows, team = _up(outputs * self.size, LINE), self.rows_own, self.team
        moved, calls = 0.0, 0
        if across:
            rows, lines, calls = self.rows, _up(lines, self.columns), self.rows
            moved = (1 - 1 / self.columns) * rows * inputs * self.size
        weights = (1 - 1 / team) * inputs * lines * LINE
        return Cost(_operations(rows, inputs, lines, self.size), weights, moved, calls=calls)

    def _pays(self, inputs: int, outputs: int) -> bool:
        """Whether a product had better be cut by columns than by rows."""
        if self.columns == 1 or _up(outputs * self.size, LINE) < self.columns:
            return False
        by_rows = self._product(inputs, outputs, False)
        across = self._product(inputs, outputs, True)._replace(barriers=1)
        return across.total(self.columns) < by_rows.total(self.columns)

    def cut(
        self, whole_rows: bool, sparse: bool, lone: tuple[int, ...]
    ) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
        """Which layers are cut by columns on the way forward, and which on the way back."""
        pairs = list(zip(self.widths[:-1], self.widths[1:], strict=True))
        top = len(pairs) - 1
        forward = [self._pays(*pair) for pair in pairs]
        back = [self._pays(outputs, inputs) for inputs, outputs in pairs]
        forward[0] = forward[0] and not sparse
        forward[top] = forward[top] and not whole_rows
        for i in lone:
            back[i] = self.columns > 1
        back[0] = False
        return tuple(forward), tuple(back)

    def cost(
        self, forward: tuple[bool, ...], back: tuple[bool, ...], lone: tuple[int, ...]
    ) -> Cost:
        """Of phase 1 with layers cut like that."""
        cost, barriers, by_columns = Cost(), 0, False
        for i, across in enumerate(forward):
            cost = cost.plus(self._product(self.widths[i], self.widths[i + 1], across))
            barriers += across or by_columns
            by_columns = across
        barriers, by_columns = barriers + by_columns, False
        for i in range(len(back) - 1, 0, -1):
            cost = cost.plus(self._product(self.widths[i + 1], self.widths[i], back[i]))
            barriers += back[i] or by_columns
            if i in lone and self.columns > 1:  # its delta is turned whole
                barriers += not by_columns
            by_columns = back[i]
        return cost._replace(barriers=barriers)


def _weights_cost(
    widths: tuple[int, ...], size: int, batch: int, team: int, layer: int, across: int
) -> Cost:
    """Of phase 2 of a layer whose columns are cut into so many ranges."""
    inputs, outputs = widths[layer : layer + 2]
    rows = min(inputs, GRAIN * _up(_up(inputs, GRAIN), team // across))
    lines = _up(_up(outputs * size, LINE), across)
    moved = (1 - 1 / team) * batch * (rows * size + lines * LINE)
    pieces = rows if across > 1 else 0
    return Cost(_operations(batch, rows, lines, size), 0.0, moved, pieces=pieces)


def _weight_columns(widths: tuple[int, ...], size: int, batch: int, team: int, layer: int) -> int:
    """Into how many ranges a layer's columns are best cut in phase 2."""
    best, least = 1, float("inf")
    lines = _up(widths[layer + 1] * size, LINE)
    for across in (n for n in range(1, team + 1) if team % n == 0 and n <= lines):
        cost = _weights_cost(widths, size, batch, team, layer, across).total(1)
        if cost < FEWER * least:
            best, least = across, cost
    return best


def _operations(rows: int, depth: int, lines: int, size: int) -> float:
    """Of a product with so many lines of columns, with padding and the loss of narrow tiles."""
    factor = NARROW[lines - 1] if lines <= len(NARROW) else 1.0
    return factor * 2 * rows * depth * lines * LINE / size


def _up(count: int, of: int) -> int:
    """How many of a size hold so many."""
    return -(-count // of)
