"""Between the memory of each network and that of networks side by side."""

from numba import carray, types

from fastbp.kernels.machine.fields import words_at
from fastbp.kernels.machine.jit import INT, REAL, inline, kernel
from fastbp.kernels.machine.pointers import advance, pointer_to
from fastbp.kernels.machine.simd import ask_for
from fastbp.kernels.machine.vectors import LINE

ROWS_AHEAD = 64  # row numbers come from memory, from as many places as there are lanes
INT64S = types.CPointer(types.int64)


@inline
def _gather(sources, orders, first, rows, width, ld, lanes, to):
    for lane in range(lanes):
        numbers = advance(words_at(carray(orders, (lanes,))[lane]), first)
        for r in range(0, rows, LINE // 8):
            ask_for(advance(numbers, r + ROWS_AHEAD))
        index = carray(numbers, (rows,))
        x = pointer_to(carray(sources, (lanes,))[lane], to)
        for k in range(width):
            source, line = advance(x, k), advance(to, k * lanes + lane)
            for r in range(rows):
                value = carray(advance(source, index[r] * width), (1,))[0]
                carray(advance(line, r * ld * lanes), (1,))[0] = value


@kernel(INT64S, INT64S, INT, INT, INT, INT, INT, REAL)
def gather_lanes(sources, orders, first, rows, width, ld, lanes, to):
    """to[r, :width, lane] = row orders[lane][first + r] of sources[lane]; to: (rows, ld, lanes)."""
    _gather(sources, orders, first, rows, width, ld, lanes, to)


@kernel(INT64S, INT64S, INT, INT, INT, INT, INT, INT64S)
def gather_labels(sources, orders, first, rows, width, ld, lanes, to):
    """The same of int64 labels."""
    _gather(sources, orders, first, rows, width, ld, lanes, to)


@kernel(INT, REAL, INT64S, INT64S, INT, INT, INT, INT, INT)
def load_state(state, to, offsets, places, count, slots, ld, to_ld, lanes):
    """to[slot, places[i], 0] = state[slot, offsets[i]] for i < count, slot < slots.

    state: an address; ld, to_ld: elements from a slot to the next one, there and here.
    """
    at, line, own = carray(offsets, (count,)), carray(places, (count,)), pointer_to(state, to)
    for k in range(slots):
        source, target = advance(own, k * ld), advance(to, k * to_ld)
        for i in range(count):
            value = carray(advance(source, at[i]), (1,))[0]
            carray(advance(target, line[i] * lanes), (1,))[0] = value


@kernel(INT, REAL, INT64S, INT64S, INT, INT, INT, INT, INT)
def store_state(state, x, offsets, places, count, slots, ld, from_ld, lanes):
    """The way back: state[slot, offsets[i]] = x[slot, places[i], 0]."""
    at, line, own = carray(offsets, (count,)), carray(places, (count,)), pointer_to(state, x)
    for k in range(slots):
        source, target = advance(x, k * from_ld), advance(own, k * ld)
        for i in range(count):
            value = carray(advance(source, line[i] * lanes), (1,))[0]
            carray(advance(target, at[i]), (1,))[0] = value


@kernel(REAL, INT, INT, INT, REAL, INT)
def to_rows(x, lanes, rows, n, to, ld):
    """to[r, :n] = x[r, :, 0] of (rows, n, lanes), and zeros behind up to ld; overwrites `to`."""
    for r in range(rows):
        row = carray(advance(to, r * ld), (ld,))
        for j in range(n):
            row[j] = carray(advance(x, (r * n + j) * lanes), (1,))[0]
        for j in range(n, ld):
            row[j] = 0


@kernel(REAL, INT, INT, INT, REAL, INT)
def from_rows(x, lanes, rows, n, own, ld):
    """The way back: x[r, :, 0] = own[r, :n]."""
    for r in range(rows):
        row = carray(advance(own, r * ld), (n,))
        for j in range(n):
            carray(advance(x, (r * n + j) * lanes), (1,))[0] = row[j]
