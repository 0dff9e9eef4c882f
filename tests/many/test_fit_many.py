"""fit_many: each network to the bits of its own fit, whatever the others are."""

import copy
import threading
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from cases import data, sparse_rows
from contents import assert_same, contents
from expect import raises
from meanwhile import reading

import fastbp
from fastbp import each
from fastbp.callbacks import Callback, EarlyStopping
from fastbp.data import tables
from fastbp.engine.watch import Watch

ROWS = 71
X, Y = data(ROWS, 5, 3)
LABELS = np.random.default_rng(1).integers(3, size=ROWS)
WEIGHTS = np.random.default_rng(2).random(ROWS)


def assert_as_one_by_one(networks, twins, histories, fits):
    """fits: the arguments of `Network.fit` for each twin."""
    assert len(histories) == len(networks) == len(fits)
    for network, twin, history, (given, options) in zip(
        networks, twins, histories, fits, strict=True
    ):
        want = twin.fit(*given, **options)
        assert_same(contents(network), contents(twin))
        assert dict(history) == dict(want)
        assert history is network.history
        assert (history.stopped, history.failure) == (want.stopped, None)


def values(seed=0, **options):
    return fastbp.Network([5, 4 + seed, 3], rng=seed, **options)


def classes(seed=0, **options):
    return fastbp.Network([5, 8, 3], loss="cross_entropy", rng=seed, **options)


def mixture():
    """Networks that share neither shapes nor parts; of values."""
    return [
        values(0),
        values(1, dtype="float64"),
        values(2, activation="tanh", optimizer=fastbp.SGD(0.05, momentum=0.9)),
        values(3, dropout=0.3, l2=1e-3, clip_norm=1.0),
        values(4, scaling="standard", dtype="float64"),
        values(5, scaling="standard"),
        values(6, scaling=0.5, alpha=0.1),
        values(7, loss="huber", optimizer="rmsprop", threads=2),
        fastbp.Network([5, 3], rng=8),
        fastbp.Network([5, 7, 33, 9, 3], activation=["gelu", "elu", "tanh"], rng=9),
        values(11, trainable=[False, True]),
    ]


@pytest.mark.parametrize("threads", [None, 1, 2, 5])
def test_networks_of_all_kinds_have_the_bits_of_their_own_fits(threads):
    networks, twins = mixture(), mixture()
    fit = {"epochs": 3, "batch_size": 16}
    histories = fastbp.fit_many(networks, X, Y, **fit, threads=threads)
    assert_as_one_by_one(networks, twins, histories, [((X, Y), fit)] * len(twins))


def test_they_go_on_from_where_they_stand():
    networks, twins = mixture(), mixture()
    for net in (*networks, *twins):
        net.fit(X, Y, epochs=1, batch_size=10)
    fit = {"epochs": 2, "batch_size": 32}
    for _ in range(2):
        histories = fastbp.fit_many(networks, X, Y, **fit)
        assert_as_one_by_one(networks, twins, histories, [((X, Y), fit)] * len(twins))


def test_each_argument_may_have_a_value_for_each_network():
    rng = np.random.default_rng(0)
    many = [
        {
            "epochs": number + 1,
            "batch_size": 8 * number + 1,
            "shuffle": number % 2 == 0,
            "validation_data": None if number == 3 else (X[:9], LABELS[:9]),
            "sample_weight": rng.random(ROWS) if number == 1 else None,
            "class_weight": "balanced" if number == 2 else None,
            "mask_nan": number == 4,
            "schedule": fastbp.schedules.Cosine() if number == 3 else None,
            "metrics": ["f1"] if number == 0 else None,
            "tol": 10.0 if number == 4 else None,
            "callbacks": [EarlyStopping("loss")] if number < 2 else (),
        }
        for number in range(5)
    ]
    features = [rng.standard_normal((ROWS, 5)) for _ in many]
    targets = [rng.integers(3, size=ROWS) for _ in many]
    targets[4] = np.where(rng.random(ROWS) < 0.2, np.nan, targets[4])
    networks, twins = ([classes(seed) for seed in range(5)] for _ in range(2))
    given = {name: each([one[name] for one in many]) for name in many[0]}
    own = [{**one, "callbacks": copy.deepcopy(one["callbacks"])} for one in many]
    histories = fastbp.fit_many(networks, each(features), each(targets), **given)
    fits = [((a, b), one) for a, b, one in zip(features, targets, own, strict=True)]
    assert_as_one_by_one(networks, twins, histories, fits)


ROWS_OF_EACH = [
    np.arange(40),
    np.arange(ROWS)[::-3],
    [7],
    np.random.default_rng(3).integers(ROWS, size=100),
    np.random.default_rng(4).random(ROWS) < 0.5,
]
CHOSEN = [np.flatnonzero(one) if np.asarray(one).dtype == bool else one for one in ROWS_OF_EACH]


@pytest.mark.parametrize("weighted", ["plain", "weights", "classes", "masked"])
@pytest.mark.parametrize("make", [classes, lambda seed: classes(seed, scaling="standard")])
def test_rows_are_trained_on_as_if_they_were_all(make, weighted):
    networks, twins = ([make(seed) for seed in range(5)] for _ in range(2))
    y = LABELS.astype(float)
    options, by_row = {"epochs": 2, "batch_size": 7}, {}
    if weighted == "weights":
        by_row["sample_weight"] = WEIGHTS
    elif weighted == "classes":
        options["class_weight"] = {0: 1.0, 1: 2.0, 2: 0.5}
    elif weighted == "masked":
        options["mask_nan"] = True
        y[[3, 50, 51]] = np.nan
    held = np.arange(60, 71)
    histories = fastbp.fit_many(
        networks, X, y, rows=each(ROWS_OF_EACH), validation_rows=held, **options, **by_row
    )
    fits = []
    for rows in CHOSEN:
        own = {name: array[rows] for name, array in by_row.items()}
        validation = X[held], y[held], *(array[held] for array in by_row.values())
        fits.append(((X[rows], y[rows]), {**options, **own, "validation_data": validation}))
    assert_as_one_by_one(networks, twins, histories, fits)


def test_sparse_rows():
    A = sparse_rows(ROWS, 5, 0.5)
    networks, twins = ([classes(seed) for seed in range(3)] for _ in range(2))
    rows = [np.arange(30), np.arange(5, 71, 2), np.r_[3, 3, 9]]
    fit = {"epochs": 2, "batch_size": 16}
    histories = fastbp.fit_many(networks, A, LABELS, **fit)
    assert_as_one_by_one(networks, twins, histories, [((A, LABELS), fit)] * 3)
    histories = fastbp.fit_many(networks, A, LABELS, rows=each(rows), **fit)
    fits = [((A[one], LABELS[one]), fit) for one in rows]
    assert_as_one_by_one(networks, twins, histories, fits)


def test_tasks_and_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcde"))
    y = {"kind": LABELS, "size": Y[:, :1]}

    def network(seed):
        losses = {"kind": "cross_entropy", "size": "mse"}
        return fastbp.Network([5, 8, 4], loss=losses, outputs={"kind": 3, "size": 1}, rng=seed)

    networks, twins = ([network(seed) for seed in range(4)] for _ in range(2))
    fit = {"epochs": 3, "batch_size": 16}
    histories = fastbp.fit_many(networks, frame, y, **fit)
    assert_as_one_by_one(networks, twins, histories, [((frame, y), fit)] * 4)
    assert networks[0].feature_names == tuple("abcde")
    rows = [np.arange(20), np.arange(3, 50)] * 2
    histories = fastbp.fit_many(networks, frame, y, rows=each(rows), **fit)
    fits = [((X[one], {name: v[one] for name, v in y.items()}), fit) for one in rows]
    assert_as_one_by_one(networks, twins, histories, fits)


def test_losses_of_whole_rows():
    def distance(outputs, targets):
        away = outputs - targets
        norms = np.sqrt((away**2).sum(axis=1) + 1e-6)
        return norms, away / norms[:, None]

    networks, twins = ([values(seed, loss=distance) for seed in range(3)] for _ in range(2))
    fit = {"epochs": 2, "batch_size": 16}
    histories = fastbp.fit_many(networks, X, Y, **fit)
    assert_as_one_by_one(networks, twins, histories, [((X, Y), fit)] * 3)


def test_what_is_shared_is_converted_once(monkeypatch):
    calls, convert = [], tables.features

    def counted(given, *arguments, **options):
        calls.append(np.shape(given))
        return convert(given, *arguments, **options)

    monkeypatch.setattr(tables, "features", counted)
    doubles = X.astype("f8")
    fastbp.fit_many([classes(seed) for seed in range(20)], doubles, LABELS)
    assert len(calls) == 2  # to float32, and the check of what came of it


def test_rows_of_each_with_scalings_of_their_own_share_what_was_converted():
    given = np.asfortranarray(np.random.default_rng(5).standard_normal((2000, 50)))
    rows = each([np.arange(number, 2000, 2 + number) for number in range(20)])
    networks = [fastbp.Network([50, 4, 3], scaling="standard", rng=seed) for seed in range(20)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        fastbp.fit_many(networks, given, np.zeros((2000, 3)), rows=rows, validation_rows=[1, 2])
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 5 * given.nbytes


class Look(Callback):
    """Keeps the rows that a fit has."""

    def on_fit_begin(self, fit):
        self.rows = fit._rows


def looked_at(networks, *given, **options):
    looks = [Look() for _ in networks]
    fastbp.fit_many(networks, *given, callbacks=each([[look] for look in looks]), **options)
    return [look.rows for look in looks]


def test_targets_are_converted_once_for_losses_that_take_the_same():
    losses = [fastbp.losses.Huber(delta) for delta in (0.5, 1.0, 2.0)] + ["mse", "mae"]
    rows = looked_at([values(seed, loss=loss) for seed, loss in enumerate(losses)], X, Y)
    assert all(np.shares_memory(one.targets, rows[0].targets) for one in rows)
    networks = [values(loss=fastbp.losses.CrossEntropy(0.1 * number)) for number in range(3)]
    rows = looked_at(networks, X, LABELS.astype(float))
    assert all(np.shares_memory(one.targets, rows[0].targets) for one in rows)
    # But not where they are held in another form.
    both = [values(loss="mse"), values(loss="hinge")]
    signs = np.sign(Y)
    rows = looked_at(both, X, signs)
    assert not np.shares_memory(rows[0].targets, rows[1].targets)


def test_tasks_share_their_targets_and_have_losses_of_their_own():
    def network(seed):
        losses = {"kind": "cross_entropy", "size": "mse"}
        return fastbp.Network([5, 8, 4], loss=losses, outputs={"kind": 3, "size": 1}, rng=seed)

    rows = looked_at([network(seed) for seed in range(3)], X, {"kind": LABELS, "size": Y[:, :1]})
    for own in rows[1:]:
        for part, first in zip(own.tasks, rows[0].tasks, strict=True):
            assert np.shares_memory(part.targets, first.targets)
            assert not np.shares_memory(part.losses, first.losses)


def test_what_needs_no_conversion_is_read_where_it_lies():
    given = X.astype("f4")
    rows = looked_at([classes(seed) for seed in range(3)], given, LABELS)
    assert len(rows) == 3
    assert all(np.shares_memory(one.features, given) for one in rows)


def test_parameters_of_a_network_as_data_for_others():
    """What one trains, others read: they read what it was when the call began."""
    source = fastbp.Network([5, 5], dtype="float64", rng=0)
    twin = copy.deepcopy(source)
    networks = [fastbp.Network([5, 3, 5], dtype="float64", rng=seed) for seed in range(4)]
    twins = copy.deepcopy(networks)
    given = source.weights[0]
    before = given.copy()
    fastbp.fit_many([source, *networks], given, before, epochs=5, batch_size=2, threads=1)
    twin.fit(before, before, epochs=5, batch_size=2)
    assert_same(contents(source), contents(twin))
    for net, other in zip(networks, twins, strict=True):
        other.fit(before, before, epochs=5, batch_size=2)
        assert_same(contents(net), contents(other))


# ---- callbacks ----------------------------------------------------------------------------------


class Notes(Callback):
    def __init__(self):
        self.epochs, self.networks = [], set()

    def on_epoch_end(self, fit):
        self.epochs.append(fit.epoch)
        self.networks.add(id(fit.network))


def test_callbacks_for_all_are_copied_and_those_of_each_are_its_own():
    shared, own = Notes(), [Notes() for _ in range(4)]
    networks = [classes(seed) for seed in range(4)]
    fastbp.fit_many(networks, X, LABELS, epochs=3, callbacks=[shared])
    assert shared.epochs == []
    fastbp.fit_many(networks, X, LABELS, epochs=3, callbacks=each([[one] for one in own]))
    assert [one.epochs for one in own] == [[1, 2, 3]] * 4
    assert [one.networks for one in own] == [{id(network)} for network in networks]


def test_a_callback_may_use_its_network_and_train_another():
    class Uses(Callback):
        def on_epoch_end(self, fit):
            other = values(3, threads=2)
            other.fit(X, Y, epochs=2, batch_size=64)
            inner = [values(seed) for seed in range(2)]
            fastbp.fit_many(inner, X, Y)
            self.seen = fit.network.predict(X), other.predict(X), inner[1].predict(X)

    uses = [Uses() for _ in range(3)]
    networks = [classes(seed) for seed in range(3)]
    fastbp.fit_many(networks, X, LABELS, callbacks=each([[one] for one in uses]))
    want = values(3)
    want.fit(X, Y, epochs=2, batch_size=64)
    for one, network in zip(uses, networks, strict=True):
        assert one.seen[0].tobytes() == network.predict(X).tobytes()
        assert one.seen[1].tobytes() == want.predict(X).tobytes()


# ---- failures -----------------------------------------------------------------------------------


def test_a_network_that_fails_stops_no_other():
    def network(number):
        return values(number, optimizer=fastbp.SGD(1e30 if number in (1, 3) else 1e-3))

    networks, twins = ([network(number) for number in range(5)] for _ in range(2))
    with pytest.warns(RuntimeWarning, match="2 of 5 networks failed.*network 1: Floating.*3:"):
        histories = fastbp.fit_many(networks, X, Y, epochs=4, batch_size=8)
    for number, (net, twin, history) in enumerate(zip(networks, twins, histories, strict=True)):
        if number in (1, 3):
            with pytest.raises(FloatingPointError) as caught:
                twin.fit(X, Y, epochs=4, batch_size=8)
            assert str(history.failure) == str(caught.value)
            assert type(history.failure) is FloatingPointError
            assert history.failure.history is history
        else:
            twin.fit(X, Y, epochs=4, batch_size=8)
            assert history.failure is None
        assert_same(contents(net), contents(twin))


def test_an_exception_of_a_callback_is_its_networks_failure():
    class Fails(Callback):
        def on_epoch_end(self, fit):
            if fit.epoch == 2:
                raise ZeroDivisionError("mine")

    networks, twins = ([values(seed) for seed in range(3)] for _ in range(2))
    callbacks = each([(), [Fails()], ()])
    with pytest.warns(RuntimeWarning, match="network 1: ZeroDivisionError: mine"):
        histories = fastbp.fit_many(networks, X, Y, epochs=3, callbacks=callbacks)
    assert [history.epochs for history in histories] == [3, 2, 3]
    for twin, epochs in zip(twins, (3, 2, 3), strict=True):
        twin.fit(X, Y, epochs=epochs)
    for net, twin in zip(networks, twins, strict=True):
        assert_same(contents(net), contents(twin))


def test_what_is_no_failure_of_a_network_ends_all():
    class Exits(Callback):
        def on_epoch_end(self, fit):
            raise SystemExit(3)

    networks = [values(seed) for seed in range(3)]
    with pytest.raises(SystemExit):
        fastbp.fit_many(networks, X, Y, callbacks=each([(), (), [Exits()]]), threads=1)
    assert [network.steps for network in networks] == [0, 0, 3]  # the longest comes first


# ---- what goes on meanwhile ---------------------------------------------------------------------


def test_networks_are_used_while_they_are_trained():
    networks, twins = ([classes(seed) for seed in range(6)] for _ in range(2))
    with reading(networks, X):
        histories = fastbp.fit_many(networks, X, LABELS, epochs=200, batch_size=4)
    fits = [((X, LABELS), {"epochs": 200, "batch_size": 4})] * 6
    assert_as_one_by_one(networks, twins, histories, fits)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_as_many_are_trained_at_a_time_as_there_are_threads(threads):
    under_way, most, lock = set(), [], threading.Lock()

    class Counts(Callback):
        def on_fit_begin(self, fit):
            with lock:
                under_way.add(self)
                most.append(len(under_way))

        def on_epoch_end(self, fit):
            time.sleep(0.02)  # until others have begun

        def on_fit_end(self, fit):
            with lock:
                under_way.remove(self)

    callbacks = each([[Counts()] for _ in range(9)])
    fastbp.fit_many([classes(n) for n in range(9)], X, LABELS, callbacks=callbacks, threads=threads)
    assert max(most) == threads


def test_two_calls_at_once_take_turns_with_a_network_of_both():
    networks = [classes(seed) for seed in range(4)]
    calls = [
        threading.Thread(target=lambda: fastbp.fit_many(networks, X, LABELS, 20, 4, threads=2))
        for _ in range(2)
    ]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    twins = [classes(seed) for seed in range(4)]
    for net, twin in zip(networks, twins, strict=True):
        for _ in range(2):
            twin.fit(X, LABELS, 20, 4)
        assert_same(contents(net), contents(twin))


def test_memory_is_given_back():
    networks = [fastbp.Network([5, 64, 64, 3], rng=seed) for seed in range(3)]
    before = [network._core.engine.nbytes for network in networks]
    fastbp.fit_many(networks, X, Y, epochs=2)
    fastbp.predict_many(networks, X)
    fastbp.evaluate_many(networks, X, Y)
    assert [network._core.engine.nbytes for network in networks] == before


def test_no_warning_where_none_failed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastbp.fit_many([classes()], X, LABELS)


def test_the_warning_names_the_users_line():
    networks = [values(number, optimizer=fastbp.SGD(1e30)) for number in range(2)]
    with pytest.warns(RuntimeWarning, match="2 of 2") as caught:
        fastbp.fit_many(networks, X, Y, epochs=2)
    assert caught[0].filename == __file__
    ensemble = fastbp.Ensemble(networks)
    with pytest.warns(RuntimeWarning, match="2 of 2") as caught:
        ensemble.fit(X, Y, epochs=2)
    assert caught[0].filename == __file__


# ---- generators ---------------------------------------------------------------------------------


def test_networks_of_one_generator_are_refused_where_they_draw():
    rng = np.random.default_rng(0)
    networks = [fastbp.Network([2, 3, 1], rng=rng) for _ in range(3)]
    before = [contents(net) for net in networks]
    given = np.zeros((20, 2), "f4"), np.zeros((20, 1), "f4")
    with raises(ValueError, "networks 0 and 1 have one numpy.random.Generator", "spawn"):
        fastbp.fit_many(networks, *given, batch_size=8)
    for net, want in zip(networks, before, strict=True):
        assert_same(contents(net), want)
    # No order is drawn of these.
    fastbp.fit_many(networks, *given, batch_size=8, shuffle=False)
    fastbp.fit_many(networks, *given, batch_size=20)
    fastbp.fit_many(networks[:2], *given, batch_size=8, shuffle=each([True, False]))


def test_a_watch_is_over_one_network_on_one_thread():
    first, second = (classes(seed)._core.engine for seed in range(2))
    watch, elsewhere = Watch(), []
    with first.watched(watch):
        other = threading.Thread(target=lambda: elsewhere.append(first.watch))
        other.start()
        other.join()
        assert (first.watch, second.watch, elsewhere) == (watch, None, [None])
        assert (first.team_threads, second.team_threads) == (1, None)
    assert first.watch is None
