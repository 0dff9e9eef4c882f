"""Losses that are functions of whole rows, under everything that trains."""

import pickle

import numpy as np
import pytest
from cases import ADAM, assert_close, both_dtypes, data, network, parameters, sparse_rows
from expect import raises

import fastbp
from fastbp import callbacks, losses

LAYERS = [3, 6, 5, 2]
X, Y = data(70, 3, 2)


def squares(outputs, targets):
    """The mean squared error, row by row."""
    away = outputs - targets
    return (away**2).mean(axis=1), 2 * away / outputs.shape[1]


def likelihood(outputs, targets):
    """A Gaussian's, of a mean and the logarithm of a deviation: two outputs and one column."""
    away, log = targets[:, 0] - outputs[:, 0], outputs[:, 1]
    worth = log + 0.5 * away**2 * np.exp(-2 * log)
    slopes = np.stack([-away * np.exp(-2 * log), 1 - away**2 * np.exp(-2 * log)], axis=1)
    return worth, slopes


def own(loss=squares, layers=LAYERS, dtype="float64", threads=1, **more):
    net = fastbp.Network(
        layers,
        "tanh",
        loss,
        optimizer=ADAM.optimizer(),
        dtype=dtype,
        threads=threads,
        rng=0,
        **more,
    )
    weights, biases = parameters(layers)
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        net.weights[layer][:], net.biases[layer][:] = W, b
    return net


SETTINGS = [
    {},
    {"dropout": 0.3},
    {"clip_norm": 0.1, "alpha": 0.2},
    {"trainable": [False, True, True], "l2": 0.1, "scaling": "standard"},
]


@both_dtypes
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("batch", [16, 70])
def test_a_fit_is_that_with_the_loss_built_in(batch, settings, dtype):
    """With validation, weights, a schedule, metrics, and early stopping that restores the best."""
    X1, Y1 = X.astype(dtype), Y.astype(dtype)
    nets = [own(dtype=dtype, **settings), own("mse", dtype=dtype, **settings)]
    found = []
    for net in nets:
        stop = callbacks.EarlyStopping("val_loss", patience=1, restore_best=True)
        found.append(
            net.fit(
                X1,
                Y1,
                4,
                batch,
                sample_weight=np.linspace(0, 2, 70),
                validation_split=0.2,
                metrics=["r2"],
                schedule=lambda step: 1 / (1 + step),
                callbacks=[stop],
            )
        )
    rtol = 1e-3 if dtype == "float32" else 1e-10
    for name in ("loss", "val_loss", "val_r2"):
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=rtol)
    assert_close([nets[0].flat], [nets[1].flat], rtol)
    assert nets[0].evaluate(X1, Y1)["loss"] == pytest.approx(
        nets[1].evaluate(X1, Y1)["loss"], rel=rtol
    )


def test_every_other_way_to_train_and_to_differentiate():
    nets = [own(), own("mse")]
    y = Y.copy()
    y[::7] = np.nan  # whole rows
    for net in nets:
        net.partial_fit(X, Y, 32)
        net.train_step(X[:33], Y[:33], sample_weight=np.arange(33.0))
        net.fit_batches([(X[:20], Y[:20]), (X[20:21], Y[20:21])], epochs=2)
        net.fit(X, y, 2, mask_nan=True, shuffle=False)
        fastbp.minimize(net, X, Y, options={"maxiter": 3})
        net.step(net.forward(X))
    mine, built_in = nets
    assert_close([mine.flat], [built_in.flat], 1e-8)
    mine.flat = built_in.flat
    got, want = (net.loss_and_gradients(X, Y) for net in nets)
    assert got[0] == pytest.approx(want[0], rel=1e-12)
    assert_close(got[1].weights, want[1].weights, 1e-11)
    assert_close([mine.input_gradient(X, Y)], [built_in.input_gradient(X, Y)], 1e-11)
    got, want = (net.sample_gradients(X[:5], Y[:5]) for net in nets)
    assert_close([*got.weights, *got.biases], [*want.weights, *want.biases], 1e-11)
    with raises(ValueError, "second derivative of the loss 'squares' is not known"):
        mine.gauss_newton_vector(X, Y, mine.flat)


def test_targets_of_any_columns_and_compiled_functions():
    numba = pytest.importorskip("numba")
    net = own(likelihood)
    y = X[:, 0] + 0.1
    history = net.fit(X, y, 200, 35)  # flat: one column
    assert history["loss"][-1] < history["loss"][0] - 0.5
    with raises(ValueError, "'r2' needs a column of y for each of the 2 outputs, and y has 1"):
        net.fit(X, y, metrics=["r2"])
    change, flat = np.random.default_rng(1).standard_normal(net.flat.size), net.flat
    net.flat = change
    directions = [array.copy() for array in (*net.weights, *net.biases)]
    found = []
    for h in (1e-6, -1e-6):
        net.flat = flat + h * change
        found.append(net.evaluate(X, y)["loss"])
    net.flat = flat
    gradients = net.loss_and_gradients(X, y)[1]
    along = sum(
        (d * g).sum() for d, g in zip(directions, [*gradients[0], *gradients[1]], strict=True)
    )
    assert (found[0] - found[1]) / 2e-6 == pytest.approx(along, rel=1e-6)

    @numba.njit
    def compiled(outputs, targets):
        worth, away = np.zeros(len(outputs)), outputs - targets
        for r in range(len(worth)):
            for j in range(away.shape[1]):
                worth[r] += away[r, j] ** 2 / 2
        return worth, away

    nets = [own(compiled), own("mse")]
    for one in nets:
        one.fit(X, Y, 2, 32)
    assert_close([nets[0].flat], [nets[1].flat], 1e-10)
    assert "compiled" in repr(nets[0])


@both_dtypes
def test_one_and_two_threads_give_the_same_bits(dtype):
    nets = [own(dtype=dtype, threads=threads, dropout=0.2) for threads in (1, 2)]
    for net in nets:
        net._core.engine.dropout_seed = 1
        net.fit(X.astype(dtype), Y.astype(dtype), 3, 32)
    np.testing.assert_array_equal(nets[0].flat, nets[1].flat)


def test_sparse_rows():
    rows = sparse_rows(70, 30, 0.2)
    nets = [own(layers=[30, 6, 5, 2]) for _ in range(2)]
    for net, given in zip(nets, (rows, rows.toarray()), strict=True):
        net.fit(given, Y, 2, 16)
    assert_close([nets[0].flat], [nets[1].flat], 1e-10)


def test_the_second_forward_pass_is_left_out(monkeypatch):
    net, taken = own(), []
    engine = type(net._core.engine)
    plain = engine._is_forwarded

    def watched(self, *arguments):
        taken.append(plain(self, *arguments))
        return taken[-1]

    monkeypatch.setattr(engine, "_is_forwarded", watched)
    net.fit(X, Y, 2, 32)
    net.train_step(X, Y)
    assert taken == [True] * 7


def test_functions_that_fail_leave_the_network_as_it_was_before_their_step():
    calls = []

    def failing(outputs, targets):
        calls.append(len(outputs))
        if len(calls) == 3:
            raise InterruptedError
        return squares(outputs, targets)

    net, plain = own(failing), own()
    with pytest.raises(InterruptedError):
        net.fit(X, Y, 2, 32, shuffle=False)
    assert net.steps == 2
    for rows in (slice(0, 32), slice(32, 64)):
        plain.train_step(X[rows], Y[rows])
    np.testing.assert_array_equal(net.flat, plain.flat)
    assert calls == [32, 32, 6, 70]  # once more, to see whether the network is sound

    def broken(outputs, targets):
        calls.append(len(outputs))
        if len(calls) > 2:
            raise InterruptedError
        return squares(outputs, targets)

    calls.clear()
    net = own(broken)
    before = net.flat
    with pytest.raises(InterruptedError):
        net.fit(X, Y, 2, 32)
    np.testing.assert_array_equal(net.flat, before)  # nobody can tell whether it is sound


def test_losses_and_slopes_that_are_not_finite():
    def infinite(outputs, targets):
        worth, slopes = squares(outputs, targets)
        return worth + np.inf, slopes

    def steep(outputs, targets):
        worth, slopes = squares(outputs, targets)
        return worth, slopes * np.nan

    for loss in (infinite, steep):
        net = own(loss)
        before = net.flat
        with raises(FloatingPointError, "the loss is not finite"):
            net.fit(X, Y, 2, 32)
        np.testing.assert_array_equal(net.flat, before)
    with raises(FloatingPointError, "no update was made"):
        own(infinite).train_step(X, Y)


@pytest.mark.parametrize(
    ("returned", "error", "told"),
    [
        (np.zeros(4), TypeError, "the loss 'wrong' must return values and d_outputs"),
        ((np.zeros(3), np.zeros((4, 2))), ValueError, "values of the loss 'wrong' must have the"),
        ((np.zeros(4), np.zeros((4, 1))), ValueError, "d_outputs of the loss 'wrong' must have"),
        ((np.zeros(4), np.full((4, 2), "a")), TypeError, "d_outputs of the loss 'wrong' must be"),
    ],
    ids=["one", "short", "narrow", "text"],
)
def test_what_a_function_must_return(returned, error, told):
    def wrong(outputs, targets):
        return returned

    net = own(wrong)
    before = net.flat
    for call in (net.fit, net.train_step, net.evaluate, net.loss_and_gradients):
        with raises(error, told):
            call(X[:4], Y[:4])
    np.testing.assert_array_equal(net.flat, before)


def test_bad_input_and_where_such_losses_have_no_place(tmp_path):
    net = own()
    with raises(ValueError, "y", "(70, columns)"):
        net.fit(X, Y[None])
    with raises(ValueError, "y"):
        net.fit(X, Y * np.nan)
    with raises(ValueError, "class_weight"):
        net.fit(X, Y, class_weight="balanced")
    with raises(ValueError, "loss_weights"):
        own(loss_weights=[1, 2])
    with raises(ValueError, "loss['a'] must not be a function of whole rows"):
        fastbp.Network([3, 2], loss={"a": squares}, outputs={"a": 2})
    net.save(tmp_path / "net.safetensors")
    assert fastbp.load(tmp_path / "net.safetensors").loss == net.loss
    with raises(ValueError, "loss 'mine'", "f"):
        own(losses.RowLoss("mine", lambda a, y: (a, y))).save(tmp_path / "net.safetensors")
    with raises(TypeError, "f must be a function"):
        losses.RowLoss("mine", 3)
    with raises(TypeError, "output_activation"):
        losses.RowLoss("mine", squares, output_activation=3)
    named = losses.RowLoss("mine", squares, output_activation="softplus")
    assert own(named).activations[-1] == "softplus"


def test_networks_with_them_are_pickled():
    net = own(losses.RowLoss("mine", squares, output_activation="sigmoid"))
    other = pickle.loads(pickle.dumps(net))
    assert other.loss == net.loss
    assert other.train_step(X, Y) == net.train_step(X, Y)


def test_another_fit_waits_for_nobody_while_the_function_runs():
    """The network can be read meanwhile, also by other threads."""
    import threading

    found = []

    def reading(outputs, targets):
        if not found:
            thread = threading.Thread(target=lambda: found.append(net.predict(X[:1])), daemon=True)
            thread.start()
            thread.join(10)
            assert not thread.is_alive()
        return squares(outputs, targets)

    net, plain = own(reading), own()
    net.fit(X, Y, 1, 32)
    plain.fit(X, Y, 1, 32)
    assert len(found) == 1
    np.testing.assert_array_equal(net.flat, plain.flat)  # forward once more, to the same bits


def test_scikit_learns_estimators_refuse_them():
    pytest.importorskip("sklearn")
    from fastbp.sklearn import MLPRegressor

    with raises(ValueError, "'squares' is a function of whole rows"):
        MLPRegressor(loss=losses.RowLoss("squares", squares)).fit(X, Y)


def test_a_network_is_compared_with_its_own_twin():
    """The helper above makes the networks of the other tests."""
    net = network(LAYERS)
    np.testing.assert_array_equal(net.flat, own("mse").flat)
