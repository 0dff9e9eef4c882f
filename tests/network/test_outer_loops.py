"""Losses that the caller computes: forward, backward, step, apply."""

import pickle

import numpy as np
import pytest
from cases import ADAM, MSE, Case, assert_close, both_dtypes, data, network, sparse_rows
from expect import raises

import fastbp
from fastbp.layout import cutting

SGD = Case("sgd", {"lr": 0.1})
X, Y = data(23, 3, 2)


def slopes(out, y):
    """Of the mean squared error by the outputs."""
    return 2 * (out - y) / out.size


def packed(gradients):
    return np.concatenate([array.ravel() for part in gradients for array in part])


def steps_of(net, count=3, X=X, y=Y):
    for _ in range(count):
        net.step(slopes(net.forward(X), y))


@both_dtypes
@pytest.mark.parametrize("layers", [[1, 1], [3, 17, 5], [40, 600, 500, 3]], ids=str)
@pytest.mark.parametrize("rows", [1, 37, 700])
def test_the_slopes_of_a_built_in_loss_give_its_gradient(layers, rows, dtype):
    net = network(layers, dtype=dtype)
    X, y = (array.astype(dtype) for array in data(rows, layers[0], layers[-1]))
    out = net.forward(X)
    np.testing.assert_array_equal(out, net.predict(X))
    net.forward(X)
    got, want = net.backward(slopes(out, y)), net.loss_and_gradients(X, y)[1]
    assert got.weights[0].dtype == dtype
    rtol = 1e-4 if dtype == "float32" else 1e-11
    assert_close([packed(got)], [packed(want)], rtol)
    again = net.backward(slopes(out, y))  # the forward pass once more, since the call in between
    np.testing.assert_array_equal(packed(got), packed(again))
    twice = net.backward(2 * slopes(out, y))  # from what is kept
    np.testing.assert_array_equal(packed(twice), 2 * packed(got))


@pytest.mark.parametrize("output", ["softmax", "exponential", "gelu", "sigmoid"])
def test_slopes_go_through_the_output_activation(output):
    net = network([3, 8, 4], output_activation=output)
    d_out = data(23, 3, 4)[1]
    net.forward(X)
    gradient = packed(net.backward(d_out))
    at, v = net.flat, np.random.default_rng(1).standard_normal(gradient.size)

    def value(flat):
        net.flat = flat
        return (net.predict(X) * d_out).sum()

    directions = [*net.weights, *net.biases]
    net.flat = v
    along = np.concatenate([array.ravel() for array in directions])
    above, below = (value(at + h * v) for h in (1e-6, -1e-6))
    assert (above - below) / 2e-6 == pytest.approx(gradient @ along, rel=1e-7)


SETTINGS = [
    {},
    {"l1": 0.01, "l2": 0.02, "clip_value": 0.05},
    {"clip_norm": 0.1, "alpha": 0.3},
    {"max_norm": 0.5},
    {"trainable": [False, True, True], "rate_factors": [1, 0.5, 2], "clip_norm": 0.1},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("optimizer", [ADAM, SGD], ids=str)
def test_step_and_apply_are_a_step_of_training(optimizer, settings):
    nets = [network([3, 6, 5, 2], optimizer=optimizer, **settings) for _ in range(3)]
    trained, stepped, applied = nets
    for _ in range(3):
        trained.train_step(X, Y)
        assert stepped.step(slopes(stepped.forward(X), Y)) is None
        applied.apply(applied.loss_and_gradients(X, Y)[1], rows=23)
    assert trained.steps == stepped.steps == applied.steps == 3
    for net in (stepped, applied):
        assert_close([net.flat], [trained.flat], 1e-12)
        slots = [one._core.engine.state for one in (net, trained)]
        assert_close(slots[:1], slots[1:], 1e-12)


def test_dropout_is_that_of_the_step_that_follows():
    nets = [network([3, 40, 2], dropout=0.5) for _ in range(3)]
    nets[1]._core.engine.dropout_seed = nets[2]._core.engine.dropout_seed = nets[
        0
    ]._core.engine.dropout_seed
    for _ in range(3):
        nets[0].train_step(X, Y)
        nets[1].step(slopes(nets[1].forward(X), Y))
        out = nets[2].forward(X)
        assert not np.array_equal(out, nets[2].predict(X))  # and what is kept is overwritten
        nets[2].step(slopes(out, Y))
    assert_close([nets[1].flat], [nets[0].flat], 1e-12)
    np.testing.assert_array_equal(nets[2].flat, nets[1].flat)
    net = nets[0]
    np.testing.assert_array_equal(net.forward(X, training=False), net.predict(X))
    net.forward(X, training=False)
    plain = packed(net.backward(slopes(net.predict(X), Y)))
    assert_close([plain], [packed(net.loss_and_gradients(X, Y)[1])], 1e-12)


def test_what_is_kept_saves_the_second_forward_pass(monkeypatch):
    net, taken = network([3, 6, 2]), []
    engine = type(net._core.engine)
    plain = engine._is_forwarded

    def watched(self, *arguments):
        taken.append(plain(self, *arguments))
        return taken[-1]

    monkeypatch.setattr(engine, "_is_forwarded", watched)
    out = net.forward(X)
    net.backward(out)
    net.backward(out)
    net.step(out)
    assert taken == [True] * 3
    out = net.forward(X)
    net.evaluate(X, Y)
    net.step(out)
    assert taken[3:] == [False]


def test_a_batch_that_the_caller_overwrites_is_not_used_any_more():
    nets, buffer = [network([3, 6, 2]) for _ in range(2)], X.copy()
    for net in nets:
        out = net.forward(buffer)
        if net is nets[1]:
            net.predict(X[:1])
            buffer[:] = 0
        net.step(out)
    np.testing.assert_array_equal(nets[0].flat, nets[1].flat)


def test_sparse_rows_and_scaling():
    rows = sparse_rows(23, 30, 0.2)
    sparse, dense = network([30, 6, 2]), network([30, 6, 2])
    steps_of(sparse, X=rows)
    steps_of(dense, X=rows.toarray())
    assert_close([sparse.flat], [dense.flat], 1e-11)
    scaled, trained = (network([3, 6, 2], scaling=0.1) for _ in range(2))
    steps_of(scaled)
    for _ in range(3):
        trained.train_step(X, Y)
    assert_close([scaled.flat], [trained.flat], 1e-12)


@both_dtypes
def test_bytes_and_inputs_of_another_dtype_are_scaled_as_they_are(dtype):
    bytes_of = np.random.default_rng(0).integers(256, size=(23, 3)).astype(np.uint8)
    for given in (bytes_of, X.astype("f4" if dtype == "float64" else "f8")):
        nets = [network([3, 6, 2], dtype=dtype, scaling=0.01) for _ in range(2)]
        steps_of(nets[0], X=given)
        for _ in range(3):
            nets[1].train_step(given, Y)
        assert_close([nets[0].flat], [nets[1].flat], 1e-4 if dtype == "float32" else 1e-12)


def test_a_batch_that_is_too_long_to_be_kept_goes_forward_twice(monkeypatch):
    kept, twice = network([3, 6, 2], dropout=0.3), network([3, 6, 2], dropout=0.3)
    twice._core.engine.dropout_seed = kept._core.engine.dropout_seed
    X, y = data(3000, 3, 2)
    steps_of(kept, X=X, y=y)
    monkeypatch.setattr(cutting, "WHOLE", 0)
    steps_of(twice, X=X, y=y)
    assert twice._core.engine._memory.workspace.rows < 3000
    assert_close([twice.flat], [kept.flat], 1e-12)


@both_dtypes
def test_one_and_two_threads_give_the_same_bits(dtype):
    X, y = (array.astype(dtype) for array in data(401, 3, 2))
    nets = [network([3, 40, 33, 2], dtype=dtype, threads=n, dropout=0.1) for n in (1, 2)]
    for net in nets:
        net._core.engine.dropout_seed = 3
        steps_of(net, X=X, y=y)
        net.apply(net.backward(net.forward(X)))
    np.testing.assert_array_equal(nets[0].flat, nets[1].flat)


def test_a_wrong_order_is_an_error():
    net = network([3, 6, 2], scaling="standard")
    net.learn_scaling(X)
    changes = [
        lambda: net.train_step(X, Y),
        lambda: net.fit(X, Y),
        lambda: net.step(Y),
        lambda: net.apply(net.loss_and_gradients(X, Y)[1]),
        lambda: setattr(net, "flat", net.flat + 1),
        lambda: setattr(net, "optimizer", "sgd"),
        lambda: net.learn_scaling(X),
        lambda: fastbp.minimize(net, X, Y, options={"maxiter": 1}),
    ]
    with raises(RuntimeError, "backward needs the outputs of forward(X)"):
        net.backward(Y)
    for change in changes:
        net.forward(X)
        change()
        before = net.flat
        with raises(RuntimeError, "step needs the outputs of forward(X)"):
            net.step(Y)
        np.testing.assert_array_equal(net.flat, before)
    net.forward(X)
    with raises(RuntimeError, "forward(X)"):
        pickle.loads(pickle.dumps(net)).backward(Y)
    net.backward(Y)


def test_bad_input_changes_nothing():
    net = network([3, 6, 2], alpha=0.1)
    gradients, before = net.loss_and_gradients(X, Y)[1], net.flat
    net.forward(X)
    for call in (net.backward, net.step):
        with raises(ValueError, "d_out must have the shape (23, 2)", "got (22, 2)"):
            call(Y[1:])
        with raises(ValueError, "d_out"):
            call(Y * np.nan)
        with raises(TypeError, "d_out"):
            call("no")
    with raises(ValueError, "X", "(rows, 3)"):
        net.forward(X[:, 1:])
    with raises(TypeError, "training must be"):
        net.forward(X, training=1)
    with raises(TypeError, "apply needs the argument rows"):
        net.apply(gradients)
    with raises(ValueError, "rows"):
        net.apply(gradients, rows=0)
    with raises(TypeError, "gradients must be Gradients", "got 3"):
        net.apply(3, rows=1)
    with raises(ValueError, "gradients.weights must have an array for each of the 2 layers"):
        net.apply((gradients.weights[:1], gradients.biases), rows=1)
    with raises(ValueError, "gradients.biases[1] must have the shape (2,), got (6,)"):
        net.apply((gradients.weights, gradients.biases[:1] * 2), rows=1)
    with raises(ValueError, "gradients.weights[0]"):
        net.apply((tuple(W * np.inf for W in gradients.weights), gradients.biases), rows=1)
    np.testing.assert_array_equal(net.flat, before)
    tasks = fastbp.Network([3, 2], loss={"a": "mse", "b": "mse"}, outputs={"a": 1, "b": 1}, rng=0)
    with raises(ValueError, "forward is for networks with one loss"):
        tasks.forward(X)


def test_names_of_features_are_learned_by_a_step():
    pandas = pytest.importorskip("pandas")
    net = network([3, 6, 2])
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    out = net.forward(frame)
    assert net.feature_names is None
    net.step(out)
    assert net.feature_names == ("a", "b", "c")
    with raises(ValueError, "X"):
        net.forward(frame[["b", "a", "c"]])


def test_the_loss_of_a_network_that_has_one_is_not_asked():
    """A network for logits gives its outputs after the activation, and slopes are by these."""
    net = network([3, 6, 2], loss=Case("cross_entropy"), optimizer=SGD)
    out = net.forward(X)
    np.testing.assert_allclose(out.sum(axis=1), 1)
    labels = np.arange(23) % 2
    own = np.zeros_like(out)
    own[np.arange(23), labels] = -1 / out[np.arange(23), labels] / 23
    got, want = net.backward(own), net.loss_and_gradients(X, labels)[1]
    assert_close([packed(got)], [packed(want)], 1e-11)
    assert MSE.name != net.loss.name
