"""Workers that are killed, and Ctrl-C: nothing is lost, half done, or done twice."""

import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import process
import pytest
import sent_cases
from expect import raises
from sent_cases import COUNT, Counter, Kill, KillOnce, data, expect_same, networks

import fastbp
from fastbp import each
from fastbp.many import elsewhere, executors, shares

pytestmark = pytest.mark.slow

X, Y = data()


@pytest.fixture(autouse=True)
def many_shares(monkeypatch):
    """Cut into as many shares as there may be, however short."""
    monkeypatch.setattr(shares, "LEAST", 1.0)


def of_one(callback, number=3):
    """Callbacks of all networks, with one of their own for a single one."""
    return each([[callback] if other == number else [] for other in range(COUNT)])


def here():
    mine = networks()
    fastbp.fit_many(mine, X, Y, epochs=3)
    return mine


def test_the_share_of_a_killed_worker_is_done_again(tmp_path):
    mine, counters = networks(), [Counter() for _ in range(COUNT)]
    callbacks = [[counter] for counter in counters]
    callbacks[3].append(KillOnce(tmp_path / "killed"))
    histories = fastbp.fit_many(mine, X, Y, epochs=3, callbacks=each(callbacks), workers=2)
    assert (tmp_path / "killed").exists()
    assert [history.epochs for history in histories] == [3] * COUNT
    assert [counter.epochs for counter in counters] == [3] * COUNT
    expect_same(mine, here())


def test_a_network_that_kills_each_worker():
    mine = networks()
    with raises(
        RuntimeError, "workers=2: each worker that had networks 3 has ended", "of 3 times"
    ) as raised:
        fastbp.fit_many(mine, X, Y, epochs=3, callbacks=of_one(Kill()), workers=2)
    assert [history is None for history in raised.value.histories] == [
        number == 3 for number in range(COUNT)
    ]
    want = here()
    expect_same(mine[:3] + mine[4:], want[:3] + want[4:])
    untouched = networks()[3]
    np.testing.assert_array_equal(mine[3].flat, untouched.flat)
    assert mine[3].steps == 0
    fastbp.fit_many(mine[3:4], X, Y, epochs=3)
    expect_same(mine[3:4], want[3:4])


def test_networks_that_all_kill_their_workers(monkeypatch):
    monkeypatch.setattr(elsewhere, "BREAKS", 2)
    mine = networks()
    with raises(RuntimeError, "workers end before they have anything done, 2 times", "0, 1, 2"):
        fastbp.fit_many(mine, X, Y, epochs=3, callbacks=[Kill()], workers=2)
    assert not any(network.steps for network in mine)


def test_an_executor_of_the_users_that_breaks(tmp_path):
    mine, callbacks = networks(), of_one(KillOnce(tmp_path / "killed"))
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(2, context) as pool,
        raises(RuntimeError, "ProcessPoolExecutor is broken", "3", "call again") as raised,
    ):
        fastbp.fit_many(mine, X, Y, epochs=3, callbacks=callbacks, workers=pool)
    left = [number for number, one in enumerate(raised.value.histories) if one is None]
    assert 3 in left
    assert all(mine[number].steps == 0 for number in left)
    fastbp.fit_many([mine[number] for number in left], X, Y, epochs=3)
    expect_same(mine, here())


@pytest.mark.parametrize("joblib_name", [True, False], ids=["config", "Parallel"])
def test_loky(tmp_path, joblib_name):
    joblib = pytest.importorskip("joblib")
    mine, callbacks = networks(), of_one(KillOnce(tmp_path / "killed"))
    with joblib.parallel_config("loky", n_jobs=2):
        given = "joblib" if joblib_name else joblib.Parallel(n_jobs=2)
        fastbp.fit_many(mine, X, Y, epochs=3, callbacks=callbacks, workers=given)
    assert (tmp_path / "killed").exists()
    expect_same(mine, here())
    # The processes that are left are such as joblib goes on with.
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(-n) for n in range(3)) == [0, 1, 2]


@pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
def test_backends_of_joblib_that_cannot_be_used(backend):
    joblib = pytest.importorskip("joblib")
    with raises(ValueError, "only its backends loky, dask and ray can be used"):
        fastbp.fit_many(networks(), X, Y, workers=joblib.Parallel(2, backend=backend))


UNGUARDED = """
import sys

sys.path.append(sys.argv[1])

import sent_cases
import fastbp

fastbp.fit_many(sent_cases.networks(int(sys.argv[2])), *sent_cases.data(), workers=2)
"""


@pytest.mark.parametrize("count", [COUNT])
def test_a_program_that_does_not_ask_whether_it_is_the_main_one(tmp_path, count):
    program = process.start(tmp_path, UNGUARDED, Path(__file__).parent, count)
    _, told = program.communicate(timeout=120)
    assert program.returncode == 1
    assert 'must be read from a file, and do so under if __name__ == "__main__"' in told


ABANDONED = """
import sys

sys.path.append(sys.argv[1])

import sent_cases
import fastbp

if __name__ == "__main__":
    waits = [sent_cases.Waits(sys.argv[2])]
    fastbp.fit_many(
        sent_cases.networks(), *sent_cases.data(), 100_000, callbacks=waits, workers=2
    )
"""

INTERRUPTED = """
import sys

sys.path.append(sys.argv[1])

import numpy as np
import sent_cases
import fastbp
from fastbp.many import shares

if __name__ == "__main__":
    shares.LEAST = 1.0
    X, Y = sent_cases.data()
    mine = sent_cases.networks()
    epochs = [2 if number % 2 else 100_000 for number in range(len(mine))]
    try:
        fastbp.fit_many(
            mine, X, Y, fastbp.each(epochs), callbacks=[sent_cases.Waits(sys.argv[2])], workers=2
        )
    except KeyboardInterrupt as error:
        for network, history in zip(mine, error.histories):
            assert np.isfinite(network.flat).all()
            assert network.steps >= 7 * (0 if history is None else history.epochs)
            assert history is None or history is network.history
            print("none" if history is None else history.epochs, network.steps, network.history)
        fastbp.fit_many(mine, X, Y)  # all locks are free
        print("interrupted")
"""


def at_work(tmp_path, text):
    """A program whose workers are at work, and their processes' numbers."""
    folder = tmp_path / "at work"
    folder.mkdir()
    program = process.start(tmp_path, text, Path(__file__).parent, folder)
    until = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2 and program.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(0.3)
    return program, [int(path.name) for path in folder.iterdir()]


def is_there(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="no signal asks there whether a process is")
def test_processes_of_our_own_end_with_a_caller_that_is_killed(tmp_path):
    program, processes = at_work(tmp_path, ABANDONED)
    assert len(processes) == 2
    assert all(map(is_there, processes))
    program.kill()
    program.communicate()
    until = time.monotonic() + 20
    while any(map(is_there, processes)):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no masks of signals there")
def test_processes_of_our_own_begin_deaf_to_ctrl_c():
    crew = executors.Processes(1)
    try:
        assert crew.submit(sent_cases.is_deaf).result()
        assert not sent_cases.is_deaf()
    finally:
        crew.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
def test_ctrl_c(tmp_path):
    program, _ = at_work(tmp_path, INTERRUPTED)
    program.send_signal(signal.SIGINT)
    began = time.monotonic()
    lines = process.finish(program).splitlines()
    assert time.monotonic() - began < 20
    assert lines[-1] == "interrupted"
    told = [line.split()[0] for line in lines[:-1]]
    assert len(told) == COUNT
    under_way = [int(epochs) for epochs in told if epochs not in ("none", "2")]
    assert 1 <= len(under_way) <= 2  # what was done of these is there, too
    assert "none" in told
