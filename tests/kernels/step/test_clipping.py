"""Clipping by global norm, and maximum norms: bounds, untouched bits, and the reference."""

import copy

import numpy as np
import pytest
from cases import (
    ADAM,
    Case,
    assert_close,
    assert_same_parameters,
    both_dtypes,
    data,
    network,
    twins,
)
from contents import assert_same, learned

import fastbp
from fastbp.engine import engine
from fastbp.kernels.step.clipping import BLOCK

SHAPES = {  # layers, rows, batch size
    "one": ((1, 1), 9, 1),
    "short": ((5, 17, 9, 4), 37, 16),
    "parts": ((5, 17, 9, 4), 2003, 1501),
    "slabs": ((20, 260, 130, 3), 900, 600),
    "wide": ((30, 1100, 3), 33, 32),
}
OPTIONS = [
    {"clip_norm": 0.05},
    {"clip_norm": 1e9},
    {"max_norm": 0.7},
    {"clip_norm": 0.05, "max_norm": 0.7},
    {"l1": 0.01, "clip_value": 0.1, "clip_norm": 0.05},
]
STEP = Case("sgd", {"lr": 1.0})  # changes the parameters by the gradient itself


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


def change(net, X, y):
    """What a single step adds to all parameters, as one vector."""
    before = [p.copy() for p in (*net.weights, *net.biases)]
    net.train_step(X, y)
    after = [*net.weights, *net.biases]
    return np.concatenate([(b - a).ravel() for a, b in zip(before, after, strict=True)])


@both_dtypes
@pytest.mark.parametrize("threads", [1, 2])
def test_the_norm_of_the_step_is_at_most_the_bound(threads, dtype):
    layers = (70, 130, 5)
    assert 2 * BLOCK < 70 * 130
    X, y = data(33, 70, 5)
    free = change(network(layers, optimizer=STEP, dtype=dtype), X, y)
    norm = np.linalg.norm(free.astype(float))
    for factor in (0.5, 1e-3):
        bound = factor * norm
        net = network(layers, optimizer=STEP, dtype=dtype, threads=threads, clip_norm=bound)
        got = change(net, X, y).astype(float)
        tolerance = 1e-4 if dtype == "float32" else 1e-5  # PyTorch's 1e-6 beside the norm
        assert np.linalg.norm(got) == pytest.approx(bound, rel=tolerance)
        assert got @ free == pytest.approx(np.linalg.norm(got) * norm, rel=tolerance)


@both_dtypes
@pytest.mark.parametrize("rows", [19, 2000])
def test_bounds_that_are_never_reached_change_no_bit(rows, dtype):
    nets = [
        network([5, 17, 9, 4], dtype=dtype, **options)
        for options in ({}, {"clip_norm": 1e9}, {"clip_value": 1e9}, {"max_norm": 1e9})
    ]
    X, y = data(rows, 5, 4)
    for net in nets:
        net.fit(X, y, epochs=3, batch_size=rows - 3, progress=False)
    for net in nets[1:]:
        assert_same(learned(net), learned(nets[0]))


def test_a_gradient_whose_square_overflows_float32_is_clipped_too():
    X, y = np.full((1, 2), 1e10), np.full((1, 1), 1e10)
    net = network([2, 1], optimizer=STEP, dtype="float32", clip_norm=1.0)
    net.weights[0][:] = 0
    assert np.linalg.norm(change(net, X, y)) == pytest.approx(1.0, rel=1e-5)


def norms(net):
    return [np.linalg.norm(W.astype(float), axis=0) for W in net.weights]


@both_dtypes
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("clip", [{}, {"clip_norm": 10.0}], ids=str)
def test_no_unit_has_weights_above_the_maximum_norm(clip, threads, dtype):
    net = network([20, 33, 140, 3], dtype=dtype, threads=threads, max_norm=0.5, **clip)
    X, y = data(37, 20, 3)
    net.fit(X, y, epochs=2, batch_size=16, progress=False)
    for found in norms(net):
        assert found.max() <= 0.5 * (1 + 1e-6)
        assert found.max() > 0.49
    assert max(np.linalg.norm(b) for b in net.biases) > 0.6  # left alone


@both_dtypes
def test_weights_whose_squares_overflow_are_scaled_too(dtype):
    net = network([7, 40, 3], optimizer=Case("sgd", {"lr": 0.0}), dtype=dtype, max_norm=0.5)
    directions, top = np.random.default_rng(0).uniform(-1, 1, (7, 40)), np.finfo(dtype).max
    for size in (top, top ** (2 / 3)):
        net.weights[0][:] = directions * size
        net.weights[0][:, 3] = directions[:, 3] / 10
        kept = net.weights[0][:, 3].copy()
        net.train_step(np.zeros((8, 7)), np.zeros((8, 3)))
        want = directions / np.linalg.norm(directions, axis=0) * 0.5
        others = np.arange(40) != 3
        assert_close([net.weights[0][:, others]], [want[:, others]], 1e-5)
        np.testing.assert_array_equal(net.weights[0][:, 3], kept)


def test_units_below_the_maximum_norm_keep_their_bits():
    X, y = data(37, 5, 4)
    free, net = network([5, 40, 4]), network([5, 40, 4], max_norm=1.0)
    for one in (free, net):
        one.train_step(X, y)
    for W, found, norm in zip(net.weights, free.weights, norms(free), strict=True):
        below = norm < 1
        assert 0 < below.sum() < below.size
        np.testing.assert_array_equal(W[:, below], found[:, below])
        scaled = found[:, ~below] / (norm[~below] + 1e-7)
        assert_close([W[:, ~below]], [scaled], 1e-12)


def test_what_the_next_step_reads_is_scaled_too():
    """A step after max_norm is the step of a network that is given these weights."""
    X, y = data(37, 5, 4)
    for clip in ({}, {"clip_norm": 0.1}):
        net = network([5, 40, 30, 4], max_norm=0.6, **clip)
        single = copy.deepcopy(net)
        net.fit(X, y, epochs=4, batch_size=37, shuffle=False, progress=False)
        for _ in range(4):  # each call makes the mirrors anew
            single.train_step(X, y)
        assert_same(learned(single), learned(net))


# ---- failures -----------------------------------------------------------------------------------

ALL = {
    "dropout": 0.2, "l1": 1e-3, "l2": 1e-3, "clip_value": 1.0, "clip_norm": 0.5, "max_norm": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("options", [{"clip_norm": 0.5}, {"max_norm": 0.5}, ALL], ids=str)
@pytest.mark.parametrize("steps_a_call", [1, 3, 1 << 16])
@pytest.mark.parametrize("bad", [0, 15, 36])
def test_a_failed_epoch_leaves_the_last_good_one(bad, steps_a_call, options, monkeypatch):
    monkeypatch.setattr(engine, "STEPS_A_CALL", steps_a_call)
    net, twin = (fastbp.Network([5, 9, 4], rng=0, **options) for _ in range(2))
    X, y = data(37, 5, 4)
    for one in (net, twin):
        one.fit(X, y, epochs=2, batch_size=8, shuffle=False)
        if one is net:
            wrong = y.copy()
            wrong[bad] = 1e30
            before = learned(net)
            with pytest.raises(FloatingPointError):
                net.fit(X, wrong, epochs=3, batch_size=8, shuffle=False)
            with pytest.raises(FloatingPointError):
                net.train_step(X, wrong)
            assert_same(learned(net), before)
        one.fit(X, y, epochs=2, batch_size=8, shuffle=False)
    assert_same(learned(net), learned(twin))


def test_a_gradient_that_is_not_finite_fails_at_the_next_step():
    """As without clipping: the loss of the step is finite, what follows from it is not."""
    net = network([2, 1], optimizer=STEP, clip_norm=1.0)
    net.weights[0][:] = 0
    net.train_step([[1e200, 1]], [[1e120]])  # a gradient of 1e320
    assert not np.isfinite(net.weights[0]).all()
    with pytest.raises(FloatingPointError):
        net.train_step([[1, 1]], [[1]])
