"""The pool of threads: one a process, for the teams of all networks, and for work in Python.

Its members are threads that `threading` knows nothing of. They wait in compiled code, where they
need neither the GIL nor, after a moment, a core; as many stay as there are cores.

Signals' handlers raise between any two instructions of what is Python here. Nothing is lost by it:
to take members, run a team and set them free is one call of compiled code, and a thread that has
been started for nothing waits for other work.
"""

import _thread
import atexit
import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

import numpy as np

from fastbp.kernels.machine import members, parking, surroundings
from fastbp.kernels.machine.cores import available_cores
from fastbp.kernels.machine.jit import address

ALIGNMENT = 128  # bytes: of a pair of cache lines
FULL = 1e-3  # seconds until a team that finds all places taken tries again
PATIENCE = 0.05  # seconds that the end of the process waits for members


class Pool:
    """The threads of a process.

    Attributes
    ----------
    at : int
        The address of the records.
    threads : list
        One entry for each thread.
    """

    def __init__(self) -> None:
        records = members.RECORD * (1 + members.PLACES)
        memory = np.zeros(records + ALIGNMENT // 8, np.int64)
        first = -address(memory) % ALIGNMENT // 8
        self._words = memory[first : first + records]
        self.at = address(self._words)
        self._first = self._words[members.RECORD : 2 * members.RECORD]
        self._words[members.STAYING] = available_cores()
        for where, functions in (
            (members.PARKING, parking.FUNCTIONS),
            (members.SURROUNDINGS, surroundings.FUNCTIONS),
        ):
            self._words[where : where + len(functions)] = functions
        for place in range(1, 1 + members.PLACES):
            parking.prepare(self.at + 8 * (members.RECORD * place + members.BED))
        self._jobs: deque[tuple[Callable[[], None], np.ndarray]] = deque()
        self.threads: list[None] = []
        self._enter, self._serve = members.enter.call(), members.serve.call()
        self._lead, self._summon = members.lead.call(), members.summon.call()

    def run(self, kernel: int, program: int, team: int) -> None:
        """Run ``kernel(program, me)``, a function of C's at an address, on this thread and others.

        Returns when all have come to the end.
        """
        while lacking := self._lead(self.at, kernel, program, team):
            self._grow(lacking)

    def submit(self, job: Callable[[], None]) -> None:
        """Have a thread of the pool call `job`, which handles its own exceptions.

        Of an exception of this function's own one does not know whether the job will run.
        """
        self._jobs.append((job, surroundings.noted()))  # before one comes that looks for it
        if not self._summon(self.at, members.CALLED):
            _thread.start_new_thread(self._work, ())

    def is_awake(self) -> bool:
        """Whether the first member, which most teams have, waits and does not sleep."""
        first = self._first
        return bool(first[members.STATE] == members.IDLE and not first[members.SLEEPING])

    def is_crowded(self) -> bool:
        """Whether a member has lost its core to others, lately."""
        until = int(self._words[members.CROWDED])
        return until > 0 and time.monotonic_ns() < until  # the clock of `parking`, but on Windows

    def close(self) -> None:
        """Let those go who wait, and all others when they have done their work."""
        while self._summon(self.at, members.DISMISSED):
            pass
        end = time.monotonic() + PATIENCE
        while self.threads and time.monotonic() < end:
            time.sleep(1e-4)

    def _grow(self, count: int) -> None:
        """Start so many threads, and wait until they are members."""
        if self._words[members.STAYING]:  # not closed
            self._words[members.STAYING] = available_cores()  # which may have changed
        arrived: SimpleQueue[bool] = SimpleQueue()
        for _ in range(count):
            _thread.start_new_thread(self._join, (arrived,))
        found_places = [arrived.get() for _ in range(count)]
        if not all(found_places):
            time.sleep(FULL)

    def _join(self, arrived: "SimpleQueue[bool]") -> None:
        """The life of a thread that a team is short of."""
        self.threads.append(None)
        try:
            place = self._enter(self.at, 1, _thread.get_native_id())
            arrived.put(place != 0)
            self._stay(place)
        finally:
            self.threads.pop()

    def _work(self) -> None:
        """The life of a thread that is started for a job."""
        self.threads.append(None)
        try:
            self._stay(self._do_jobs())
        finally:
            self.threads.pop()

    def _stay(self, place: int) -> None:
        while place and self._serve(self.at, place):
            place = self._do_jobs()

    def _do_jobs(self) -> int:
        """Do what there is to do; returns a place in the pool, 0 if there is none to stay in."""
        with contextlib.suppress(IndexError):
            while True:
                job, around = self._jobs.popleft()
                surroundings.take_over(around)
                job()
                del job
        # After a fork, in a job, this thread is the child's only one.
        if self is not _pools.get("pool"):
            return 0
        return self._enter(self.at, 0, _thread.get_native_id())


_pools: dict[str, Pool] = {}  # of one entry; a dictionary decides who of two comes first


def pool() -> Pool:
    """The pool of this process."""
    return _pools.get("pool") or _pools.setdefault("pool", Pool())


def exists() -> bool:
    """Whether this process has one: to make it, and to load what is compiled, takes some 5 ms."""
    return "pool" in _pools


def is_awake() -> bool:
    """Whether the next team need not be woken, nor started."""
    return exists() and _pools["pool"].is_awake()


def is_crowded() -> bool:
    """Whether others have had the cores of a team's members in the midst of its work, lately."""
    return exists() and _pools["pool"].is_crowded()


@atexit.register
def _close() -> None:
    if "pool" in _pools:
        _pools["pool"].close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)
