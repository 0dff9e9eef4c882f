"""Optimizers as objects: their settings, and what is refused. Their steps: test_training.py."""

import copy
import dataclasses
import pickle
from fractions import Fraction

import numpy as np
import pytest
from expect import raises

import fastbp
from fastbp.optimizers import OPTIMIZERS

EVERY = pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
FRACTIONS = {"momentum", "beta1", "beta2", "rho"}


def fields(kind):
    return {field.name: field.default for field in dataclasses.fields(kind)}


def test_defaults():
    assert {name: fields(kind) for name, kind in OPTIMIZERS.items()} == {
        "sgd": {"lr": 1e-2, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0,
                "decoupled": False},
        "adam": {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0,
                 "amsgrad": False, "epsilon_hat": False},
        "adamw": {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 1e-2,
                  "amsgrad": False, "epsilon_hat": False},
        "rmsprop": {"lr": 1e-3, "rho": 0.9, "eps": 1e-8, "momentum": 0.0, "centered": False,
                    "weight_decay": 0.0},
        "adagrad": {"lr": 1e-2, "eps": 1e-10, "weight_decay": 0.0},
        "nadam": {"lr": 2e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "momentum_decay": 4e-3,
                  "weight_decay": 0.0, "decoupled": False},
    }  # fmt: skip


@EVERY
def test_settings_are_immutable_and_compare_by_value(kind):
    assert kind() == kind()
    assert hash(kind()) == hash(kind())
    assert kind(lr=0.5) != kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().lr = 1.0


@EVERY
def test_copies_and_repr(kind):
    one = kind(lr=0.5)
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    assert eval(repr(one), vars(fastbp)) == one


@EVERY
def test_numbers_of_any_kind_become_floats(kind):
    for lr in (1, np.float32(0.5), np.int64(2), Fraction(1, 2)):
        assert type(kind(lr=lr).lr) is float
    assert kind(lr=0).lr == 0.0


@EVERY
def test_settings_out_of_range(kind):
    for name, default in fields(kind).items():
        if isinstance(default, bool):
            for bad in (1, 0, None, "yes"):
                with raises(TypeError, f"{name} must be True or False, got "):
                    kind(**{name: bad})
            continue
        for bad in (
            -1e-3,
            -1,
            float("nan"),
            float("inf"),
            *([2, *([1.0] if name != "momentum" else [])] if name in FRACTIONS else []),
        ):
            with raises(ValueError, f"{name} must be a finite real number, at least 0"):
                kind(**{name: bad})
        for bad in (None, "0.1", True, [0.1], 1j):
            with raises(TypeError, f"{name} must be a finite real number, at least 0"):
                kind(**{name: bad})


def test_nesterov_needs_momentum():
    with raises(ValueError, "nesterov=True needs a momentum above 0"):
        fastbp.SGD(nesterov=True)
    assert fastbp.SGD(nesterov=True, momentum=0.9).nesterov


@pytest.mark.parametrize("kind", [fastbp.SGD, fastbp.RMSprop])
def test_a_momentum_of_one_keeps_all(kind):
    """As scikit-learn permits: the velocity is the sum of what it was given."""
    net = fastbp.Network([1, 1], optimizer=kind(momentum=1), initializer="zeros", dtype="float64")
    assert net.optimizer.momentum == 1.0
    moved = []
    for error in (1.0, 0.5, 0.0):  # without a gradient a step is what the one before was
        before = net.biases[0][0]
        net.train_step([[0.0]], [[before + error]])
        moved.append(net.biases[0][0] - before)
    assert moved[2] == pytest.approx(moved[1], rel=1e-12)
    assert moved[1] > moved[0] > 0


@pytest.mark.parametrize("kind", [fastbp.SGD, fastbp.Nadam])
def test_decoupled_decay_needs_a_weight_decay(kind):
    with raises(ValueError, "decoupled=True needs a weight_decay above 0"):
        kind(decoupled=True)
    assert kind(decoupled=True, weight_decay=0.1).decoupled


@EVERY
def test_a_learning_rate_of_zero_moves_nothing(kind):
    net = fastbp.Network([3, 4, 2], optimizer=kind(lr=0), rng=0)
    before = [W.copy() for W in net.weights]
    net.fit(np.ones((5, 3)), np.ones((5, 2)), epochs=3, batch_size=2)
    assert net.steps == 9
    for W, held in zip(net.weights, before, strict=True):
        np.testing.assert_array_equal(W, held)


@pytest.mark.parametrize("split", [1, 2, 40, 999])
@EVERY
def test_coefficients_of_steps_do_not_depend_on_where_a_call_begins(kind, split):
    steps = np.arange(1.0, 1001.0)
    whole = kind().coefficients(steps, 0.1)
    parts = [kind().coefficients(part, 0.1) for part in (steps[:split], steps[split:])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@EVERY
def test_coefficients_of_very_late_steps_are_finite(kind):
    assert np.isfinite(kind().coefficients(np.array([1e6, 1e9, 1e15]), 0.1)).all()
