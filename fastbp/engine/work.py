"""How much work a call is, and how many threads pay for it."""

import math
import time

from fastbp.data.sparse import SparseRows
from fastbp.engine import cost
from fastbp.kernels.machine import cores, members, pool
from fastbp.kernels.machine.caches import caches
from fastbp.kernels.machine.meeting import meetings
from fastbp.kernels.machine.vectors import vector_bytes
from fastbp.kernels.step.program import GRAIN
from fastbp.layout.layout import Layout
from fastbp.rows.rows import Features

SLOWEST = 1e10  # operations a second that even a slow machine does, to bound a call's duration
BLINK = 0.05  # seconds: a call that may take longer must not keep a signal waiting
BRIEF = 1_000_000  # operations during which other threads can wait for the GIL
QUANTUM = 100_000_000  # operations, some milliseconds, that a fit does before a reader has its turn
STEP_FLOPS = 20_000  # operations that the slowest machine does in what a step takes around them
TEAM_CALL = 2_000_000  # operations of a thread's share that pay for calling a team together
ASLEEP = 12  # times as many, where its members have to be woken
CROWDED = 20  # times as many, where others want the cores: a barrier waits for each member's turn
FIRST_TEAM = 300_000_000  # operations of calls that could have used a team, and of loading the pool
SERIES = 2e-3  # seconds between the beginnings of calls that seem to come one behind the other
TRIAL = 0.1  # seconds until such calls again wake a team that has not stayed awake


def step_flops(layout: Layout, features: Features, batch: int) -> int:
    """Operations of a step with so many rows."""
    if isinstance(features, SparseRows):
        return features.step_flops(layout, batch)
    return batch * layout.row_flops


def training_members(
    layout: Layout, slots: int, threads: int | None, batch: int, flops: int, work: int
) -> int:
    """Threads of a team for steps of so many rows and operations, and a call of `work`.

    slots: of the optimizer; threads: as the network was told; None for as many as help.
    """
    pays = _paying(work) if threads is None else threads
    if pays < 2:
        return 1
    widest = max(batch, *layout.widths[:-1])
    useful = min(pays, -(-widest // GRAIN), members.PLACES)
    if threads is None and useful > 1:
        useful = min(useful, cores.available_cores())
        if useful > 1:
            dense = _as_dense(layout, batch, flops)
            useful = cost.best_threads(dense, _round(batch), slots, useful, _machine(work))
    return useful


def _round(batch: int) -> int:
    """A number of rows no more than an eighth above, of which there are few, as of answers kept."""
    few = 1 << max(0, batch.bit_length() - 4)
    return -(-batch // few) * few


def update_members(layout: Layout, threads: int | None, work: int) -> int:
    """Threads of a team for a call of `work` that goes through the weights alone, by their rows."""
    if threads is not None:
        return min(threads, -(-max(layout.widths[:-1]) // GRAIN), members.PLACES)
    return prediction_members(None, max(layout.widths[:-1]), work)


def prediction_members(threads: int | None, rows: int, work: int) -> int:
    """Threads that predict so many rows."""
    if threads == 1:
        return 1
    useful = min(_paying(work), -(-rows // GRAIN), members.PLACES)
    if useful > 1:
        useful = min(useful, threads or cores.available_cores())
    return max(1, useful)


class _Calls:
    """The calls of this process that are long enough for a team whose members are awake."""

    waited = 0  # operations of those before there was a pool
    last = tried = float("-inf")  # the time of the last; of the last that woke a team for others

    def times(self, work: int) -> int:
        """How many times TEAM_CALL a thread's share has to be, for a call of so many operations."""
        now, last = time.monotonic(), self.last
        self.last = now
        if not pool.exists() and self.waited < FIRST_TEAM:
            self.waited += work
            if self.waited < FIRST_TEAM:
                return work
        if pool.is_crowded():
            return CROWDED
        if pool.is_awake():
            return 1
        if now - last < SERIES and now - self.tried > TRIAL:
            self.tried = now
            return 1
        return ASLEEP


_calls = _Calls()


def _paying(work: int) -> int:
    """Threads that a call of so many operations pays for."""
    if work < 2 * TEAM_CALL:
        return 1
    return work // (TEAM_CALL * _calls.times(work))


def _machine(work: int) -> cost.Machine:
    """What steps cost here; before a call of so many operations, which may pay for measuring it."""
    if work >= FIRST_TEAM and not pool.is_crowded():
        meetings.refresh()
    speeds = cost.Speeds()
    if meetings.seconds is not None:
        halves = round(2 * math.log2(meetings.seconds))  # so that few machines are told apart
        speeds = speeds._replace(barrier=2.0 ** (halves / 2))
    return cost.Machine(caches(), vector_bytes() // 4, speeds)


def _as_dense(layout: Layout, batch: int, flops: int) -> Layout:
    """A layout whose steps have so many operations, if these are less: sparse rows have entries.

    They cost what the columns of as many inputs would.
    """
    inputs, outputs = layout.widths[:2]
    first = 4 * batch * outputs
    fewer = (flops - batch * layout.row_flops) // first + inputs
    if fewer >= inputs:
        return layout
    return Layout((max(1, fewer), *layout.widths[1:]), layout.dtype)
