"""Many networks on processes of this machine: bits as here, all back once, nothing half."""

import multiprocessing
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import numpy as np
import pytest
import sent_cases
from expect import raises
from sent_cases import COUNT, Counter, data, expect_same, networks

import fastbp
from fastbp import each
from fastbp.kernels.machine.cores import available_cores
from fastbp.many import executors, workers

X, Y = data()


def fitted(given=None, count=COUNT, **options):
    mine = networks(count, options.pop("scaling", None))
    histories = fastbp.fit_many(
        mine, options.pop("X", X), options.pop("y", Y), epochs=3, workers=given, **options
    )
    return mine, histories


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scaling": "standard", "validation_data": (X[:20], Y[:20]), "metrics": ["r2"]},
        {"rows": each(np.arange(number, 150) for number in range(COUNT))},
        {"rows": np.arange(0, 200, 3), "validation_rows": np.arange(1, 200, 3)},
        {"sample_weight": np.linspace(0, 1, 200), "schedule": lambda step: 1 / (1 + step)},
        {"batch_size": each(range(1, 1 + COUNT)), "shuffle": False, "tol": 0.1},
    ],
    ids=["plain", "scaled", "bootstrap", "split", "weighted", "batches"],
)
def test_bits_are_those_of_fits_here(pool, many_shares, options):
    here, want = fitted(**options)
    there, found = fitted(pool, **options)
    expect_same(there, here)
    assert [dict(history) for history in found] == [dict(history) for history in want]
    for network, history in zip(there, found, strict=True):
        assert network.history is history


def test_fits_go_on_from_where_the_networks_are(pool, many_shares):
    here, there = networks(), networks()
    for _ in range(2):
        fastbp.fit_many(here, X, Y, epochs=2)
        fastbp.fit_many(there, X, Y, epochs=2, workers=pool)
    fastbp.fit_many(here, X, Y)
    fastbp.fit_many(there, X, Y)
    expect_same(there, here)


def test_one_network_one_row_one_worker(pool):
    here, _ = fitted(X=X[:1], y=Y[:1], count=1)
    there, _ = fitted(pool, X=X[:1], y=Y[:1], count=1)
    expect_same(there, here)


def test_processes_of_our_own(many_shares):
    before = set(multiprocessing.active_children())
    here, _ = fitted()
    there, _ = fitted(2, progress=True)
    expect_same(there, here)
    assert set(multiprocessing.active_children()) <= before


def test_predictions_and_evaluations(pool):
    mine, _ = fitted()
    for rows in (None, np.arange(0, 200, 7), each(np.arange(1 + n) for n in range(COUNT))):
        want = fastbp.predict_many(mine, X, rows=rows)
        for found, outputs in zip(
            fastbp.predict_many(mine, X, rows=rows, workers=pool), want, strict=True
        ):
            np.testing.assert_array_equal(found, outputs)
    options = {"metrics": ["r2"], "sample_weight": np.linspace(0, 1, 200)}
    want = fastbp.evaluate_many(mine, X, Y, **options)
    assert fastbp.evaluate_many(mine, X, Y, **options, workers=pool) == want
    with raises(ValueError, "network 0", "X"):
        fastbp.predict_many(mine, X[:, :3], workers=pool)


def test_callbacks_of_each_come_back_as_they_are_afterwards(pool):
    counters = [Counter() for _ in range(COUNT)]
    shared = Counter()
    mine = networks()
    fastbp.fit_many(mine, X, Y, epochs=3, callbacks=each([one] for one in counters), workers=pool)
    assert [one.epochs for one in counters] == [3] * COUNT
    for network, counter in zip(mine, counters, strict=True):
        assert counter.network is network
        assert counter.process != shared.process
    fastbp.fit_many(mine, X, Y, callbacks=[shared], workers=pool)
    assert shared.epochs == 0  # each network has a copy of its own, as here


def test_callbacks_that_cannot_come_back(pool):
    here, _ = fitted()
    with pytest.warns(RuntimeWarning, match="1 of 7 networks failed"):
        there, histories = fitted(
            pool, callbacks=each([[sent_cases.Unreturnable()], *[[]] * (COUNT - 1)])
        )
    assert isinstance(histories[0].failure, TypeError)
    assert "callbacks cannot be brought back" in str(histories[0].failure)
    expect_same(there, here)


def test_a_network_that_fails_stops_no_other(pool, many_shares):
    callbacks = each([[sent_cases.Fails()] if number == 2 else [] for number in range(COUNT)])
    with pytest.warns(RuntimeWarning, match="1 of 7 networks failed"):
        there, histories = fitted(pool, callbacks=callbacks)
    failed = histories[2]
    assert "StrangeError: two arguments in epoch 2" in str(failed.failure)
    assert "in on_epoch_end" in failed.failure.__notes__[0]
    assert failed.epochs == 2
    assert there[2].history is failed
    here, _ = fitted()
    expect_same(there[:2] + there[3:], here[:2] + here[3:])


def test_losses_that_are_not_finite(pool):
    mine = networks(2)
    mine[1].optimizer = fastbp.SGD(1e30)
    with pytest.warns(RuntimeWarning, match="1 of 2 networks failed"):
        histories = fastbp.fit_many(mine, X, Y, epochs=2, workers=pool)
    assert isinstance(histories[1].failure, FloatingPointError)
    assert np.isfinite(mine[1].flat).all()


def test_threads_of_all_workers_are_no_more_than_cores(pool, tmp_path):
    for threads, most in ((None, max(1, available_cores() // 2)), (3, 3)):
        folder = tmp_path / str(threads)
        folder.mkdir()
        mine = [fastbp.Network([5, 3 + number, 2], rng=number) for number in range(8)]
        callbacks = [sent_cases.HighWater(folder)]
        fastbp.fit_many(mine, X, Y, epochs=5, callbacks=callbacks, workers=pool, threads=threads)
        seen = [int(path.name.removeprefix("most-")) for path in folder.glob("most-*")]
        assert max(seen) <= most
        assert threads is None or max(seen) > 1


def test_networks_with_which_threads_do_not_help_have_one(tmp_path):
    mine = [fastbp.Network([5, 3 + number, 2], rng=number) for number in range(8)]
    callbacks = [sent_cases.HighWater(tmp_path)]
    fastbp.fit_many(mine, X, Y, epochs=5, callbacks=callbacks, workers=1)
    assert [path.name for path in tmp_path.glob("most-*")] == ["most-1"]


def test_threads_where_workers_have_neighbours(monkeypatch):
    monkeypatch.setattr(workers, "available_cores", lambda: 12)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    here = workers.seat()
    place = workers.Place("", {here: 4}, 6, None, None)
    assert workers.threads_of(place) == 3
    assert workers.threads_of(place._replace(neighbours={})) == 2
    assert workers.threads_of(place._replace(neighbours={here: 30})) == 1
    assert workers.threads_of(place._replace(granted=2)) == 2
    assert workers.threads_of(place._replace(threads=7)) == 7
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    assert workers.threads_of(place) == 1


def test_readers_are_served_meanwhile_and_who_trains_waits(pool, tmp_path):
    mine, twins = networks(2), networks(2)
    before = mine[0].predict(X)
    seen = {}

    def look():
        while not list(tmp_path.iterdir()):
            pass
        seen["outputs"] = mine[0].predict(X)
        mine[0].fit(X, Y, progress=False)  # waits until it is back

    thread = threading.Thread(target=look)
    thread.start()
    callbacks = [sent_cases.Waits(tmp_path)]
    fastbp.fit_many(mine, X, Y, epochs=60, callbacks=callbacks, workers=pool)
    thread.join()
    np.testing.assert_array_equal(seen["outputs"], before)
    fastbp.fit_many(twins, X, Y, epochs=60)
    twins[0].fit(X, Y, progress=False)
    expect_same(mine, twins)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (0, ValueError, "workers must be an integer of at least 1"),
        (True, TypeError, "workers must be an integer"),
        (2.0, TypeError, "workers must be a number of processes"),
        ("dusk", ValueError, "'dusk'"),
        (ThreadPoolExecutor(1), TypeError, "threads= is for"),
        ("ray", RuntimeError, "call ray.init before"),
    ],
    ids=["none", "true", "float", "name", "threads", "ray"],
)
def test_what_are_no_workers(given, error, message):
    mine = networks(2)
    with raises(error, message):
        fastbp.fit_many(mine, X, Y, workers=given)
    with raises(ValueError, "epochs"):  # other arguments are looked at first
        fastbp.fit_many(mine, X, Y, epochs=0, workers=given)
    assert not any(network.steps for network in mine)


def test_workers_of_another_version(monkeypatch):
    other = workers.Told(workers.Seat("far", ()), 1, None, True, ("fastbp 0.0.1", "Python 3.9"))
    monkeypatch.setattr(executors.Processes, "told", lambda self, folder: [other])
    with raises(RuntimeError, "a worker on far has fastbp 0.0.1, Python 3.9, and here"):
        fastbp.fit_many(networks(2), X, Y, workers=2)


class Cancels(Executor):
    """Hands nothing on."""

    max_workers = 2

    def submit(self, function, /, *arguments):
        future = Future()
        if function is workers.tell:
            future.set_result(workers.tell(*arguments))
        else:
            future.cancel()
            future.set_running_or_notify_cancel()
        return future


def test_an_executor_that_cancels():
    mine = networks(2)
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - it is no Exception in Python 3.11
        fastbp.fit_many(mine, X, Y, workers=Cancels())
    assert type(raised.value).__name__ == "CancelledError"
    assert raised.value.histories == [None, None]
    assert not any(network.steps for network in mine)
    fastbp.fit_many(mine, X, Y)  # all locks are free again
