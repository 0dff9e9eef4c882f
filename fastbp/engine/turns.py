"""Turns: who may use a network when. One thread changes it; all may read, between two steps.

Three locks. `lock` is held while the network's memory is worked on: for a call of the kernels, a
copy, a prediction. `changing` is held by who trains, for the whole of a fit: in it the lock is free
while code of the user runs (callbacks, batches, metrics), and between the calls of the kernels.
Readers that come meanwhile stand at the `gate`, and the kernel pauses behind its step for them.

`with` enters these locks in one instruction: no signal comes between a lock and its release.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.machine import team

T = TypeVar("T")
POLL = 1e-4  # seconds, of a thread that waits until another one has changed the network
HESITATION = 1e-4  # seconds that a reader may take from asking to standing at the gate
PATIENCE = 8  # times that a fit waits so long

AT_WORK = (
    "the network is at work: a signal handler or an initializer cannot use it in the midst of a "
    "call of the same thread"
)

_all: "weakref.WeakSet[Turns]" = weakref.WeakSet()


class Turns:
    """The locks of one network.

    Parameters
    ----------
    shared : (team.WORDS,) ndarray of int64
        What the kernels share, with the word that makes them pause.

    Attributes
    ----------
    lock : RLock
        Of the memory.
    writing : bool
        Whether a kernel is changing parameters.
    """

    def __init__(self, shared: NDArray[np.int64]) -> None:
        self._shared = shared
        self.lock: Any = threading.RLock()
        self._gate: Any = threading.RLock()
        self._changing: Any = threading.RLock()
        self._asking: set[int] = set()  # threads that wait for the kernel to pause
        self._fit: int | None = None  # the thread whose fit is under way
        self._calls_out = False  # whether that fit runs code of its user
        self.writing = self._torn = False
        _all.add(self)

    def expect_whole(self) -> None:
        """Raise RuntimeError where a fork may have torn the weights."""
        if self._torn:
            raise RuntimeError(
                "this process was forked while another thread trained the network: its weights "
                "may be torn here. Fork before or after, or load the network from a file"
            )

    def hold(self, work: Callable[..., T], *arguments: Any) -> T:
        """Work on the memory."""
        with self.lock:
            return work(*arguments)

    @property
    def reading(self) -> Any:
        """What a reader enters first, and then `lock`; inside, it calls `served`."""
        lock = self.lock
        if self._torn or lock._is_owned():
            self._expect_idle()
        if self._fit is None:
            return lock
        me = threading.get_ident()
        if self._fit == me:
            return lock
        self._asking.add(me)  # before the word, which a call clears before it looks here
        self._shared[team.PAUSE] = 1
        return self._gate

    def served(self) -> None:
        """A reader has its turn."""
        if self._asking:
            self._asking.discard(threading.get_ident())

    @property
    def asked(self) -> bool:
        """Whether readers wait for their turn."""
        return bool(self._asking)

    def give_way(self) -> None:
        """Between two calls of a fit, let those read who have asked."""
        for _ in range(PATIENCE):
            if not self._asking:
                return
            with self._gate:  # who has it reads first
                pass
            if self._asking:
                time.sleep(HESITATION)
        self._asking.clear()  # who has asked and not come, by an exception

    @property
    def changing(self) -> Any:
        """The lock of who changes the network by a step.

        Raises
        ------
        RuntimeError
            Another thread's fit calls code of its user, which could wait for this thread: it does
            not come to an end while this one waits for it.
        """
        if self._torn or self.lock._is_owned():
            self._expect_idle()
        if self._fit is not None and not self._changing._is_owned():
            self._wait()
        return self._changing

    def fitting(self, calls_out: bool) -> "tuple[Any, _Fitting]":
        """The lock of a fit, and what it enters then; calls_out: it runs code of its user.

        Raises
        ------
        RuntimeError
            As `changing`, and for a fit within a fit.
        """
        self._expect_idle()
        if self._changing._is_owned() and self._fit is not None:
            raise RuntimeError("a callback cannot fit the network that is being fitted")
        self._wait()
        fitting = _Fitting(self, calls_out)
        fitting.__enter__()  # so that nobody waits for the lock who would wait for the whole fit
        return self._changing, fitting

    def _expect_idle(self) -> None:
        """Raise RuntimeError in the midst of a call of this thread."""
        self.expect_whole()
        if self.lock._is_owned():
            raise RuntimeError(AT_WORK)

    def _wait(self) -> None:
        """Until no other thread fits the network."""
        while not self._is_free():
            if self._calls_out:
                raise RuntimeError(
                    "another thread is fitting the network, with callbacks, batches or metrics of "
                    "its own: until it has ended, other threads can predict, evaluate, copy and "
                    "save the network, but not train it"
                )
            time.sleep(POLL)

    def _is_free(self) -> bool:
        """Whether nobody changes the network."""
        free: bool = False
        try:
            free = bool(self._changing.acquire(blocking=False))
        finally:
            if self._changing._is_owned():
                self._changing.release()
        return free

    def _after_fork(self) -> None:
        """In the child, where only the thread that has forked goes on."""
        for name in ("lock", "_gate", "_changing"):
            if not getattr(self, name)._is_owned():
                setattr(self, name, threading.RLock())
        self._torn, self.writing = self._torn or self.writing, False
        self._asking = set()
        if self._fit != threading.get_ident():
            self._fit, self._calls_out = None, False


class _Fitting:
    """Says that a fit is under way."""

    def __init__(self, turns: Turns, calls_out: bool) -> None:
        self._turns, self._calls_out = turns, calls_out

    def __enter__(self) -> None:
        self._turns._calls_out, self._turns._fit = self._calls_out, threading.get_ident()

    def __exit__(self, *error: object) -> None:
        self._turns._fit, self._turns._calls_out = None, False


def _renew() -> None:
    for turns in tuple(_all):
        turns._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
