"""The threads that work through a list of jobs, and how they are told to end."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from fastbp.engine.watch import Watch
from fastbp.kernels.machine.beside import run_beside
from fastbp.kernels.machine.cores import available_cores
from fastbp.kernels.machine.pool import pool

Job = Callable[[Watch], None]

# Operations for each network: fewer take less time than Python does around them, which one thread
# at a time does.
PAYS = 5_000_000


def paying_threads(operations: Sequence[float]) -> int:
    """How many threads help with networks of so many operations each."""
    return available_cores() if threads_pay(operations) else 1


def threads_pay(operations: Sequence[float]) -> bool:
    """Whether more than one helps."""
    return sum(operations) / len(operations) >= PAYS


def work_through(
    jobs: Iterable[Job], threads: int, glance: Callable[[], None] | None = None
) -> None:
    """Do all jobs on threads of the pool, each taking the next one when it has done one.

    Parameters
    ----------
    jobs : iterable of callable
        Called with a `Watch` of the thread. What they raise ends all others, and is raised here.
    threads : int
        How many at the most.
    glance : callable, optional
        Called by this thread, again and again while it waits.

    Raises
    ------
    BaseException
        What a job has raised, or what was raised in this thread meanwhile, as by Ctrl-C. Jobs under
        way have ended by then, and no other begins.
    """
    crew = _Crew(deque(jobs))
    run_beside(lambda: crew.work(threads), crew.end, glance)


class _Crew:
    """The threads of one call of `work_through`."""

    def __init__(self, waiting: deque[Job]) -> None:
        self._waiting = waiting
        self._watches: dict[int, Watch] = {}
        self._ended = False
        self._failure: BaseException | None = None
        self._left = threading.Semaphore(0)

    def work(self, threads: int) -> None:
        """Have all jobs done by so many threads, this one among them."""
        others = 0
        try:
            for _ in range(min(threads, len(self._waiting)) - 1):
                pool().submit(self._work_beside)
                others += 1
        except BaseException as error:  # noqa: BLE001 - raised below, when all have left
            self._fail(error)
        self._work()
        for _ in range(others):
            self._left.acquire()
        if self._failure is not None:
            raise self._failure

    def end(self) -> None:
        """Let nobody begin another job, and tell those under way to end."""
        self._ended = True  # before the watches: who makes one looks at this behind it
        for watch in tuple(self._watches.values()):
            watch.end()

    def _work_beside(self) -> None:
        try:
            self._work()
        finally:
            self._left.release()

    def _work(self) -> None:
        me = threading.get_ident()
        while not self._ended:
            try:
                job = self._waiting.popleft()
            except IndexError:
                break
            watch = self._watches[me] = Watch()
            try:
                if not self._ended:
                    job(watch)
            except BaseException as error:  # noqa: BLE001 - raised by the caller's thread
                self._fail(error)
            finally:
                del self._watches[me]

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self.end()
