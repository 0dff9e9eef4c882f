"""Losses as objects: their settings, and what is refused. Their numbers: test_training.py."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from cases import LOSSES, data
from expect import raises

import fastbp
from fastbp import losses


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_objects_compare_by_value_and_copy(loss):
    one = loss.loss()
    assert one == loss.loss()
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    assert eval(repr(one), vars(losses)) == one


def test_settings_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        losses.Huber().delta = 2.0
    assert losses.Huber(0.5) != losses.Huber()


@pytest.mark.parametrize("bad", [0, -1.0, float("nan"), float("inf")])
def test_hubers_delta_is_above_zero(bad):
    with raises(ValueError, "delta must be a finite real number, greater than 0"):
        losses.Huber(bad)


@pytest.mark.parametrize("bad", [-0.1, 1.0, 2, float("nan")])
def test_label_smoothing_is_in_zero_to_one(bad):
    with raises(ValueError, "label_smoothing must be a finite real number, at least 0 and less"):
        losses.CrossEntropy(bad)


@pytest.mark.parametrize("bad", [None, "1", True, [1.0]])
def test_settings_of_another_type(bad):
    with raises(TypeError, "delta must be a finite real number"):
        losses.Huber(bad)
    with raises(TypeError, "label_smoothing must be a finite real number"):
        losses.CrossEntropy(label_smoothing=bad)


def test_huber_by_hand():
    net = fastbp.Network([1, 1], loss=losses.Huber(0.5), initializer=1.0, dtype="float64")
    # Errors 0.25, 0.5, -2: inside, on and beyond delta.
    X, y = np.array([[0.25], [0.5], [-2.0]]), np.zeros(3)
    want = np.mean([0.5 * 0.25**2, 0.5 * 0.5**2, 0.5 * (2 - 0.25)])
    loss, gradients = net.loss_and_gradients(X, y)
    assert loss == pytest.approx(want, rel=1e-15)
    assert gradients.biases[0][0] == pytest.approx((0.25 + 0.5 - 0.5) / 3, rel=1e-15)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_labels_are_probabilities_of_one(smoothing):
    X, y = data(40, 5, 4, "labels")
    net = fastbp.Network([5, 4], loss=losses.CrossEntropy(smoothing), dtype="float64", rng=0)
    by_label, by_row = (net.loss_and_gradients(X, t) for t in (y, np.eye(4)[y]))
    assert by_label[0] == pytest.approx(by_row[0], rel=1e-14)
    np.testing.assert_allclose(by_label[1].weights[0], by_row[1].weights[0], rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_huge_outputs_have_finite_losses_and_gradients(loss, dtype):
    net = fastbp.Network([1, 4], loss=loss.loss(), initializer="zeros", dtype=dtype)
    net.weights[0][:] = [[1e4, -1e4, 0.0, 5e3]]
    y = data(2, 1, 4, loss.targets)[1]
    value, gradients = net.loss_and_gradients([[1.0], [-1.0]], y)
    assert np.isfinite(value)
    assert np.isfinite(gradients.weights[0]).all()
    assert np.isfinite(net.evaluate([[1.0], [-1.0]], y)["loss"])
