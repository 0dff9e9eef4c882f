"""Estimates by the networks that were not trained on a row."""

import numpy as np
import pytest
from ensembles import LABELS, VALUES, X, ensemble, fitted
from expect import raises

import fastbp

BAGGED = {"bootstrap": True}


def by_hand(made, X):
    """The means, network by network and row by row."""
    bags, found = made._members.bags, np.full((len(X), made[0].layers[-1]), np.nan)
    for row in range(len(X)):
        of_row = [
            net.predict(X)[row].astype(float)
            for number, net in enumerate(made)
            if row not in bags.of(number)
        ]
        if of_row:
            found[row] = np.add.reduce(of_row) / len(of_row)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions(dtype):
    made = fitted(24, "mse", options=BAGGED, dtype=dtype)
    found = made.oob_predictions(X)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, by_hand(made, X), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found, made.oob_predictions(X, threads=1))


def test_evaluate():
    made = fitted(24, options=BAGGED, dtype="float64")
    found = made.oob_evaluate(X, LABELS, metrics=["f1"])
    mean = by_hand(made, X)
    loss = -np.log(mean[np.arange(97), LABELS]).mean()
    assert found["loss"] == pytest.approx(loss, rel=1e-12)
    assert found["accuracy"] == (mean.argmax(axis=1) == LABELS).mean()
    assert found.keys() == {"loss", "accuracy", "f1"}
    weights = np.linspace(0, 1, 97)
    losses = -np.log(mean[np.arange(97), LABELS])
    weighted = made.oob_evaluate(X, LABELS, sample_weight=weights)
    assert weighted["loss"] == pytest.approx(np.average(losses, weights=weights), rel=1e-12)


def test_rows_that_all_have_seen_are_told_and_left_out():
    made = fitted(2, "mse", options=BAGGED, dtype="float64")
    want = by_hand(made, X)
    without = np.isnan(want[:, 0])
    told = f"{without.sum()} of 97 rows"
    with pytest.warns(RuntimeWarning, match=told) as caught:
        np.testing.assert_allclose(made.oob_predictions(X), want, rtol=1e-12)
    assert caught[0].filename == __file__
    with pytest.warns(RuntimeWarning, match=told) as caught:
        found = made.oob_evaluate(X, VALUES)
    assert caught[0].filename == __file__
    wanted = ((want - VALUES)[~without] ** 2).mean()
    assert found["loss"] == pytest.approx(wanted, rel=1e-12)
    y = np.where(np.arange(97)[:, None] % 5 == 0, np.nan, VALUES)
    with pytest.warns(RuntimeWarning, match=told):
        found = made.oob_evaluate(X, y, mask_nan=True)
    assert found["loss"] == pytest.approx(np.nanmean((want - y) ** 2), rel=1e-12)


def test_rows_without_replacement():
    made = fitted(24, "mse", options={"max_samples": 0.5})
    np.testing.assert_allclose(made.oob_predictions(X), by_hand(made, X), rtol=1e-5)


def test_one_row_is_out_of_no_bag():
    made = ensemble(2, "mse")
    made.fit(X[:1], VALUES[:1], **BAGGED, progress=False)
    with pytest.warns(RuntimeWarning, match="1 of 1"):
        assert np.isnan(made.oob_predictions(X[:1])).all()
    with raises(RuntimeError, "none is out of bag"):
        made.oob_evaluate(X[:1], VALUES[:1])


def test_estimates_are_near_what_new_rows_tell():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(600, 3))
    y = ((X[:, 0] > 0) ^ (rng.random(600) < 0.2)).astype(int)

    def make(rng):
        return fastbp.Network(
            [3, 64, 2], loss="cross_entropy", optimizer=fastbp.Adam(0.01), rng=rng
        )

    made = fastbp.Ensemble.of(make, 24, rng=0)
    made.fit(X[:300], y[:300], 60, 16, **BAGGED, progress=False)
    estimate = made.oob_evaluate(X[:300], y[:300])["accuracy"]
    assert abs(estimate - made.evaluate(X[300:], y[300:])["accuracy"]) < 0.06
    assert made.evaluate(X[:300], y[:300])["accuracy"] > estimate + 0.05


def test_bad_input():
    made = ensemble(2)
    for use in (made.oob_predictions, lambda X: made.oob_evaluate(X, LABELS)):
        with raises(RuntimeError, "no rows are out of bag", "bootstrap"):
            use(X)
    made.fit(X, LABELS, progress=False)
    with raises(RuntimeError, "no rows are out of bag"):
        made.oob_predictions(X)
    made = fitted(24, options=BAGGED)
    with raises(ValueError, "X", "97 rows", "50 rows"):
        made.oob_predictions(X[:50])
    with raises(ValueError, "y", "97"):
        made.oob_evaluate(X, LABELS[:50])
    with raises(ValueError, "sample_weight", "97"):
        made.oob_evaluate(X, LABELS, sample_weight=np.ones(5))
    with raises(ValueError, "metrics"):
        made.oob_evaluate(X, LABELS, metrics=["r2"])
