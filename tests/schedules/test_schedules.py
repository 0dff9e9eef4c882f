"""Schedules: factors by formula, what is refused, and how a fit follows them."""

import dataclasses
import math
import pickle

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp import schedules
from fastbp.callbacks import Callback, Checkpoint
from fastbp.engine import engine
from fastbp.schedules.base import Span

X, Y = data(37, 5, 4)
STEPS = 5  # an epoch of batches of 8


def factors(schedule, count, span=None, state=None):
    """The factors of the first steps of a fit, which is as long unless told otherwise."""
    span = span or Span(count, 1)
    return schedule.factors(np.arange(count), span, state or schedule.begin()).tolist()


def network(**arguments):
    return fastbp.Network([5, 9, 4], dtype="float64", rng=0, **arguments)


EVERY = [
    schedules.Constant(0.5),
    schedules.Step(every=3),
    schedules.Step(milestones=(2, 7), gamma=0.5),
    schedules.Exponential(0.9),
    schedules.Cosine(),
    schedules.Cosine(3, restarts=True, multiplier=2, minimum=0.1),
    schedules.InverseScaling(),
    schedules.OneCycle(),
    schedules.OneCycle(12, anneal="linear", three_phase=True),
    schedules.Polynomial(power=2),
    schedules.Warmup(4),
    schedules.Warmup(4, schedules.Cosine()),
    schedules.Exponential(0.5, unit="epoch"),
    schedules.Warmup(1, schedules.Step(every=1, unit="epoch"), unit="epoch"),
    schedules.Function(math.cos),
]
every_schedule = pytest.mark.parametrize("schedule", EVERY, ids=str)


@pytest.mark.parametrize(
    ("schedule", "want"),
    [
        (schedules.Constant(2), [2, 2, 2]),
        (schedules.Step(every=2, gamma=0.5), [1, 1, 0.5, 0.5, 0.25]),
        (schedules.Step(milestones=[1, 3], gamma=0.5), [1, 0.5, 0.5, 0.25]),
        (schedules.Step(every=1, gamma=0), [1, 0, 0]),
        (schedules.Exponential(0.5), [1, 0.5, 0.25]),
        (schedules.Exponential(2), [1, 2, 4]),
        (schedules.InverseScaling(power=1), [1, 1 / 2, 1 / 3]),
        (schedules.InverseScaling(power=2, scale=2), [1, 1 / 1.5**2, 1 / 4]),
        (schedules.Polynomial(), [1, 0.75, 0.5, 0.25]),
        (schedules.Polynomial(2, power=2, minimum=0.5), [1, 0.625, 0.5, 0.5]),
        (schedules.Cosine(2), [1, 0.5, 0, 0]),
        (schedules.Cosine(), [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2]),
        (schedules.Cosine(2, minimum=0.5, restarts=True), [1, 0.75, 1, 0.75, 1]),
        (schedules.Cosine(1, restarts=True, multiplier=2), [1, 1, 0.5, 1]),
        (schedules.Warmup(2, start=0.5), [0.5, 0.75, 1, 1]),
        (schedules.Warmup(2, lambda n: n, start=0), [0, 0.5, 0, 1, 2]),
        (schedules.Warmup(2, schedules.Polynomial(), start=0), [0, 0.5, 1, 0.5]),
        (schedules.Function(lambda n: n * n), [0, 1, 4, 9]),
    ],
    ids=str,
)  # fmt: skip
def test_factors(schedule, want):
    np.testing.assert_allclose(factors(schedule, len(want)), want, rtol=1e-15, atol=1e-16)


def test_one_cycle_rises_to_the_optimizers_rate_and_ends_far_below():
    found = factors(schedules.OneCycle(10, rise=0.5, div_factor=4, final_div_factor=10), 12)
    assert found[0] == 0.25
    assert found[4] == max(found) == 1
    np.testing.assert_allclose(found[9:], 0.025)
    assert found[:5] == sorted(found[:5])
    assert found[4:] == sorted(found[4:], reverse=True)


@pytest.mark.parametrize("rise", [0.0, 0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("total", [1, 2, 3, 10])
def test_one_cycle_of_any_length_is_finite(total, three_phase, rise):
    if three_phase and rise > 0.5:
        return
    found = np.array(factors(schedules.OneCycle(rise=rise, three_phase=three_phase), total))
    assert ((found >= 1 / 25e4 * 0.999) & (found <= 1.0)).all()


@every_schedule
def test_factors_do_not_depend_on_where_a_call_begins(schedule):
    whole = factors(schedule, 40, Span(40, 7))
    state = schedule.begin()
    for cut in (1, 5, 39):
        parts = (np.arange(cut), np.arange(cut, 40))
        found = [schedule.factors(part, Span(40, 7), state) for part in parts]
        np.testing.assert_array_equal(np.concatenate(found), whole)


@every_schedule
def test_schedules_are_values(schedule):
    assert dataclasses.replace(schedule) == schedule
    assert hash(dataclasses.replace(schedule)) == hash(schedule)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.unit = "day"


@pytest.mark.parametrize(
    "make",
    [
        lambda unit: schedules.Step(every=2, unit=unit),
        lambda unit: schedules.Cosine(unit=unit),
        lambda unit: schedules.Polynomial(unit=unit),
        lambda unit: schedules.Exponential(0.9, unit=unit),
        lambda unit: schedules.InverseScaling(unit=unit),
        lambda unit: schedules.Function(lambda n: 1 / (1 + n), unit=unit),
        lambda unit: schedules.Warmup(2, schedules.Cosine(unit=unit), unit=unit),
        lambda unit: schedules.OneCycle(unit=unit),
    ],
    ids=[
        "step",
        "cosine",
        "polynomial",
        "exponential",
        "inverse",
        "function",
        "warm-up",
        "one cycle",
    ],
)
def test_an_epoch_is_one_step_of_a_schedule_by_epochs(make):
    by_step = factors(make("step"), 6)
    by_epoch = factors(make("epoch"), 18, Span(18, 3))
    np.testing.assert_array_equal(by_epoch, np.repeat(by_step, 3))


def test_warm_up_by_steps_before_a_schedule_by_epochs():
    schedule = schedules.Warmup(2, schedules.Step(every=1, unit="epoch", gamma=0.5), start=0)
    assert factors(schedule, 10, Span(10, 4)) == [0, 0.5, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5]


# ---- reduce on plateau --------------------------------------------------------------------------


def plateau(values, **options):
    """The factors after each of these values."""
    schedule, found = schedules.ReduceOnPlateau("val_loss", **options), []
    state = schedule.begin()
    for value in values:
        before = dict(state)
        after = schedule.after_epoch(state, {"val_loss": value})
        assert state == before  # not changed in place
        state = after
        found.append(factors(schedule, 2, state=state)[1])
    return found


def test_the_rate_falls_after_epochs_without_improvement():
    assert plateau([3, 2, 2, 2, 2, 2, 2], patience=1, factor=0.5) == [
        1, 1, 1, 0.5, 0.5, 0.25, 0.25,
    ]  # fmt: skip
    assert plateau([1, 2, 3], patience=0, factor=0.5) == [1, 0.5, 0.25]
    assert plateau([1, 2, 3], patience=0, factor=0.5, mode="max") == [1, 1, 1]
    assert plateau([1] * 6, patience=0, factor=0.5, cooldown=2) == [1, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert plateau([1] * 4, patience=0, factor=0.1, minimum=0.05) == [1, 0.1, 0.05, 0.05]
    assert plateau([1, 0.95, 0.95], patience=0, factor=0.5, threshold=0.1) == [1, 0.5, 0.25]
    assert plateau([10, 9.5], patience=0, threshold=0.4, threshold_mode="abs") == [1, 1]
    assert plateau([10, 9.7], patience=0, threshold=0.4, threshold_mode="abs") == [1, 0.1]


def test_a_quantity_that_is_not_finite_is_no_improvement():
    nan, inf = float("nan"), float("inf")
    assert plateau([nan, 2, nan, 1], patience=0, factor=0.5) == [0.5, 0.5, 0.25, 0.25]
    assert plateau([inf, 2], patience=0, factor=0.5) == [0.5, 0.5]


def test_negative_quantities_improve_downwards():
    assert plateau([-1, -1.5, -2], patience=0) == [1, 1, 1]
    assert plateau([-1, -1.00001], patience=0, factor=0.5) == [1, 0.5]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_fit_follows_a_plateau(shuffle):
    net = network(optimizer=fastbp.SGD(1e-9))  # the loss falls by too little
    schedule = schedules.ReduceOnPlateau("loss", patience=1, factor=0.5)
    for _ in range(2):  # the schedule keeps nothing from one fit to the next
        history = net.fit(X, Y, 6, 8, shuffle=False, schedule=schedule)
        want = [1, 1, 1, 0.5, 0.5, 0.25]
        np.testing.assert_allclose(history["learning_rate"], 1e-9 * np.array(want), rtol=1e-15)


def test_a_plateau_of_what_is_not_recorded():
    net = network()
    before = contents(net)
    with raises(ValueError, "ReduceOnPlateau watches 'val_loss'", "'loss', 'learning_rate'",
                "validation_data is missing"):  # fmt: skip
        net.fit(X, Y, schedule=schedules.ReduceOnPlateau())
    with raises(ValueError, "ReduceOnPlateau watches 'val_accuracy'", "'val_loss'"):
        net.fit(X, Y, schedule=schedules.ReduceOnPlateau("val_accuracy"), validation_data=(X, Y))
    with raises(ValueError, "Warmup watches 'val_loss'"):
        net.fit(X, Y, schedule=schedules.Warmup(3, schedules.ReduceOnPlateau()))
    assert_same(contents(net), before)


# ---- in a fit -----------------------------------------------------------------------------------


@every_schedule
def test_a_fit_is_its_steps_with_their_rates(schedule):
    """Each step by an optimizer of that rate, which takes over the slots."""
    rates = 0.05 * np.array(factors(schedule, 15, Span(15, STEPS)))
    if (rates < 0).any():
        rates = None
    net = network(optimizer=fastbp.SGD(0.05, momentum=0.9))
    if rates is None:
        before = contents(net)
        with raises(ValueError, "schedule must give finite factors of at least 0", "at step 2"):
            net.fit(X, Y, 3, 8, schedule=schedule)
        assert contents(net)["steps"] == before["steps"]
        return
    history = net.fit(X, Y, 3, 8, shuffle=False, schedule=schedule)
    assert history["learning_rate"] == rates[STEPS - 1 :: STEPS].tolist()
    weights = [W.copy() for W in [*network().weights, *network().biases]]
    velocity = [np.zeros_like(W) for W in weights]
    probe = network()
    for step, rate in enumerate(rates):
        first = step % STEPS * 8
        for view, W in zip([*probe.weights, *probe.biases], weights, strict=True):
            view[:] = W
        _, gradients = probe.loss_and_gradients(X[first : first + 8], Y[first : first + 8])
        for v, W, g in zip(velocity, weights, [*gradients.weights, *gradients.biases], strict=True):
            v *= 0.9
            v += g
            W -= rate * v
    for got, want in zip([*net.weights, *net.biases], weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-13)


class EveryStep(Callback):
    """Forces a call of the kernels for each step, and notes the rates."""

    def __init__(self):
        self.rates = []

    def on_step_end(self, fit):
        self.rates.append(fit.learning_rate)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "nadam"])
@pytest.mark.parametrize("schedule", EVERY[:-1], ids=str)
def test_however_the_steps_are_cut_into_calls(schedule, optimizer, monkeypatch):
    whole, parts, single = (network(optimizer=optimizer) for _ in range(3))
    arguments = {"epochs": 3, "batch_size": 8, "schedule": schedule}
    want = whole.fit(X, Y, **arguments)
    every = EveryStep()
    assert (
        single.fit(X, Y, callbacks=[every], **arguments)["learning_rate"] == (want["learning_rate"])
    )
    assert every.rates[STEPS - 1 :: STEPS] == want["learning_rate"]
    monkeypatch.setattr(engine, "STEPS_A_CALL", 2)
    parts.fit(X, Y, **arguments)
    assert_same(contents(parts), contents(whole))
    assert_same(contents(single), contents(whole))


def test_a_factor_of_one_changes_no_bit():
    net, plain = network(), network()
    history = net.fit(X, Y, 3, 8, schedule=lambda step: 1)
    plain.fit(X, Y, 3, 8)
    assert_same(contents(net), contents(plain))
    assert history["learning_rate"] == [1e-3] * 3


def test_a_function_is_called_once_a_step_with_an_int():
    seen = []

    def factor(step):
        seen.append(step)
        return 1.0

    network().fit(X, Y, 2, 8, schedule=factor)
    assert seen == [*range(10)]
    assert all(type(step) is int for step in seen)
    seen.clear()
    network().fit(X, Y, 2, 8, schedule=schedules.Function(factor, unit="epoch"))
    assert sorted(set(seen)) == [0, 1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.1])
def test_a_factor_that_cannot_be_used(bad):
    net = network()
    before = contents(net)
    with raises(ValueError, "schedule must give finite factors", f"got {bad} at step 3"):
        net.fit(X, Y, 2, 8, schedule=lambda step: bad if step == 3 else 1)
    assert_same(contents(net), before)


@pytest.mark.parametrize("bad", [None, "0.5", b"0.5", 0.5j, np.complex64(1), [0.5, 1]], ids=str)
def test_a_function_that_returns_no_number(bad):
    net = network()
    before = contents(net)
    with raises(TypeError, f"schedule must return a number, got {bad!r}", "at step 3"):
        net.fit(X, Y, 2, 8, schedule=lambda step: bad if step == 3 else 1)
    with raises(TypeError, f"schedule must return a number, got {bad!r}", "at epoch 1"):
        by_epoch = schedules.Function(lambda epoch: bad if epoch else 1, unit="epoch")
        net.fit(X, Y, 2, 8, schedule=by_epoch)
    assert_same(contents(net), before)


def test_a_function_that_returns_a_number_too_large():
    net = network()
    before = contents(net)
    with raises(ValueError, "schedule must return a number that a float can hold", "at step 3"):
        net.fit(X, Y, 2, 8, schedule=lambda step: 10**400 if step == 3 else 1)
    assert_same(contents(net), before)


@pytest.mark.parametrize(
    "bad", [[0.5], ["0.5"] * 5, [0.5j] * 5, [10**400] * 5, 1.0, None], ids=range(6)
)
def test_a_schedule_of_one_s_own_that_gives_no_numbers(bad):
    class Own(schedules.Constant):
        def factors(self, steps, span, state):
            return bad

    net = network()
    before = contents(net)
    with raises(TypeError, "factors of schedule Own must be 5 real numbers, got "):
        net.fit(X, Y, 1, 8, schedule=Own())
    assert_same(contents(net), before)


@pytest.mark.parametrize("unit", ["step", "epoch"])
@pytest.mark.parametrize(
    "make",
    [
        schedules.Warmup, schedules.Step, schedules.Cosine, schedules.OneCycle,
        schedules.Polynomial, lambda most, unit: schedules.Step(milestones=[2, most], unit=unit),
    ],
)  # fmt: skip
def test_lengths_up_to_64_bits(make, unit):
    assert np.isfinite(network().fit(X, Y, 2, 8, schedule=make(2**63 - 1, unit=unit))["loss"]).all()
    for most in (2**63, 10**400):
        with raises(ValueError, "must be an integer of at least 1 and below 2**63"):
            make(most, unit=unit)


def test_a_function_that_fails():
    net = network()
    before = contents(net)
    with pytest.raises(ZeroDivisionError):
        net.fit(X, Y, 2, 8, schedule=lambda step: 1 / step)
    assert_same(contents(net), before)


@pytest.mark.parametrize(
    ("bad", "parts"),
    [
        (3, ("schedule must be one of fastbp.schedules", "got 3")),
        ("cosine", ("schedule must be one of fastbp.schedules", "got 'cosine'")),
        (schedules.Cosine, ("schedule must be an object: write Cosine()",)),
    ],
    ids=str,
)
def test_what_is_no_schedule(bad, parts):
    net = network()
    before = contents(net)
    with raises(TypeError, *parts):
        net.fit(X, Y, schedule=bad)
    assert_same(contents(net), before)


WRONG = [
    (lambda: schedules.Constant(-1), ValueError, ("factor", "at least 0")),
    (schedules.Step, ValueError, ("every or milestones must be given",)),
    (lambda: schedules.Step(2, [3]), ValueError, ("and not both", "every=2")),
    (lambda: schedules.Step(0), ValueError, ("every", "at least 1")),
    (lambda: schedules.Step(1.5), TypeError, ("every", "integer")),
    (lambda: schedules.Step(milestones=[3, 2]), ValueError, ("milestones", "rising")),
    (lambda: schedules.Step(milestones=[2, 2]), ValueError, ("milestones", "rising")),
    (lambda: schedules.Step(milestones=[]), ValueError, ("milestones", "at least one")),
    (lambda: schedules.Step(milestones=5), TypeError, ("milestones", "sequence", "5")),
    (lambda: schedules.Step(milestones=[0.5]), TypeError, ("milestones[0]", "integer")),
    (lambda: schedules.Exponential(0), ValueError, ("gamma", "greater than 0")),
    (lambda: schedules.Exponential(0.9, unit="day"), ValueError, ("unit", "'step', 'epoch'")),
    (lambda: schedules.InverseScaling(-1), ValueError, ("power",)),
    (lambda: schedules.InverseScaling(scale=0), ValueError, ("scale", "greater than 0")),
    (lambda: schedules.Polynomial(0), ValueError, ("total",)),
    (lambda: schedules.Polynomial(power=0), ValueError, ("power",)),
    (lambda: schedules.Polynomial(minimum=2), ValueError, ("minimum", "at most 1")),
    (lambda: schedules.Cosine(0), ValueError, ("period",)),
    (lambda: schedules.Cosine(restarts=True), ValueError, ("restarts=True needs a period",)),
    (lambda: schedules.Cosine(3, restarts=1), TypeError, ("restarts", "True or False")),
    (lambda: schedules.Cosine(3, multiplier=2), ValueError, ("multiplier=2 needs restarts",)),
    (lambda: schedules.OneCycle(rise=2), ValueError, ("rise", "at most 1")),
    (lambda: schedules.OneCycle(div_factor=0.5), ValueError, ("div_factor", "at least 1")),
    (lambda: schedules.OneCycle(final_div_factor=0), ValueError, ("final_div_factor",)),
    (lambda: schedules.OneCycle(anneal="cos"), ValueError, ("anneal", "'cosine'")),
    (lambda: schedules.OneCycle(rise=0.6, three_phase=True), ValueError, ("rise", "0.5")),
    (lambda: schedules.Warmup(0), ValueError, ("length", "at least 1")),
    (lambda: schedules.Warmup(2, 3), TypeError, ("schedule must be one of", "got 3")),
    (lambda: schedules.Warmup(2, start=2), ValueError, ("start", "at most 1")),
    (lambda: schedules.Warmup(2, unit="day"), ValueError, ("unit",)),
    (lambda: schedules.Function(3), TypeError, ("function must be callable", "3")),
    (lambda: schedules.ReduceOnPlateau(3), TypeError, ("monitor", "name of a quantity", "3")),
    (lambda: schedules.ReduceOnPlateau("x"), ValueError, ("mode must be 'min' or", "'x'")),
    (lambda: schedules.ReduceOnPlateau(mode="up"), ValueError, ("mode", "'auto', 'min'")),
    (lambda: schedules.ReduceOnPlateau(factor=1), ValueError, ("factor", "less than 1")),
    (lambda: schedules.ReduceOnPlateau(patience=-1), ValueError, ("patience", "at least 0")),
    (lambda: schedules.ReduceOnPlateau(cooldown=0.5), TypeError, ("cooldown", "integer")),
    (lambda: schedules.ReduceOnPlateau(threshold_mode="no"), ValueError, ("threshold_mode",)),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "parts"), WRONG, ids=range(len(WRONG)))
def test_settings_that_cannot_be_used(make, error, parts):
    with raises(error, *parts):
        make()


def test_a_divergence_under_a_schedule_restores_the_last_good_epoch():
    y = Y.copy()
    net, twin = network(), network()
    schedule = schedules.Cosine()
    twin.fit(X, Y, 2, 8, shuffle=False, schedule=schedule)

    class Spoil(Callback):
        def on_epoch_end(self, fit):
            if fit.epoch == 2:
                y[30] = 1e200

    with raises(FloatingPointError, "epoch 3 of 4, step 4 of 5"):
        net.fit(X, y, 4, 8, shuffle=False, callbacks=[Spoil()], schedule=schedule)
    assert net.steps == 10


@pytest.mark.parametrize("schedule", [*EVERY[:-1], schedules.ReduceOnPlateau("loss")], ids=str)
def test_batches_follow_a_schedule(schedule):
    net, twin = network(optimizer="adamw"), network(optimizer="adamw")
    batches = [(X[first : first + 8], Y[first : first + 8]) for first in range(0, 37, 8)]
    got = net.fit_batches(batches, 3, schedule=schedule)
    want = twin.fit(X, Y, 3, 8, shuffle=False, schedule=schedule)
    assert got["learning_rate"] == want["learning_rate"]
    assert_same(contents(net), contents(twin))


def test_batches_of_unknown_number_cannot_follow_a_schedule():
    def batches():
        yield X, Y

    with raises(ValueError, "a schedule needs to know how many steps", "steps_per_epoch"):
        network().fit_batches(batches, schedule=schedules.Cosine())
    network().fit_batches(batches, 2, steps_per_epoch=1, schedule=schedules.Cosine())


# ---- resumed ------------------------------------------------------------------------------------


def wave(step):
    return 1 + math.sin(step)


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.Cosine(),
        schedules.Warmup(7, schedules.OneCycle(unit="epoch")),
        schedules.Warmup(2, schedules.ReduceOnPlateau("loss", mode="max", patience=0, cooldown=1)),
        schedules.Function(wave, unit="epoch"),
        wave,
    ],
    ids=["cosine", "warm-up", "plateau", "function", "callable"],
)
def test_a_resumed_fit_follows_its_schedule(schedule, tmp_path):
    whole = network()
    checkpoint = Checkpoint(tmp_path / "{epoch}")
    want = whole.fit(X, Y, 6, 8, schedule=schedule, callbacks=[checkpoint])
    for epoch in range(1, 6):
        net = fastbp.load(tmp_path / f"{epoch}")
        got = net.fit(X, Y, 6, 8, schedule=schedule, resume=True)
        assert dict(got) == dict(want)
        assert_same(contents(net), contents(whole))


def test_a_resumed_fit_needs_its_schedule(tmp_path):
    first, other = schedules.Cosine(), schedules.Cosine(minimum=0.5)
    network().fit(X, Y, 2, 8, schedule=first, callbacks=[Checkpoint(tmp_path / "m")])
    for schedule, part in ((other, "got "), (None, "not be None"), (wave, "Function(wave")):
        with raises(ValueError, "schedule must", part):
            fastbp.load(tmp_path / "m").fit(X, Y, 4, 8, schedule=schedule, resume=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"best": "1"},
        {"factor": 2.0},
        {"waited": -1},
        {"cooling": 0.5},
        {"more": 1},
    ],
    ids=str,
)
def test_the_state_of_a_plateau_in_a_file_is_checked(wrong):
    schedule = schedules.ReduceOnPlateau("loss")
    schedule.check(schedule.begin())
    with pytest.raises((TypeError, ValueError)):
        schedule.check({**schedule.begin(), **wrong} if wrong else {})
    with raises(ValueError, "Cosine remembers nothing"):
        schedules.Cosine().check({"a": 1})
