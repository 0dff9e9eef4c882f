"""Ensemble.evaluate: the loss and the metrics of the mean."""

import numpy as np
import pytest
from ensembles import LABELS, SIGNS, TARGETS, VALUES, X, fitted
from expect import raises
from importable import cauchy

import fastbp

WEIGHTS = np.random.default_rng(1).uniform(0, 2, len(X))
WEIGHTS[:7] = 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", TARGETS)
def test_one_network_is_judged_as_it_judges_itself(loss, dtype):
    made = fitted(1, loss, dtype=dtype)
    rtol = 2e-5 if dtype == "float32" else 1e-12
    for options in ({}, {"sample_weight": WEIGHTS}):
        want = made[0].evaluate(X, TARGETS[loss], **options)
        assert made.evaluate(X, TARGETS[loss], **options) == pytest.approx(want, rel=rtol)


def test_the_loss_is_that_of_the_mean():
    made = fitted(5, dtype="float64")
    mean = made.predict(X)
    found = made.evaluate(X, LABELS)
    assert found["loss"] == pytest.approx(-np.log(mean[np.arange(97), LABELS]).mean(), rel=1e-12)
    assert found["accuracy"] == (mean.argmax(axis=1) == LABELS).mean()
    assert found["loss"] < np.mean([net.evaluate(X, LABELS)["loss"] for net in made])  # Jensen
    made = fitted(5, "mse", dtype="float64")
    found = made.evaluate(X, VALUES, metrics=["mae"])
    assert found["loss"] == pytest.approx(((made.predict(X) - VALUES) ** 2).mean(), rel=1e-12)
    assert found["mae"] == pytest.approx(np.abs(made.predict(X) - VALUES).mean(), rel=1e-12)


def test_options():
    made = fitted(3, dtype="float64")

    def share(y_true, y_pred):
        np.testing.assert_allclose(y_pred, made.predict(X)[: len(y_pred)], rtol=1e-12)
        return 0.25

    balanced = {"class_weight": "balanced", "metrics": ["f1", share]}
    found = made.evaluate(X, LABELS, **balanced)
    assert found.keys() == {"loss", "accuracy", "f1", "share"}
    counts = np.bincount(LABELS)
    weights = (97 / 3 / counts)[LABELS]
    losses = -np.log(made.predict(X)[np.arange(97), LABELS])
    assert found["loss"] == pytest.approx(np.average(losses, weights=weights), rel=1e-12)
    missing = np.where(X[:, 0] > 1, np.nan, LABELS)
    known = X[:, 0] <= 1
    want = made.evaluate(X[known], LABELS[known])
    assert made.evaluate(X, missing, mask_nan=True) == pytest.approx(want, rel=1e-12)


def test_weights_of_outputs_and_losses_of_own():
    networks = [fastbp.Network([3, 2], loss_weights=[1, 3], rng=r, dtype="f8") for r in range(2)]
    made = fastbp.Ensemble(networks)
    want = ((made.predict(X) - VALUES) ** 2 * [1, 3]).mean()
    assert made.evaluate(X, VALUES)["loss"] == pytest.approx(want, rel=1e-12)
    own = fastbp.Loss(cauchy)
    made = fastbp.Ensemble([fastbp.Network([3, 2], loss=own, rng=r, dtype="f8") for r in range(2)])
    want = cauchy(made.predict(X), VALUES).mean()
    assert made.evaluate(X, VALUES)["loss"] == pytest.approx(want, rel=1e-12)

    def squares(outputs, targets):
        away = outputs - targets
        return (away**2).sum(axis=1), 2 * away

    networks = [fastbp.Network([3, 2], loss=squares, rng=r, dtype="f8") for r in range(2)]
    made = fastbp.Ensemble(networks)
    want = ((made.predict(X) - VALUES) ** 2).sum(axis=1).mean()
    assert made.evaluate(X, VALUES)["loss"] == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "poisson"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_underflows_or_is_certain_has_a_finite_loss(loss, dtype):
    made = fitted(2, loss, dtype=dtype)
    for network in made:
        network.weights[-1][:] *= 1e5
    found = made.evaluate(X, TARGETS[loss])
    assert np.isfinite(found["loss"])
    if loss == "binary_cross_entropy":
        worst = -np.log(np.finfo(dtype).epsneg / 2)
        certain = fastbp.Ensemble([made[0]])
        certain[0].weights[-1][:] = 0
        certain[0].biases[-1][:] = 1000
        want = (1 - SIGNS).mean() * worst
        assert certain.evaluate(X, SIGNS)["loss"] == pytest.approx(want, rel=1e-6)


def test_bad_input():
    made = fitted(2)
    with raises(ValueError, "y"):
        made.evaluate(X, LABELS[:5])
    with raises(ValueError, "metrics", "mae"):
        made.evaluate(X, LABELS, metrics=["mae"])
    with raises(ValueError, "sample_weight"):
        made.evaluate(X, LABELS, sample_weight=-WEIGHTS)
