"""What goes to workers: data once, by a file or by value; functions; what cannot be sent."""

import threading

import importable
import numpy as np
import pytest
import sent_cases
from expect import raises
from sent_cases import COUNT, Counter, Counting, data, expect_same, networks

import fastbp
from fastbp import each
from fastbp.many import workers

X, Y = data()


def fitted(given=None, **options):
    mine = networks()
    fastbp.fit_many(mine, options.pop("X", X), options.pop("y", Y), epochs=3, workers=given)
    return mine


def test_data_are_mapped_not_sent(pool, many_shares):
    many = np.tile(X, (20, 1)), np.tile(Y, (20, 1))
    counting = Counting(pool, 2)
    here = fitted(X=many[0], y=many[1])
    there = fitted(counting, X=many[0], y=many[1])
    expect_same(there, here)
    assert len(counting.sent) == COUNT
    assert sum(counting.sent) < many[0].nbytes / 2


def test_data_are_sent_once_to_each_worker_that_sees_no_file(pool, many_shares, hidden):
    many = np.tile(X, (20, 1)), np.tile(Y, (20, 1))
    size = many[0].nbytes + many[1].nbytes
    hidden(sent_cases.hide_all)
    counting = Counting(pool, 2)
    here = fitted(X=many[0], y=many[1])
    there = fitted(counting, X=many[0], y=many[1])
    expect_same(there, here)
    assert len(counting.sent) == 2
    assert all(size < sent < 1.2 * size for sent in counting.sent)


def test_workers_that_turn_out_to_see_no_file(pool, many_shares, hidden):
    hidden(sent_cases.hide_files)
    counting = Counting(pool, 2)
    here = fitted()
    there = fitted(counting)
    expect_same(there, here)
    assert len(counting.sent) == 2 * COUNT  # each was asked for the data, and had them then


def test_maps_of_files_go_by_their_names(pool, tmp_path, many_shares):
    many = np.tile(X, (20, 1)).astype(np.float32)
    np.save(tmp_path / "X.npy", many)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    y = np.tile(Y, (20, 1))
    files = each([mapped[number:-1] for number in range(3)])
    mine, twins = ([fastbp.Network([5, 4, 2], rng=n) for n in range(3)] for _ in range(2))
    targets = each([y[number:-1] for number in range(3)])
    counting = Counting(pool, 2)
    fastbp.fit_many(mine, files, targets, workers=counting)
    fastbp.fit_many(twins, files, targets)
    expect_same(mine, twins)
    assert sum(counting.sent) < 3.5 * y.nbytes


def test_data_that_do_not_fit_the_memory(monkeypatch, pool):
    monkeypatch.setattr(workers, "free_memory", lambda: 3000)
    mine = networks()
    before = [network.flat.copy() for network in mine]
    with raises(MemoryError, "0.00381 MiB for each of the 2 workers", "0.00763 MiB together"):
        fastbp.fit_many(mine, X, Y, workers=pool)
    for network, flat in zip(mine, before, strict=True):
        np.testing.assert_array_equal(network.flat, flat)
        assert network.history is None
    single = [fastbp.Network([5, 3, 2], rng=0)]
    fastbp.fit_many(single, X.astype(np.float32), Y, workers=pool)  # is mapped, and not copied


def test_what_cannot_be_sent(pool):
    def attempt(*parts, **options):
        mine = networks(3)
        with raises(TypeError, *parts):
            fastbp.fit_many(mine, X, Y, workers=pool, **options)
        assert all(network.history is None and not network.steps for network in mine)

    counter = Counter()
    counter.lock = threading.Lock()
    attempt("network 1: callbacks cannot be sent", callbacks=each([[], [counter], []]))
    schedule = fastbp.schedules.Function(lambda step, lock=counter.lock: 1.0)
    attempt("schedule cannot be sent", "lock", schedule=schedule)


def test_networks_with_one_generator(pool):
    rng = np.random.default_rng(0)
    mine = [fastbp.Network([5, 4, 2], rng=one) for one in (1, rng, rng)]
    with raises(ValueError, "networks 1 and 2 have one numpy.random.Generator", "spawn"):
        fastbp.fit_many(mine, X, Y, workers=pool)
    assert len(fastbp.predict_many(mine, X, workers=pool)) == 3


@pytest.mark.slow
def test_functions_of_the_users_own(pool):
    def made():
        shift = 0.25

        def halves(outputs, targets):
            return ((outputs - targets) ** 2).sum(1) / 2, outputs - targets

        return [
            fastbp.Network([5, 4, 2], loss=halves, rng=5),
            fastbp.Network([5, 4, 2], activation=fastbp.Activation(importable.swish), rng=0),
            fastbp.Network([5, 4, 2], loss=fastbp.Loss(importable.cauchy), rng=1),
            fastbp.Network([5, 4, 2], loss=fastbp.Loss(lambda a, y: (a - y) ** 4), rng=2),
            fastbp.Network([5, 4, 2], loss=fastbp.Loss(lambda a, y: (a - y + shift) ** 2), rng=3),
            fastbp.Network([5, 4, 2], optimizer=fastbp.Optimizer(importable.plain, lr=0.1), rng=4),
        ]

    mine, twins = made(), made()
    fastbp.fit_many(mine, X, Y, epochs=2, workers=pool)
    fastbp.fit_many(twins, X, Y, epochs=2)
    expect_same(mine, twins)
