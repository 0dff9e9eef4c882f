"""Workers of one kind and another, as those see them who hand out shares.

Processes of this machine, and any executor; Dask and Ray are in `clusters`. Nothing is imported
that the caller has not imported.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any

from fastbp.kernels.machine.cores import available_cores
from fastbp.many import workers
from fastbp.many.workers import Told

HOLD = 0.1  # seconds that a worker is busy with telling, so that others come to their turn
WAIT = 2.0  # seconds that processes of ours have to end by themselves


class Workers(ABC):
    """Workers, as many as there are.

    Attributes
    ----------
    name : str
        What they are called in messages.
    count : int
        How many shares they work on at a time.
    granted : int or None
        Threads that the engine grants each.
    break_together : bool
        Whether all have ended where one has; where not, the engine begins a lost share again by
        itself, some times.
    scatters : bool
        Whether what `carried` returns can be handed over again and again for nothing.
    """

    name: str
    count: int
    granted: int | None = None
    break_together, scatters = True, False

    @abstractmethod
    def submit(self, work: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Have one of them call this."""

    def told(self, folder: str) -> list[Told]:
        """What those tell of themselves that come to it; folder: of the call."""
        asked = [self.submit(workers.tell, folder, HOLD) for _ in range(self.count)]
        return [future.result() for future in asked]

    def carried(self, data: Any) -> Any:
        """What is handed to `submit` in the place of data that all workers need."""
        return data

    def lost(self, error: BaseException) -> bool:
        """Whether an exception says that a worker has ended, and its share with it."""
        return isinstance(error, BrokenExecutor)

    def renewed(self) -> bool:
        """Whether shares can be handed out again, after some were lost."""
        return False

    def close(self) -> None:  # noqa: B027 - most have made nothing
        """Let go of what was made for this call."""


class Processes(Workers):
    """New processes of this machine, which end with the call.

    Parameters
    ----------
    count : int
        How many.
    """

    def __init__(self, count: int) -> None:
        self.name, self.count = f"workers={count}", count
        self._executor = self._started()

    def _started(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.count, multiprocessing.get_context("spawn"), _belong)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        with _without_ctrl_c():  # which starts processes
            return self._executor.submit(work, *arguments)

    def told(self, folder: str) -> list[Told]:
        return _of_this_machine(self.count)

    def renewed(self) -> bool:
        self._executor.shutdown(wait=False)
        self._executor = self._started()
        return True

    def close(self) -> None:
        processes = list((getattr(self._executor, "_processes", None) or {}).values())
        self._executor.shutdown(wait=False, cancel_futures=True)
        until = time.monotonic() + WAIT
        for process in processes:
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():  # in code of the user's that does not come to an end
                process.kill()


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Have processes that this thread starts be deaf to Ctrl-C, before they can see to it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _belong() -> None:
    """Let the caller's process alone be interrupted: it tells the others; end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_caller, daemon=True).start()


def _end_with_the_caller() -> None:
    """Leave at once where the caller's process was killed: nobody takes back what is done."""
    caller = multiprocessing.parent_process()
    assert caller is not None
    caller.join()
    os._exit(1)


def _of_this_machine(count: int) -> list[Told]:
    """What so many processes of this machine would tell."""
    free, here = workers.free_memory(), workers.seat()
    return [Told(here, -number, free, True, workers.versions()) for number in range(count)]


class Given(Workers):
    """An executor of the user's.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        Which stays as it is.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.name = type(executor).__name__
        self.count = _count(executor)
        module = type(executor).__module__
        self._is_near = isinstance(executor, ProcessPoolExecutor) or "loky" in module.split(".")

    def submit(self, work: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        return self._executor.submit(work, *arguments)

    def told(self, folder: str) -> list[Told]:
        return _of_this_machine(self.count) if self._is_near else super().told(folder)


class Loky(Given):
    """The processes that joblib keeps.

    Parameters
    ----------
    count : int
        How many.
    """

    def __init__(self, count: int) -> None:
        super().__init__(_loky(count))
        self.name, self.count = "joblib's loky", count

    def renewed(self) -> bool:
        self._executor = _loky(self.count)
        return True


def _loky(count: int) -> Executor:
    from joblib.executor import get_memmapping_executor  # loky's own would be of no use to joblib

    executor: Executor = get_memmapping_executor(count)
    return executor


def _count(executor: Executor) -> int:
    """How many workers an executor has."""
    for name in ("num_workers", "max_workers", "_max_workers"):
        with contextlib.suppress(Exception):
            count = getattr(executor, name, None)
            if isinstance(count, int) and count > 0:
                return count
    return available_cores()
