"""Tests of the thread team: the barrier, shares, exceptions and STOP."""

import _thread
import ctypes
import signal
import threading
import time

import numpy as np
import pytest
from guarded import Guarded
from numba import carray, types

from fastbp.kernels.machine import team
from fastbp.kernels.machine.jit import INT, Kernel, address
from fastbp.kernels.machine.members import PLACES
from fastbp.kernels.machine.pointers import load_acquire, pointer_maker, store_release
from fastbp.kernels.machine.team import barrier, run_team, share

words_at = pointer_maker(types.int64)
GIVE_UP = 60  # seconds after which a member of a team that is never stopped ends by itself


# ---- the barrier --------------------------------------------------------------------------------


def _rounds(program, me):
    """Every round each thread writes its number and, past the barrier, reads all others'."""
    p = carray(words_at(program), (6,))
    flags, members, yield_address, rounds, slots, errors = p[0], p[1], p[2], p[3], p[4], p[5]
    wrong = 0
    for number in range(1, rounds + 1):
        carray(words_at(slots), (8 * members,))[8 * me] = number
        barrier(flags, me, members, yield_address)
        for other in range(members):
            wrong += carray(words_at(slots), (8 * members,))[8 * other] != number
        barrier(flags, me, members, yield_address)
    carray(words_at(errors), (members,))[me] = wrong


ROUNDS = Kernel(_rounds, (INT, INT), cached=False)


def check_rounds(members, rounds, interruptible=False):
    """Run a team through so many rounds and check what each of its members has seen."""
    shared = np.zeros(team.WORDS, np.int64)
    flags = Guarded(np.zeros((members, team.FLAGS), np.int64))
    slots, errors = np.zeros(team.LINE * members, np.int64), np.full(members, -1)
    program = np.array(
        [flags.at, members, team.YIELD_ADDRESS, rounds, address(slots), address(errors)]
    )
    run_team(ROUNDS, address(program), members, shared, interruptible)
    assert errors.tolist() == [0] * members
    assert slots[:: team.LINE].tolist() == [rounds] * members
    assert (flags.array[:, 0] == 2 * rounds).all()
    of_rounds = flags.array[:, team.LINE :: team.LINE]
    used = (members - 1).bit_length()
    assert (of_rounds[:, :used] == 2 * rounds).all()
    assert not of_rounds[:, used:].any()
    assert flags.intact()


def test_there_are_flags_for_as_many_members_as_there_can_be():
    assert (PLACES - 1).bit_length() <= team.FLAGS // team.LINE - 1


@pytest.mark.parametrize("interruptible", [False, True])
@pytest.mark.parametrize(("members", "rounds"), [(1, 5), (2, 20_000), (3, 300), (7, 50), (8, 30)])
def test_past_the_barrier_all_see_what_each_wrote(members, rounds, interruptible):
    check_rounds(members, rounds, interruptible)


# ---- shares -------------------------------------------------------------------------------------


def _shares(count, grain, members, to):
    ranges = carray(words_at(to), (2 * members,))
    for me in range(members):
        ranges[2 * me], ranges[2 * me + 1] = share(count, grain, me, members)


SHARES = Kernel(_shares, (INT, INT, INT, INT), cached=False)


@pytest.mark.parametrize("grain", [1, 8, 16])
@pytest.mark.parametrize("members", [1, 2, 3, 7, 64])
def test_shares_cover_everything_once_in_whole_grains(members, grain):
    for count in (*range(70), 1000, 4097):
        ranges = Guarded(np.full((members, 2), -1))
        SHARES.call()(count, grain, members, ranges.at)
        assert ranges.intact()
        first, last = ranges.array.T
        assert (first[0], last[-1]) == (0, count)
        assert (first[1:] == last[:-1]).all()
        assert (first <= last).all()
        assert (first[first < count] % grain == 0).all()
        grains = -(-(last - first) // grain)
        assert grains.max() - grains.min() <= 1


# ---- running a team -----------------------------------------------------------------------------


class Members:
    """A kernel in Python that notes who ran, and who is still running."""

    def __init__(self, body):
        self.body, self.seen, self.running = body, [], set()
        self.shared = np.zeros(team.WORDS, np.int64)
        self._of_c = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(self)

    def call(self, release):
        return self

    def c_address(self):
        return ctypes.cast(self._of_c, ctypes.c_void_p).value

    def __call__(self, program, me):
        self.running.add(me)
        self.seen.append((program, me, threading.get_ident()))
        try:
            self.body(me)
        finally:
            self.running.remove(me)

    def until_stop(self):
        """Wait for STOP; whether it came."""
        end = time.monotonic() + GIVE_UP
        while not self.shared[team.STOP] and time.monotonic() < end:
            time.sleep(0.001)
        return bool(self.shared[team.STOP])

    def run(self, members, interruptible):
        run_team(self, 77, members, self.shared, interruptible)


@pytest.mark.parametrize("interruptible", [False, True])
@pytest.mark.parametrize("members", [1, 2, 3])
def test_every_member_runs_once(members, interruptible):
    kernel = Members(lambda me: time.sleep(0.01))
    kernel.run(members, interruptible)
    assert kernel.running == set()
    assert sorted((program, me) for program, me, _ in kernel.seen) == [
        (77, me) for me in range(members)
    ]
    threads = {thread for *_, thread in kernel.seen}
    assert (threading.get_ident() in threads) == (not interruptible)
    assert len(threads) == members
    assert (kernel.shared == 0).all()


@pytest.mark.parametrize("interruptible", [False, True])
@pytest.mark.parametrize("failing", [1, 2])
def test_a_thread_that_cannot_be_started_ends_the_team(failing, interruptible, new_pool):
    kernel, started = Members(lambda me: None), []

    def limited(function, arguments):
        if len(started) == failing - 1:
            raise RuntimeError("can't start new thread")
        started.append(start(function, arguments))

    start = _thread.start_new_thread
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", limited)
        with pytest.raises(RuntimeError, match="start new thread"):
            kernel.run(4, interruptible)
    assert kernel.seen == []  # nobody waits at a barrier for the missing one
    kernel.run(4, interruptible)  # and who was started then is of use now
    assert sorted(me for _, me, _ in kernel.seen) == [0, 1, 2, 3]


def test_an_interruption_while_waiting_stops_the_team_and_waits_for_it():
    def body(me):
        if me == 0:
            _thread.interrupt_main()
        heard.append(kernel.until_stop())
        time.sleep(0.1)

    heard, kernel = [], Members(body)
    with pytest.raises(KeyboardInterrupt):
        kernel.run(3, interruptible=True)
    assert kernel.running == set()
    assert heard == [True] * 3


def test_of_several_exceptions_while_waiting_the_first_is_raised():
    def body(me):
        if me == 0:
            _thread.interrupt_main()
        kernel.until_stop()
        if me == 0:
            _thread.interrupt_main()
        time.sleep(0.1)

    def handler(*_):
        raised.append(KeyError(len(raised)))
        raise raised[-1]

    raised, kernel = [], Members(body)
    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyError, match="0"):
            kernel.run(2, interruptible=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert kernel.running == set()
    assert len(raised) == 2


def _spin(program, me):
    """Until STOP is set; then the member's word is what it heard."""
    p = carray(words_at(program), (2,))
    store_release(p[1] + 8 * me, -1)
    while load_acquire(p[0] + 8 * team.STOP) == 0:
        pass
    store_release(p[1] + 8 * me, load_acquire(p[0] + 8 * team.STOP))


def test_compiled_members_hear_stop(monkeypatch):
    kernel = Kernel(_spin, (INT, INT), cached=False)
    shared, heard = np.zeros(team.WORDS, np.int64), np.zeros(2, np.int64)
    program = np.array([address(shared), address(heard)])

    def interrupt():
        while not (heard == -1).all():
            time.sleep(0.001)
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run_team(kernel, address(program), 2, shared, True)
    assert heard.tolist() == [1, 1]
