"""LearningRateFinder: the rates it tries, what it finds, and that it leaves no trace."""

import math

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp import schedules
from fastbp.callbacks import Callback, EarlyStopping, LearningRateFinder

X = data(200, 5, 4)[0]
Y = np.tanh(X @ data(5, 4, 1)[0])  # which can be learned


def network(**arguments):
    return fastbp.Network([5, 30, 4], rng=0, **arguments)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_it_finds_a_rate_and_leaves_no_trace(optimizer, shuffle):
    net, finder = network(optimizer=optimizer), LearningRateFinder(1e-6, 100)
    net.fit(X, Y, 2, 8)
    before = contents(net)
    history = net.fit(X, Y, 10, 8, shuffle=shuffle, callbacks=[finder])
    assert_same(contents(net), before)
    assert history.stopped is not None
    assert 1e-6 < finder.suggestion < 10
    rates = 1e-6 * 1e8 ** (np.arange(len(finder.rates)) / 249)
    np.testing.assert_allclose(finder.rates, rates, rtol=1e-12)
    assert finder.losses.shape == finder.smoothed.shape == finder.rates.shape
    assert finder.smoothed[0] == pytest.approx(finder.losses[0])


def test_the_suggested_rate_trains():
    net, finder = network(optimizer="sgd"), LearningRateFinder(1e-6, 100)
    net.fit(X, Y, 10, 8, callbacks=[finder])
    good = network(optimizer=fastbp.SGD(finder.suggestion))
    losses = good.fit(X, Y, 5, 8)["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("seed", range(3))
def test_noise_at_low_rates_is_not_taken_for_a_fall(seed):
    x = np.random.default_rng(seed).standard_normal((10_000, 20))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    net = fastbp.Network([20, 64, 2], loss="cross_entropy", rng=seed)
    finder = LearningRateFinder()
    net.fit(x, y, 3, callbacks=[finder])
    assert 1e-4 < finder.suggestion < 0.1


def test_losses_are_those_of_a_fit_with_these_rates():
    net, finder, twin = network(), LearningRateFinder(1e-4, 1e-2, steps=20), network()
    net.fit(X, Y, 1, 8, shuffle=False, callbacks=[finder])
    losses = []

    class Note(Callback):
        def on_step_end(self, fit):
            losses.append(fit.loss)

    twin.fit(
        X, Y, 1, 8, shuffle=False, callbacks=[Note()],
        schedule=lambda n: 1e-4 / 1e-3 * 100 ** (n / 19),
    )  # fmt: skip
    assert finder.losses.tolist() == losses[:20]
    assert len(finder.rates) == 20


def test_a_loss_that_is_not_finite_is_no_error():
    net, finder = network(optimizer="sgd"), LearningRateFinder(1e-3, 1e30, diverged=1e300)
    before = contents(net)
    history = net.fit(X, Y, 4, 8, callbacks=[finder])
    assert history.stopped == "the loss is not finite any more"
    assert len(finder.rates) > 5
    assert_same(contents(net), before)
    net.fit(X, Y)


def test_other_errors_are_raised_and_the_network_is_put_back():
    class Fail(Callback):
        def on_step_end(self, fit):
            if fit.step == 7:
                raise LookupError("mine")

    net = network()
    before = contents(net)
    with raises(LookupError, "mine"):
        net.fit(X, Y, callbacks=[LearningRateFinder(), Fail()])
    assert_same(contents(net), before)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_too_few_steps_suggest_nothing(steps):
    finder = LearningRateFinder(steps=steps)
    network().fit(X, Y, 50, callbacks=[finder])  # at this pace the last rate would overflow
    assert math.isnan(finder.suggestion)
    np.testing.assert_allclose(finder.rates, np.geomspace(1e-7, 10, steps))


def test_contradictions():
    net = network()
    before = contents(net)
    with raises(ValueError, "schedule is Cosine(", "cannot follow"):
        net.fit(X, Y, schedule=schedules.Cosine(), callbacks=[LearningRateFinder()])
    with raises(ValueError, "LearningRateFinder(steps=100) needs a fit of as many steps"):
        net.fit(X, Y, callbacks=[LearningRateFinder(steps=100)])
    with raises(ValueError, "cannot follow"):
        net.fit(X, Y, callbacks=[LearningRateFinder(), LearningRateFinder()])
    assert_same(contents(net), before)
    with raises(ValueError, "an optimizer whose lr is not 0"):
        network(optimizer=fastbp.SGD(0)).fit(X, Y, callbacks=[LearningRateFinder()])


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"lowest": 0}, "lowest"),
        ({"highest": 1e-9}, "highest"),
        ({"steps": 0}, "steps"),
        ({"diverged": 1}, "diverged"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_used(arguments, part):
    with raises(ValueError, part):
        LearningRateFinder(**arguments)


def test_an_early_stop_before_or_behind_it_leaves_no_trace_either():
    for order in (1, -1):
        net, stop = network(), EarlyStopping("loss", patience=1)
        before = contents(net)
        net.fit(X, Y, 10, 8, callbacks=[LearningRateFinder(1e-6, 100), stop][::order])
        assert_same(contents(net), before)
