"""Which workers there are, where they sit, and whether their memory holds the data."""

import math
from collections import Counter
from pathlib import Path

from fastbp.many.executors import Workers
from fastbp.many.workers import Place, Told, versions

REMEDY = (
    "use fewer workers with more threads each, or pass maps of files (numpy.load(mmap_mode='r')) "
    "in the networks' dtype, which workers open by name and read where they lie"
)


def placed(
    crew: Workers, folder: Path, threads: int | None, size: int, copies: int
) -> tuple[Place, bool]:
    """What workers need to know, and whether all of them see the folder.

    Parameters
    ----------
    crew : Workers
        Those that are asked.
    folder : Path
        Of the call.
    threads : int or None
        How many the user wants for each.
    size, copies : int
        Bytes of the data as they are sent, and of what a worker makes of them in its memory.

    Raises
    ------
    RuntimeError
        A worker has another version.
    MemoryError
        Data do not fit once for each worker.
    """
    told = list({(one.seat.host, one.process): one for one in crew.told(str(folder))}.values())
    for one in told:
        if one.versions != versions():
            raise RuntimeError(
                f"a worker on {one.seat.host} has {', '.join(one.versions)}, and here it is "
                f"{', '.join(versions())}: its networks would not be those that are trained here"
            )
    near = all(one.reaches for one in told)
    _expect_memory(told, crew, near, size, copies)
    seats = Counter(one.seat for one in told)
    # Not all may have come to tell: as many as there could be at any seat share its cores.
    silent = math.ceil((crew.count - len(told)) / max(1, len(seats)))
    neighbours = {seat: count + max(0, silent) for seat, count in seats.items()}
    return Place(str(folder), neighbours, crew.count, threads, crew.granted), near


def _expect_memory(told: list[Told], crew: Workers, near: bool, size: int, copies: int) -> None:
    """Raise MemoryError where a machine has not the memory for its workers."""
    needed = copies if near else copies + size
    limits = [one.limit for one in told if one.limit is not None]
    if limits and needed > min(limits):
        raise MemoryError(
            f"the data take {_shown(needed)} in a worker, and {crew.name} lets one have "
            f"{_shown(min(limits))}: {REMEDY}"
        )
    hosts = Counter(one.seat.host for one in told)
    for host, heard in hosts.items():
        known = [one.free for one in told if one.seat.host == host and one.free is not None]
        count = max(heard, math.ceil(crew.count * heard / len(told)))
        if known and count * needed > min(known):
            raise MemoryError(
                f"the data take {_shown(needed)} for each of the {count} workers on {host}, "
                f"{_shown(count * needed)} together, and it has {_shown(min(known))}: {REMEDY}"
            )


def _shown(size: int) -> str:
    return f"{size / (1 << 30):.3g} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.3g} MiB"
