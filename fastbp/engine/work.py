"""How much work a call is, and how many threads pay for it."""

import time

from fastbp.data.sparse import SparseRows
from fastbp.kernels.machine import cores, members, pool
from fastbp.kernels.step.program import GRAIN
from fastbp.layout.layout import Layout
from fastbp.rows.rows import Features

FLOPS_A_THREAD = 600_000  # of one step: less does not pay for another thread at the barriers
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


def training_members(layout: Layout, threads: int | None, batch: int, flops: int, work: int) -> int:
    """Threads of a team for steps of so many rows and operations, and a call of `work`.

    threads: as the network was told; None for as many as help.
    """
    pays = _paying(work) if threads is None else threads
    if pays < 2:
        return 1
    widest = max(batch, *layout.widths[:-1])
    useful = min(pays, -(-widest // GRAIN), members.PLACES)
    if threads is None:
        useful = min(useful, flops // FLOPS_A_THREAD)
        useful = min(useful, cores.available_cores()) if useful > 1 else 1
    return useful


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
