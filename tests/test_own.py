"""Functions of a user's own: derived and checked derivatives, optimizers, files and pickles."""

import copy
import pickle
import sys

import importable as own
import numba
import numpy as np
import pytest
from cases import data
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp.files import container

X, Y = data(40, 3, 2)


def network(**options):
    return fastbp.Network(
        [3, 5, 2], **({"activation": "tanh", "dtype": "float64"} | options), rng=0
    )


def fitted(**options):
    net = network(**options)
    return net.fit(X, Y, 3, 16, progress=False)["loss"]


# ---- derivatives


def test_a_derivative_that_is_left_out_is_the_one_by_hand():
    for made in (
        {
            "activation": [
                fastbp.Activation(own.swish),
                fastbp.Activation(own.swish, own.swish_slope),
            ]
        },
        {"loss": [fastbp.Loss(own.cauchy), fastbp.Loss(own.cauchy, own.cauchy_slope)]},
    ):
        ((argument, both),) = made.items()
        derived, by_hand = (fitted(**{argument: one}) for one in both)
        np.testing.assert_allclose(derived, by_hand, rtol=1e-12)
        assert both[0] != both[1]
        assert both[0].name == both[1].name == both[0].f.__name__


def test_what_cannot_be_derived_asks_for_df_with_the_line():
    with raises(
        ValueError, "f has no derivative to be found; give df", "test_own.py, line", "sinc"
    ):
        fastbp.Activation(lambda z: 2 * np.sinc(z))
    with raises(ValueError, "give df", "'raise ValueError' is not understood"):
        fastbp.Loss(raising)
    with raises(ValueError, "from_output=True needs a df"):
        fastbp.Activation(own.swish, from_output=True)


def raising(a, y):
    if y > 9:
        raise ValueError
    return a


WRONG = {  # f, df, and where it is wrong
    "factor": (
        lambda z: z * z,
        lambda z: z,
        "at z = -4.3: df gives -4.3, and the slope of f is -8.6",
    ),
    "sign": (abs, lambda z: 1.0 if z >= -1 else -1.0, "at z = -0.61: df gives 1"),
    "kink": (lambda z: max(z, 0.0), lambda z: 2.0 if z == 0 else z > 0, "at z = 0", "from 0 to 1"),
    "nan": (lambda z: z * z, lambda z: 2 * z if z else np.nan, "at z = 0: df gives nan"),
    "far": (lambda z: z if z < 5 else 2 * z - 5, lambda z: 1.0, "at z = 5.1: df gives 1", "2"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_derivative_that_is_wrong_is_told_with_the_point(case):
    f, df, *told = WRONG[case]
    with raises(ValueError, "df is not the derivative of f", *told):
        fastbp.Activation(f, df, name="own")
    assert fastbp.Activation(f, df, name="own", check=False).df is df


@pytest.mark.parametrize(
    ("df", "told"),
    [
        (lambda z: missing, "NameError: name 'missing'"),  # noqa: F821
        (lambda z, y: z, "missing 1 required positional argument"),
        (lambda z: None, "TypeError"),
        (lambda z: 1j, "complex"),
    ],
)
def test_a_derivative_that_never_works_is_told_at_once(df, told):
    with raises(ValueError, "df fails wherever it is called", told):
        fastbp.Activation(lambda z: z * z, df, name="own")


def test_wrong_derivatives_of_losses_and_from_outputs():
    with raises(ValueError, "at a = -4.3, y = -1.1: df gives -3.2, and the slope of f is -6.4"):
        fastbp.Loss(lambda a, y: (a - y) ** 2, lambda a, y: a - y)
    with raises(ValueError, "at z = -4.3"):
        fastbp.Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2, from_output=True)


@pytest.mark.parametrize(
    ("f", "df"),
    [
        (lambda z: max(z, 0), lambda z: 0.5 if z == 0 else float(z > 0)),
        (lambda z: np.floor(3 * z), lambda z: 0.0),
        (lambda z: 2 * np.sqrt(z), lambda z: 1 / np.sqrt(z)),  # nothing is asked below 0, and at it
        (lambda z: np.float32(0.1) * z, lambda z: np.float32(0.1)),
        (lambda z: np.exp(9 * z), lambda z: 9 * np.exp(9 * z)),
        (lambda z: 1 / z, lambda z: -1 / z**2),
        (numba.njit(own.swish), own.swish_slope),
    ],
    ids=range(7),
)
def test_right_derivatives_with_kinks_and_jumps_and_poles(f, df):
    fastbp.Activation(f, df, name="own")


# ---- optimizers


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("rule", "slots", "built_in"),
    [
        (own.plain, 0, fastbp.SGD(0.05)),
        (own.heavy_ball, 1, fastbp.SGD(0.05, momentum=0.9)),
        (own.adam, 2, fastbp.Adam(0.05)),
    ],
    ids=["plain", "heavy_ball", "adam"],
)
def test_rules_are_the_built_in_optimizers_of_the_same_formula(rule, slots, built_in, dtype):
    """Also under a schedule, and with slots that a file keeps."""
    mine = fastbp.Optimizer(rule, slots=slots, lr=0.05)
    nets = [network(optimizer=one, dtype=dtype) for one in (mine, built_in)]
    for net in nets:
        net.fit(X, Y, 6, 16, schedule=lambda step: 1 / (1 + step), progress=False)
        net.train_step(X, Y)
    rtol = 1e-10 if dtype == "float64" else 2e-3
    for got, want in zip(*(net.weights for net in nets), strict=True):
        np.testing.assert_allclose(got, want, rtol, rtol)
    assert nets[0].optimizer == mine
    assert mine.name == rule.__name__


def test_rules_that_are_refused():
    for options, error, told in (
        ({"rule": 3}, TypeError, "rule must be a function, got 3"),
        ({"slots": 1}, TypeError, "rule must take 5 numbers with slots=1: w, g, *slots, lr and t"),
        ({"rule": own.heavy_ball, "slots": 0}, TypeError, "rule must take 4 numbers"),
        (
            {"rule": lambda w, g, v, lr, t: w, "slots": 1},
            TypeError,
            "rule must return w and behind",
        ),
        ({"rule": lambda w, g, lr, t: (w,)}, TypeError, "rule must return w alone"),
        ({"rule": lambda w, g, lr, t: None}, TypeError, "rule must return w alone"),
        ({"slots": -1}, ValueError, "slots must be"),
        ({"slots": 17}, ValueError, "slots must be at most 16, got 17"),
        ({"lr": -1.0}, ValueError, "lr must be"),
        ({"name": ""}, ValueError, "name must be a non-empty string"),
    ):
        with raises(error, told):
            fastbp.Optimizer(**({"rule": own.plain, "lr": 0.1} | options))


def test_a_rule_that_can_raise_is_refused():
    def rule(w, g, lr, t):
        if g > 100:
            raise ValueError
        return w

    net = network(optimizer=fastbp.Optimizer(rule, lr=0.1))
    before = contents(net)
    with raises(ValueError, "rule of optimizer 'rule' can raise an exception for some float64"):
        net.fit(X, Y, progress=False)
    assert_same(contents(net), before)


# ---- files and pickles


def owned():
    activations = [fastbp.Activation(own.swish), fastbp.Activation(own.swish, own.swish_slope)]
    return fastbp.Network(
        [3, 5, 4, 2],
        activation=activations,
        loss=fastbp.Loss(own.cauchy, name="robust", output_activation="tanh"),
        optimizer=fastbp.Optimizer(own.heavy_ball, slots=1, lr=0.03),
        rng=0,
    )


def test_files_and_pickles_hold_import_paths(tmp_path):
    net = owned()
    net.fit(X, Y, 2, 16, progress=False)
    net.save(tmp_path / "m")
    loaded = fastbp.load(tmp_path / "m")
    for other in (loaded, pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert other._core.configuration == net._core.configuration
    want = net.fit(X, Y, 2, 16, progress=False)["loss"]
    assert loaded.fit(X, Y, 2, 16, progress=False)["loss"] == want
    arrays, described = container.read(tmp_path / "m")
    assert described["activations"][0] == {
        "name": "swish", "f": "importable:swish", "df": None, "from_output": False,
    }  # fmt: skip
    assert described["optimizer"]["rule"] == "importable:heavy_ball"
    assert any(name.startswith("slot1.") for name in arrays)


def test_a_function_that_was_decorated_and_tasks(tmp_path):
    net = fastbp.Network(
        [3, 2],
        loss={"a": fastbp.Loss(own.cauchy), "b": "mse"},
        outputs={"a": 1, "b": 1},
        output_activation={"b": own.decorated},
        rng=0,
    )
    net.save(tmp_path / "m")
    other = fastbp.load(tmp_path / "m")
    assert other.loss == net.loss
    np.testing.assert_array_equal(other.predict(X)["b"], net.predict(X)["b"])


def test_what_a_file_cannot_name(tmp_path):
    def local(z):
        return z

    changed = type(own.swish)(own.swish.__code__, vars(own), "swish")
    for f, why in (
        (lambda z: 2 * z, "it is a lambda"),
        (local, "is not at the top level of a module"),
        (changed, "'importable:swish' is now something else"),
    ):
        net = network(activation=fastbp.Activation(f, lambda z: 0.0, name="mine", check=False))
        with raises(ValueError, "activation 'mine' cannot be saved", "holds no code", why, "def"):
            net.save(tmp_path / "m")
    net = network(optimizer=fastbp.Optimizer(lambda w, g, lr, t: w, lr=1))
    with raises(ValueError, "optimizer '<lambda>' cannot be saved", "rule, and it is a lambda"):
        net.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(net)


def rewritten(path, change):
    arrays, described = container.read(path)
    change(described)
    container.write(path, arrays, described)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("not_imported_here:f", "f of an activation is 'not_imported_here:f': import not_imported"),
        ("importable:nothing", "importable has no function 'nothing' of its own"),
        ("importable:np", "no function 'np'"),
        ("os:system", "os has no function 'system' of its own"),
        ("os:abort", "os has no function 'abort'"),
        ("shutil:os", "no function 'os'"),
        ("fastbp:schedules", "no function 'schedules'"),
        ("importable:decorated.f", "must be 'module:function'"),
        ("importable", "must be 'module:function'"),
        (3, "must be 'module:function', got 3"),
        (None, "must be 'module:function', got None"),
    ],
)
def test_files_cannot_name_anything_else(tmp_path, path, told):
    owned().save(tmp_path / "m")
    rewritten(tmp_path / "m", lambda d: d["activations"][0].update(f=path))
    with raises(ValueError, "cannot load", told):
        fastbp.load(tmp_path / "m")
    assert "not_imported_here" not in sys.modules


def test_nothing_that_a_file_names_is_called(tmp_path, monkeypatch):
    """Not to check a derivative, nor a rule; a module's __getattr__ neither."""
    calls = []

    def spy(*numbers):
        calls.append(numbers)
        return numbers[0]

    spy.__module__, spy.__qualname__ = "importable", "spy"
    owned().save(tmp_path / "m")
    monkeypatch.setattr(own, "spy", spy, raising=False)
    monkeypatch.setattr(own, "__getattr__", spy, raising=False)
    path = "importable:spy"
    rewritten(tmp_path / "m", lambda d: d["activations"][1].update(f=path, df=path))
    rewritten(tmp_path / "m", lambda d: d["loss"].update(f=path, df=path))
    rewritten(tmp_path / "m", lambda d: d["optimizer"].update(rule=path))
    assert fastbp.load(tmp_path / "m").optimizer.rule is spy
    rewritten(tmp_path / "m", lambda d: d["loss"].update(f="importable:missing"))
    with raises(ValueError, "has no function 'missing'"):
        fastbp.load(tmp_path / "m")
    assert calls == []


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["activations"][0].pop("df"),
        lambda d: d["activations"][0].update(more=1),
        lambda d: d["activations"][0].update(name=None),
        lambda d: d["activations"][0].update(from_output="yes"),
        lambda d: d["loss"].pop("df"),
        lambda d: d["loss"].update(output_activation="nothing"),
        lambda d: d["loss"].update(name=3),
        lambda d: d["optimizer"].update(slots=2),
        lambda d: d["optimizer"].update(slots=10**9),
        lambda d: d["optimizer"].pop("lr"),
        lambda d: d["optimizer"].update(lr=-1.0),
    ],
    ids=range(11),
)
def test_hostile_settings(tmp_path, change):
    owned().save(tmp_path / "m")
    rewritten(tmp_path / "m", change)
    with raises(ValueError, "cannot load"):
        fastbp.load(tmp_path / "m")
