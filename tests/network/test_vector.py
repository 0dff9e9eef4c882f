"""All parameters as one vector, and `fastbp.minimize`."""

import sys

import numpy as np
import pytest
from cases import Case, both_dtypes, data, network, sparse_rows
from expect import raises

import fastbp

X, Y = data(23, 3, 2)


def parts(net):
    pairs = zip(net.weights, net.biases, strict=True)
    return np.concatenate([array.ravel() for pair in pairs for array in pair])


@both_dtypes
@pytest.mark.parametrize("layers", [[3, 5, 2], [1, 1], [2, 17, 33, 1]], ids=str)
def test_flat_is_weights_then_biases_layer_by_layer(layers, dtype):
    net = network(layers, dtype=dtype)
    before = net.flat
    assert before.dtype == dtype
    np.testing.assert_array_equal(before, parts(net))
    net.flat = before[::-1].tolist()
    np.testing.assert_array_equal(parts(net), before[::-1])
    np.testing.assert_array_equal(before, net.flat[::-1])  # a copy, which did not change
    net.weights[0][0, 0] = 7  # the views are still the network's
    assert net.flat[0] == 7


@pytest.mark.parametrize(
    ("wrong", "error", "told"),
    [
        (np.zeros(3), ValueError, "flat must have the shape (32,)"),
        (np.zeros((1, 32)), ValueError, "got (1, 32)"),
        ([np.nan] * 32, ValueError, "flat"),
        (["a"] * 32, TypeError, "flat"),
    ],
    ids=["short", "matrix", "nan", "text"],
)
def test_a_wrong_vector_changes_nothing(wrong, error, told):
    net = network([3, 5, 2])
    before = net.flat
    with raises(error, told):
        net.flat = wrong
    np.testing.assert_array_equal(net.flat, before)


def test_minimize_finds_where_the_gradient_of_loss_and_penalties_is_zero():
    net = network([3, 4, 2], l2=0.02, alpha=0.1)
    begun = net.train_step(X, Y)
    steps, slot = net.steps, net._core.engine.slot(1).copy()
    result = fastbp.minimize(net, X, Y, tol=1e-12, options={"maxiter": 5000, "gtol": 1e-10})
    np.testing.assert_array_equal(net.flat, result.x)
    loss, gradients = net.loss_and_gradients(X, Y)
    decay = 0.02 + 0.1 / len(X)
    squares = sum((W**2).sum() for W in net.weights)
    assert result.fun == pytest.approx(loss + decay / 2 * squares, rel=1e-12)
    assert result.fun < begun
    for g, W in zip(gradients.weights, net.weights, strict=True):
        np.testing.assert_allclose(g + decay * W, 0, atol=1e-6)
    assert net.steps == steps
    np.testing.assert_array_equal(net._core.engine.slot(1), slot)


def test_the_gradient_of_the_l1_penalty_and_of_weighted_rows_is_that_of_differences():
    from fastbp.engine.objective import Objective

    net = network([3, 4, 2], l1=0.03, alpha=0.1)
    core, rng = net._core, np.random.default_rng(0)
    objective = Objective(
        core.engine, core.rows(X, Y, "", rng.random(23)), core.loss, core.regularization
    )
    at, direction = net.flat, rng.standard_normal(net.flat.size)
    _, gradient = objective(at)
    above, below = (objective(at + h * direction)[0] for h in (1e-6, -1e-6))
    assert (above - below) / 2e-6 == pytest.approx(gradient @ direction, rel=1e-7)


def test_minimize_takes_other_methods_labels_sparse_rows_and_unknown_scaling():
    net = network([3, 4, 2], loss=Case("cross_entropy"), scaling="standard")
    labels = np.arange(23) % 2
    seen = []
    result = fastbp.minimize(
        net, X, labels, "CG", class_weight="balanced", callback=seen.append, options={"maxiter": 3}
    )
    assert result.nit == 3
    assert len(seen) == 3
    assert net.scaling is not None  # learned, though no step was made
    rows = sparse_rows(23, 3, 0.5)
    sparse, dense = network([3, 4, 2]), network([3, 4, 2])
    fastbp.minimize(sparse, rows, Y, options={"maxiter": 5})
    fastbp.minimize(dense, rows.toarray(), Y, options={"maxiter": 5})
    np.testing.assert_allclose(sparse.flat, dense.flat, rtol=1e-9)


def test_a_float32_network_is_minimized_in_float64():
    single, double = network([3, 4, 2], dtype="float32"), network([3, 4, 2])
    double.flat = single.flat
    results = [fastbp.minimize(net, X.astype("f4"), Y.astype("f4")) for net in (single, double)]
    np.testing.assert_array_equal(results[0].x, results[1].x)
    np.testing.assert_array_equal(single.flat, double.flat.astype("f4"))


def test_a_network_with_products_of_bfloat16_is_minimized_by_unrounded_ones():
    plain, rounding = (network([3, 4, 2], dtype="float32", products=p) for p in (None, "bfloat16"))
    results = [fastbp.minimize(net, X.astype("f4"), Y.astype("f4")) for net in (plain, rounding)]
    np.testing.assert_array_equal(results[0].x, results[1].x)
    np.testing.assert_array_equal(plain.flat, rounding.flat)
    assert rounding.products == "bfloat16"


def test_after_an_exception_the_network_is_as_it_was():
    net = network([3, 4, 2], scaling="standard")
    before = net.flat

    def stop(parameters):
        assert not np.array_equal(net.flat, before)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        fastbp.minimize(net, X, Y, callback=stop)
    np.testing.assert_array_equal(net.flat, before)
    assert net.scaling is None
    huge = network([3, 4, 2], "relu")
    huge.flat = before = huge.flat * 1e200
    with raises(FloatingPointError, "as it was"):
        fastbp.minimize(huge, X, Y)
    np.testing.assert_array_equal(huge.flat, before)


@pytest.mark.parametrize("setting", ["dropout", "max_norm", "clip_value", "clip_norm"])
def test_minimize_refuses_what_changes_steps(setting):
    with raises(ValueError, "no place for", setting, "0.5"):
        fastbp.minimize(network([3, 4, 2], **{setting: 0.5}), X, Y)


def test_bad_arguments_of_minimize(monkeypatch):
    net = network([3, 4, 2])
    with raises(TypeError, "network must be a fastbp.Network", "got 3"):
        fastbp.minimize(3, X, Y)
    with raises(TypeError, "jac is what"):
        fastbp.minimize(net, X, Y, jac=None)
    with raises(ValueError, "X", "(rows, 3)"):
        fastbp.minimize(net, X[:, :2], Y)
    with raises(ValueError, "Unknown solver"):
        fastbp.minimize(net, X, Y, "none")
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with raises(ModuleNotFoundError, "fastbp[scipy]"):
        fastbp.minimize(net, X, Y)
