"""Shares: which networks go to a worker together."""

import heapq
from collections.abc import Sequence
from contextlib import ExitStack

EACH = 4  # shares a worker: what a slow or a lost one costs is a part of its work
LEAST = 2e9  # operations, some tenths of a second, beside which it costs little to send a share


def cut(
    operations: Sequence[float], workers: int, each: int = EACH, least: int = 1
) -> list[list[int]]:
    """Cut networks into shares of like operations.

    Parameters
    ----------
    operations : sequence of float
        About how many each network takes.
    workers : int
        How many shares are worked on at a time; there are as many, if there are networks.
    each : int
        How many shares there are for each worker, where that leaves all of them long enough.
    least : int
        How many there are in any case, if there are networks.

    Returns
    -------
    list of list of int
        The networks' numbers, each in one share; the share with the most operations first.
    """
    enough = int(sum(operations) / LEAST)
    count = min(len(operations), max(workers, least, min(workers * each, enough)))
    shares: list[list[int]] = [[] for _ in range(count)]
    room = [(0.0, number) for number in range(count)]
    for number in sorted(range(len(operations)), key=lambda n: -operations[n]):
        done, least = heapq.heappop(room)
        shares[least].append(number)
        heapq.heappush(room, (done + operations[number], least))
    loads = sorted(room, key=lambda load: -load[0])
    return [sorted(shares[number]) for _, number in loads]


class Share:
    """Networks that are sent together.

    Parameters
    ----------
    numbers : list of int
        Theirs.
    by_value : bool
        Whether it goes to workers that do not see the caller's files.

    Attributes
    ----------
    losses : int
        How often a worker has ended while it had it.
    alone : bool
        Whether no other was under way then, the last time.
    held : ExitStack
        Their locks, while it is under way.
    """

    def __init__(self, numbers: list[int], by_value: bool) -> None:
        self.numbers, self.by_value = numbers, by_value
        self.losses, self.alone, self.held = 0, False, ExitStack()
