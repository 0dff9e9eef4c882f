"""Tests of work on a thread of the pool: what is raised in the thread that waits meanwhile."""

import inspect
import sys
import threading
import time

import pytest

from fastbp.kernels.machine.beside import run_beside
from fastbp.kernels.machine.pool import Pool

TIMEOUT = 60


def outcome_of(function, *arguments):
    """What it raises; it must come to an end."""
    raised = []

    def call():
        try:
            function(*arguments)
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
    error = outcome_of(run_beside, lambda: done.append(True), lambda: None)
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
    error = outcome_of(run_beside, work, stop, lambda: None if stops else glance())
    assert ended.is_set()
    assert str(error) == "the first"


def test_an_exception_at_any_line_does_not_leave_work_behind(new_pool):
    def once_more(number):
        """Interrupt it, and then again at the line of that number; returns whether that came."""

        def work():
            begun.set()
            told.wait(TIMEOUT)
            time.sleep(0.005)
            ended.set()

        def glance():
            if begun.is_set() and not again:
                again.append(None)
                raise KeyboardInterrupt("the first")

        def traced(frame, event, argument):
            if again == [None] and event == "line" and frame.f_lineno == number:
                again.append(number)
                raise ValueError("another one")
            return traced

        def interrupted():
            sys.settrace(lambda frame, *_: traced if frame.f_code is code else None)
            try:
                run_beside(work, told.set, glance)
            finally:
                sys.settrace(None)

        begun, told, ended, again = threading.Event(), threading.Event(), threading.Event(), []
        error = outcome_of(interrupted)
        assert ended.is_set(), number
        assert str(error) in ("the first", "another one")
        return len(again) == 2

    code = run_beside.__code__
    source, first = inspect.getsourcelines(run_beside)
    # No handler runs at a `try`: nothing is done there.
    lines = [first + at for at, line in enumerate(source) if line.strip() != "try:"]
    assert sum(map(once_more, lines)) > 5
