"""Losses of a user's own: the numbers of the built-in ones written by hand, and what is refused."""

import copy
import pickle

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp.losses import Loss


def square(a, y):
    return (a - y) * (a - y)


def slope(a, y):
    return 2 * (a - y)


def huber(a, y):
    distance = abs(a - y)
    return 0.5 * distance * distance if distance <= 1 else distance - 0.5


def huber_slope(a, y):
    return min(max(a - y, -1.0), 1.0)


def rate(a, y):
    return a - y * np.log(a)  # of no number where the padding is


def rate_slope(a, y):
    return 1 - y / a


def raising(a, y):
    if y > 1e30:
        raise ValueError
    return a


MINE = {
    "mse": Loss(square, slope, name="squares"),
    "huber": Loss(huber, huber_slope),
}
RATE = Loss(rate, rate_slope)
X, Y = data(40, 3, 4)
HOLES = np.where(np.random.default_rng(0).random(Y.shape) > 0.3, Y, np.nan)
WEIGHTS = np.arange(40.0)
CASES = {  # arguments of the network, and of fit and evaluate
    "plain": ({}, {}),
    "huber": ({"loss": "huber"}, {}),
    "activated": ({"output_activation": "tanh"}, {}),
    "outputs": ({"loss_weights": [2.0, 0.0, 0.5, 1.0]}, {}),
    "rows": ({}, {"sample_weight": WEIGHTS}),
    "masked": ({"loss_weights": [2.0, 0.0, 0.5, 1.0]}, {"y": HOLES, "mask_nan": True}),
    "wide": ({"layers": [3, 270]}, {"y": np.tile(HOLES, 68)[:, :270], "mask_nan": True}),
}


def network(loss, layers=(3, 5, 4), **arguments):
    return fastbp.Network(layers, "tanh", loss, dtype="float64", rng=0, **arguments)


def measured(net, y=Y, **arguments):
    """What a fit and an evaluation of it say."""
    history = net.fit(X, y, 3, 16, **arguments, progress=False)
    metrics = None if "mask_nan" in arguments else ["mae"]
    found = net.evaluate(X, y, metrics=metrics, **arguments)
    return [*history["loss"], *found.values(), *net.predict(X).ravel()]


@pytest.mark.parametrize("case", CASES)
def test_the_built_in_loss_by_hand(case):
    settings, arguments = CASES[case]
    settings = {"loss": "mse", **settings}
    mine = settings | {"loss": MINE[settings["loss"]]}
    want = measured(network(**settings), **arguments)
    np.testing.assert_allclose(measured(network(**mine), **arguments), want, rtol=1e-9)


def test_float32():
    nets = [fastbp.Network([3, 4], loss=loss, rng=0) for loss in ("mse", MINE["mse"])]
    want, got = (measured(net) for net in nets)
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_as_one_of_several_tasks():
    def trained(loss):
        tasks = {"values": loss, "kind": "cross_entropy"}
        net = network(tasks, outputs={"values": 1, "kind": 3})
        y = {"values": HOLES[:, 0], "kind": np.arange(40) % 3}
        return net.fit(X, y, 3, 16, mask_nan=True, progress=False)["values_loss"]

    np.testing.assert_allclose(trained(MINE["mse"]), trained("mse"), rtol=1e-12)


@pytest.mark.parametrize("weights", [None, (1.0, 0.0, 1.0, 1.0)], ids=str)
def test_what_is_not_finite_where_nothing_counts(weights):
    """In the padding, where a is 0; and where an output weighs nothing."""
    net = network(RATE, loss_weights=weights, clip_norm=1e3)
    net.biases[-1][:] = 5.0
    if weights:
        net.biases[-1][1] = -5.0
    history = net.fit(X, abs(Y), 2, 16, progress=False)
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(net._core.engine.state).all()


def test_no_bound_speaks_for_it():
    """An update behind which the loss is infinite, though outputs are small."""
    steep = Loss(lambda a, y: -a if a < 1 else np.inf, lambda a, y: -1.0)
    net = network(steep, optimizer=fastbp.SGD(lr=10))
    with raises(FloatingPointError, "is not finite"):
        net.fit(X * 1e-3, Y, 1, 40, progress=False)


@pytest.mark.parametrize("place", ["f", "df"])
def test_what_can_raise_is_refused(place):
    functions = {"f": square, "df": slope} | {place: raising}
    net = network(Loss(**functions, name="mine", check=False))
    before = contents(net)
    with raises(ValueError, f"{place} of loss 'mine' can raise an exception for some float64"):
        net.fit(X, Y)
    assert_same(contents(net), before)


def test_copies_and_comparison():
    mine = Loss(square, slope, output_activation="tanh")
    mine.panel()
    for other in (pickle.loads(pickle.dumps(mine)), copy.deepcopy(mine)):
        assert other == mine
        assert hash(other) == hash(mine)
    assert mine not in (MINE["mse"], Loss(square, name="squares"), "mse")
    net = network(mine)
    assert net.activations == ("tanh", "tanh")
    other = pickle.loads(pickle.dumps(net))
    assert other.loss == mine
    np.testing.assert_array_equal(other.predict(X), net.predict(X))


def test_no_file_holds_it(tmp_path):
    impostor = Loss(lambda a, y: a - y, name="mse")
    for net in (network(impostor), network({"a": impostor}, outputs={"a": 4})):
        with raises(ValueError, "loss 'mse' cannot be saved", "holds no code", "a lambda"):
            net.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_what_it_is_made_of():
    for bad in (1, b"m"):
        with raises(TypeError, "name must be a string, got"):
            Loss(square, slope, name=bad)
    for bad in ("", "a\nb"):
        with raises(ValueError, "name must be a non-empty string of printable characters"):
            Loss(square, slope, name=bad)
    for name in ("f", "df"):
        with raises(TypeError, f"{name} must be a function, got 'mse' (str)"):
            Loss(**({"f": square, "df": slope} | {name: "mse"}))
    with raises(TypeError, "output_activation must be the name of an activation, got 3 (int)"):
        Loss(square, slope, output_activation=3)
    unknown = Loss(square, slope, output_activation="Tanh")
    with raises(ValueError, "output_activation of loss must be one of", "did you mean 'tanh'?"):
        network(unknown)
    with raises(TypeError, "loss must be one of 'mse', "):
        network(3)
    with raises(TypeError, "the loss 'square' must return values and d_outputs"):
        network(square).train_step(X, Y)  # a loss of whole rows
