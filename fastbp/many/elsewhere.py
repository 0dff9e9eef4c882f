"""Networks that are worked on elsewhere: shares of them go to workers, and come back once."""

import contextlib
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from fastbp.kernels.machine.beside import GLANCE, run_beside
from fastbp.many import bundles
from fastbp.many.census import placed
from fastbp.many.crew import threads_pay
from fastbp.many.executors import Workers
from fastbp.many.recognizing import recognized
from fastbp.many.sending import Work, expect_sendable, message_of
from fastbp.many.shares import EACH, Share, cut
from fastbp.many.workers import DATA, DONE, ENDED, FAILED, MISSING, STOP, Place, work

LOSSES = 2  # of a share, after which it is done while there is no other, to know whose fault it is
BREAKS = 5  # that nothing has come back in between: no worker lives long enough
MOST = 4 << 20  # bytes of parameters and slots in a share: what is pickled is all held at once
PATIENCE = 10.0  # seconds that workers have to end and tell, once they are told to
BEGINNING = (
    "or the processes cannot begin: a program that starts some must be read from a file, and do so "
    'under if __name__ == "__main__"'
)


def share_out(
    what: Work, given: Any, threads: int | None, glance: Callable[[], None] | None = None
) -> None:
    """Have workers do it.

    Parameters
    ----------
    what : Work
        What is to be done; its arguments are checked.
    given : object
        The workers, as `recognized` takes them.
    threads : int or None
        For each of them.
    glance : callable, optional
        Called by this thread, again and again while it waits.

    Raises
    ------
    TypeError, ValueError, RuntimeError, MemoryError
        Workers that cannot be used, or what cannot be sent to them; nothing has changed.
    RuntimeError
        Workers have ended too often; what has come back is there.
    BaseException
        What a worker has raised for a whole share, or what was raised in this thread meanwhile.
    """
    expect_sendable(what)
    crew = recognized(given, threads)
    if threads is None and not threads_pay(what.operations):
        threads = 1
    try:
        with tempfile.TemporaryDirectory(prefix="fastbp-", ignore_cleanup_errors=True) as folder:
            errand = _Errand(what, crew, Path(folder), threads)
            run_beside(errand.run, errand.stop, glance)
    finally:
        crew.close()


class _Errand:
    """One call of `share_out`."""

    def __init__(self, what: Work, crew: Workers, folder: Path, threads: int | None) -> None:
        self._what, self._crew, self._folder, self._threads = what, crew, folder, threads
        self._common = what.common
        self._place: Place | None = None
        self._data: Any = None  # as it is carried to workers that do not see the folder
        self._waiting: deque[Share] = deque()
        self._suspects: deque[Share] = deque()
        self._guilty: list[Share] = []
        self._under_way: dict[Future[Any], Share] = {}
        self._breaks = 0
        self._near = True  # whether all workers see the folder
        self._stopping = False

    def stop(self) -> None:
        """Tell the workers to end."""
        self._stopping = True
        with contextlib.suppress(OSError):
            (self._folder / STOP).touch()

    def run(self) -> None:
        """Hand out all shares, and take them back."""
        try:
            self._begin()
            while self._waiting or self._suspects or self._under_way:
                self._send()
                done, _ = wait(self._under_way, GLANCE, FIRST_COMPLETED)
                self._take(done)
                if self._stopping:
                    break
            if self._guilty:
                raise RuntimeError(self._told_of_the_guilty())
        finally:
            self._end()

    def _begin(self) -> None:
        try:
            size = bundles.write(self._folder / DATA, self._common)
        except OSError as error:
            error.add_note(
                f"the data that networks have in common are written to {self._folder} for the "
                "workers; the environment's TMPDIR names another folder"
            )
            raise
        copies = self._what.copies
        self._place, near = placed(self._crew, self._folder, self._threads, size, copies)
        self._near = near
        if not near:
            self._carry()
        each, least = 1, 1  # or the data would go to a worker again
        if near or self._crew.scatters:
            states = (network._core.engine.state for network in self._what.networks)
            each, least = EACH, sum(state.nbytes for state in states) // MOST
        shares = cut(self._what.operations, self._crew.count, each, least)
        self._waiting.extend(Share(numbers, not near) for numbers in shares)

    def _carry(self) -> None:
        """Make what is handed to workers that do not see the folder."""
        path = self._folder / (DATA + ".whole")
        bundles.write(path, self._common, names=False)
        self._data = self._crew.carried(np.fromfile(path, np.uint8))

    def _send(self) -> None:
        """Hand out shares, until all workers have one."""
        # One more waits where all take from one queue: they need not wait for this thread.
        most = self._crew.count + self._crew.break_together
        while len(self._under_way) < most and not self._stopping:
            if self._waiting:
                share = self._waiting.popleft()
                share.alone = False
            elif self._suspects and not self._under_way:
                share = self._suspects.popleft()
                share.alone = True
            else:
                return
            if not self._hold(share):
                continue
            try:
                message = bundles.packed(message_of(self._what, share.numbers), not share.by_value)
                data = self._data if share.by_value else None
                self._under_way[self._crew.submit(work, self._place, message, data)] = share
            except BrokenExecutor as error:
                self._lose(share, 0)
                self._renew(error)
            except BaseException:
                share.held.close()
                raise
            if share.alone:
                return

    def _hold(self, share: Share) -> bool:
        """Keep other threads from training the networks until they are back."""
        if not self._what.trains:
            return True
        for number in tuple(share.numbers):
            turns = self._what.networks[number]._core.engine.turns
            with ExitStack() as stack:
                try:
                    stack.enter_context(turns.fit_changing)
                    stack.enter_context(turns.fitting(False))
                except RuntimeError as error:  # another thread's fit calls out: as a fit would fail
                    share.numbers.remove(number)
                    self._what.fail(number, error)
                else:
                    share.held.push(stack.pop_all())
        return bool(share.numbers)

    def _take(self, done: Any) -> None:
        """Take back what workers have done with."""
        lost: BaseException | None = None
        for future in done:
            if future not in self._under_way:
                continue  # it was taken with others that were lost
            share = self._under_way.pop(future)
            error = _error_of(future)
            if error is None:
                self._breaks = 0
                self._take_answer(share, *future.result())
            elif self._crew.lost(error):
                self._lose(share, 1)
                lost = error
            else:
                share.held.close()
                if not self._stopping:
                    raise error
        if lost is not None and not self._stopping:
            if self._crew.break_together:
                wait(self._under_way)
                self._take_others()
            self._renew(lost)

    def _take_others(self) -> None:
        """Take back what has ended together with a worker."""
        for future, share in tuple(self._under_way.items()):
            del self._under_way[future]
            error = _error_of(future)
            if error is None:
                self._take_answer(share, *future.result())
            else:
                self._lose(share, 1)

    def _take_answer(self, share: Share, state: str, answer: Any) -> None:
        """Take what a worker has answered."""
        if state == MISSING:
            share.held.close()
            if share.by_value:
                raise RuntimeError(f"a worker cannot read {answer}, which was sent to it by value")
            share.by_value = True
            if self._data is None:
                self._carry()
            self._waiting.appendleft(share)
            return
        try:
            if state == FAILED:
                error = bundles.unpacked(answer)
                error.add_note(f"of networks {_listed(share.numbers)}")
                raise error
            assert state in (DONE, ENDED)
            networks = [self._what.networks[number] for number in share.numbers]
            for number, packed in zip(share.numbers, answer, strict=True):
                if packed is not None:
                    self._what.back(number, bundles.unpacked(packed, networks))
        finally:
            share.held.close()
        if state == ENDED and not self._stopping:
            self.stop()
            raise KeyboardInterrupt  # which has come to a worker alone

    def _lose(self, share: Share, times: int) -> None:
        """See to it that a share is done again, if it does not end each worker that has it."""
        share.held.close()
        share.losses += times
        if share.alone and times:
            self._guilty.append(share)
        elif share.losses >= (LOSSES if self._crew.break_together else 1):
            self._suspects.append(share)
        else:
            self._waiting.appendleft(share)

    def _renew(self, error: BaseException) -> None:
        """Go on with other workers in the place of those that have ended."""
        self._breaks += 1
        left = sorted(
            number
            for share in (*self._waiting, *self._suspects, *self._guilty)
            for number in share.numbers
        )
        if self._breaks >= BREAKS:
            raise RuntimeError(
                f"{self._crew.name}: workers end before they have anything done, {self._breaks} "
                f"times in a row ({type(error).__name__}: {error}). Networks {_listed(left)} are "
                f"as they were. Their shares may need more memory than there is; {BEGINNING}"
            ) from error
        if not self._crew.renewed():
            raise RuntimeError(
                f"{self._crew.name} is broken, since a worker has ended, and takes no more work "
                f"({type(error).__name__}: {error}). Networks {_listed(left)} are as they were, "
                "the others are done: call again with those, and with new workers"
            ) from error
        if self._data is not None and self._crew.scatters:
            self._carry()  # who has ended may have been the last one who had them

    def _told_of_the_guilty(self) -> str:
        numbers = sorted(number for share in self._guilty for number in share.numbers)
        times = max(share.losses for share in self._guilty)
        return (
            f"{self._crew.name}: each worker that had networks {_listed(numbers)} has ended, the "
            f"last of {times} times while no other share was under way: for want of memory, or by "
            f"a crash; {BEGINNING}. They are as they were; the others are done"
        )

    def _end(self) -> None:
        """Let go of all that is still under way, once it has had time to tell."""
        if self._under_way:
            self.stop()
            until = time.monotonic() + (PATIENCE if self._near else 0)
            waiting = set(self._under_way)
            while waiting and (left := until - time.monotonic()) > 0:
                done, waiting = wait(waiting, left, FIRST_COMPLETED)
                for future in done:
                    with contextlib.suppress(Exception):  # there is another one already
                        if _error_of(future) is None:
                            self._take_answer(self._under_way[future], *future.result())
            for future in waiting:
                future.cancel()
        for share in self._under_way.values():
            share.held.close()


def _error_of(future: "Future[Any]") -> BaseException | None:
    """What was raised in the place of a result."""
    try:
        return future.exception()
    except BaseException as error:  # noqa: BLE001 - it was cancelled
        return error


def _listed(numbers: Sequence[int], most: int = 12) -> str:
    """Numbers of networks, the first of many."""
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return ", ".join(map(str, numbers[:most])) + more
