"""What holds for all tests."""

import signal

import hypothesis
import pytest

from fastbp.engine import work
from fastbp.kernels.machine.cores import available_cores

# A shell's background job ignores Ctrl-C, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes is no failure: it may wait for a core, or for a kernel to be compiled.
slow = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("fastbp", deadline=None, suppress_health_check=slow)
hypothesis.settings.load_profile("fastbp")


@pytest.fixture
def every_thread_pays(monkeypatch):
    """Teams also for the smallest work; `work.TEAM_CALL` may be set again."""
    for name, value in {"TEAM_CALL": 1, "ASLEEP": 1, "CROWDED": 1, "FIRST_TEAM": 0}.items():
        monkeypatch.setattr(work, name, value)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """With ``-n auto`` tests run in two processes, where there are cores for them.

    Not in more: on a new machine each would compile what none has compiled yet.
    """
    return min(2, available_cores())


def pytest_collection_modifyitems(items):
    """Ids name the same test in every process: what runs tests in several compares them."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid}: an id with an address, use ids=expect.stable")
