"""Derivatives by inputs, by sample, and products with second derivatives.

Against PyTorch they stand in tests/parity/test_torch_derivatives.py.
"""

import numpy as np
import pytest
from cases import MSE, Case, assert_close, both_dtypes, data, network, sparse_rows
from expect import raises

import fastbp
from fastbp import losses
from fastbp.kernels.panels import curves

LABELS = Case("cross_entropy", {"label_smoothing": 0.1}, "labels")
RTOL = {"float32": 2e-5, "float64": 1e-11}


def slope(f, at, direction, h=1e-6):
    """The central difference of f along a direction."""
    return (f(at + h * direction) - f(at - h * direction)) / (2 * h)


def packed(gradients):
    pairs = zip(gradients.weights, gradients.biases, strict=True)
    return np.concatenate([part.ravel() for pair in pairs for part in pair])


def gradient_at(net, X, y, **weights):
    """The gradient as a function of all parameters."""

    def gradient(flat):
        net.flat = flat
        return packed(net.loss_and_gradients(X, y, **weights)[1])

    return gradient


@both_dtypes
@pytest.mark.parametrize("layers", [[1, 1], [3, 17, 5], [20, 33, 18, 1]], ids=str)
def test_both_dtypes_and_odd_sizes(layers, dtype):
    """Those of float32 and of 1 row are those of float64, and dtypes are the network's."""
    double, net = network(layers), network(layers, dtype=dtype)
    X, y = data(37, layers[0], layers[-1])
    X, y = X.astype("f4").astype(float), y.astype("f4").astype(float)
    net.flat = net.flat.astype("f4")
    double.flat = net.flat
    v = np.random.default_rng(1).standard_normal(net.flat.size).astype("f4").astype(float)
    for rows in (1, 37):
        for name, more in {
            "input_gradient": (y[:rows],),
            "jacobian": (),
            "hessian_vector": (y[:rows], v),
            "gauss_newton_vector": (y[:rows], v),
        }.items():
            got = getattr(net, name)(X[:rows].astype(dtype), *(a.astype(dtype) for a in more))
            assert got.dtype == dtype
            assert_close([got], [getattr(double, name)(X[:rows], *more)], RTOL[dtype])
        got = net.sample_gradients(X[:rows], y[:rows])
        assert got.weights[0].shape == (rows, *layers[:2])
        assert got.biases[-1].dtype == dtype
        mean = double.loss_and_gradients(X[:rows], y[:rows])[1]
        means = [array.mean(axis=0) for array in (*got.weights, *got.biases)]
        assert_close(means, [*mean.weights, *mean.biases], RTOL[dtype])


@pytest.mark.parametrize("name", ["hessian_vector", "gauss_newton_vector"])
@pytest.mark.parametrize("scaling", [None, 0.25, "standard"])
def test_scaling_is_part_of_the_function(scaling, name):
    net = network([3, 9, 2], scaling=scaling)
    X, y = data(11, 3, 2)
    X = 3 * X + 1
    if scaling == "standard":
        with raises(RuntimeError, "scaling"):
            net.jacobian(X)
        net.learn_scaling(X)
    change = np.random.default_rng(1).standard_normal(X.shape)
    assert (net.input_gradient(X, y) * change).sum() == pytest.approx(
        slope(lambda X: net.loss_and_gradients(X, y)[0], X, change), rel=1e-7
    )
    along = np.einsum("roi,ri->ro", net.jacobian(X), change)
    np.testing.assert_allclose(along, slope(net.predict, X, change), rtol=1e-6, atol=1e-8)
    scaled = network([3, 9, 2])
    scaled.flat = net.flat
    of = X if net.scaling is None else net.scaling.of(X, np.dtype(float))
    v = np.random.default_rng(2).standard_normal(net.flat.size)
    got, want = getattr(net, name)(X, y, v), getattr(scaled, name)(of, y, v)
    assert_close([got], [want], 1e-12)


def test_bytes_are_inputs_too():
    net, plain = network([3, 9, 2], scaling=0.01), network([3, 9, 2], scaling=0.01)
    X = np.random.default_rng(0).integers(256, size=(7, 3)).astype(np.uint8)
    np.testing.assert_array_equal(net.jacobian(X), plain.jacobian(X.astype(float)))


@pytest.mark.parametrize("case", [MSE, LABELS], ids=str)
def test_the_hessian_with_weights_of_rows_is_that_of_differences(case):
    net = network([3, 9, 4], loss=case)
    X, y = data(19, 3, 4, case.targets)
    weights = {"sample_weight": np.random.default_rng(3).random(19)}
    if case is LABELS:
        weights["class_weight"] = {0: 2.0, 1: 0.5, 2: 1.0, 3: 0.0}
    at, v = net.flat, np.random.default_rng(1).standard_normal(net.flat.size)
    want = slope(gradient_at(net, X, y, **weights), at, v)
    net.flat = at
    np.testing.assert_allclose(net.hessian_vector(X, y, v, **weights), want, atol=1e-8)
    change = np.random.default_rng(2).standard_normal(X.shape)
    got = (net.input_gradient(X, y, **weights) * change).sum()
    want = slope(lambda X: net.loss_and_gradients(X, y, **weights)[0], X, change)
    assert got == pytest.approx(want, rel=1e-6)


def test_masked_targets_and_weights_of_outputs():
    net = network([3, 9, 4], loss_weights=[1.0, 0.0, 2.0, 0.5])
    X, y = data(19, 3, 4)
    y[::3, 0] = np.nan
    at, v = net.flat, np.random.default_rng(1).standard_normal(net.flat.size)
    want = slope(gradient_at(net, X, y, mask_nan=True), at, v)
    net.flat = at
    np.testing.assert_allclose(net.hessian_vector(X, y, v, mask_nan=True), want, atol=1e-8)
    assert not np.isnan(net.gauss_newton_vector(X, y, v, mask_nan=True)).any()


@pytest.mark.parametrize("name", ["poisson", "binary_cross_entropy", "mae"])
def test_other_losses_by_differences(name):
    net = network([3, 9, 4], loss=Case(name))
    X, y = data(19, 3, 4, "bits")
    at, v = net.flat, np.random.default_rng(1).standard_normal(net.flat.size)
    want = slope(gradient_at(net, X, y), at, v)
    net.flat = at
    np.testing.assert_allclose(net.hessian_vector(X, y, v), want, atol=1e-8)


def test_tasks_have_gradients_of_inputs_and_samples():
    net = fastbp.Network(
        [3, 6, 3],
        "tanh",
        loss={"a": "mse", "b": "cross_entropy"},
        outputs={"a": 1, "b": 2},
        dtype="float64",
        rng=0,
    )
    X, y = data(9, 3, 1)
    y = {"a": y, "b": np.arange(9) % 2}
    change = np.random.default_rng(1).standard_normal(X.shape)
    assert (net.input_gradient(X, y) * change).sum() == pytest.approx(
        slope(lambda X: net.loss_and_gradients(X, y)[0], X, change), rel=1e-7
    )
    got, mean = net.sample_gradients(X, y), net.loss_and_gradients(X, y)[1]
    assert_close([W.mean(axis=0) for W in got.weights], mean.weights, 1e-12)
    for name, more in {"jacobian": (), "hessian_vector": (y, net.flat)}.items():
        with raises(ValueError, f"{name} is for networks with one loss"):
            getattr(net, name)(X, *more)


@both_dtypes
def test_one_and_two_threads_give_the_same_bits(dtype, every_thread_pays):
    """Also where the rows are more than a slab holds."""
    X, y = (array.astype(dtype) for array in data(2001, 5, 3))
    nets = [network([5, 33, 40, 3], dtype=dtype, threads=threads) for threads in (1, 2)]
    v = np.random.default_rng(1).standard_normal(nets[0].flat.size)
    for name, more in {
        "input_gradient": (y,),
        "jacobian": (),
        "hessian_vector": (y, v),
        "gauss_newton_vector": (y, v),
    }.items():
        one, two = (getattr(net, name)(X, *more) for net in nets)
        np.testing.assert_array_equal(one, two)
    one, two = (net.sample_gradients(X[:200], y[:200]) for net in nets)
    np.testing.assert_array_equal(packed(one), packed(two))


def test_large_networks_and_training_in_between():
    """Layers without mirrors in small batches have one here, and it is that of today's weights."""
    net = network([40, 600, 500, 3], optimizer=Case("sgd"))
    X, y = data(9, 40, 3)
    change = np.random.default_rng(2).standard_normal(X.shape)
    for _ in range(2):
        net.train_step(X, y)
        got = (net.input_gradient(X, y) * change).sum()
        want = slope(lambda X: net.loss_and_gradients(X, y)[0], X, change, 1e-5)
        assert got == pytest.approx(want, rel=1e-6)
    before = net.loss_and_gradients(X, y)[0]
    assert before < net.train_step(X, y) + 1e-12  # what a derivative leaves behind harms no step
    assert net.loss_and_gradients(X, y)[0] < before


def test_no_plan_keeps_the_address_of_what_a_call_has_thrown_away():
    net = network([3, 6, 2])
    X, y = data(9, 3, 2)
    memory = net._core.engine._memory
    for _ in range(2):
        net.loss_and_gradients(X, y)
        net.sample_gradients(X, y)
        net.input_gradient(X, y)
        net.hessian_vector(X, y, net.flat)
        net.backward(net.forward(X))
    own = [plan for kind, plan in memory.plans.items() if kind.training and not kind.each]
    assert len(own) == 3
    for plan in own:
        assert plan.program.row_losses == memory.row_losses.ctypes.data


def test_parts_without_second_derivative_are_refused_by_name():
    X, y = data(5, 3, 2)
    square = fastbp.Activation(lambda z: z * z, lambda z: z + z, name="tanh")
    own = fastbp.Network([3, 4, 2], square, dtype="float64", rng=0)
    v = own.flat
    with raises(ValueError, "second derivative of the activation 'tanh' is not known"):
        own.hessian_vector(X, y, v)
    assert own.gauss_newton_vector(X, y, v) @ v >= 0
    softmax = fastbp.Network([3, 4, 2], output_activation="softmax", rng=0)
    with raises(ValueError, "activation 'softmax'"):
        softmax.hessian_vector(X, y, v)
    loss = losses.Loss(lambda a, y: a * y, lambda a, y: y, name="mine")
    with raises(ValueError, "second derivative of the loss 'mine' is not known"):
        fastbp.Network([3, 4, 2], loss=loss, rng=0).gauss_newton_vector(X, y, v)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("input_gradient", [np.zeros((5, 2))]),
        ("jacobian", []),
        ("sample_gradients", [np.zeros((5, 2))]),
        ("hessian_vector", [np.zeros((5, 2)), np.zeros(26)]),
        ("gauss_newton_vector", [np.zeros((5, 2)), np.zeros(26)]),
    ],
)
def test_bad_input(name, more):
    net, X = network([3, 4, 2], "relu"), np.abs(data(5, 3, 2)[0])
    with raises(TypeError, f"{name} takes no sparse X"):
        getattr(net, name)(sparse_rows(5, 3, 0.5), *more)
    with raises(ValueError, "X", "(rows, 3)"):
        getattr(net, name)(X[:, :2], *more)
    with raises(ValueError, "X"):
        getattr(net, name)(X * np.nan, *more)
    if more:
        with raises(ValueError, "y"):
            getattr(net, name)(X, more[0][:4], *more[1:])
    if name.endswith("vector"):
        with raises(ValueError, "v must have the shape (26,)"):
            getattr(net, name)(X, more[0], np.zeros(25))
    net.weights[0][:] = 1e300
    net.weights[1][:] = 1e300
    with raises(FloatingPointError, "not finite"):
        getattr(net, name)(1e300 * X, *more[:1], *(one + 1 for one in more[1:]))


@both_dtypes
@pytest.mark.parametrize("name", [n for n, curve in curves.ACTIVATIONS.items() if curve])
def test_second_derivatives_far_out(name, dtype):
    """Finite where they are representable, and zero at the ends of all but the exponential."""
    ends = [-1e30, -1e4, -100.0] + ([] if name == "exponential" else [100.0, 1e4, 1e30])
    z = np.zeros(16, dtype)
    z[: len(ends)] = ends
    panel = curves.ACTIVATIONS[name].call(dtype)
    panel(z.ctypes.data, z.ctypes.data, 1, 16, 16)
    assert np.isfinite(z).all()
    assert np.abs(z[: len(ends)]).max() < (1e-5 if name == "softsign" else 1e-30)


def test_bad_arguments_of_input_gradient():
    net = network([3, 4, 2])
    X, y = data(5, 3, 2)
    with raises(TypeError, "either y or d_out"):
        net.input_gradient(X)
    with raises(TypeError, "either y or d_out"):
        net.input_gradient(X, y, d_out=y)
    with raises(ValueError, "d_out must have the shape (5, 2)", "got (5, 1)"):
        net.input_gradient(X, d_out=y[:, :1])
    with raises(ValueError, "d_out"):
        net.input_gradient(X, d_out=y * np.inf)
    with raises(TypeError, "are for y"):
        net.input_gradient(X, d_out=y, mask_nan=True)
