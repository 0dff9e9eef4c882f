"""Work on a thread of the pool, while the calling one waits for it and for signals."""

import _thread
from collections.abc import Callable

from fastbp.kernels.machine.pool import pool

GLANCE = 0.05  # seconds after which the waiting thread looks for signals where no lock wakes it
FORKED = "this process was forked by a signal handler in the midst of a call of the network's"


def run_beside(
    work: Callable[[], None], stop: Callable[[], None], glance: Callable[[], None] | None = None
) -> None:
    """Run ``work()`` on a thread of the pool, and return when it has ended.

    An exception in the calling thread meanwhile, as a signal's handler raises it, calls ``stop()``,
    which has the work end soon, and is raised when it has; what the work raises is raised here.

    Parameters
    ----------
    work, stop : callable
        What is to be done, and what tells it to end; `stop` only sets words, and may come early,
        late and often.
    glance : callable, optional
        Called again and again by the thread that waits.
    """
    # Handlers run in the main thread alone, between any two of its instructions. So all that must
    # not be torn apart is done by another thread, and whoever names himself first decides whether
    # that one begins at all; who asks again is told the same.
    decided: dict[str, str] = {}
    outcome: list[BaseException | None] = []  # one entry when the work has come to its end
    finished = _thread.allocate_lock()
    finished.acquire()

    def conduct() -> None:
        if decided.setdefault("by", "thread") != "thread":
            return
        try:
            work()
            outcome.append(None)
        except BaseException as error:  # noqa: BLE001 - raised by the caller's thread
            outcome.append(error)
        finished.release()

    interruption: BaseException | None = None
    begun, threads = False, pool()
    while True:
        try:
            while True:
                try:
                    if interruption is not None:
                        # Memory that the work writes must outlive it: stop it first, then go.
                        stop()
                        if decided.setdefault("by", "caller") == "caller":
                            break
                    elif not begun:
                        begun = True
                        threads.submit(conduct)
                    # The lock alone may be taken just before a handler raises.
                    while not outcome and threads is pool():
                        finished.acquire(timeout=GLANCE)
                        if glance is not None:
                            glance()
                    break
                except BaseException as raised:  # noqa: BLE001 - raised below
                    interruption = interruption or raised
            break
        # The next handler runs, at the soonest, where the inner loop begins anew: it raises there.
        except BaseException as raised:  # noqa: BLE001 - raised below
            interruption = interruption or raised
    if interruption is not None:
        raise interruption
    if not outcome:  # the child of a handler's fork, in which no other thread goes on
        raise RuntimeError(FORKED)
    if outcome[0] is not None:
        raise outcome[0]
