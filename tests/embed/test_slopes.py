"""Slopes in compiled code: those of the network's methods, and clear errors."""

import numpy as np
import pytest
from cases import data
from expect import raises
from numba import njit
from numba.core.errors import TypingError

import fastbp
from fastbp import embed
from fastbp.embed.states import State

NETWORKS = {
    "plain": {},
    "float32": {"dtype": "float32"},
    "dropout and alpha": {"dropout": 0.3, "alpha": 0.5},
    "norms": {"clip_norm": 0.1, "max_norm": 1.0},
    "groups": {"trainable": [False, True, True], "rate_factors": [1, 0.5, 2]},
    "scaling": {"scaling": 0.5},
    "softmax": {"loss": "cross_entropy"},
}


def pair(options):
    options = {"activation": "tanh", "dtype": "float64", **options}
    return [fastbp.Network([6, 40, 30, 3], rng=0, threads=1, **options) for _ in range(2)]


def flat(gradients):
    parts = zip(gradients.weights, gradients.biases, strict=True)
    return np.concatenate([array.ravel() for both in parts for array in both])


@pytest.mark.parametrize("name", NETWORKS)
def test_they_are_those_of_the_methods(name):
    theirs, ours = pair(NETWORKS[name])
    near = {"rtol": 1e-4, "atol": 1e-6} if name == "float32" else {"rtol": 1e-9, "atol": 1e-13}
    state = ours.state
    for rows in (1, 9, 200):
        X, y = (array.astype(ours.dtype) for array in data(rows, 6, 3, seed=rows))
        out, found = np.empty((rows, 3), ours.dtype), np.empty(state.parameters, ours.dtype)
        wanted = theirs.forward(X)
        embed.forward(state, X, out)
        np.testing.assert_allclose(out, wanted, **near)
        slopes = (2 / wanted.size * (wanted - y)).astype(ours.dtype)
        if name != "groups":  # which has zeros for layers that are not trained
            gradients = flat(theirs.backward(slopes))
            embed.backward(state, X, slopes, found)
            np.testing.assert_allclose(found, gradients, **near)
        theirs.forward(X)
        theirs.step(slopes)
        embed.forward(state, X, out)
        assert embed.step(state, X, slopes)
        for one, other in zip(
            [*ours.weights, *ours.biases], [*theirs.weights, *theirs.biases], strict=True
        ):
            np.testing.assert_allclose(one, other, **near)
        if name != "softmax":
            inputs = np.empty_like(X)
            loss = embed.input_gradient(state, X, y, inputs)
            np.testing.assert_allclose(inputs, theirs.input_gradient(X, y), **near)
            assert loss == pytest.approx(theirs.evaluate(X, y)["loss"], rel=1e-5)
    assert ours.steps == theirs.steps == 3


def test_input_gradients_of_labels():
    theirs, ours = pair({"loss": "cross_entropy"})
    X, labels = data(9, 6, 3)[0], np.arange(9) % 3
    found = np.empty_like(X)
    embed.input_gradient(ours.state, X, labels, found)
    np.testing.assert_allclose(found, theirs.input_gradient(X, labels), rtol=1e-10)


def test_other_rows_than_those_of_forward_are_gone_through():
    theirs, ours = pair({})
    state = ours.state
    X, other, slopes = data(9, 6, 3)[0], data(9, 6, 3, seed=1)[0], data(9, 6, 3, seed=2)[1]
    out = np.empty((9, 3))
    for between in (None, lambda: embed.predict(state, other, out)):
        embed.forward(state, X if between else other, out)
        if between:
            between()
        theirs.forward(X)
        theirs.step(slopes)
        assert embed.step(state, X, slopes)
        for one, wanted in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(one, wanted, rtol=1e-9, atol=1e-13)


def test_what_is_not_finite_makes_no_step():
    net = fastbp.Network([6, 4, 3], dtype="float64", rng=0)
    before, state = net.weights[0].copy(), net.state
    X, slopes = np.ones((2, 6)), np.full((2, 3), np.nan)
    assert not embed.step(state, X, slopes)
    assert not embed.step(state, X * np.inf, np.ones((2, 3)))
    np.testing.assert_array_equal(net.weights[0], before)
    assert net.steps == 0


def test_shapes():
    net = fastbp.Network([6, 4, 3], dtype="float64", rng=0)
    state = embed.state(net, 4)
    X, slopes, found = np.ones((2, 6)), np.ones((2, 3)), np.empty(state.parameters)
    for call in (
        lambda X, slopes: embed.forward(state, X, slopes),
        lambda X, slopes: embed.step(state, X, slopes),
        lambda X, slopes: embed.backward(state, X, slopes, found),
    ):
        with raises(ValueError, "a column for each input"):
            call(X[:, :5].copy(), slopes)
        with raises(ValueError, "a column for each input"):
            call(X, slopes[:, :2].copy())
        with raises(ValueError, "the same number of rows"):
            call(X, slopes[:1])
        with raises(ValueError, "no more than the state has room for"):
            call(np.ones((5, 6)), np.ones((5, 3)))
        with raises(ValueError, "at least one row"):
            call(X[:0], slopes[:0])
    with raises(ValueError, "an element for each parameter"):
        embed.backward(state, X, slopes, found[1:])
    with raises(ValueError, "out must have the shape of X"):
        embed.input_gradient(state, X, slopes, X[:1])
    embed.forward(state, X, slopes)  # nothing stays taken


STATE = fastbp.Network([6, 4, 3], dtype="float64", rng=0).state


@njit
def globally(X, out):
    embed.predict(STATE, X, out)


def test_a_state_must_be_an_argument():
    """Numba makes a read-only copy of what is global."""
    with raises(RuntimeError, "a state must be an argument of the compiled function"):
        globally(np.ones((2, 6)), np.empty((2, 3)))


@pytest.mark.parametrize(
    "change",
    [
        lambda net: setattr(net, "optimizer", "sgd"),
        lambda net: setattr(net, "optimizer", fastbp.Adam(1e-4)),
        lambda net: setattr(net, "trainable", [False, True]),
        lambda net: setattr(net, "rate_factors", [1, 2]),
    ],
    ids=["slots", "rate", "trainable", "factors"],
)
def test_a_state_of_other_settings_says_so(change):
    net = fastbp.Network([6, 4, 3], dtype="float64", rng=0)
    old, X, y = net.state, np.ones((2, 6)), np.ones((2, 3))
    change(net)
    before = net.flat
    with raises(RuntimeError, "take a new state"):
        embed.train_step(old, X, y)
    with raises(RuntimeError, "take a new state"):
        embed.predict(old, X, np.empty((2, 3)))
    np.testing.assert_array_equal(net.flat, before)
    assert np.isfinite(embed.train_step(net.state, X, y))


def test_losses_whose_targets_are_not_as_wide_as_outputs():
    nets = [
        fastbp.Network([6, 5, 4], loss="gaussian_nll", dtype="float64", rng=0) for _ in range(2)
    ]
    state, X, y = nets[0].state, *data(9, 6, 2)
    assert embed.train_step(state, X, y) == nets[1].train_step(X, y)
    with raises(ValueError, "a column for each target"):
        embed.train_step(state, X, np.ones((9, 4)))
    several = fastbp.Network([6, 4], loss=fastbp.losses.Quantile([0.1, 0.9]))
    with raises(ValueError, "'quantile'", "several outputs for each target"):
        embed.state(several)


def test_bounds_are_those_of_the_record():
    net = fastbp.Network([6, 4, 3], dtype="float64", rng=0)
    state = embed.state(net, 4)._replace(rows=100, parameters=1)
    with raises(ValueError, "more rows than the state has room for"):
        embed.train_step(state, np.ones((50, 6)), np.ones((50, 3)))
    with raises(ValueError, "an element for each parameter"):
        embed.loss_and_gradients(state, np.ones((2, 6)), np.ones((2, 3)), np.empty(1))


def test_what_was_forward_before_another_call_is_repeated():
    theirs, ours = pair({})
    state, X, other = ours.state, data(9, 6, 3)[0], data(9, 6, 3, seed=1)[0]
    out, slopes = np.empty((9, 3)), data(9, 6, 3, seed=2)[1]
    embed.forward(state, X, out)
    embed.forward(state, other, out)
    assert embed.step(state, X, slopes)
    theirs.forward(X)
    theirs.step(slopes)
    for one, wanted in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(one, wanted, rtol=1e-9, atol=1e-13)


@njit
def on_a_buffer(state, X, out, other, slopes, gradients, again):
    """Forward and backward; in between the rows' own array gets other rows."""
    embed.forward(state, X, out)
    X[:] = other
    if again:
        embed.forward(state, X, out)
    embed.backward(state, X, slopes, gradients)


def test_an_array_with_other_rows_is_not_taken_for_what_it_held():
    net = pair({})[0]
    state = net.state
    (X, slopes), (other, _) = (data(5, 6, 3, seed=seed) for seed in (0, 1))
    out, wrong, right = np.empty((5, 3)), *np.empty((2, state.parameters))
    on_a_buffer(state, X.copy(), out, other, slopes, wrong, False)
    on_a_buffer(state, X.copy(), out, other, slopes, right, True)
    np.testing.assert_array_equal(wrong, right)
    assert wrong.any()


def test_a_state_made_by_hand_is_refused():
    made = State(6, 3, 6, 5, np.zeros(6), np.zeros(1, np.int64))
    with raises(TypingError, "as `net.state` made it"):
        embed.predict(made, np.ones((2, 6)), np.ones((2, 3)))
