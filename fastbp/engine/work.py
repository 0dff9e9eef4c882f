"""How much work a call is, and how many threads pay for it."""

from fastbp.data.sparse import SparseRows
from fastbp.kernels.machine import cores, members
from fastbp.kernels.step.program import GRAIN
from fastbp.layout.layout import Layout
from fastbp.rows.rows import Features

FLOPS_A_THREAD = 600_000  # of one step: less does not pay for another thread at the barriers
SLOWEST = 1e10  # operations a second that even a slow machine does, to bound a call's duration
BLINK = 0.05  # seconds: a call that may take longer must not keep a signal waiting
BRIEF = 1_000_000  # operations during which other threads can wait for the GIL
QUANTUM = 100_000_000  # operations, some milliseconds, that a fit does before a reader has its turn
STEP_FLOPS = 20_000  # operations that the slowest machine does in what a step takes around them
TEAM_CALL = 4_000_000  # operations of a thread's share that pay for calling a team together


def step_flops(layout: Layout, features: Features, batch: int) -> int:
    """Operations of a step with so many rows."""
    if isinstance(features, SparseRows):
        return features.step_flops(layout, batch)
    return batch * layout.row_flops


def training_members(layout: Layout, threads: int | None, batch: int, flops: int, work: int) -> int:
    """Threads of a team for steps of so many rows and operations, and a call of `work`.

    threads: as the network was told; None for as many as help.
    """
    pays = work // TEAM_CALL
    if threads is None and pays < 2:
        return 1
    widest = max(batch, *layout.widths[:-1])
    useful = -(-widest // GRAIN)
    if threads is not None:
        return min(threads, useful, members.PLACES)
    useful = min(useful, pays, flops // FLOPS_A_THREAD)
    return min(useful, cores.available_cores()) if useful > 1 else 1


def prediction_members(threads: int | None, rows: int, work: int) -> int:
    """Threads that predict so many rows."""
    useful = min(work // TEAM_CALL, -(-rows // GRAIN), members.PLACES)
    if useful > 1:
        useful = min(useful, threads or cores.available_cores())
    return max(1, useful)
