"""Layers that are not trained, learning rates of layers, and another optimizer."""

import pickle

import numpy as np
import pytest
from cases import ADAM, Case, assert_close, both_dtypes, data, network, sparse_rows, twins
from expect import raises

import fastbp
from fastbp import callbacks

X, Y = data(70, 4, 3)
LAYERS = [4, 6, 5, 3]
MOMENTUM = Case("sgd", {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1})
FROZEN = [
    [True, False, True],
    [False, False, True],
    [True, True, False],
    [False, True, True],
]


def layers_of(net):
    slots = range(1 + net.optimizer.slots)
    views = [net._core.views(net._core.engine.slot(slot)) for slot in slots]
    return [
        np.concatenate([part[layer].ravel() for slot in views for part in slot]).copy()
        for layer in range(len(net.weights))
    ]


@both_dtypes
@pytest.mark.parametrize("trainable", FROZEN, ids=str)
@pytest.mark.parametrize("batch", [1, 16, 70])
@pytest.mark.parametrize("more", [{}, {"clip_norm": 0.1, "max_norm": 0.4}, {"l2": 0.1}], ids=str)
def test_frozen_layers_keep_their_bits(trainable, batch, more, dtype):
    """And the others are trained as by gradients of theirs alone."""
    net = network(LAYERS, dtype=dtype, trainable=trainable, **more)
    before = layers_of(net)
    net.fit(X.astype(dtype), Y.astype(dtype), 2, batch)
    for was, now, trained in zip(before, layers_of(net), trainable, strict=True):
        assert np.array_equal(was, now) is not trained


@pytest.mark.parametrize("trainable", FROZEN, ids=str)
def test_what_is_trained_is_trained_as_ever(trainable):
    """One step; in later ones the layers below would differ."""
    frozen, free = network(LAYERS, trainable=trainable), network(LAYERS)
    for net in (frozen, free):
        net.train_step(X, Y)
    for got, want, trained in zip(layers_of(frozen), layers_of(free), trainable, strict=True):
        assert not trained or np.array_equal(got, want)


def test_the_clipped_norm_is_that_of_what_is_trained():
    """As PyTorch's, where a frozen parameter has no gradient."""
    bound = 0.05
    net = network(LAYERS, optimizer=Case("sgd", {"lr": 1.0}), clip_norm=bound)
    net.trainable = [False, True, True]
    gradients, before = net.loss_and_gradients(X, Y)[1], net.flat
    trained = [*gradients.weights[1:], *gradients.biases[1:]]
    assert np.sqrt(sum((g**2).sum() for g in trained)) > bound
    net.train_step(X, Y)
    assert np.linalg.norm(net.flat - before) == pytest.approx(bound, rel=1e-4)


@both_dtypes
@pytest.mark.parametrize("optimizer", [ADAM, MOMENTUM, Case("nadam", {"lr": 0.01})], ids=str)
def test_factors_of_rates_are_learning_rates_of_layers(optimizer, dtype):
    """Each layer moves as in a network with that learning rate."""
    X1, Y1 = X.astype(dtype), Y.astype(dtype)
    net = network(LAYERS, optimizer=optimizer, dtype=dtype, rate_factors=[0.5, 1, 2])
    steps = []
    for factor in (0.5, 1, 2):
        options = optimizer.options | {"lr": factor * optimizer.options["lr"]}
        one = network(LAYERS, optimizer=Case(optimizer.name, options), dtype=dtype)
        one.train_step(X1, Y1)
        steps.append(layers_of(one))
    net.train_step(X1, Y1)
    for layer, found in enumerate(layers_of(net)):
        np.testing.assert_array_equal(found, steps[layer][layer])


def test_factors_with_a_schedule_penalties_and_sparse_rows():
    """Updates of sparse rows that wait, too; against the dense network, and against plain rates."""
    rows = sparse_rows(70, 30, 0.1)
    settings = {"rate_factors": [2, 1, 0.5], "l1": 0.001, "alpha": 0.01}
    nets = [network([30, 6, 5, 3], **settings) for _ in range(2)]
    for net, data_of in zip(nets, (rows, rows.toarray()), strict=True):
        net.fit(data_of, Y, 3, 16, shuffle=False, schedule=lambda step: 1 / (1 + step))
    assert_close([nets[0].flat], [nets[1].flat], 1e-10)
    frozen = network([30, 6, 5, 3], trainable=[False, True, True])
    before = layers_of(frozen)[0]
    frozen.fit(rows, Y, 3, 16)
    np.testing.assert_array_equal(layers_of(frozen)[0], before)


def test_one_and_two_threads_give_the_same_bits():
    settings = {"trainable": [True, False, True], "rate_factors": [1, 1, 3], "clip_norm": 0.5}
    nets = [network([4, 70, 40, 3], threads=threads, **settings) for threads in (1, 2)]
    frozen = layers_of(nets[0])[1]
    for net in nets:
        net.fit(X, Y, 3, 32)
        net.fit(*data(3000, 4, 3), 2, 3000)  # in parts, each with a gradient of its own
        np.testing.assert_array_equal(layers_of(net)[1], frozen)
    np.testing.assert_array_equal(nets[0].flat, nets[1].flat)


def test_a_long_batch_in_parts_is_the_same_step():
    """Of 3000 rows, against the mean of the gradients of its halves by `apply`."""
    X, Y = data(3000, 4, 3)
    settings = {"trainable": [True, False, True], "rate_factors": [1, 1, 3], "l2": 0.1}
    nets = [network(LAYERS, **settings) for _ in range(2)]
    nets[0].train_step(X, Y)
    halves = [nets[1].loss_and_gradients(X[at], Y[at])[1] for at in np.split(np.arange(3000), 2)]
    means = [
        [(a + b) / 2 for a, b in zip(*pair, strict=True)] for pair in zip(*halves, strict=True)
    ]
    nets[1].apply(means)
    assert_close([nets[0].flat], [nets[1].flat], 1e-11)


def test_settings_are_saved_pickled_and_told(tmp_path):
    net = network(LAYERS, trainable=[True, False, True], rate_factors=0.5)
    net.fit(X, Y, 1)
    net.save(tmp_path / "net.safetensors")
    for other in (fastbp.load(tmp_path / "net.safetensors"), pickle.loads(pickle.dumps(net))):
        assert other.trainable == (True, False, True)
        assert other.rate_factors == (0.5, 0.5, 0.5)
        assert "trainable=[True, False, True], rate_factors=[0.5, 0.5, 0.5]" in repr(other)
        other.train_step(X, Y)
        frozen = other.weights[1].copy()
        np.testing.assert_array_equal(frozen, net.weights[1])
    assert "frozen" in net.summary()
    assert "x 0.5" in net.summary()
    assert "trainable" not in repr(network(LAYERS))


def test_another_optimizer_begins_anew():
    net, ref = twins(LAYERS, optimizer=MOMENTUM)
    net.optimizer = "adam"
    weights = net.weights
    net.fit(X, Y, 2, shuffle=False)
    assert net.steps == 6
    net.optimizer = MOMENTUM.optimizer()
    assert net.steps == 0
    assert net.optimizer == MOMENTUM.optimizer()
    for W, kept in zip(ref.weights, net.weights, strict=True):
        W[:] = kept
    for b, kept in zip(ref.biases, net.biases, strict=True):
        b[:] = kept
    assert not np.shares_memory(weights[0], net.weights[0])
    for _ in range(3):
        assert net.train_step(X, Y) == pytest.approx(ref.train_step(X, Y), rel=1e-12)
    assert_close([*net.weights], [*ref.weights], 1e-11)
    state = net._core.engine.state.copy()
    net.optimizer = MOMENTUM.optimizer()  # the same: nothing begins anew
    assert net.steps == 3
    np.testing.assert_array_equal(net._core.engine.state, state)


def test_another_rate_of_the_same_optimizer_keeps_the_views():
    net = network(LAYERS)
    weights = net.weights
    net.train_step(X, Y)
    net.optimizer = fastbp.Adam(0.5)
    assert np.shares_memory(weights[0], net.weights[0])
    assert not net._core.engine.slot(1).any()
    assert not net._core.engine.slot(2).any()
    before = net.flat
    net.train_step(X, Y)
    assert np.abs(net.flat - before).max() == pytest.approx(0.5, rel=1e-6)  # Adam's first step


def test_a_fit_goes_on_with_the_optimizer_that_it_began_with():
    class Changing(callbacks.Callback):
        def on_epoch_end(self, fit):
            fit.network.optimizer = "sgd"

    net = network(LAYERS)
    with raises(RuntimeError, "optimizer cannot be replaced during a fit"):
        net.fit(X, Y, 2, callbacks=[Changing()])
    assert net.optimizer == ADAM.optimizer()


@pytest.mark.parametrize(
    ("name", "value", "error", "told"),
    [
        ("trainable", [True, False], ValueError, "each of the 3; got [True, False]"),
        ("trainable", False, ValueError, "True for at least one layer"),
        ("trainable", [True, 1, True], TypeError, "trainable[1] must be"),
        ("trainable", "yes", TypeError, "trainable must be"),
        ("rate_factors", [1, 2], ValueError, "each of the 3"),
        ("rate_factors", [1, -1, 1], ValueError, "rate_factors[1]"),
        ("rate_factors", np.inf, ValueError, "rate_factors"),
        ("optimizer", "best", ValueError, "optimizer"),
        ("optimizer", 3, TypeError, "optimizer"),
    ],
)
def test_bad_settings_change_nothing(name, value, error, told):
    net = network(LAYERS)
    before = getattr(net, name)
    with raises(error, told):
        setattr(net, name, value)
    assert getattr(net, name) == before
    with raises(error, told):
        fastbp.Network(LAYERS, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("trainable", [True, False, True]), ("rate_factors", 0.5)]
)
def test_minimize_has_no_place_for_them(name, value):
    net = network(LAYERS)
    setattr(net, name, value)
    with raises(ValueError, "no place for", name):
        fastbp.minimize(net, X, Y)
