"""Weights and masks that cannot be used are refused, and the network stays as it was."""

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents
from expect import raises

import fastbp

NAN = float("nan")
X, Y = data(7, 5, 4)
LABELS = np.array([0, 1, 2, 3, 0, 1, 2])
ALL = {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0}


def network(loss="cross_entropy", outputs=4):
    net = fastbp.Network([5, 9, outputs], loss=loss, rng=0)
    kinds = {"cross_entropy": "labels", "binary_cross_entropy": "bits", "poisson": "counts"}
    net.fit(*data(19, 5, outputs, kinds.get(loss, "real")), epochs=2, batch_size=8, progress=False)
    return net


def refused(net, y, error, *parts, **options):
    """All methods refuse the options with this error and leave the network alone."""
    before = contents(net)
    for call in (net.fit, net.evaluate, net.train_step, net.loss_and_gradients):
        with raises(error, *parts):
            call(X, y, **options)
    assert_same(contents(net), before)


SAMPLE_WEIGHTS = [
    ([1] * 6, ValueError, ("must have shape (7,), one weight a row; got shape (6,)",)),
    (np.ones((7, 1)), ValueError, ("must have shape (7,)", "got shape (7, 1)")),
    (2.0, ValueError, ("must have shape (7,)", "got shape ()")),
    ([1, 1, -0.5, 1, 1, 1, 1], ValueError, ("holds -0.5 at row 2; every weight must be at lea",)),
    ([1, 1, 1, NAN, 1, 1, 1], ValueError, ("holds nan at row 3; every value must be finite",)),
    ([1, np.inf, 1, 1, 1, 1, 1], ValueError, ("holds inf at row 1; every value must be finite",)),
    ("balanced", TypeError, ("must hold real numbers",)),
    ({0: 1}, TypeError, ("must hold real numbers",)),
]


@pytest.mark.parametrize(("bad", "error", "parts"), SAMPLE_WEIGHTS)
def test_sample_weights(bad, error, parts):
    for net, y in ((network(), LABELS), (network("mse"), Y)):
        refused(net, y, error, "sample_weight", *parts, sample_weight=bad)
        with raises(error, "validation_data sample_weight", *parts):
            net.fit(X, y, validation_data=(X, y, bad))


ACCEPTED = (
    "class_weight must be 'balanced' or a dict with a weight for each of the 4 classes, 0 to 3"
)
CLASS_WEIGHTS = [
    ("auto", TypeError, (ACCEPTED, "got 'auto' (str)")),
    ([1, 1, 1, 1], TypeError, (ACCEPTED, "got [1, 1, 1, 1] (list)")),
    (3.0, TypeError, (ACCEPTED, "got 3.0 (float)")),
    ({**ALL, 4: 1.0}, ValueError, (ACCEPTED, "it has a weight for 4 (int)")),
    ({**ALL, "cat": 1.0}, ValueError, (ACCEPTED, "it has a weight for 'cat' (str)")),
    ({0: 1.0, 1: 1.0, 3: 1.0}, ValueError, (ACCEPTED, "it has none for 2")),
    ({}, ValueError, (ACCEPTED, "it has none for 0")),
    ({**ALL, 2: -1.0}, ValueError, ("class_weight[2] must be a finite real number, at least 0",)),
    ({**ALL, 2: NAN}, ValueError, ("class_weight[2] must be a finite real number",)),
    ({**ALL, 2: "1"}, TypeError, ("class_weight[2] must be a finite real number",)),
]


@pytest.mark.parametrize(("bad", "error", "parts"), CLASS_WEIGHTS)
def test_class_weights(bad, error, parts):
    refused(network(), LABELS, error, *parts, class_weight=bad)
    refused(network(), np.eye(4)[LABELS], error, *parts, class_weight=bad)


@pytest.mark.parametrize("loss", ["mse", "huber", "poisson", "binary_cross_entropy"])
def test_class_weights_without_classes(loss):
    told = "class_weight needs classes", f"the loss is {loss!r} with 4 outputs"
    refused(network(loss), np.zeros((7, 4)), ValueError, *told, class_weight="balanced")


def test_class_weights_of_fractions():
    y = np.array([0, 1, 0.25, 1, 0, 0, 0])
    told = "class_weight needs classes: targets of 0 and 1; y holds 0.25 at row 2"
    refused(network("binary_cross_entropy", 1), y, ValueError, told, class_weight={0: 1, 1: 2})


@pytest.mark.parametrize("bad", [1, None, "yes", np.ones(7)])
def test_mask_nan_is_true_or_false(bad):
    refused(network(), LABELS, TypeError, "mask_nan must be True or False", mask_nan=bad)


def test_what_is_masked_hides_no_other_error():
    y = Y.copy()
    y[0, 0], y[3, 1] = NAN, np.inf
    refused(network("mse"), y, ValueError, "y holds inf at row 3, column 1", mask_nan=True)
    refused(network("mse"), y[:6], ValueError, "y must have a row for each", mask_nan=True)
    refused(network("mse"), y[:, 0], ValueError, "y must have shape (7, 4)", mask_nan=True)
    refused(network("mse"), NAN, ValueError, "y must have shape (7, 4)", mask_nan=True)
    bits = np.array([NAN, 2.0, 0, 1, 1, 1, 0])
    told = "y holds 2.0 at row 1; every value must be at least 0 and at most 1"
    refused(network("binary_cross_entropy", 1), bits, ValueError, told, mask_nan=True)
    labels = np.array([NAN, 0, 1.5, 0, 1, 2, 3])
    refused(network(), labels, ValueError, "y holds 1.5 at row 2", mask_nan=True)
    rows = np.full((7, 4), 0.25)
    rows[0, 0], rows[1, 1] = NAN, 0.5
    refused(network(), rows, ValueError, "y sums to 1.25 in row 1", mask_nan=True)


def test_nan_without_a_mask_tells_of_it():
    hint = "(mask_nan=True leaves out targets that are NaN)"
    y = Y.copy()
    y[2, 3] = NAN
    refused(network("mse"), y, ValueError, "y holds nan at row 2, column 3", hint)
    labels = LABELS.astype(float)
    labels[2] = NAN
    refused(network(), labels, ValueError, "y holds nan at row 2", hint)
    for bad, at in ((np.inf, "inf at row 2, column 3"), (1e300, "1e+300 at row 2, column 3")):
        y[2, 3] = bad
        with pytest.raises(ValueError, match="finite") as caught:
            network("mse").fit(X, y)
        assert f"y holds {at}" in str(caught.value).replace("1e300", "1e+300")
        assert "mask_nan" not in str(caught.value)


@pytest.mark.parametrize("bad", [(X,), (X, LABELS, np.ones(7), 1), X, "ab"])
def test_validation_data(bad):
    net = network()
    before = contents(net)
    with raises(TypeError, "validation_data must be (X, y) or (X, y, sample_weight), got"):
        net.fit(X, LABELS, validation_data=bad)
    assert_same(contents(net), before)


LOSS_WEIGHTS = [
    ([1, 1], ValueError, ("must be a sequence of 3 weights, one an output; got [1, 1] (list)",)),
    (2.0, TypeError, ("must be a sequence of 3 weights",)),
    ("abc", TypeError, ("must be a sequence of 3 weights",)),
    ({0: 1, 1: 1, 2: 1}, TypeError, ("must be a sequence of 3 weights",)),
    ([1, -1, 1], ValueError, ("[1] must be a finite real number, at least 0",)),
    ([1, NAN, 1], ValueError, ("[1] must be a finite real number",)),
    ([0, 0, 0], ValueError, ("must not all be zero",)),
    ([1, "a", 1], TypeError, ("[1] must be a finite real number",)),
]


@pytest.mark.parametrize(("bad", "error", "parts"), LOSS_WEIGHTS)
def test_loss_weights(bad, error, parts):
    with raises(error, "loss_weights", *parts):
        fastbp.Network([2, 3], loss_weights=bad)


def test_loss_weights_of_cross_entropy():
    with raises(ValueError, "loss_weights are for losses of single outputs; loss 'cross_entropy'"):
        fastbp.Network([2, 3], loss="cross_entropy", loss_weights=[1, 1, 1])
