"""The settings of regularization: what is accepted, told, kept and refused."""

import copy
import pickle

import numpy as np
import pytest
from cases import data
from contents import assert_same, learned
from expect import raises

import fastbp
from fastbp import configuration

NAN, INF = float("nan"), float("inf")
LAYERS = [5, 9, 7, 4]

ACCEPTED = [
    ({}, ""),
    ({"dropout": 0.0, "l1": 0, "l2": 0.0, "max_norm": None}, ""),
    ({"dropout": 0.2}, "dropout=0.2, "),
    ({"dropout": [0.2, 0.0]}, "dropout=[0.2, 0.0], "),
    ({"dropout": np.array([0.5, 0.5])}, "dropout=0.5, "),
    ({"dropout": (0, np.float32(0.25))}, "dropout=[0.0, 0.25], "),
    ({"l1": 1e-3, "l2": np.float64(2)}, "l1=0.001, l2=2.0, "),
    ({"max_norm": 3, "clip_value": 1.5}, "max_norm=3.0, clip_value=1.5, "),
    ({"clip_norm": 1}, "clip_norm=1.0, "),
    ({"alpha": 2, "l2": 1}, "l2=1.0, alpha=2.0, "),
]


@pytest.mark.parametrize(("options", "told"), ACCEPTED, ids=str)
def test_repr_tells_what_is_on(options, told):
    net = fastbp.Network(LAYERS, optimizer=fastbp.SGD(0.1), rng=0, **options)
    assert f"{net.optimizer}, {told}float32, " in repr(net)


@pytest.mark.parametrize(("options", "told"), ACCEPTED, ids=str)
def test_files_and_copies_keep_it(options, told, tmp_path):
    net = fastbp.Network(LAYERS, rng=0, **options)
    X, y = data(19, 5, 4)
    net.fit(X, y, epochs=2, batch_size=8)
    net.save(tmp_path / "model")
    others = [fastbp.load(tmp_path / "model"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    net.fit(X, y, epochs=2, batch_size=8)
    for other in others:
        assert other.regularization == net.regularization
        other.fit(X, y, epochs=2, batch_size=8)
        assert_same(learned(other), learned(net))


def test_a_network_without_it_is_described_as_ever():
    plain = configuration.describe(fastbp.Network(LAYERS)._core.configuration)
    assert "regularization" not in plain
    assert configuration.parse(plain).regularization.options() == {}


def test_settings_can_be_read_but_not_changed():
    held = fastbp.Network(LAYERS, dropout=0.5, max_norm=2).regularization
    assert held.dropout == (0.5, 0.5)
    assert (held.l1, held.l2, held.max_norm, held.clip_value) == (0.0, 0.0, 2.0, None)
    with pytest.raises(AttributeError):
        held.l1 = 1.0


RATE = "must be a finite real number, at least 0 and less than 1"
REFUSED = [
    ({"dropout": 1.0}, ValueError, (f"dropout {RATE}", "1.0")),
    ({"dropout": -0.1}, ValueError, (f"dropout {RATE}", "-0.1")),
    ({"dropout": NAN}, ValueError, (f"dropout {RATE}", "nan")),
    ({"dropout": True}, TypeError, (f"dropout {RATE}", "bool")),
    ({"dropout": None}, TypeError, (f"dropout {RATE}", "None")),
    ({"dropout": "0.2"}, TypeError, (f"dropout {RATE}", "str")),
    ({"dropout": {0.2, 0.3}}, TypeError, (f"dropout {RATE}", "set")),
    ({"dropout": [0.2, 1]}, ValueError, (f"dropout[1] {RATE}", "1")),
    ({"dropout": [0.2, [0.1]]}, TypeError, (f"dropout[1] {RATE}",)),
    ({"dropout": [0.2]}, ValueError, ("dropout", "each of the 2", "got 1")),
    ({"dropout": [0.2] * 3}, ValueError, ("dropout", "each of the 2", "got 3")),
    ({"dropout": np.array(0.2)}, TypeError, (f"dropout {RATE}", "ndarray")),
    ({"dropout": np.full((2, 1), 0.2)}, TypeError, (f"dropout {RATE}", "ndarray")),
    *[
        ({name: value}, ValueError, (f"{name} must be a finite real number", "at least 0"))
        for name in ("l1", "l2", "alpha")
        for value in (-1e-9, NAN, INF)
    ],
    ({"l1": None}, TypeError, ("l1 must be", "None")),
    *[
        ({name: value}, ValueError, (f"{name} must be a finite real number", "greater than 0"))
        for name in ("max_norm", "clip_value", "clip_norm")
        for value in (0, -1, NAN, INF)
    ],
    *[
        ({name: "1"}, TypeError, (f"{name} must be a finite real number", "str"))
        for name in ("max_norm", "clip_value", "clip_norm")
    ],
]


@pytest.mark.parametrize(("options", "error", "parts"), REFUSED, ids=str)
def test_what_cannot_be_used_is_refused(options, error, parts):
    with raises(error, *parts):
        fastbp.Network(LAYERS, **options)


def test_dropout_without_a_hidden_layer_is_refused():
    with raises(ValueError, "dropout needs a hidden layer", "0.2"):
        fastbp.Network([5, 4], dropout=0.2)
    assert fastbp.Network([5, 4], dropout=0.0).regularization.dropout == ()
    assert fastbp.Network([5, 4], dropout=[]).regularization.dropout == ()


def test_all_are_keywords():
    with pytest.raises(TypeError, match="positional"):
        fastbp.Network(LAYERS, "relu", "mse", None, "adam", "auto", "float32", 0, 1, 0.2)
