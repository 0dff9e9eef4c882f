"""Scaling of the inputs and bytes as inputs: the same network as of data converted beforehand."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
from cases import both_dtypes, data
from contents import assert_same, contents, learned
from expect import raises

import fastbp
from fastbp.data import scaling
from fastbp.engine import prediction

LAYERS = (5, 19, 4)


def network(scaling=None, dtype="float32", **arguments):
    return fastbp.Network(LAYERS, dtype=dtype, rng=0, scaling=scaling, **arguments)


def rows(count=43, kind="float64", seed=0):
    """X of columns with various means and deviations, and y."""
    X, y = data(count, 5, 4, seed=seed)
    X = 100 + 3 * X * [1, 2, 5, 0.1, 7]
    return (X.round() if np.dtype(kind).kind in "iu" else X).astype(kind), y


def results(net, X, y):
    """All numbers that a user sees."""
    curve = net.fit(X, y, epochs=3, batch_size=16, validation_data=(X[:9], y[:9]), progress=False)
    loss, gradients = net.loss_and_gradients(X[1:], y[1:])
    found = {"history": np.array([curve["loss"], curve["val_loss"]])}
    found |= {f"gradient.{i}": g for i, g in enumerate([*gradients.weights, *gradients.biases])}
    found["losses"] = np.array([loss, net.evaluate(X, y)["loss"], net.train_step(X, y)])
    found["outputs"] = net.predict(X)
    return found | {f"w.{i}": w.copy() for i, w in enumerate([*net.weights, *net.biases])}


# ---- the same bits as converted data ------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize(
    "kind", ["uint8", "float32", "float64", "int16", "int64", "float16", ">f8"]
)
@pytest.mark.parametrize("factor", [None, 1 / 255])
def test_a_number_gives_the_bits_of_data_multiplied_beforehand(factor, kind, dtype):
    X, y = rows(kind=kind)
    want = results(network(dtype=dtype), X.astype(float) * (factor or 1), y)
    assert_same(results(network(factor, dtype), X, y), want)


@both_dtypes
@pytest.mark.parametrize("kind", ["uint8", "float32", "float64", "int64"])
def test_standard_gives_the_bits_of_data_scaled_beforehand(kind, dtype):
    X, y = rows(kind=kind)
    net = network("standard", dtype)
    got = results(net, X, y)
    scaled = (X.astype(float) - net.scaling.shift) * net.scaling.factor
    assert_same(got, results(network(dtype=dtype), scaled, y))


@pytest.mark.parametrize("value", [1 / 255, "standard"])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads, value, every_thread_pays):
    X, y = rows(2000, "uint8")
    assert_same(
        results(network(value, threads=threads), X, y), results(network(value, threads=1), X, y)
    )


@pytest.mark.parametrize("batch", [1, 600, 1999])
def test_batches_of_any_length(batch):
    X, y = rows(1999, "uint8")
    net, want = network(0.01), network()
    net.fit(X, y, 2, batch)
    want.fit(X * 0.01, y, 2, batch)
    assert_same(learned(net), learned(want))


def test_bytes_that_are_not_contiguous():
    X, y = rows(kind="uint8")
    wide = np.repeat(X, 2, axis=1)
    for given in (wide[:, ::2], np.asfortranarray(X), X.tolist()):
        assert_same(results(network(0.1), given, y), results(network(0.1), X, y))


# ---- what is learned ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("piece", [7, 1 << 18])
def test_mean_and_deviation_are_those_of_scikit_learn(piece, kind, monkeypatch):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    monkeypatch.setattr(scaling, "PIECE", piece)
    X = rows(500, kind)[0]
    X[:, 1] = 7
    if kind != "uint8":
        X[:, 2] = 0.1  # whose mean rounds
        X[:, 3] += 10_000
    other = preprocessing.StandardScaler().fit(X.astype(float))
    net = network("standard")
    net.learn_scaling(X)
    np.testing.assert_allclose(net.scaling.shift, other.mean_, rtol=1e-13)
    np.testing.assert_allclose(1 / net.scaling.factor, other.scale_, rtol=1e-9)
    assert net.scaling.factor[1] == 1
    Z = net.scaling.of(X, np.dtype(float))
    np.testing.assert_allclose(Z, other.transform(X.astype(float)), atol=1e-9)


@pytest.mark.parametrize("kind", ["float64", "int64"])
def test_what_float32_cannot_tell_apart_is_scaled_before_it_is_rounded(kind):
    X = 1_700_000_000 + np.arange(100).reshape(20, 5).astype(kind)
    net = network("standard")
    net.learn_scaling(X)
    want = network()
    assert_same({"a": net.predict(X)}, {"a": want.predict((X - X.mean(0)) / X.std(0))})


def test_the_first_fit_learns_and_later_ones_do_not():
    net, (X, y) = network("standard"), rows()
    assert net.scaling is None
    net.fit(X, y)
    first = net.scaling
    net.fit(2 * X, y, validation_data=(X, y))
    assert net.scaling is first
    assert net.learn_scaling(2 * X) is net.scaling
    np.testing.assert_allclose(net.scaling.shift, 2 * first.shift)
    for array in net.scaling:
        with raises(ValueError, "read-only"):
            array[0] = 1


def test_a_number_is_shown():
    shift, factor = network(0.5).scaling
    assert (shift.tolist(), factor.tolist()) == ([0] * 5, [0.5] * 5)
    assert network().scaling is None


def test_nothing_but_fit_goes_before_the_scaling_is_known():
    net, (X, y) = network("standard"), rows()
    for call in (net.evaluate, net.train_step, net.loss_and_gradients):
        with raises(RuntimeError, "has not learned the scaling", "learn_scaling"):
            call(X, y)
    with raises(RuntimeError, "has not learned"):
        net.predict(X)
    net.learn_scaling(X)
    assert net.train_step(X, y) > 0


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"batch_size": "x"}, {"validation_data": (1, 2)}, {"shuffle": 1}]
)
def test_a_fit_that_makes_no_step_leaves_no_scaling(wrong):
    net, (X, y) = network("standard"), rows()
    with pytest.raises((TypeError, ValueError)):
        net.fit(X, y, **wrong)
    with raises(ValueError, "y must have"):
        net.fit(X, y[:5])
    y[0] = 1e30
    with raises(FloatingPointError, "epoch 1"):
        net.fit(X, y)
    assert net.scaling is None


# ---- it travels with the network ----------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 0.25, "standard"])
@pytest.mark.parametrize("trained", [False, True])
def test_it_comes_back(trained, value, tmp_path):
    net, (X, y) = network(value), rows()
    if trained:
        net.fit(X, y)
    net.save(tmp_path / "m")
    for other in (
        fastbp.load(tmp_path / "m"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net),
    ):  # fmt: skip
        assert repr(other.scaling) == repr(net.scaling)
        assert_same(learned(other), learned(net))
        histories = [n.fit(X, y, shuffle=False)["loss"] for n in (copy.deepcopy(net), other)]
        assert histories[0] == histories[1]
    other.save(tmp_path / "m")
    assert "scaling.shift" not in learned(network(value))


def test_a_file_without_the_key_has_no_scaling(tmp_path, monkeypatch):
    net = network()
    described = fastbp.configuration.describe(net._core.configuration)
    del described["scaling"]
    monkeypatch.setattr(fastbp.configuration, "describe", lambda parts: described)
    net.save(tmp_path / "m")
    assert fastbp.load(tmp_path / "m").scaling is None


@pytest.mark.parametrize(
    ("index", "value"), [(0, np.nan), (0, np.inf), (1, 0.0), (1, -1.0), (1, np.inf), (1, np.nan)]
)
def test_a_file_with_an_impossible_scaling(index, value, tmp_path):
    net = network("standard")
    net.learn_scaling(rows()[0])
    terms = [term.copy() for term in net.scaling]
    terms[index][2] = value
    net._core.engine.scaling = scaling.Scaling(*terms)
    net.save(tmp_path / "m")
    with raises(ValueError, "cannot load", "its scaling is not finite, or has a factor"):
        fastbp.load(tmp_path / "m")


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "told"),
    [
        (0, ValueError, "scaling must be a finite real number, greater than 0"),
        (-1.0, ValueError, "greater than 0"),
        (np.nan, ValueError, "scaling must be a finite"),
        ("minmax", ValueError, "scaling must be None, a number or \"standard\", got 'minmax'"),
        (True, TypeError, 'scaling must be None, a number or "standard", got True'),
        ([1.0], TypeError, 'scaling must be None, a number or "standard"'),
    ],
)
def test_a_scaling_that_cannot_be_used(value, error, told):
    with raises(error, told):
        network(value)


def test_only_standard_can_be_learned():
    for value in (None, 0.5):
        with raises(ValueError, 'learn_scaling is for networks with scaling="standard"'):
            network(value).learn_scaling(rows()[0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("scale", [0.5, "standard"])
def test_what_is_not_finite_is_named(scale, value, monkeypatch):
    net, (X, y) = network(scale), rows(300)
    net.fit(X, y)
    before = contents(net)
    X[207, 3] = value
    told = f"X holds {value} at row 207, column 3; every value must be finite"
    for call in (net.fit, net.evaluate, net.train_step):
        with raises(ValueError, told):
            call(X, y)
    for piece in (64, 1 << 20):
        monkeypatch.setattr(prediction, "PIECE", piece)
        for kind in ("float32", "float64"):
            with raises(ValueError, told):
                net.predict(X.astype(kind))
    assert_same(contents(net), before)


def test_too_large_once_it_is_scaled(monkeypatch):
    net, (X, y) = network(10.0), rows(300)
    X[207, 3] = -1e38
    told = "X holds -1e+38 at row 207, column 3, which is too large for float32 once it is scaled"
    with raises(ValueError, told):
        net.fit(X, y)
    with raises(ValueError, f"validation_data {told}"):
        net.fit(*rows(300), validation_data=(X, y))
    for piece in (64, 1 << 20):
        monkeypatch.setattr(prediction, "PIECE", piece)
        with raises(ValueError, told):
            net.predict(X)
    X[207, 3] = 1e38  # is not too large for float32, and is smaller scaled
    assert np.isfinite(network(0.1).predict(X)).all()
    assert np.isfinite(network(10.0, "float64").predict(X)).all()


def test_deviations_that_overflow():
    X, y = rows()
    X[3, 2] = 1e200
    with raises(ValueError, "X holds values in column 2 that are too large to square"):
        network("standard").fit(X, y)


# ---- memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 1 / 255, "standard"])
def test_bytes_stay_bytes(value):
    """No call converts the whole of X, which would take four times its memory."""
    net = fastbp.Network([64, 16, 1], rng=0, scaling=value)
    X, y = np.ones((200_000, 64), np.uint8), np.ones(200_000)
    X[::2] = 3

    def all_calls():
        net.fit(X, y, batch_size=100)
        net.evaluate(X, y)
        net.predict(X)

    all_calls()
    tracemalloc.start()
    try:
        all_calls()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 2
