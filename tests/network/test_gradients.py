"""Loss, gradients and predictions of a network against the reference and central differences."""

import numpy as np
import pytest
from cases import (
    HIDDEN,
    LOSSES,
    MSE,
    OUTPUTS,
    Case,
    assert_close,
    both_dtypes,
    data,
    every_activation,
    every_loss,
    network,
    twins,
)
from hypothesis import given, settings
from hypothesis import strategies as st

RTOL = {"float32": 1e-5, "float64": 1e-12}
# Differentiable everywhere, so a central difference is right wherever it is taken.
SMOOTH = sorted(set(HIDDEN) - {"relu", "leaky_relu", "selu", "hard_tanh"})
SMOOTH_LOSSES = [loss for loss in LOSSES if loss.name != "mae"]


def assert_gradients(net, ref, X, y, rtol):
    """Loss and gradients of the network agree with the float64 reference."""
    X, y = (np.asarray(v, net.weights[0].dtype) if v.dtype == float else v for v in (X, y))
    value, gradients = net.loss_and_gradients(X, y)
    want, dW, db = ref.loss_and_gradients(X, y)
    assert isinstance(value, float)
    assert value == pytest.approx(want, rel=rtol, abs=rtol)
    assert isinstance(gradients.weights, tuple)
    assert isinstance(gradients.biases, tuple)
    assert {g.dtype for g in gradients.weights + gradients.biases} == {net.weights[0].dtype}
    assert_close([*gradients.weights, *gradients.biases], dW + db, rtol)


@both_dtypes
@every_loss
@every_activation
def test_every_activation_with_every_loss(activation, loss, dtype):
    net, ref = twins([5, 17, 9, 4], activation, loss, dtype=dtype)
    assert_gradients(net, ref, *data(19, 5, 4, loss.targets), RTOL[dtype])


@both_dtypes
@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_every_output_activation(output, loss, dtype):
    net, ref = twins([5, 9, 4], loss=Case(loss), output_activation=output, dtype=dtype)
    X, y = data(19, 5, 4)
    assert_gradients(net, ref, X, y, RTOL[dtype])
    assert_close([net.predict(X.astype(dtype))], [ref.predict(X.astype(dtype))], RTOL[dtype])


@both_dtypes
@every_loss
def test_predict_applies_the_output_of_the_loss(loss, dtype):
    net, ref = twins([5, 9, 4], loss=loss, dtype=dtype)
    X = data(19, 5, 4)[0].astype(dtype)
    assert_close([net.predict(X)], [ref.predict(X)], RTOL[dtype])


SHAPES = [
    [1, 1],
    [1, 1, 1],
    [3, 2],
    [16, 16],
    [15, 16, 17],
    [31, 33, 1],
    [1, 33, 31],
    [64, 64, 64, 4],
    [2, 3, 5, 7, 3, 4],
    [300, 130, 70, 10],
    [20, 513, 3],
]


@both_dtypes
@pytest.mark.parametrize("rows", [1, 2, 15, 33])
@pytest.mark.parametrize("layers", SHAPES, ids=lambda layers: "-".join(map(str, layers)))
def test_every_shape(layers, rows, dtype):
    net, ref = twins(layers, dtype=dtype)
    assert_gradients(net, ref, *data(rows, layers[0], layers[-1]), RTOL[dtype])


@both_dtypes
@pytest.mark.parametrize("layers", [[4, 32, 16, 4], [6, 1], [130, 40, 3]], ids=str)
def test_more_rows_than_a_cache_holds(layers, dtype):
    net, ref = twins(layers, dtype=dtype)
    assert_gradients(net, ref, *data(10_001, layers[0], layers[-1]), RTOL[dtype])


@both_dtypes
def test_a_different_activation_in_every_layer(dtype):
    layers = [4, *range(5, 5 + len(HIDDEN)), 3]
    for activations in (HIDDEN, HIDDEN[::-1]):
        net, ref = twins(layers, list(activations), dtype=dtype)
        assert_gradients(net, ref, *data(21, 4, 3), 10 * RTOL[dtype])


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "binary_cross_entropy", "poisson"])
def test_one_output_takes_flat_targets(loss):
    net, ref = twins([3, 5, 1], loss=Case(loss))
    X, y = data(7, 3, 1, "fractions")
    assert_gradients(net, ref, X, y[:, 0], RTOL["float64"])
    assert net.loss_and_gradients(X, y[:, 0])[0] == net.loss_and_gradients(X, y)[0]


def test_cross_entropy_of_labels_is_that_of_one_hot_rows():
    net = network([3, 5, 4], loss=Case("cross_entropy", {"label_smoothing": 0.2}))
    X, labels = data(7, 3, 4, "labels")
    one_hot = net.loss_and_gradients(X, np.eye(4)[labels])
    for dtype in ("int8", "uint16", "int64"):
        value, gradients = net.loss_and_gradients(X, labels.astype(dtype))
        assert value == pytest.approx(one_hot[0], rel=1e-13)
        assert_close(gradients.weights, one_hot[1].weights, 1e-13)


def test_gradients_are_the_callers_and_parameters_stay():
    net, ref = twins([3, 5, 2])
    X, y = data(7, 3, 2)
    first = net.loss_and_gradients(X, y)[1]
    kept = [g.copy() for g in first.weights + first.biases]
    net.loss_and_gradients(X + 1, y)
    for got, want in zip(first.weights + first.biases, kept, strict=True):
        np.testing.assert_array_equal(got, want)
    for got, want in zip([*net.weights, *net.biases], ref.weights + ref.biases, strict=True):
        np.testing.assert_array_equal(got, want)


# ---- extremes -----------------------------------------------------------------------------------


@both_dtypes
@every_loss
def test_huge_logits(loss, dtype):
    """Logits of +-1e4; the rate of poisson is infinite then, its loss is not."""
    net, ref = twins([2, 3], loss=loss, dtype=dtype)
    X = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.5, 0.5]])
    W = np.array([[1e4, -1e4, 0.0], [-1e4, 0.0, 1e4]])
    for p in (net, ref):
        p.weights[0][:] = W
        p.biases[0][:] = 0
    _, y = data(4, 2, 3, loss.targets)
    value, gradients = net.loss_and_gradients(X, y)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradients.weights + gradients.biases)
    assert_gradients(net, ref, X, y, RTOL[dtype])
    if loss.name != "poisson":
        assert np.isfinite(net.predict(X)).all()


@both_dtypes
@pytest.mark.parametrize("loss", [c for c in LOSSES if c.name == "cross_entropy"], ids=str)
def test_an_offset_common_to_all_logits_costs_no_digits(loss, dtype):
    net, ref = twins([3, 3], loss=loss, dtype=dtype)
    _, y = data(3, 3, 3, loss.targets)
    for offset in (-1e4, 1e4):  # every logit is an integer, exact in float32
        for p in (net, ref):
            p.weights[0][:] = [[0, 1, 3], [2, 0, 1], [1, 4, 0]]
            p.biases[0][:] = offset
        assert_gradients(net, ref, np.eye(3), y, RTOL[dtype])


@both_dtypes
@every_activation
def test_huge_pre_activations(activation, dtype):
    net, ref = twins([1, 3, 2], activation, dtype=dtype)
    for p in (net, ref):
        p.weights[0][:] = [[1e4, -1e4, 1.0]]
        p.biases[0][:] = 0
    X, y = np.array([[1.0], [-1.0], [0.25]]), np.ones((3, 2))
    assert_gradients(net, ref, X, y, RTOL[dtype])


@both_dtypes
@pytest.mark.parametrize("output", sorted(set(OUTPUTS) - {"exponential"}))
def test_huge_logits_through_output_activation(output, dtype):
    net, ref = twins([1, 3], output_activation=output, dtype=dtype)
    for p in (net, ref):
        p.weights[0][:] = [[1e4, -1e4, 1.0]]
        p.biases[0][:] = 0
    X, y = np.array([[1.0], [-1.0], [0.25]]), np.ones((3, 3))
    assert_gradients(net, ref, X, y, RTOL[dtype])


@both_dtypes
@every_activation
def test_derivative_at_the_kinks(activation, dtype):
    net, ref = twins([1, 1, 1], activation, dtype=dtype)
    for p in (net, ref):
        p.weights[0][:], p.biases[0][:], p.weights[1][:] = 1, 0, 1
    for x in (-1.0, -0.0, 0.0, 1.0):
        assert_gradients(net, ref, np.array([[x]]), np.ones((1, 1)), RTOL[dtype])


# ---- random architectures -----------------------------------------------------------------------

WIDTHS = st.lists(st.integers(1, 40), min_size=2, max_size=6)


@st.composite
def networks(draw, activations, losses):
    """Layers, one activation a hidden layer, a loss, rows and a seed."""
    layers = draw(WIDTHS)
    hidden = [draw(st.sampled_from(activations)) for _ in layers[1:-1]]
    return layers, hidden, draw(st.sampled_from(losses)), draw(st.integers(1, 40)), draw(SEEDS)


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=60)
@given(networks(HIDDEN, LOSSES))
def test_random_architectures_against_the_reference(case):
    layers, activations, loss, rows, seed = case
    net, ref = twins(layers, activations, loss, seed=seed)
    X, y = data(rows, layers[0], layers[-1], loss.targets, seed)
    assert_gradients(net, ref, X, y, 1e-11)


@settings(max_examples=60)
@given(networks(SMOOTH, SMOOTH_LOSSES))
def test_random_architectures_against_central_differences(case):
    """Along a random direction of unit length in every array of parameters."""
    layers, activations, loss, rows, seed = case
    net = network(layers, activations, loss, seed=seed)
    X, y = data(rows, layers[0], layers[-1], loss.targets, seed)
    value, gradients = net.loss_and_gradients(X, y)
    arrays = [*gradients.weights, *gradients.biases]
    h, rng = 1e-6, np.random.default_rng(seed)
    allowed = 1e-6 * max(np.linalg.norm(g) for g in arrays) + 1e-8 * abs(value) + 1e-12
    for p, g in zip([*net.weights, *net.biases], arrays, strict=True):
        kept, direction = p.copy(), rng.standard_normal(p.shape)
        direction /= np.linalg.norm(direction)
        p[:] = kept + h * direction
        above = net.loss_and_gradients(X, y)[0]
        p[:] = kept - h * direction
        below = net.loss_and_gradients(X, y)[0]
        p[:] = kept
        assert abs((above - below) / (2 * h) - np.vdot(g, direction)) <= allowed


def test_mse_is_the_plain_mean_of_squares():
    """One number by hand, so that reference and kernels cannot share a wrong convention."""
    net = network([1, 2], loss=MSE)
    net.weights[0][:] = [[1.0, 2.0]]
    net.biases[0][:] = [0.0, 1.0]
    value, gradients = net.loss_and_gradients(np.array([[1.0], [2.0]]), np.zeros((2, 2)))
    assert value == (1 + 9 + 4 + 25) / 4  # errors (1, 3), (2, 5)
    np.testing.assert_array_equal(gradients.weights[0], [[2.5, 6.5]])  # x^T e * 2 / 4
    np.testing.assert_array_equal(gradients.biases[0], [1.5, 4.0])
