"""Compiled code's steps, epochs, gradients, predictions: the bits of the network's methods."""

import numpy as np
import pytest
from cases import LOSSES, SOLVERS, Case, data
from expect import raises
from numba import njit
from numba.core.runtime import _nrt_python, rtsys

import fastbp
from fastbp import embed

LABELS = Case("cross_entropy", targets="labels")
MSE = Case("mse")


def pair(layers, dtype="float32", loss=MSE, **options):
    """Two networks alike, on one thread."""
    made = [
        fastbp.Network(layers, loss=loss.loss(), dtype=dtype, rng=3, threads=1, **options)
        for _ in range(2)
    ]
    return made


def rows_of(net, count, loss=MSE, seed=0):
    X, y = data(count, net.layers[0], net.layers[-1], loss.targets, seed)
    return X.astype(net.dtype), y if loss.targets == "labels" else y.astype(net.dtype)


def expect_same(ours, theirs):
    """Parameters, slots and steps to the last bit."""
    one, other = ours._core.engine, theirs._core.engine
    np.testing.assert_array_equal(one.state, other.state)
    assert one.step == other.step


def compare(ours, theirs, counts, loss=MSE, state=None):
    """Go through batches of so many rows with both, and compare all that comes out."""
    state = state or embed.state(ours, max(counts))
    flat, steps = np.empty(state.parameters, ours.dtype), theirs.steps
    for count in counts:
        X, y = rows_of(ours, count, loss, count)
        value, gradients = theirs.loss_and_gradients(X, y)
        assert embed.loss_and_gradients(state, X, y, flat) == value
        parts = zip(gradients.weights, gradients.biases, strict=True)
        wanted = [array.ravel() for pair in parts for array in pair]
        np.testing.assert_array_equal(flat, np.concatenate(wanted))
        assert embed.train_step(state, X, y) == theirs.train_step(X, y)
        expect_same(ours, theirs)
        out = np.full((count, ours.layers[-1]), np.nan, ours.dtype)
        embed.predict(state, X, out)
        np.testing.assert_array_equal(out, theirs.predict(X))
    assert theirs.steps == steps + len(counts)


NETWORKS = {
    "one row, odd sizes": ([3, 5, 2], {}, MSE, [1, 7, 33, 1]),
    "float64": ([3, 17, 2], {"dtype": "float64"}, MSE, [1, 130]),
    "labels": ([5, 16, 4], {}, LABELS, [9, 1, 200]),
    "probabilities": ([5, 16, 4], {}, Case("cross_entropy", targets="probabilities"), [9]),
    "parts": ([4, 64, 4], {"activation": "gelu"}, MSE, [1000, 65, 999]),
    "slabs": ([100, 300, 150, 3], {}, MSE, [600, 5]),
    "no mirrors of few rows": ([3, 512, 512, 2], {}, MSE, [48, 49, 5]),
    "alpha": ([3, 9, 2], {"alpha": 0.3}, MSE, [8, 3]),
    "dropout": ([3, 20, 20, 2], {"dropout": [0.5, 0.2]}, MSE, [8, 3]),
    "norms": ([3, 9, 2], {"clip_norm": 0.1, "max_norm": 0.5}, MSE, [8, 3, 200]),
    "penalties": ([3, 9, 2], {"l1": 0.1, "l2": 0.1, "clip_value": 0.01}, MSE, [8, 3]),
    "scaling": ([3, 9, 2], {"scaling": 0.25}, MSE, [8, 1]),
    "weights of outputs": ([3, 9, 2], {"loss_weights": [1, 3]}, MSE, [8]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_same_bits(name):
    layers, options, loss, counts = NETWORKS[name]
    compare(*pair(layers, loss=loss, **options), counts, loss)


def test_same_bits_for_every_loss_and_optimizer():
    for loss in LOSSES:
        compare(*pair([3, 9, 3], loss=loss), [5], loss)
    for case in SOLVERS:
        compare(*pair([3, 9, 2], optimizer=case.optimizer()), [5, 4])


def test_standard_scaling_once_it_is_learned():
    ours, theirs = pair([3, 9, 2], scaling="standard")
    with raises(RuntimeError, "has not learned the scaling"):
        _ = ours.state
    X, _ = rows_of(ours, 50)
    for net in (ours, theirs):
        net.learn_scaling(3 * X + 1)
    compare(ours, theirs, [6])


def test_an_epoch_has_the_bits_of_fit():
    ours, theirs = pair([3, 9, 2], optimizer="nadam", alpha=0.1)
    X, y = rows_of(ours, 65)  # the last batch has one row
    state, order = embed.state(ours, 16), np.arange(65)
    history = theirs.fit(X, y, 2, 16, shuffle=False, progress=False)
    losses = [embed.train_epoch(state, X, y, order, 16) for _ in range(2)]
    assert losses == history["loss"]
    expect_same(ours, theirs)
    backward = order[::-1].copy()
    embed.train_epoch(state, X, y, backward[:40], 16)
    theirs.fit(X[backward[:40]], y[backward[:40]], 1, 16, shuffle=False, progress=False)
    expect_same(ours, theirs)


def test_the_network_goes_on_from_what_compiled_code_did(tmp_path):
    ours, theirs = pair([3, 9, 2])
    X, y = rows_of(ours, 20)
    state = ours.state
    for number in range(6):
        theirs.train_step(X, y)
        if number % 2:
            ours.train_step(X, y)
        else:
            embed.train_step(state, X, y)
    ours.save(tmp_path / "a.safetensors")
    saved = fastbp.load(tmp_path / "a.safetensors")
    assert saved.steps == 6
    compare(saved, theirs, [5])


def test_late_steps_have_the_coefficients_that_have_come_to_rest():
    ours, theirs = pair([2, 2])
    for net in (ours, theirs):
        net._core.engine.step = 30_000
    state = ours.state
    for net in (ours, theirs):
        net._core.engine.step = 200_000
    compare(ours, theirs, [5, 5], state=state)


def test_a_state_is_used_up_by_its_steps(monkeypatch):
    monkeypatch.setattr("fastbp.engine.separate.CHUNK", 4)
    monkeypatch.setattr("fastbp.engine.separate.MOST_TABLE", 8)
    ours, theirs = pair([3, 5, 2])
    X, y = rows_of(ours, 9)
    state, order = ours.state, np.arange(9)
    with raises(RuntimeError, "no coefficients", "take a new one"):
        embed.train_epoch(state, X, y, order, 1)
    assert ours.steps == 0
    embed.train_epoch(state, X, y, order[:8], 1)
    for _ in range(2):  # nobody has left the state taken
        with raises(RuntimeError, "no coefficients"):
            embed.train_step(state, X, y)
    assert ours.steps == 8
    theirs.fit(X[:8], y[:8], 1, 1, shuffle=False, progress=False)
    compare(ours, theirs, [3])
    ours._core.engine.step = 2
    late = ours.state
    ours._core.engine.step = 1
    with raises(RuntimeError, "no coefficients"):
        embed.train_step(late, X, y)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_makes_no_update(bad):
    for activation in ("relu", "tanh"):  # whose slope of 0 makes NaN of an infinite feature
        ours, theirs = pair([3, 5, 2], activation=activation)
        X, y = rows_of(ours, 9)
        state = ours.state
        for broken in (X, y):
            kept, broken[6, 1] = broken[6, 1], bad
            assert np.isnan(embed.train_step(state, X, y))
            expect_same(ours, theirs)
            broken[6, 1] = kept
        X[6, 1] = bad
        assert np.isnan(embed.train_epoch(state, X, y, np.arange(9), 2))
        theirs.fit(X[:6], y[:6], 1, 2, shuffle=False, progress=False)
        expect_same(ours, theirs)
        order = np.array([8, 0])  # which does not come upon it
        assert np.isfinite(embed.train_epoch(state, X, y, order, 2))
        assert ours.steps == 4


def test_features_that_are_not_finite_are_predicted_as_they_are():
    ours, _ = pair([2, 3, 1], activation="tanh")
    out = np.zeros((2, 1), np.float32)
    embed.predict(ours.state, np.array([[np.nan, 0], [np.inf, 0]], np.float32), out)
    assert np.isnan(out[0, 0])
    assert np.isfinite(out[1, 0])


@njit
def _loop(state, X, y, order, gradients, out, count):
    for _ in range(count):
        embed.predict(state, X, out)
        embed.train_step(state, X, y)
        embed.train_epoch(state, X, y, order[1:], 2)
        embed.loss_and_gradients(state, X, y, gradients)


def test_calls_allocate_nothing():
    net, _ = pair([3, 5, 2])
    X, y = rows_of(net, 4)
    state = net.state
    rest = np.arange(4), np.empty(state.parameters, np.float32), np.empty((4, 2), np.float32)
    enabled = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    found = []
    for count in (1, 1, 50):
        before = rtsys.get_allocation_stats()
        _loop(state, X, y, *rest, count)
        after = rtsys.get_allocation_stats()
        found.append((after.alloc - before.alloc, after.mi_alloc - before.mi_alloc))
    if not enabled:
        _nrt_python.memsys_disable_stats()
    assert found[1] == found[2]  # what the arguments take, once
    assert found[2][1] > 0
    assert net.steps == 3 * 52


def test_targets_carry_any_gradient_by_the_outputs():
    # What the examples do: policy gradients by cross-entropy, adjoints of a solver by "mse".
    rng = np.random.default_rng(0)
    X, wanted = rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    for loss in ("cross_entropy", "mse"):
        net = fastbp.Network([3, 2], loss=loss, dtype="float64", rng=0)
        out, flat = net.predict(X), np.empty(8)
        by_logits = 9 * wanted  # advantages of any size; rows of a softmax add up to nothing
        if loss == "cross_entropy":
            by_logits -= by_logits.mean(axis=1, keepdims=True)
        embed.loss_and_gradients(net.state, X, out - 5 * by_logits, flat)
        found = np.concatenate([(X.T @ by_logits).ravel(), by_logits.sum(axis=0)])
        np.testing.assert_allclose(flat, found, rtol=1e-12)
