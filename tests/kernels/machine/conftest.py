"""A pool of threads for one test."""

import pytest

from fastbp.kernels.machine import pool


@pytest.fixture
def new_pool(monkeypatch):
    """The process's pool for a test: without threads at first, and at the end again."""
    new = pool.Pool()
    monkeypatch.setitem(pool._pools, "pool", new)
    yield new
    monkeypatch.setattr(pool, "PATIENCE", 60)  # an emulated processor is slow
    new.close()
    assert new.threads == []
