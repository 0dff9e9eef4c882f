"""The public face: how a network is built and shown, and what its methods return."""

import numpy as np
import pytest
from cases import HIDDEN, LOSSES, OPTIMIZER_CLASSES, Case, data
from contents import assert_different, assert_same, contents, learned
from expect import raises

import fastbp
from fastbp import losses

LABELS = Case("cross_entropy", targets="labels")
ARGUMENTS = {"dtype": "float64", "rng": 0}


def network(layers=(5, 9, 4), **arguments):
    return fastbp.Network(layers, **(ARGUMENTS | arguments))


def test_defaults():
    net = fastbp.Network([3, 4, 2])
    assert net.layers == (3, 4, 2)
    assert net.dtype == np.float32
    assert net.activations == ("relu", "identity")
    assert net.loss == losses.MSE()
    assert net.optimizer == fastbp.Adam(1e-3)
    assert net.steps == 0
    assert [W.shape for W in net.weights] == [(3, 4), (4, 2)]
    assert [b.shape for b in net.biases] == [(4,), (2,)]
    assert all(a.dtype == np.float32 for a in (*net.weights, *net.biases))
    assert not any(b.any() for b in net.biases)
    assert all(W.any() for W in net.weights)


@pytest.mark.parametrize("name", HIDDEN)
def test_a_hidden_activation_by_name(name):
    assert network(activation=name).activations == (name, "identity")


def test_one_activation_for_each_hidden_layer():
    tanh = fastbp.activations.ACTIVATIONS["tanh"]
    net = network([2, 3, 3, 3, 1], activation=["relu", tanh, "selu"])
    assert net.activations == ("relu", "tanh", "selu", "identity")
    assert network([2, 1], activation=[]).activations == ("identity",)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_loss_by_name_or_object_decides_the_output_activation(loss):
    natural = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}
    natural = natural.get(loss.name, "exponential" if loss.name == "poisson" else "identity")
    by_name, by_object = network(loss=loss.name), network(loss=loss.loss())
    assert by_name.activations[-1] == by_object.activations[-1] == natural
    assert by_object.loss == loss.loss()
    assert type(by_name.loss) is type(by_object.loss)


@pytest.mark.parametrize("name", OPTIMIZER_CLASSES)
def test_an_optimizer_by_name_is_its_object_with_defaults(name):
    default = getattr(fastbp, OPTIMIZER_CLASSES[name])()
    assert network(optimizer=name).optimizer == network(optimizer=default).optimizer == default


def test_repr_tells_layers_settings_parameters_and_memory():
    net = network([784, 128, 10], loss="cross_entropy", dtype="float32")
    shown = repr(net)
    assert shown.startswith("Network(784 -> 128 relu -> 10 softmax; CrossEntropy(")
    assert "Adam(lr=0.001" in shown
    assert "float32, 101,770 parameters, 0 steps, " in shown
    # Parameters and two slots of Adam, with their padding.
    mebibytes = float(shown.rpartition(", ")[2].removesuffix(" MiB)"))
    assert 3 * 101_770 * 4 / 2**20 <= mebibytes < 1.5
    net.train_step(np.zeros((4, 784)), [0, 1, 2, 3])
    assert ", 1 step" in repr(net)
    assert float(repr(net).rpartition(", ")[2].removesuffix(" MiB)")) > mebibytes


def test_repr_tells_what_is_not_the_default():
    shown = repr(network([3, 5, 2], loss_weights=[1, 2], scaling="standard", dropout=0.5, l2=1e-3))
    assert "scaling=standard, loss_weights=(1.0, 2.0), dropout=0.5, l2=0.001, float" in shown
    assert "scaling" not in repr(network())
    assert "loss_weights" not in repr(network())


def test_a_seed_gives_the_same_bits_and_a_generator_is_drawn_from():
    assert_same(contents(network(rng=7)), contents(network(rng=7)))
    assert_different(contents(network(rng=8)), contents(network(rng=7)))
    generator = np.random.default_rng(7)
    assert_same(learned(network(rng=generator)), learned(network(rng=7)))
    assert_different(learned(network(rng=generator)), learned(network(rng=7)))
    assert_different(learned(network(rng=None)), learned(network(rng=None)))


def test_float32_and_float64_begin_with_the_same_weights():
    for W32, W64 in zip(network(dtype="f4").weights, network(dtype="f8").weights, strict=True):
        np.testing.assert_array_equal(W32, W64.astype("f4"))


def test_weights_and_biases_are_views_whose_edits_count():
    """In predict, evaluate, gradients and the next step, whose delta reads transposed weights."""
    X, y = data(19, 5, 4)
    net, other = network([5, 9, 7, 4]), network([5, 9, 7, 4], rng=1)
    for n in (net, other):  # the transposed copies are now those of the weights before the edit
        n.fit(X, y, epochs=2, shuffle=False)
        n.predict(X)
    views = net.weights, net.biases
    for W, V in zip(net.weights, other.weights, strict=True):
        W[:] = V
    for b, c in zip(net.biases, other.biases, strict=True):
        b[:] = c
    np.testing.assert_array_equal(net.predict(X), other.predict(X))
    assert net.evaluate(X, y) == other.evaluate(X, y)
    for got, want in zip(
        net.loss_and_gradients(X, y)[1], other.loss_and_gradients(X, y)[1], strict=True
    ):
        for g, w in zip(got, want, strict=True):
            np.testing.assert_array_equal(g, w)
    assert net.train_step(X, y) == other.train_step(X, y)
    for held, fresh in zip(views, (net.weights, net.biases), strict=True):
        for old, new in zip(held, fresh, strict=True):
            assert np.shares_memory(old, new)


def test_weights_cannot_be_replaced_by_mistake():
    net = network()
    with pytest.raises(AttributeError):
        net.weights = [np.zeros((5, 9)), np.zeros((9, 4))]
    with pytest.raises(TypeError):
        net.weights[0] = np.zeros((5, 9))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predict_returns_new_outputs_of_the_networks_dtype(dtype):
    net, (X, _) = network(dtype=dtype), data(19, 5, 4)
    before = contents(net)
    outputs = net.predict(X)
    assert (outputs.shape, outputs.dtype) == ((19, 4), dtype)
    held = outputs.copy()
    net.predict(2 * X)
    np.testing.assert_array_equal(outputs, held)
    for row in range(19):
        np.testing.assert_allclose(net.predict(X[row : row + 1])[0], outputs[row], rtol=1e-5)
    assert_same(contents(net), before)


def test_predict_is_after_the_output_activation():
    X, _ = data(19, 5, 4)
    np.testing.assert_allclose(network(loss="cross_entropy").predict(X).sum(axis=1), 1)
    sigmoid = network(loss="binary_cross_entropy").predict(X)
    assert ((sigmoid > 0) & (sigmoid < 1)).all()
    assert (network(loss="poisson").predict(X) > 0).all()


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_evaluate_is_the_loss_that_gradients_and_steps_report_and_changes_nothing(loss):
    net, (X, y) = network(loss=loss.loss()), data(19, 5, 4, loss.targets)
    before = contents(net)
    found = net.evaluate(X, y)
    assert type(found["loss"]) is float
    assert found["loss"] == pytest.approx(net.loss_and_gradients(X, y)[0], rel=1e-14)
    assert_same(contents(net), before)
    assert found["loss"] == pytest.approx(net.train_step(X, y), rel=1e-14)
    assert net.evaluate(X, y)["loss"] < found["loss"]


def test_accuracy_of_labels_is_the_share_of_largest_outputs():
    net, (X, y) = network(loss="cross_entropy"), data(50, 5, 4, "labels")
    want = (net.predict(X).argmax(axis=1) == y).mean()
    for labels in (y, y[:, None], y.astype(float), y.astype("i1")):
        assert net.evaluate(X, labels)["accuracy"] == want


def test_accuracy_of_binary_targets_is_over_rows_and_outputs():
    net, (X, y) = network(loss="binary_cross_entropy"), data(50, 5, 4, "bits")
    want = ((net.predict(X) > 0.5) == y).mean()
    assert net.evaluate(X, y)["accuracy"] == net.evaluate(X, y.astype(bool))["accuracy"] == want
    one = network([5, 3, 1], loss="binary_cross_entropy")
    want = ((one.predict(X)[:, 0] > 0.5) == y[:, 0]).mean()
    assert one.evaluate(X, y[:, 0])["accuracy"] == want


@pytest.mark.parametrize(
    ("loss", "kind"),
    [("cross_entropy", "probabilities"), ("binary_cross_entropy", "fractions"), ("mse", "real"),
     ("mae", "real"), ("huber", "bits"), ("poisson", "counts")],
)  # fmt: skip
def test_no_accuracy_where_targets_are_no_classes(loss, kind):
    assert set(network(loss=loss).evaluate(*data(19, 5, 4, kind))) == {"loss"}


def test_train_step_is_one_update_and_returns_the_loss_before_it():
    net, (X, y) = network(), data(19, 5, 4)
    before, expected = contents(net), net.evaluate(X, y)["loss"]
    loss = net.train_step(X, y)
    assert type(loss) is float
    assert loss == pytest.approx(expected, rel=1e-14)
    assert net.steps == 1
    assert_different(contents(net), before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_new_arrays_and_the_network_stays(dtype):
    net, (X, y) = network(dtype=dtype), data(19, 5, 4)
    net.train_step(X, y)
    before = contents(net)
    loss, gradients = net.loss_and_gradients(X, y)
    assert type(loss) is float
    assert isinstance(gradients, fastbp.Gradients)
    for got, parameters in zip(gradients, (net.weights, net.biases), strict=True):
        assert [g.shape for g in got] == [p.shape for p in parameters]
        assert all(g.dtype == dtype for g in got)
    held = [g.copy() for g in gradients.weights]
    net.loss_and_gradients(3 * X, -y)
    assert_same(contents(net), before)
    for g, h in zip(gradients.weights, held, strict=True):
        np.testing.assert_array_equal(g, h)


def test_sgd_by_hand_from_the_gradients_is_train_step():
    net, (X, y) = network(optimizer=fastbp.SGD(0.1)), data(19, 5, 4)
    by_hand = network(optimizer=fastbp.SGD(0.1))
    _, gradients = by_hand.loss_and_gradients(X, y)
    for parameter, g in zip(
        [*by_hand.weights, *by_hand.biases], [*gradients.weights, *gradients.biases], strict=True
    ):
        parameter -= 0.1 * g
    net.train_step(X, y)
    for got, want in zip(net.weights, by_hand.weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-15)


def my_relu(z):
    return max(z, 0 * z)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_users_activation_is_the_built_in_one_of_the_same_formula(dtype):
    mine = fastbp.Activation(my_relu, lambda a: a > 0, from_output=True)
    net, want = (
        network(activation=a, dtype=dtype, initializer="he_normal") for a in (mine, "relu")
    )
    X, y = data(19, 5, 4)
    for n in (net, want):
        n.fit(X, y, epochs=3, shuffle=False)
    assert net.activations == ("my_relu", "identity")
    np.testing.assert_allclose(net.predict(X), want.predict(X), rtol=1e-6)


def test_a_users_activation_on_the_output_and_one_by_its_input():
    cube = fastbp.Activation(lambda z: z * z * z, lambda z: 3 * z * z, name="cube")
    net, (X, y) = network(activation="tanh", output_activation=cube), data(19, 5, 4)
    plain = network(activation="tanh")
    np.testing.assert_allclose(net.predict(X), plain.predict(X) ** 3, rtol=1e-12)
    _, gradients = net.loss_and_gradients(X, y)
    step = 1e-6
    net.weights[0][0, 0] += step
    above = net.evaluate(X, y)["loss"]
    net.weights[0][0, 0] -= 2 * step
    slope = (above - net.evaluate(X, y)["loss"]) / (2 * step)
    assert gradients.weights[0][0, 0] == pytest.approx(slope, rel=1e-6)


def test_an_output_activation_that_the_loss_excludes_is_refused():
    with raises(ValueError, "output_activation", "'cross_entropy'", "'softmax'", "'relu'"):
        network(loss="cross_entropy", output_activation="relu")
    assert network(loss="cross_entropy", output_activation="softmax").activations[-1] == "softmax"
    assert network(output_activation="sigmoid").activations[-1] == "sigmoid"
