"""Processes that tests of workers share."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import sent_cases

from fastbp.many import shares


@pytest.fixture(scope="session")
def pool():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context) as executor:
        yield executor


@pytest.fixture
def many_shares(monkeypatch):
    """Cut into as many shares as there may be, however short."""
    monkeypatch.setattr(shares, "LEAST", 1.0)


@pytest.fixture
def hidden(pool):
    """Let workers see none of the files."""
    hide = set()

    def chosen(how):
        hide.add(how)
        _in_both(pool, how)

    yield chosen
    _in_both(pool, sent_cases.show_all)


def _in_both(pool, function):
    """Have both processes call it."""
    barrier = [pool.submit(sent_cases.slowly, function) for _ in range(2)]
    assert len({future.result() for future in barrier}) == 2
