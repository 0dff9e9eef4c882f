"""Turns: who may use a network when. One thread changes it; all may read, between two steps.

Three locks. `lock` is held while the network's memory is worked on: for a call of the kernels, a
copy, a prediction. `changing` is held by who trains, for the whole of a fit: in it the lock is free
while code of the user runs (callbacks, batches, metrics), and between the calls of the kernels.
Readers that come meanwhile stand at the `gate`, and the kernel pauses for them behind a step, once
it has worked some milliseconds.

`with` enters and leaves these locks in one instruction, or they look after themselves: no signal
comes between a lock and its release.
"""

import _thread
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.machine import team

T = TypeVar("T")
LOOK = 0.05  # seconds after which a thread that waits for another one's fit looks whether it may
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
        Whether parameters are being changed.
    calls_out : bool
        Whether the fit that is under way runs code of its user.
    """

    def __init__(self, shared: NDArray[np.int64]) -> None:
        self._shared = shared
        self.lock: Any = threading.RLock()
        self._gate: Any = threading.RLock()
        self._changing = self._new_changing()
        self._asking: set[int] = set()  # threads that wait for the kernel to pause
        self._served = 0  # readers, of those who asked
        self._fit: int | None = None  # the thread whose fit is under way
        self.calls_out = False  # whether that fit runs code of its user
        self.writing = self._torn = False
        _all.add(self)

    def _new_changing(self) -> "_Changing":
        lock = _Changing()
        lock._turns = self
        return lock

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

    def unless_changing(self, work: Callable[[], None]) -> None:
        """Work on the memory, but not while another thread changes the network."""
        if self._changing.acquire(blocking=False):
            try:
                self.hold(work)
            finally:
                self._changing.release()

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
            self._served += 1

    @property
    def asked(self) -> bool:
        """Whether readers wait for their turn."""
        return bool(self._asking)

    def give_way(self) -> None:
        """Between two calls of a fit, let as many read as have asked."""
        if not self._asking:
            return
        enough = self._served + len(self._asking)
        for _ in range(PATIENCE):
            with self._gate:  # who has it reads first
                pass
            if self._served >= enough:
                return
            time.sleep(HESITATION)
        self._asking.clear()  # who has asked and not come, by an exception

    @property
    def changing(self) -> "_Changing":
        """The lock of who changes the network; see `_Changing` for what it raises."""
        if self._torn or self.lock._is_owned():
            self._expect_idle()
        return self._changing

    @property
    def fit_changing(self) -> "_Changing":
        """The same for a fit, which cannot be one within another."""
        if self.changing._is_owned() and self._fit is not None:
            raise RuntimeError("a callback cannot fit the network that is being fitted")
        return self._changing

    @contextmanager
    def fit_changing_while(self, wanted: Callable[[], bool]) -> Iterator[None]:
        """Hold `fit_changing`, on a thread to which no signal comes: it is told by `wanted`.

        KeyboardInterrupt where that returns False before the network's turn has come.
        """
        changing = self.fit_changing
        while not changing.acquire(timeout=LOOK):
            changing.expect_end()
            if not wanted():
                raise KeyboardInterrupt
        try:
            yield
        finally:
            changing.release()

    @property
    def fit_under_way(self) -> bool:
        """Whether a fit is under way, for who is about to change the network."""
        return self._fit is not None

    @contextmanager
    def fitting(self, calls_out: bool) -> Iterator[None]:
        """Within `fit_changing`: a fit is under way; calls_out: it runs code of its user."""
        self.calls_out, self._fit = calls_out, threading.get_ident()
        try:
            yield
        finally:
            self._fit, self.calls_out = None, False

    def _expect_idle(self) -> None:
        """Raise RuntimeError in the midst of a call of this thread."""
        self.expect_whole()
        if self.lock._is_owned():
            raise RuntimeError(AT_WORK)

    def _after_fork(self) -> None:
        """In the child, where only the thread that has forked goes on."""
        for name in ("lock", "_gate"):
            if not getattr(self, name)._is_owned():
                setattr(self, name, threading.RLock())
        if not self._changing._is_owned():
            self._changing = self._new_changing()
        self._torn, self.writing = self._torn or self.writing, False
        self._asking = set()
        if self._fit != threading.get_ident():
            self._fit, self.calls_out = None, False


class _Changing(_thread.RLock):  # type: ignore[misc]  # final in its stubs, not in CPython
    """Waits for its turn with open eyes; left in one instruction, as any lock of Python's own.

    Raises
    ------
    RuntimeError
        Another thread's fit calls code of its user, which could wait for this thread: it does not
        come to an end while this one waits for it.
    """

    _turns: "Turns"
    _is_owned: Callable[[], bool]

    def __enter__(self) -> bool:  # type: ignore[override]  # `with` passes nothing
        if self._is_owned():
            try:
                return self.acquire()
            except BaseException:  # a signal's, behind it: what is owned already does not wait
                self.release()
                raise
        try:
            while not self.acquire(timeout=LOOK):
                self.expect_end()
        except BaseException:
            if self._is_owned():
                self.release()
            raise
        return True

    def expect_end(self) -> None:
        """Raise RuntimeError where the fit that has the lock could wait for this thread."""
        if self._turns.calls_out:
            raise RuntimeError(
                "another thread is fitting the network, with callbacks, batches or metrics "
                "of its own: until it has ended, other threads can predict, evaluate, copy "
                "and save the network, but not train it"
            )


def _renew() -> None:
    for turns in tuple(_all):
        turns._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
