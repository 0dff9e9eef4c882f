"""Whole training runs of a network against the reference, in every way a step can be taken."""

import numpy as np
import pytest
from cases import (
    ADAM,
    GENTLE,
    HIDDEN,
    LOSSES,
    OUTPUTS,
    Case,
    assert_same_parameters,
    both_dtypes,
    data,
    every_activation,
    every_loss,
    every_optimizer,
    twins,
)

RTOL = 1e-10  # float64, after 50 steps
CURVE = 1e-4  # float32, every loss of 200 steps
LABELS = Case("cross_entropy", targets="labels")


def fit(net, ref, X, y, epochs, batch_size, rtol=RTOL):
    """Train both on the rows in order; their loss curves agree."""
    history = net.fit(X, y, epochs=epochs, batch_size=batch_size, shuffle=False, progress=False)
    np.testing.assert_allclose(history["loss"], ref.fit(X, y, epochs, batch_size), rtol=rtol)


def step(net, ref, X, y, times=1, rtol=RTOL):
    """The same number of single steps of both; their losses agree."""
    got = [net.train_step(X, y) for _ in range(times)]
    np.testing.assert_allclose(got, [ref.train_step(X, y) for _ in range(times)], rtol=rtol)


@every_optimizer
def test_fit_with_every_optimizer(optimizer):
    net, ref = twins([5, 17, 9, 4], loss=LABELS, optimizer=optimizer)
    fit(net, ref, *data(50, 5, 4, "labels"), epochs=13, batch_size=16)  # 4 batches, the last of 2
    assert_same_parameters(net, ref, RTOL)


@every_optimizer
def test_train_step_with_every_optimizer(optimizer):
    net, ref = twins([5, 17, 9, 4], loss=LABELS, optimizer=optimizer)
    step(net, ref, *data(19, 5, 4, "labels"), times=50)
    assert_same_parameters(net, ref, RTOL)


@every_loss
def test_fit_with_every_loss(loss):
    net, ref = twins([5, 17, 9, 4], loss=loss)
    fit(net, ref, *data(50, 5, 4, loss.targets), epochs=13, batch_size=16)
    assert_same_parameters(net, ref, RTOL)


@every_activation
def test_fit_with_every_activation(activation):
    net, ref = twins([5, 17, 9, 4], activation)
    fit(net, ref, *data(50, 5, 4), epochs=13, batch_size=16)
    assert_same_parameters(net, ref, RTOL)


@pytest.mark.parametrize("output", OUTPUTS)
def test_fit_with_every_output_activation(output):
    net, ref = twins([5, 9, 4], loss=Case("huber", {"delta": 0.5}), output_activation=output)
    fit(net, ref, *data(50, 5, 4), epochs=13, batch_size=16)
    assert_same_parameters(net, ref, RTOL)


def test_fit_with_a_different_activation_in_every_layer():
    net, ref = twins([4, *range(5, 5 + len(HIDDEN)), 3], HIDDEN)
    fit(net, ref, *data(50, 4, 3), epochs=5, batch_size=16)
    assert_same_parameters(net, ref, RTOL)


SHAPES = [
    [1, 1],
    [1, 1, 1],
    [3, 2],
    [15, 16, 17],
    [31, 33, 1],
    [1, 33, 31],
    [64, 64, 64, 4],
    [2, 3, 5, 7, 3, 4],
    [300, 130, 70, 10],
    [20, 513, 3],
]


@pytest.mark.parametrize("batch_size", [1, 16, 37])
@pytest.mark.parametrize("layers", SHAPES, ids=lambda layers: "-".join(map(str, layers)))
def test_fit_of_every_shape(layers, batch_size):
    net, ref = twins(layers, optimizer=Case("sgd", {"lr": 1e-3, "momentum": 0.9}))
    fit(net, ref, *data(37, layers[0], layers[-1]), epochs=2, batch_size=batch_size)
    assert_same_parameters(net, ref, RTOL)


@pytest.mark.parametrize("layers", [[4, 32, 16, 4], [6, 1], [130, 40, 3]], ids=str)
def test_fit_of_a_batch_that_no_cache_holds(layers):
    net, ref = twins(layers)
    fit(net, ref, *data(10_001, layers[0], layers[-1]), epochs=3, batch_size=10_001)
    assert_same_parameters(net, ref, RTOL)


def test_batch_size_above_the_rows_is_one_batch():
    net, ref = twins([5, 9, 4])
    X, y = data(10, 5, 4)
    net.fit(X, y, epochs=4, batch_size=1000, shuffle=False, progress=False)
    step(*twins([5, 9, 4]), X, y)
    ref.fit(X, y, epochs=4, batch_size=10)
    assert_same_parameters(net, ref, RTOL)


def test_last_partial_batch_is_trained_on_with_its_own_mean():
    """The row that is alone in the last batch weighs as much as a batch of four."""
    net, ref = twins([3, 2], optimizer=Case("sgd", {"lr": 0.1}))
    X, y = data(9, 3, 2)
    fit(net, ref, X, y, epochs=1, batch_size=4)
    by_hand = twins([3, 2], optimizer=Case("sgd", {"lr": 0.1}))[0]
    for rows in (slice(0, 4), slice(4, 8), slice(8, 9)):
        by_hand.train_step(X[rows], y[rows])
    assert_same_parameters(net, by_hand, 1e-14)
    assert_same_parameters(net, ref, RTOL)


@every_optimizer
def test_second_fit_goes_on_from_the_first(optimizer):
    """Step count and state of the optimizer included, and through single steps too."""
    net, ref = twins([5, 9, 4], optimizer=optimizer)
    X, y = data(21, 5, 4)
    fit(net, ref, X, y, epochs=2, batch_size=8)
    step(net, ref, X[:7], y[:7], times=3)
    fit(net, ref, X[::-1], y[::-1], epochs=2, batch_size=5)
    assert_same_parameters(net, ref, RTOL)


def test_edited_parameters_count_at_the_next_step():
    net, ref = twins([5, 17, 9, 4])
    X, y = data(21, 5, 4)
    for layer in range(3):
        step(net, ref, X, y)
        for p in (net, ref):
            p.weights[layer][1:3] *= -2
            p.biases[layer][0] += 1
        net.loss_and_gradients(X, y)
        fit(net, ref, X, y, epochs=1, batch_size=8)
    assert_same_parameters(net, ref, RTOL)


@every_optimizer
def test_float32_curve_with_every_optimizer(optimizer):
    net, ref = twins(
        [5, 17, 4], loss=LABELS, optimizer=optimizer, dtype="float32", reference_dtype="float32"
    )
    X, y = data(32, 5, 4, "labels")
    step(net, ref, X.astype("float32"), y, times=200, rtol=CURVE)


@every_loss
def test_float32_curve_with_every_loss(loss):
    net, ref = twins(
        [5, 17, 4], loss=loss, optimizer=GENTLE, dtype="float32", reference_dtype="float32"
    )
    X, y = data(32, 5, 4, loss.targets)
    X, y = X.astype("float32"), y.astype("float32") if y.dtype == float else y
    fit(net, ref, X, y, epochs=200, batch_size=32, rtol=CURVE)


@both_dtypes
def test_centered_rmsprop_with_a_constant_gradient_stays_finite(dtype):
    """Mean square less squared mean is rounding alone by then, and often falls below zero."""
    rmsprop = Case("rmsprop", {"eps": 1e-3, "centered": True})
    net, _ = twins([64, 4], loss=Case("mae"), optimizer=rmsprop, dtype=dtype)
    X, y = data(1, 64, 4)
    losses = [net.train_step(X, y + 1e7) for _ in range(400)]
    assert np.isfinite(losses).all()
    assert all(np.isfinite(p).all() for p in [*net.weights, *net.biases])


@both_dtypes
@pytest.mark.parametrize("loss", [LOSSES[0], LABELS], ids=str)
def test_losses_of_fit_train_step_and_gradients_are_one_number(loss, dtype):
    X, y = data(16, 5, 4, loss.targets)
    nets = [twins([5, 9, 4], loss=loss, optimizer=ADAM, dtype=dtype)[0] for _ in range(3)]
    by_fit = nets[0].fit(X, y, batch_size=16, shuffle=False, progress=False)["loss"][0]
    by_step = nets[1].train_step(X, y)
    by_gradients = nets[2].loss_and_gradients(X, y)[0]
    assert isinstance(by_step, float)
    assert by_step == pytest.approx(by_fit, rel=4 * float(np.finfo(dtype).eps))
    assert by_step == pytest.approx(by_gradients, rel=4 * float(np.finfo(dtype).eps))
