"""Tests of work on a thread of the pool: what is raised in the thread that waits meanwhile."""

import threading
import time

import pytest

from fastbp.kernels.machine.beside import run_beside
from fastbp.kernels.machine.pool import Pool

TIMEOUT = 60


def outcome_of(*arguments):
    """What `run_beside` raises, which must come to an end."""
    raised = []

    def call():
        try:
            run_beside(*arguments)
        except BaseException as error:  # noqa: BLE001 - whatever it is
            raised.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    return raised[0]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, IndexError, LookupError])
@pytest.mark.parametrize("behind", [False, True])
def test_any_exception_ends_work_that_has_not_begun(kind, behind, new_pool, monkeypatch):
    def interrupted(pool, job):
        if behind:
            jobs.append(job)
        raise kind("of a handler")

    jobs, done = [], []
    monkeypatch.setattr(Pool, "submit", interrupted)
    error = outcome_of(lambda: done.append(True), lambda: None)
    assert type(error) is kind
    for job in jobs:  # a thread that comes late
        job()
    assert not done


def test_exceptions_while_work_is_stopped_do_not_leave_it_behind(new_pool):
    def work():
        begun.set()
        told.wait(TIMEOUT)
        time.sleep(0.1)
        ended.set()

    def glance():
        if begun.is_set():
            raise KeyboardInterrupt("the first")

    def stop():
        stops.append(True)
        if len(stops) < 4:
            raise ValueError("another one")
        told.set()

    begun, told, ended, stops = threading.Event(), threading.Event(), threading.Event(), []
    error = outcome_of(work, stop, lambda: None if stops else glance())
    assert ended.is_set()
    assert str(error) == "the first"
