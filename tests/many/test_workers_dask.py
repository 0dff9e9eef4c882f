"""Many networks on a cluster of Dask, of processes of this machine."""

import numpy as np
import pytest
import sent_cases
from expect import raises
from sent_cases import COUNT, Counter, Kill, KillOnce, data, expect_same, networks

import fastbp
from fastbp import each
from fastbp.many import bundles, clusters, shares

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.filterwarnings("ignore")  # of the cluster, which is not what is tested

X, Y = data()


@pytest.fixture(autouse=True)
def many_shares(monkeypatch):
    monkeypatch.setattr(shares, "LEAST", 1.0)


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def hidden(client):
    """Workers that see none of the files."""
    client.run(sent_cases.hide_all)
    yield
    client.run(sent_cases.show_all)


def fitted(given=None, **options):
    mine = networks()
    histories = fastbp.fit_many(mine, X, Y, epochs=3, workers=given, **options)
    return mine, histories


@pytest.mark.parametrize("kind", ["client", "executor", "joblib"])
def test_bits_are_those_of_fits_here(client, kind):
    here, _ = fitted(validation_data=(X[:20], Y[:20]))
    if kind == "joblib":
        joblib = pytest.importorskip("joblib")
        with joblib.parallel_config("dask"):
            there, _ = fitted("joblib", validation_data=(X[:20], Y[:20]))
    else:
        given = client if kind == "client" else client.get_executor()
        there, _ = fitted(given, validation_data=(X[:20], Y[:20]))
    expect_same(there, here)
    for found, want in zip(
        fastbp.predict_many(there, X, workers=client), fastbp.predict_many(here, X), strict=True
    ):
        np.testing.assert_array_equal(found, want)


def test_both_workers_have_shares(client):
    counters = [Counter() for _ in range(COUNT)]
    fitted(client, callbacks=each([counter] for counter in counters))
    assert len({counter.process for counter in counters}) == 2


def test_data_are_sent_once_to_each_worker(client, hidden, monkeypatch):
    messages, carried = [], []
    submit, carry = clusters.DaskWorkers.submit, clusters.DaskWorkers.carried

    def counted(self, work, place, share, whole):
        messages.append(len(share))
        assert isinstance(whole, distributed.Future)
        return submit(self, work, place, share, whole)

    def scattered(self, whole):
        carried.append(whole.nbytes)
        return carry(self, whole)

    monkeypatch.setattr(clusters.DaskWorkers, "submit", counted)
    monkeypatch.setattr(clusters.DaskWorkers, "carried", scattered)
    there, _ = fitted(client)
    here, _ = fitted()
    expect_same(there, here)
    assert len(messages) == COUNT
    assert len(carried) == 1
    assert carried[0] > X.nbytes + Y.nbytes
    assert max(messages) < X.nbytes


def test_the_share_of_a_killed_worker_is_done_again(client, tmp_path):
    counters = [Counter() for _ in range(COUNT)]
    callbacks = [[counter] for counter in counters]
    callbacks[2].append(KillOnce(tmp_path / "killed"))
    there, histories = fitted(client, callbacks=each(callbacks))
    assert (tmp_path / "killed").exists()
    assert [history.epochs for history in histories] == [3] * COUNT
    assert [counter.epochs for counter in counters] == [3] * COUNT
    here, _ = fitted()
    expect_same(there, here)


def test_a_network_that_kills_each_worker(client):
    client.wait_for_workers(2)
    mine = networks()
    callbacks = each([[Kill()] if number == 2 else [] for number in range(COUNT)])
    with raises(RuntimeError, "Dask: each worker that had networks 2 has ended") as raised:
        fastbp.fit_many(mine, X, Y, epochs=3, callbacks=callbacks, workers=client)
    assert [history is None for history in raised.value.histories] == [
        number == 2 for number in range(COUNT)
    ]
    assert mine[2].steps == 0
    here, _ = fitted()
    expect_same(mine[:2] + mine[3:], here[:2] + here[3:])


def test_files_are_hidden_in_workers_alone(tmp_path):
    bundles.write(tmp_path / "data", {})
    assert bundles.mapped(tmp_path / "data") == {}


def test_data_that_do_not_fit_what_a_worker_may_have(client, monkeypatch):
    known = clusters.DaskWorkers._known

    def small(self):
        return {at: worker | {"memory_limit": 2000} for at, worker in known(self).items()}

    monkeypatch.setattr(clusters.DaskWorkers, "_known", small)
    client.wait_for_workers(2)
    with raises(MemoryError, "the data take 0.00381 MiB in a worker, and Dask lets one have 0.001"):
        fitted(client)


def test_ctrl_c(client, tmp_path):
    client.wait_for_workers(2)
    sent_cases.expect_interrupted(*sent_cases.interrupted(client, tmp_path))
    here, _ = fitted()
    there, _ = fitted(client)  # which goes on as before
    expect_same(there, here)
