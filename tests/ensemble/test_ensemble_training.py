"""Ensemble.fit: each network on rows of its own, to the bits that its own fit would have."""

import signal
import sys
import time

import numpy as np
import pytest
from contents import assert_different, assert_same, contents, learned
from ensembles import LABELS, VALUES, X, ensemble, failing, maker
from expect import raises
from process import finish, start

import fastbp
from fastbp.callbacks import Callback, EarlyStopping
from fastbp.ensemble.bags import Bags

BAGGED = {"bootstrap": True, "progress": False}
FIRST, SECOND = [8, 8, 5, 2, 0, 3, 4, 0, 0, 9], [9, 7, 1, 2, 3, 0]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"bootstrap": True}, {"max_samples": 0.5}], ids=str)
def test_each_network_has_the_bits_of_its_own_fit(options, dtype, threads):
    made, twin = (ensemble(3, hidden=(7, 5), dtype=dtype) for _ in range(2))
    weights = np.random.default_rng(3).uniform(0.5, 2, len(X))
    data = {"sample_weight": weights, "class_weight": {0: 1, 1: 2, 2: 0.5}}
    histories = made.fit(X, LABELS, 4, 16, threads=threads, progress=False, **data, **options)
    bags = made._members.bags
    for number, network in enumerate(twin):
        rows = np.arange(97) if bags is None else bags.of(number)
        own = data | {"sample_weight": weights[rows]}
        history = network.fit(X[rows], LABELS[rows], 4, 16, progress=False, **own)
        assert_same(contents(made[number]), contents(network))
        assert dict(history) == dict(histories[number]) == dict(made.histories[number])


def test_rows_are_drawn_from_the_ensembles_rng():
    def rows(rng, **options):
        made = fastbp.Ensemble(ensemble(3).networks, rng=rng)
        made.fit(X, LABELS, progress=False, **options)
        return [made._members.bags.of(number) for number in range(3)]

    drawn = rows(0, bootstrap=True)
    assert all(len(own) == 97 and own.min() >= 0 and own.max() < 97 for own in drawn)
    assert 50 < len(np.unique(drawn[0])) < 75  # 63 % of 97
    assert not np.array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn, rows(0, bootstrap=True))
    assert not np.array_equal(drawn, rows(1, bootstrap=True))
    for own in rows(0, max_samples=0.5):
        assert len(own) == len(np.unique(own)) == 48
    for own in rows(0, max_samples=96):
        assert len(own) == len(np.unique(own)) == 96
    for own in rows(0, bootstrap=True, max_samples=0.001):
        assert len(own) == 1
    made = ensemble(2)
    made.fit(X, LABELS, progress=False)
    assert made._members.bags is None


def test_rows_are_even_and_written_down():
    bags = Bags((1, 2, 3), 10, 100_000, True)
    counts = np.bincount(bags.of(0), minlength=10)
    assert abs(counts - 10_000).max() < 500  # 5 deviations
    # Files hold seeds alone: these rows may never change.
    assert Bags((5, 6), 10, 10, True).of(0).tolist() == FIRST
    assert Bags((5, 6), 10, 6, False).of(1).tolist() == SECOND
    assert sorted(Bags((7,), 10, 10, False).of(0)) == list(range(10))
    left = Bags((5, 6), 10, 10, True).left_out(0)
    assert sorted({*FIRST, *left}) == list(range(10))
    assert not {*FIRST} & {*left}
    assert (Bags((0,), 1, 3, True).of(0) == 0).all()


def test_going_on_keeps_the_rows():
    made, other = ensemble(3), ensemble(3)
    made.fit(X, LABELS, 2, 16, **BAGGED)
    bags = made._members.bags
    made.fit(X, LABELS, 3, 16, **BAGGED)
    assert made._members.bags is bags
    other.fit(X, LABELS, 2, 16, **BAGGED)
    for number, network in enumerate(other):
        network.fit(X[bags.of(number)], LABELS[bags.of(number)], 3, 16, progress=False)
        assert_same(contents(made[number]), contents(network))
    made.fit(X[:50], LABELS[:50], **BAGGED)
    assert made._members.bags.rows == 50
    assert made._members.bags.seeds != bags.seeds


def test_options_reach_the_fits():
    made = ensemble(3)
    rows = []

    class Rows(Callback):
        def on_epoch_end(self, fit):
            rows.append(fit.samples)

    histories = made.fit(
        X,
        LABELS,
        fastbp.each([1, 2, 30]),
        16,
        max_samples=40,
        shuffle=False,
        validation_data=(X, LABELS),
        metrics=["balanced_accuracy"],
        schedule=lambda step: 0.5,
        callbacks=[EarlyStopping("val_loss", patience=2), Rows()],
        progress=False,
        threads=1,
    )
    assert [history.epochs for history in histories][:2] == [1, 2]
    assert histories[0].keys() == {
        "loss",
        "val_loss",
        "val_accuracy",
        "val_balanced_accuracy",
        "learning_rate",
    }
    assert histories[0]["learning_rate"] == [pytest.approx(0.5e-3)]


def test_masked_targets_and_tol():
    made = ensemble(2, "mse")
    y = np.where(X[:, :2] > 1, np.nan, VALUES)
    histories = made.fit(X, y, 50, 16, mask_nan=True, tol=1e3, **BAGGED)
    assert all(history.stopped for history in histories)


def test_failed_networks_are_told_and_left_out_only_when_asked():
    made = ensemble(4, hidden=(5,), optimizer=fastbp.SGD(0.1))
    failing(made[2])
    before = learned(made[2])
    with pytest.warns(RuntimeWarning, match="1 of 4 networks failed"):
        histories = made.fit(X, LABELS, 2, 16, **BAGGED)
    assert made.failed == (2,)
    assert isinstance(histories[2].failure, FloatingPointError)
    assert_same(learned(made[2]), before)
    assert "1 failed" in repr(made)
    for use in (
        lambda: made.predict(X),
        lambda: made.spread(X),
        lambda: made.votes(X),
        lambda: made.quantiles(X, 0.5),
        lambda: made.evaluate(X, LABELS),
        lambda: made.oob_predictions(X),
        lambda: made.oob_evaluate(X, LABELS),
    ):
        with raises(RuntimeError, "network 2 of 4 failed", "without_failed"):
            use()
    sound = made.without_failed()
    assert [*sound] == [made[0], made[1], made[3]]
    assert not sound.failed
    bags = made._members.bags
    assert sound._members.bags.seeds == (bags.seeds[0], bags.seeds[1], bags.seeds[3])
    sound.predict(X)
    assert made[1:].failed == (1,)
    assert not made[:2].failed
    made[2].weights[0][:] = 0.1
    made.fit(X, LABELS, 2, 16, **BAGGED)
    assert not made.failed
    made.predict(X)


def test_failures_are_known_where_their_warning_is_an_error():
    made = ensemble(3, optimizer=fastbp.SGD(0.1))
    failing(made[1])
    with raises(RuntimeWarning, "1 of 3"):  # as pytest is told to make of it
        made.fit(X, LABELS, **BAGGED)
    assert made.failed == (1,)
    assert made._members.bags.rows == 97


def test_all_failed():
    made = ensemble(2, optimizer=fastbp.SGD(0.1))
    for network in made:
        failing(network)
    with pytest.warns(RuntimeWarning, match="2 of 2"):
        made.fit(X, LABELS, progress=False)
    with raises(RuntimeError, "all 2 networks"):
        made.without_failed()


BAD = {
    "X": ({"X": X[:, :2]}, ValueError, "network 0", "X"),
    "X of each": ({"X": fastbp.each([X, X])}, TypeError, "X must be the same"),
    "y of each": ({"y": fastbp.each([LABELS, LABELS])}, TypeError, "y must be the same"),
    "X no rows": ({"X": 3}, TypeError, "X must hold rows"),
    "y": ({"y": LABELS[:4]}, ValueError, "y"),
    "epochs": ({"epochs": 0}, ValueError, "epochs"),
    "bootstrap": ({"bootstrap": 1}, TypeError, "bootstrap"),
    "max_samples 0": ({"max_samples": 0}, ValueError, "max_samples"),
    "max_samples 0.0": ({"max_samples": 0.0}, ValueError, "max_samples"),
    "max_samples 1.5": ({"max_samples": 1.5}, ValueError, "max_samples"),
    "max_samples 98": ({"max_samples": 98}, ValueError, "max_samples", "97"),
    "max_samples True": ({"max_samples": True}, TypeError, "max_samples"),
    "max_samples str": ({"max_samples": "all"}, TypeError, "max_samples"),
    "threads": ({"threads": 0}, ValueError, "threads"),
    "metrics": ({"metrics": ["mae"]}, ValueError, "mae"),
    "each": ({"epochs": fastbp.each([1, 2])}, ValueError, "epochs", "3"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_change_nothing(name):
    wrong, error, *parts = BAD[name]
    made, twin = ensemble(3), ensemble(3)
    with raises(error, *parts):
        made.fit(**({"X": X, "y": LABELS, "bootstrap": True} | wrong))
    for one in (made, twin):
        one.fit(X, LABELS, 2, 16, **BAGGED)
    for a, b in zip(made, twin, strict=True):
        assert_same(contents(a), contents(b))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_leaves_a_usable_ensemble(tmp_path):
    program = """
import numpy as np
import fastbp
from ensembles import ensemble

X = np.random.default_rng(0).normal(size=(2000, 3))
y = (X[:, 0] > 0).astype(int)
made = ensemble(4, hidden=(64,))
made.fit(X, y, 1, 16, bootstrap=True, progress=False)
print("ready", flush=True)
try:
    made.fit(X, y, 10**6, 16, bootstrap=True, progress=False, threads=2)
except KeyboardInterrupt:
    assert not made.failed
    assert np.isfinite(made.predict(X)).all()
    made.oob_predictions(X[:2000])
    made.fit(X, y, 1, 16, bootstrap=True, progress=False)
    print("usable", made[0].steps > 250)
"""
    process = start(tmp_path, program)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert "usable True" in finish(process)


def test_ensembles_of_one_network_and_one_row():
    made = fastbp.Ensemble.of(maker("mse"), 1, rng=0)
    made.fit(X[:1], VALUES[:1], 2, **BAGGED)
    assert made.predict(X[:1]).shape == (1, 2)
    before = learned(made[0])
    made.fit(X[:1], VALUES[:1], 2, **BAGGED)
    assert_different(learned(made[0]), before)
