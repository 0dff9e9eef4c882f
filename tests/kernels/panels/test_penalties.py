"""L1, L2 and clipping by value: the kernel, and training with them."""

import copy

import numpy as np
import pytest
from cases import (
    ADAM,
    LOSSES,
    Case,
    assert_close,
    assert_same_parameters,
    both_dtypes,
    data,
    network,
    twins,
)
from expect import raises

import fastbp
from fastbp.kernels.machine.jit import address
from fastbp.kernels.panels.penalties import penalize
from fastbp.regularization import Regularization

NAN, INF = float("nan"), float("inf")


def penalized(parameters, gradient, weights, of_step=0, **options):
    got, settings = gradient.copy(), Regularization(**options).settings()
    penalize.call(gradient.dtype)(
        address(parameters), address(got), weights, gradient.size, address(settings), of_step
    )
    return got


@both_dtypes
@pytest.mark.parametrize("size", [1, 16, 37, 200])
@pytest.mark.parametrize("share", [0, 0.6, 1])
def test_the_kernel_changes_weights_and_cuts_all(share, size, dtype):
    rng = np.random.default_rng(0)
    p, g = (rng.standard_normal(size).astype(dtype) for _ in range(2))
    p[::3] = 0
    weights = round(share * size)
    want = g.astype(float)
    want[:weights] += 0.25 * np.sign(p[:weights]) + 0.5 * p[:weights].astype(float)
    options = {"l1": 0.25, "l2": 0.5}
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(penalized(p, g, weights, **options), want, tolerance, tolerance)
    decay, options["l2"] = np.array([0.375]), 0.125
    got = penalized(p, g, weights, address(decay), **options)
    np.testing.assert_allclose(got, want, tolerance, tolerance)
    options |= {"l2": 0.5, "clip_value": 0.75}
    got = penalized(p, g, weights, **options)
    np.testing.assert_allclose(got, np.clip(want, -0.75, 0.75), tolerance, tolerance)


@both_dtypes
def test_values_that_are_not_finite(dtype):
    g = np.array([INF, -INF, NAN, 2, -3, -0.0], dtype)
    got = penalized(np.ones(6, dtype), g, 0, clip_value=1.0)
    np.testing.assert_array_equal(got, np.array([1, -1, NAN, 1, -1, 0], dtype))
    np.testing.assert_array_equal(penalized(np.ones(6, dtype), g, 0, l1=0.5), g)


SHAPES = {  # layers, rows, batch size
    "short": ((5, 17, 9, 4), 37, 16),
    "parts": ((5, 17, 9, 4), 2003, 1501),
    "slabs": ((20, 260, 130, 3), 900, 600),
    "wide": ((30, 620, 3), 33, 32),
}
OPTIONS = [
    {"l1": 0.01}, {"l2": 0.3}, {"clip_value": 0.02}, {"l1": 0.01, "clip_value": 0.03},
    {"alpha": 2.0}, {"alpha": 3.0, "l2": 0.1, "clip_norm": 0.5},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_fit_and_single_steps_are_those_of_the_reference(shape, options):
    layers, rows, batch = SHAPES[shape]
    net, ref = twins(layers, optimizer=ADAM, **options)
    X, y = data(rows, layers[0], layers[-1])
    history = net.fit(X, y, epochs=3, batch_size=batch, shuffle=False, progress=False)
    np.testing.assert_allclose(history["loss"], ref.fit(X, y, 3, batch), rtol=1e-10)
    for _ in range(2):
        assert net.train_step(X[:9], y[:9]) == pytest.approx(ref.train_step(X[:9], y[:9]), 1e-10)
    assert_same_parameters(net, ref, 1e-10)


@both_dtypes
def test_alpha_is_divided_by_the_total_weight_of_each_batch(dtype):
    net, ref = twins((5, 17, 9, 4), optimizer=ADAM, dtype=dtype, alpha=5.0)
    X, y = data(37, 5, 4)
    weights = np.random.default_rng(0).uniform(0, 9, 37)
    weights[16:32] = 0  # a batch of which nothing counts
    history = net.fit(X, y, 3, 16, shuffle=False, progress=False, sample_weight=weights)
    tolerance = 1e-10 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(history["loss"], ref.fit(X, y, 3, 16, weights=weights), tolerance)
    assert_same_parameters(net, ref, tolerance)
    classed, plain = (network([5, 9, 3], loss=LOSSES[4], alpha=5.0) for _ in range(2))
    labels, of_class = np.arange(37) % 3, np.array([4.0, 0.5, 16.0])
    losses = [
        classed.train_step(X, labels, class_weight=dict(enumerate(of_class))),
        plain.train_step(X, labels, sample_weight=of_class[labels]),
    ]
    assert losses[0] == pytest.approx(losses[1], 1e-12)


def test_alpha_of_tasks_is_divided_by_rows():
    X, y = data(12, 4, 3)
    targets = {"a": y[:, :1], "b": y[:, 1:]}
    for weights in (None, np.linspace(0.5, 8, 12)):
        nets = [
            fastbp.Network(
                [4, 3], loss={"a": "mse", "b": "mse"}, outputs={"a": 1, "b": 2},
                optimizer=fastbp.SGD(1.0), dtype="float64", rng=0, alpha=alpha,
            )
            for alpha in (0.0, 6.0)
        ]  # fmt: skip
        before = nets[0].weights[0].copy()
        losses = [net.train_step(X, targets, sample_weight=weights) for net in nets]
        assert losses[0] == losses[1]
        difference = nets[0].weights[0] - nets[1].weights[0]
        np.testing.assert_allclose(difference, 6.0 / 12 * before, rtol=1e-10, atol=1e-14)


def test_losses_with_alpha_leave_out_what_lies_between_rows():
    """Where eps is 0, padding is 0 / 0."""
    X, y = data(12, 5, 3)
    net = network([5, 7, 3], optimizer=Case("adam", {"eps": 0.0}), alpha=0.1)
    history = net.fit(X, y, epochs=3, batch_size=4, progress=False)
    assert np.isfinite(history["loss"]).all()


def test_a_penalty_that_is_not_finite_ends_the_fit():
    net = network([5, 3], alpha=1.0)
    net.weights[0][:] = 1e160
    X, y = np.zeros((4, 5)), np.zeros((4, 3))
    with raises(FloatingPointError, "the loss is not finite"):
        net.fit(X, y, progress=False)
    assert (net.weights[0] == 1e160).all()


def test_the_update_is_the_gradient_of_loss_and_penalties():
    """By central differences, with no weight near zero, where L1 has no derivative."""
    l1, l2 = 0.03, 0.2
    net = network([4, 6, 3], optimizer=Case("sgd", {"lr": 1.0}), l1=l1, l2=l2)
    for W in net.weights:
        W[:] += 0.1 * np.sign(W)
    X, y = data(11, 4, 3)

    def objective():
        penalties = [l1 * np.abs(W).sum() + l2 / 2 * (W * W).sum() for W in net.weights]
        return net.evaluate(X, y)["loss"] + sum(penalties)

    stepped = copy.deepcopy(net)
    stepped.train_step(X, y)
    for number, parameter in enumerate([*net.weights, *net.biases]):
        numeric = np.zeros(parameter.shape)
        for place in np.ndindex(parameter.shape):
            value, values = parameter[place], []
            for change in (1e-5, -1e-5):
                parameter[place] = value + change
                values.append(objective())
            parameter[place] = value
            numeric[place] = (values[0] - values[1]) / 2e-5
        gradient = parameter - [*stepped.weights, *stepped.biases][number]
        assert_close([gradient], [numeric], 1e-7)


def test_losses_and_gradients_that_are_reported_are_without():
    net, plain = network([5, 9, 4], l1=0.1, l2=0.2, clip_value=1e-3), network([5, 9, 4])
    X, y = data(19, 5, 4)
    (loss, got), (expected, want) = (one.loss_and_gradients(X, y) for one in (net, plain))
    assert loss == expected
    for a, b in zip([*got.weights, *got.biases], [*want.weights, *want.biases], strict=True):
        np.testing.assert_array_equal(a, b)
    assert net.evaluate(X, y) == plain.evaluate(X, y)
    assert net.train_step(X, y) == plain.train_step(X, y)


def test_l1_drives_weights_of_useless_inputs_to_zero():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 6))
    net = network([6, 1], optimizer=Case("sgd", {"lr": 0.01}), l1=0.05)
    net.fit(X, X[:, :1], epochs=200, batch_size=50, progress=False)
    weights = np.abs(net.weights[0].ravel())
    assert weights[0] > 0.9
    assert weights[1:].max() < 1e-2
