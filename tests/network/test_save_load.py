"""Network.save, fastbp.load, pickle and copy: the network comes back bit for bit and trains on."""

import copy
import pickle
import threading

import numpy as np
import pytest
from cases import LOSSES, SOLVERS, Case, data, every_loss, every_optimizer
from contents import assert_different, assert_same, contents, learned
from expect import raises, stable

import fastbp
from fastbp import initializers, losses
from fastbp.files import container

LABELS = Case("cross_entropy", targets="labels")


def network(loss=LABELS, optimizer=SOLVERS[4], dtype="float32", **arguments):
    """A network in the midst of its training, and the data it trains on."""
    net = fastbp.Network(
        [5, 17, 9, 4], loss=loss.loss(), optimizer=optimizer.optimizer(), dtype=dtype, rng=3,
        **arguments,
    )  # fmt: skip
    X, y = data(37, 5, 4, loss.targets)
    net.fit(X, y, epochs=2, batch_size=8)
    return net, X, y


@pytest.fixture(params=["file", "pickle", "deepcopy", "copy"])
def restore(request, tmp_path):
    """A function that gives a network's double, by way of a file or of memory."""

    def through_a_file(net):
        net.save(tmp_path / "model.safetensors")
        return fastbp.load(tmp_path / "model.safetensors")

    return {
        "file": through_a_file,
        "pickle": lambda net: pickle.loads(pickle.dumps(net)),
        "deepcopy": copy.deepcopy,
        "copy": copy.copy,
    }[request.param]


def assert_trains_on_alike(net, other, X, y):
    assert_same(learned(other), learned(net))
    np.testing.assert_array_equal(other.predict(X), net.predict(X))
    histories = [n.fit(X, y, epochs=3, batch_size=8, shuffle=False)["loss"] for n in (net, other)]
    assert histories[0] == histories[1]
    assert net.train_step(X, y) == other.train_step(X, y)
    assert_same(learned(other), learned(net))


@every_optimizer
def test_every_optimizer_goes_on_as_if_never_interrupted(optimizer, restore):
    net, X, y = network(optimizer=optimizer)
    other = restore(net)
    assert other.optimizer == net.optimizer
    assert_trains_on_alike(net, other, X, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@every_loss
def test_every_loss_and_dtype(loss, dtype, restore):
    net, X, y = network(loss, dtype=dtype)
    other = restore(net)
    assert (other.loss, other.dtype, other.layers) == (net.loss, net.dtype, net.layers)
    assert_trains_on_alike(net, other, X, y)


@pytest.mark.parametrize(
    "arguments",
    [
        {"activation": ["gelu", "selu"]},
        {"loss": losses.MSE(), "output_activation": "softmax"},
        {"loss": losses.Huber(0.5), "output_activation": "hard_tanh"},
        {"initializer": "orthogonal"},
        {"initializer": 0.25},
        {"initializer": initializers.Constant(-0.5)},
        {"initializer": lambda rng, fan_in, fan_out: rng.random((fan_in, fan_out))},
        {"threads": 2},
    ],
    ids=stable,
)
def test_other_settings_come_back(arguments, tmp_path):
    net = fastbp.Network([5, 17, 9, 4], rng=0, **arguments)
    net.save(tmp_path / "m")
    other = fastbp.load(tmp_path / "m")
    assert repr(other) == repr(net)
    assert_trains_on_alike(net, other, *data(37, 5, 4))
    other.save(tmp_path / "again")
    net.save(tmp_path / "m")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes()


@pytest.mark.parametrize("bits", ["PCG64", "MT19937"])
def test_the_generator_goes_on(bits, restore):
    net = fastbp.Network([5, 9, 4], rng=np.random.Generator(getattr(np.random, bits)(3)))
    X, y = data(37, 5, 4)
    net.fit(X, y, epochs=3)
    other = restore(net)
    assert_same(contents(other), contents(net))
    for one in (net, other):
        one.fit(X, y, epochs=2, batch_size=8)
    assert_same(contents(other), contents(net))


def test_load_takes_another_generator(tmp_path):
    net, X, y = network()
    net.save(tmp_path / "m")
    loaded = [fastbp.load(tmp_path / "m", rng=rng) for rng in (5, np.random.default_rng(5), 6)]
    for other in loaded:
        other.fit(X, y, epochs=2, batch_size=8)
    assert_same(contents(loaded[0]), contents(loaded[1]))
    assert_different(learned(loaded[0]), learned(loaded[2]))


class Foreign(np.random.PCG64):
    """A bit generator that is not NumPy's own."""


def test_a_foreign_generator_is_left_out_of_the_file(tmp_path):
    net = fastbp.Network([5, 9, 4], rng=np.random.Generator(Foreign(3)))
    net.save(tmp_path / "m")
    loaded = [fastbp.load(tmp_path / "m") for _ in range(2)]
    assert_same(learned(loaded[0]), learned(net))
    states = [str(other._core.rng.bit_generator.state["state"]) for other in loaded]
    assert states[0] != states[1]  # of the system's seeds


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_is_independent(duplicate):
    net, X, y = network()
    before = contents(net)
    other = duplicate(net)
    other.weights[0][:] = 7
    other.fit(X, y, epochs=2)
    assert_same(contents(net), before)


def test_a_view_of_the_weights_outlives_its_network():
    net, _, _ = network()
    view, held = net.weights[0], net.weights[0].copy()
    del net
    assert view.tobytes() == held.tobytes()


def test_edited_weights_are_saved(tmp_path):
    net, _, _ = network()
    net.weights[1][2, 3], net.biases[0][4] = 1.25, -np.inf
    net.save(tmp_path / "m")
    other = fastbp.load(tmp_path / "m")
    assert (other.weights[1][2, 3], other.biases[0][4]) == (1.25, -np.inf)


def test_a_network_is_copied_between_the_steps_of_another_threads_fit():
    net, X, y = network()
    ends = threading.Event()

    def train():
        while not ends.is_set():
            net.fit(X, y, epochs=50, shuffle=False)

    trainer = threading.Thread(target=train)
    trainer.start()
    try:
        others = [copy.deepcopy(net) for _ in range(20)]
    finally:
        ends.set()
        trainer.join()
    twin, _, _ = network()
    for other in others:  # each after whole steps
        while twin.steps < other.steps:
            part = slice(32) if twin.steps % 2 == 0 else slice(32, None)
            twin.train_step(X[part], y[part])
        assert_same(learned(other), learned(twin))


def double(z):
    return z + z


def two(z):
    return 2.0


def test_an_activation_of_your_own_is_kept_by_files_and_memory(tmp_path):
    mine = fastbp.Activation(double, two, name="mine")
    path = tmp_path / "m"
    net = fastbp.Network([5, 9, 4], activation=mine, rng=0)
    net.save(path)
    X, y = data(37, 5, 4)
    for other in (fastbp.load(path), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert other.activations == ("mine", "identity")
        np.testing.assert_array_equal(other.predict(X), net.predict(X))
        other.fit(X, y)


def test_a_name_like_a_built_in_ones_does_not_make_it_one(tmp_path):
    impostor = fastbp.Activation(lambda z: z, name="relu")
    with raises(ValueError, "'relu'", "holds no code"):
        fastbp.Network([5, 9, 4], activation=impostor).save(tmp_path / "m")


def test_the_file_says_what_the_network_is_to_other_readers_too(tmp_path):
    import safetensors.numpy

    net, _, _ = network(optimizer=Case("sgd", {"momentum": 0.5}))
    net.save(tmp_path / "m")
    arrays = safetensors.numpy.load_file(tmp_path / "m")
    assert len(arrays) == 12
    for layer in range(3):
        np.testing.assert_array_equal(arrays[f"weights.{layer}"], net.weights[layer])
        np.testing.assert_array_equal(arrays[f"biases.{layer}"], net.biases[layer])
        assert arrays[f"slot1.weights.{layer}"].shape == net.weights[layer].shape


def test_all_cases_are_distinct_files(tmp_path):
    """A setting that is left out of the file would make two of them equal."""
    texts = set()
    for number, case in enumerate([*LOSSES, *SOLVERS]):
        kind = "loss" if case in LOSSES else "optimizer"
        made = case.loss() if kind == "loss" else case.optimizer()
        fastbp.Network([2, 3], rng=0, **{kind: made}).save(tmp_path / "m")
        texts.add((tmp_path / "m").read_bytes())
        assert getattr(fastbp.load(tmp_path / "m"), kind) == made, number
    repeated = {str(case.loss()) for case in LOSSES} | {str(case.optimizer()) for case in SOLVERS}
    assert len(texts) == len(repeated) - 1  # MSE with Adam is among both


def test_files_that_know_nothing_of_epsilon_hat(tmp_path):
    """Those of 0.1.0 before it came: eps is added where it was."""
    net, _, _ = network()
    net.save(tmp_path / "m")
    arrays, described = container.read(tmp_path / "m")
    assert described["optimizer"].pop("epsilon_hat") is False
    container.write(tmp_path / "m", arrays, described)
    assert_same(contents(fastbp.load(tmp_path / "m")), contents(net))
