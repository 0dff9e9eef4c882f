"""Tests of the pool: members that stay, sleep, are woken, come and go; jobs; surroundings."""

import _thread
import ctypes
import os
import platform
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np
import pytest
from test_team import Members, check_rounds

from fastbp.engine import work
from fastbp.kernels.machine import members
from fastbp.kernels.machine.cores import available_cores
from fastbp.kernels.machine.pool import Pool
from fastbp.layout.layout import Layout

TIMEOUT = 60
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux")


def wait_until(condition):
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def states(pool):
    """The states of the places that were ever in use."""
    places = pool._words.reshape(-1, members.RECORD)[1:, members.STATE]
    return places[: pool._words[members.USED]].tolist()


def is_calm(pool):
    """Whether every member waits, and the pool knows how many they are."""
    found = states(pool)
    count = found.count(members.IDLE)
    alone = count + found.count(members.FREE) == len(found)
    return alone and count == len(pool.threads) == pool._words[members.MEMBERS]


# ---- members ------------------------------------------------------------------------------------


def test_teams_of_changing_sizes(new_pool):
    for size in (2, 1, 3, 7, 2, 7, 1, 5, 3) * 5:
        check_rounds(size, 5)
    wait_until(lambda: is_calm(new_pool))


def test_many_threads_call_teams_at_once(new_pool):
    def call(number):
        for size in (2, 3, 1 + number, 2):
            for _ in range(10):
                check_rounds(size, 2)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(call, range(6), timeout=2 * TIMEOUT))
    wait_until(lambda: is_calm(new_pool))


def test_teams_that_together_are_more_than_there_are_places(new_pool):
    size = members.PLACES // 2 + 40
    counts = [np.zeros(size, np.int64) for _ in range(2)]

    def call(count):
        def body(me):
            count[me] += 1

        for _ in range(2):
            Members(body).run(size, interruptible=False)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(call, counts, timeout=2 * TIMEOUT))
    assert all((count == 2).all() for count in counts)
    wait_until(lambda: is_calm(new_pool))


def test_no_team_has_more_members_than_there_are_places(every_thread_pays):
    layout = Layout([20_000, 4], np.dtype("float32"))
    assert work.training_members(layout, 2, 10**6, 20_000, 10**9, 10**9) == members.PLACES
    assert work.prediction_members(10**6, 10**6, 10**9) == members.PLACES


def test_the_same_members_work_again(new_pool, monkeypatch):
    check_rounds(2, 1)

    def none(*_):
        raise RuntimeError("no thread may be started")

    monkeypatch.setattr(_thread, "start_new_thread", none)
    kernel = Members(lambda me: None)
    for pause in [0] * 50 + [0.002] * 50:  # they wait awake, and asleep
        time.sleep(pause)
        kernel.run(2, interruptible=False)
    assert len({thread for *_, thread in kernel.seen}) == 2


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_as_many_stay_as_there_are_cores(cores, new_pool, monkeypatch):
    monkeypatch.setattr("fastbp.kernels.machine.pool.available_cores", lambda: cores)
    check_rounds(8, 3)
    wait_until(lambda: is_calm(new_pool))
    assert len(new_pool.threads) == cores
    check_rounds(8, 3)


@pytest.mark.slow
def test_nobody_sleeps_through_a_call(new_pool):
    """Calls at all moments of a member's way from waiting to sleeping."""
    moments = np.random.default_rng(0)
    for _ in range(1000):
        end = time.perf_counter() + moments.uniform(0, 4e-4)
        while time.perf_counter() < end:
            pass
        check_rounds(2, 1)


@pytest.mark.slow
def test_calls_leave_nothing_behind(new_pool):
    for _ in range(100):
        check_rounds(2, 1)
    blocks = sys.getallocatedblocks()
    for _ in range(4000):
        check_rounds(2, 1)
    assert sys.getallocatedblocks() - blocks < 400
    assert len(new_pool.threads) == 1


def test_a_closed_pool_works_and_keeps_nobody(new_pool):
    check_rounds(3, 2)
    new_pool.close()
    assert new_pool.threads == []
    check_rounds(3, 2)
    done = SimpleQueue()
    new_pool.submit(lambda: done.put(True))
    assert done.get(timeout=TIMEOUT)
    wait_until(lambda: new_pool.threads == [])


# ---- jobs ---------------------------------------------------------------------------------------


def test_jobs_run_on_threads_of_the_pool(new_pool):
    done = SimpleQueue()
    for number in range(50):
        new_pool.submit(lambda number=number: done.put((number, threading.get_ident())))
    found = [done.get(timeout=TIMEOUT) for _ in range(50)]
    assert sorted(number for number, _ in found) == list(range(50))
    assert threading.get_ident() not in {thread for _, thread in found}
    wait_until(lambda: is_calm(new_pool))


def test_a_job_takes_a_member_that_waits(new_pool, monkeypatch):
    check_rounds(2, 1)
    monkeypatch.setattr(_thread, "start_new_thread", None)
    done = SimpleQueue()
    for pause in (0, 0, 0.005):
        time.sleep(pause)
        new_pool.submit(lambda: done.put(True))
        assert done.get(timeout=TIMEOUT)
        wait_until(lambda: is_calm(new_pool))


def test_jobs_call_teams_and_wait_for_other_jobs(new_pool):
    done = SimpleQueue()

    def job(depth):
        def run():
            check_rounds(3, 2)
            if depth:
                inner = SimpleQueue()
                new_pool.submit(lambda: inner.put(job(depth - 1)()))
                inner.get(timeout=TIMEOUT)
            check_rounds(2, 2)

        return run

    def whole():
        job(5)()
        done.put(True)

    for _ in range(8):
        new_pool.submit(whole)
    for _ in range(8):
        assert done.get(timeout=TIMEOUT)
    wait_until(lambda: is_calm(new_pool))


def test_a_job_that_raises_is_told_and_costs_a_thread_alone(new_pool, monkeypatch):
    told, done = SimpleQueue(), SimpleQueue()
    monkeypatch.setattr(sys, "unraisablehook", lambda what: told.put(repr(what.exc_value)))

    def fail():
        raise ValueError("of a job")

    for _ in range(3):
        new_pool.submit(fail)
        assert told.get(timeout=TIMEOUT) == "ValueError('of a job')"
        new_pool.submit(lambda: done.put(True))
        assert done.get(timeout=TIMEOUT)
        check_rounds(3, 2)
    wait_until(lambda: is_calm(new_pool))


def test_a_job_whose_thread_cannot_be_started(new_pool, monkeypatch):
    def none(*_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", none)
        with pytest.raises(RuntimeError, match="start new thread"):
            new_pool.submit(lambda: None)
    check_rounds(2, 2)


# ---- surroundings -------------------------------------------------------------------------------


UPWARD = {"x86_64": 0x800, "aarch64": 0x400000}.get(platform.machine())


@LINUX
@pytest.mark.skipif(UPWARD is None, reason="the number of a rounding mode")
@pytest.mark.parametrize("interruptible", [False, True])
def test_members_round_as_the_caller_does(interruptible, new_pool):
    """And so they flush denormal numbers, where somebody has switched that on."""
    numbers = np.array([1.0, 1e-20])

    def body(me):
        sums[me] = float(numbers[0]) + float(numbers[1])

    sums, kernel = {}, Members(body)
    kernel.run(3, interruptible)
    assert set(sums.values()) == {1.0}
    libc = ctypes.CDLL(None)
    libc.fesetround(UPWARD)
    try:
        kernel.run(3, interruptible)
        upward = dict(sums)
    finally:
        libc.fesetround(0)
    kernel.run(3, interruptible)
    assert set(upward.values()) == {np.nextafter(1.0, 2.0)}
    assert set(sums.values()) == {1.0}


@LINUX
@pytest.mark.skipif(available_cores() < 2, reason="two cores")
@pytest.mark.parametrize("interruptible", [False, True])
def test_members_keep_to_the_cores_of_the_caller(interruptible, new_pool):
    def body(me):
        masks[me] = os.sched_getaffinity(0)

    masks, kernel, all_cores = {}, Members(body), os.sched_getaffinity(0)
    for cores in (all_cores, {min(all_cores)}, {max(all_cores)}, all_cores):
        os.sched_setaffinity(0, cores)
        try:
            for pause in (0, 0.002):
                time.sleep(pause)
                kernel.run(2, interruptible)
                assert list(masks.values()) == [cores] * 2
        finally:
            os.sched_setaffinity(0, all_cores)


@LINUX
@pytest.mark.skipif(available_cores() < 2, reason="two cores")
def test_a_member_that_does_not_wait_yet_costs_the_caller_no_core(new_pool, monkeypatch):
    def late(pool, place):
        time.sleep(0.05)
        stay(pool, place)

    stay, all_cores = Pool._stay, os.sched_getaffinity(0)
    monkeypatch.setattr(Pool, "_stay", late)
    try:
        Members(lambda me: None).run(4, False)
        assert os.sched_getaffinity(0) == all_cores
    finally:
        os.sched_setaffinity(0, all_cores)
