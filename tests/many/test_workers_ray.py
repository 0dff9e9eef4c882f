"""Many networks on Ray, on this machine."""

import os
import sys

import numpy as np
import pytest
import sent_cases
from expect import raises
from sent_cases import COUNT, Counter, Kill, KillOnce, data, expect_same, networks

import fastbp
from fastbp import each
from fastbp.many import clusters, shares, workers

ray = pytest.importorskip("ray")

pytestmark = pytest.mark.filterwarnings("ignore")  # of Ray, which is not what is tested

X, Y = data()


@pytest.fixture(autouse=True)
def many_shares(monkeypatch):
    monkeypatch.setattr(shares, "LEAST", 1.0)


@pytest.fixture(scope="module")
def cluster():
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_AUTH_MODE", "disabled")  # or it would leave a file in the user's home
    found = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}  # the tests' modules, too
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": found},
    )
    yield
    ray.shutdown()
    patch.undo()


def fitted(given=None, **options):
    mine = networks()
    histories = fastbp.fit_many(mine, X, Y, epochs=3, workers=given, **options)
    return mine, histories


def test_without_a_cluster():
    if not ray.is_initialized():
        with raises(RuntimeError, "call ray.init before"):
            fitted("ray")


@pytest.mark.parametrize("kind", ["ray", "joblib"])
def test_bits_are_those_of_fits_here(cluster, kind):
    here, _ = fitted(validation_data=(X[:20], Y[:20]))
    if kind == "joblib":
        joblib = pytest.importorskip("joblib")
        from ray.util.joblib import register_ray

        register_ray()
        with joblib.parallel_config("ray", n_jobs=2):
            there, _ = fitted("joblib", validation_data=(X[:20], Y[:20]))
    else:
        there, _ = fitted("ray", validation_data=(X[:20], Y[:20]))
    expect_same(there, here)
    for found, want in zip(
        fastbp.predict_many(there, X, workers="ray"), fastbp.predict_many(here, X), strict=True
    ):
        np.testing.assert_array_equal(found, want)


def test_functions_are_put_on_the_cluster_once(cluster, monkeypatch):
    made = []
    remote = ray.remote

    def counted(function):
        made.append(function)
        return remote(function)

    monkeypatch.setattr(ray, "remote", counted)
    clusters._of_ray.cache_clear()
    for _ in range(2):
        fitted("ray")
    assert made == [workers.tell, workers.work]


def test_both_workers_have_shares_and_one_cpu_each(cluster, tmp_path):
    counters = [Counter() for _ in range(COUNT)]
    fitted("ray", callbacks=each([counter] for counter in counters))
    assert len({counter.process for counter in counters}) == 2
    assert clusters.RayWorkers(None, None).count == 2
    assert clusters.RayWorkers(None, 2).count == 1
    with raises(ValueError, "Ray has 2 CPUs, and each worker is to have 3"):
        fitted("ray", threads=3)


def test_data_are_sent_once(cluster, monkeypatch):
    messages, carried = [], []
    submit, carry = clusters.RayWorkers.submit, clusters.RayWorkers.carried

    def counted(self, work, *arguments):
        if work is fastbp.many.workers.tell:
            return submit(self, sent_cases.tell_of_another_machine, *arguments)
        place, share, whole = arguments
        messages.append(len(share))
        assert isinstance(whole, ray.ObjectRef)
        return submit(self, work, place, share, whole)

    def stored(self, whole):
        carried.append(whole.nbytes)
        return carry(self, whole)

    monkeypatch.setattr(clusters.RayWorkers, "submit", counted)
    monkeypatch.setattr(clusters.RayWorkers, "carried", stored)
    there, _ = fitted("ray")
    here, _ = fitted()
    expect_same(there, here)
    assert len(messages) == COUNT
    assert len(carried) == 1
    assert carried[0] > X.nbytes + Y.nbytes
    assert max(messages) < X.nbytes


def test_the_share_of_a_killed_worker_is_done_again(cluster, tmp_path):
    counters = [Counter() for _ in range(COUNT)]
    callbacks = [[counter] for counter in counters]
    callbacks[2].append(KillOnce(tmp_path / "killed"))
    there, histories = fitted("ray", callbacks=each(callbacks))
    assert (tmp_path / "killed").exists()
    assert [history.epochs for history in histories] == [3] * COUNT
    assert [counter.epochs for counter in counters] == [3] * COUNT
    here, _ = fitted()
    expect_same(there, here)


def test_a_network_that_kills_each_worker(cluster):
    mine = networks()
    callbacks = each([[Kill()] if number == 2 else [] for number in range(COUNT)])
    with raises(RuntimeError, "Ray: each worker that had networks 2 has ended") as raised:
        fastbp.fit_many(mine, X, Y, epochs=3, callbacks=callbacks, workers="ray")
    assert [history is None for history in raised.value.histories] == [
        number == 2 for number in range(COUNT)
    ]
    assert mine[2].steps == 0
    here, _ = fitted()
    expect_same(mine[:2] + mine[3:], here[:2] + here[3:])


def test_ctrl_c(cluster, tmp_path):
    sent_cases.expect_interrupted(*sent_cases.interrupted("ray", tmp_path))
    here, _ = fitted()
    there, _ = fitted("ray")  # which goes on as before
    expect_same(there, here)
