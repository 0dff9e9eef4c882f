"""Networks whose products have operands of bfloat16, against a plain one in NumPy."""

import copy
import pickle

import numpy as np
import pytest
from expect import raises
from sklearn.datasets import load_digits

import fastbp
from fastbp import configuration, embed
from fastbp.engine import lane_group
from fastbp.kernels.machine.sizes import current, using

LAYERS = (12, 40, 33, 5)


def rounded(x):
    """To bfloat16, to nearest even."""
    words = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    nearest = (words + 0x7FFF + (words >> 16 & 1)) & 0xFFFF0000
    return nearest.astype(np.uint32).view(np.float32).astype(np.float64)


def gradients(net, X, y, operand):
    """Outputs and gradients of tanh layers by the mean squared error; operand: of products."""
    A, before = X, []
    for number, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        before.append(A)
        A = operand(A) @ operand(W) + b
        A = np.tanh(A) if number < len(net.weights) - 1 else A
    outputs, delta, found = A, 2 * (A - y) / A.size, []
    for number in range(len(net.weights))[::-1]:
        A, W = before[number], net.weights[number]
        found.append((operand(A).T @ operand(delta), delta.sum(axis=0)))
        delta = operand(delta) @ operand(W).T * (1 - A**2)
    return outputs, found[::-1]


def error(got, want):
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def network(products="bfloat16", layers=LAYERS, **options):
    return fastbp.Network(
        layers, activation="tanh", loss="mse", rng=0, products=products, **options
    )


def data(rows=70):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((rows, LAYERS[0])).astype(np.float32)
    return X, rng.standard_normal((rows, LAYERS[-1])).astype(np.float32)


def test_outputs_and_gradients_are_those_of_rounded_operands():
    net, (X, y) = network(), data()
    outputs, want = gradients(net, X, y, rounded)
    _, exact = gradients(net, X, y, np.asarray)
    _, got = net.loss_and_gradients(X, y)
    assert error(net.predict(X), outputs) < 1e-4
    for W, b, of_rounded, of_exact in zip(got.weights, got.biases, want, exact, strict=True):
        assert error(W, of_rounded[0]) < 3e-4
        assert error(b, of_rounded[1]) < 3e-4
        assert error(W, of_exact[0]) > 1e-3


def test_derivatives_round_alike():
    net, (X, y) = network(), data(64)  # a power of two: deltas of a mean are rounded alike
    _, whole = net.loss_and_gradients(X, y)
    single = net.sample_gradients(X, y)
    for got, want in zip(single.weights, whole.weights, strict=True):
        assert error(got.mean(axis=0), want) < 1e-5
    jacobian, d_out = net.jacobian(X), np.random.default_rng(2).standard_normal((64, 5))
    out = net.forward(X)
    assert out.tobytes() == net.predict(X).tobytes()
    assert error(net.backward(2 * (out - y) / y.size).weights[0], whole.weights[0]) < 3e-4
    slopes = [
        np.einsum("ro,roi->ri", d_out, one.jacobian(X)) for one in (net, network(products=None))
    ]
    assert 1e-3 < error(*slopes) < 2e-2
    assert jacobian.shape == (64, 5, 12)


def test_second_derivatives_are_near_those_of_float32():
    X, y = data()
    direction = np.random.default_rng(3).standard_normal(network().flat.size)
    for name in ("hessian_vector", "gauss_newton_vector"):
        got, want = (getattr(network(p), name)(X, y, direction) for p in ("bfloat16", None))
        assert 1e-4 < error(got, want) < 3e-2


def test_a_network_learns_as_well():
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y, scores = X[order], y[order], []
    for products in (None, "bfloat16"):
        net = fastbp.Network(
            [64, 100, 10], loss="cross_entropy", rng=0, scaling=1 / 16, products=products
        )
        net.fit(X[:1400], y[:1400], epochs=20, batch_size=50, progress=False)
        scores.append(net.evaluate(X[1400:], y[1400:])["accuracy"])
    assert min(scores) > 0.95
    assert abs(scores[0] - scores[1]) < 0.015


@pytest.mark.parametrize(
    "restore",
    [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), None],
    ids=["copy", "pickle", "file"],
)
def test_it_is_kept(restore, tmp_path):
    net, (X, y) = network(), data()
    net.fit(X, y, epochs=2, batch_size=16, progress=False)
    if restore is None:
        net.save(tmp_path / "net.safetensors")
        other = fastbp.load(tmp_path / "net.safetensors")
    else:
        other = restore(net)
    for one in (net, other):
        one.fit(X, y, epochs=2, batch_size=16, progress=False)
    assert other.products == "bfloat16"
    assert other.predict(X).tobytes() == net.predict(X).tobytes()
    assert "products=bfloat16" in repr(other)
    assert "products of bfloat16" in other.summary()


def test_sizes_of_blocks_change_no_bit():
    rng, found, blocks = np.random.default_rng(3), set(), []
    X, y = (rng.standard_normal((300, width)).astype(np.float32) for width in (21, 5))
    for block in (16, 176, 352, 1 << 14):  # the last two are too wide to be rounded once
        with using(current()._replace(block=block, slab=1 << 24)):
            net = network(layers=(21, 700, 120, 5), threads=1)
        net.fit(X, y, epochs=1, batch_size=280, progress=False)
        found.add(net.flat.tobytes())
        blocks.append(net._core.engine.layout.sizes.block)
    assert len(found) == 1
    assert blocks == [32, 352, 704, 1 << 14]


def test_without_it_nothing_is_said_of_it(tmp_path):
    net = network(None)
    assert net.products is None
    assert "products" not in repr(net)
    net.save(tmp_path / "net.safetensors")
    assert b"products" not in (tmp_path / "net.safetensors").read_bytes()


def test_a_file_with_other_products_is_refused():
    described = configuration.describe(network()._core.configuration)
    assert configuration.parse(described).products == "bfloat16"
    with raises(ValueError, "products", "'bfloat17'"):
        configuration.parse(described | {"products": "bfloat17"})


@pytest.mark.parametrize("given", ["float16", "", 16, True, ["bfloat16"], np.float32])
def test_other_products_are_refused(given):
    with raises(ValueError, "products", "'bfloat16' or None"):
        network(given)


def test_networks_of_float64_have_none():
    with raises(ValueError, "products", "float64"):
        network(dtype="float64")


def test_many_networks_at_once_have_the_numbers_of_each_alone(monkeypatch):
    def refuse(*_):
        raise AssertionError("they must not go by lanes, which do not round")

    monkeypatch.setattr(lane_group.LaneGroup, "__init__", refuse)
    X, y = data()
    many = [network(layers=(12, 4, 5), threads=1) for _ in range(20)]
    fastbp.fit_many(many, X, y, epochs=2, batch_size=16, progress=False)
    alone = network(layers=(12, 4, 5), threads=1)
    alone.fit(X, y, epochs=2, batch_size=16, progress=False)
    assert {net.predict(X).tobytes() for net in many} == {alone.predict(X).tobytes()}


@pytest.mark.slow
def test_compiled_code_has_the_same_numbers():
    net, (X, y) = network(threads=1), data(32)
    other = copy.deepcopy(net)
    embed.train_step(other.state, X, y)
    net.train_step(X, y)
    assert other.predict(X).tobytes() == net.predict(X).tobytes()
