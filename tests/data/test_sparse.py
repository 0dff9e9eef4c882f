"""Sparse rows as input: the numbers of the dense network, in little memory, whatever happens."""

import signal
import threading
import time
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from cases import (
    LOSSES,
    MSE,
    both_dtypes,
    data,
    every_loss,
    every_optimizer,
    sparse_rows,
    twins,
)
from contents import assert_same, contents, learned
from expect import raises

import fastbp
from fastbp import optimizers
from fastbp.engine import engine
from fastbp.engine.records import SPARSE

sparse = pytest.importorskip("scipy.sparse")

LAYERS = (61, 19, 9, 3)
LABELS = LOSSES[4]


def network(dtype="float64", optimizer="adam", loss=LABELS, layers=LAYERS, **arguments):
    if not isinstance(optimizer, str):
        optimizer = optimizer.optimizer()
    return fastbp.Network(
        layers, activation="tanh", loss=loss.loss(), optimizer=optimizer, dtype=dtype, rng=0,
        **arguments,
    )  # fmt: skip


def rows(count=103, columns=61, dtype="float64", targets="labels", density=0.05):
    """A CSR array and targets for three outputs."""
    return sparse_rows(count, columns, density, dtype), data(count, 1, 3, targets)[1]


def without_penalty(found):
    """Results but for losses of training, of which the penalty `alpha` is a part of dense rows."""
    return found | {"curve": found["curve"][1:], "losses": found["losses"][:2]}


def results(net, X, y, batch=32):
    """All numbers that a user sees; the first is the curve of a shuffled fit."""
    curve = net.fit(X, y, epochs=3, batch_size=batch, validation_data=(X[:9], y[:9]))
    found = {"curve": np.array([curve["loss"], curve["val_loss"]])}
    loss, gradients = net.loss_and_gradients(X[1:], y[1:])
    found |= {f"gradient.{i}": g for i, g in enumerate([*gradients.weights, *gradients.biases])}
    found["losses"] = np.array([loss, net.evaluate(X, y)["loss"], net.train_step(X, y)])
    return found | {"outputs": net.predict(X)} | learned(net)


def used_sparse_kernels(net):
    return {kind.source for kind in net._core.engine._memory.plans} == {SPARSE}


# ---- the dense network's numbers ----------------------------------------------------------------


@both_dtypes
@every_optimizer
def test_every_optimizer_gives_the_bits_of_dense_rows(optimizer, dtype):
    X, y = rows(dtype=dtype)
    assert (np.diff(X.indptr) == 0).any()  # some rows are empty
    net = network(dtype, optimizer)
    got = results(net, X, y)
    assert used_sparse_kernels(net)
    assert_same(got, results(network(dtype, optimizer), X.toarray(), y))


@every_loss
def test_every_loss(loss):
    X, y = rows(targets=loss.targets)
    got = results(network(loss=loss), X, y)
    assert_same(got, results(network(loss=loss), X.toarray(), y))


@both_dtypes
@pytest.mark.parametrize("hidden", [(), (1,), (16,), (33, 7), (140,)], ids=str)
@pytest.mark.parametrize("columns", [1, 2, 17, 300])
def test_layers_of_any_width(columns, hidden, dtype):
    X, y = rows(40, columns, dtype, density=min(1.0, 3 / columns) * 0.5)
    layers = (columns, *hidden, 3)
    got = results(network(dtype, layers=layers), X, y, 16)
    assert_same(got, results(network(dtype, layers=layers), X.toarray(), y, 16))


@pytest.mark.parametrize("batch", [1, 7, 102, 103])
@pytest.mark.parametrize("steps_a_call", [1, 2, 1 << 16])
def test_batches_and_calls_of_any_length(steps_a_call, batch, monkeypatch):
    monkeypatch.setattr(engine, "STEPS_A_CALL", steps_a_call)
    X, y = rows()
    assert_same(results(network(), X, y, batch), results(network(), X.toarray(), y, batch))


@both_dtypes
def test_the_textbook_network_learns_the_same(dtype):
    """Batches of several slabs, too, which the dense network cuts in another way."""
    X, y = rows(1500, 61, dtype)
    for batch in (37, 600, 1500):
        net, ref = twins(LAYERS, loss=LABELS, dtype=dtype)
        net.fit(X, y, 2, batch, shuffle=False)
        ref.fit(X.toarray(), y, 2, batch)
        tolerance = 1e-10 if dtype == "float64" else 1e-4
        for got, want in zip(net.weights, ref.weights, strict=True):
            np.testing.assert_allclose(got, want, atol=tolerance)


def test_gradients_are_finite_differences():
    X, y = rows(12, 7, density=0.3)
    net = network(layers=(7, 4, 3))
    _, gradients = net.loss_and_gradients(X, y)
    step = 1e-6
    for weights, gradient in zip(net.weights, gradients.weights, strict=True):
        for place in np.ndindex(weights.shape):
            held = weights[place]
            values = []
            for weights[place] in (held + step, held - step):
                values.append(net.evaluate(X, y)["loss"])
            weights[place] = held
            slope = (values[0] - values[1]) / (2 * step)
            assert gradient[place] == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("batch", [32, 600])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads, dtype, batch, every_thread_pays):
    X, y = rows(1501, dtype=dtype)
    one, more = (results(network(dtype, threads=n), X, y, batch) for n in (1, threads))
    assert_same(more, one)


@both_dtypes
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    "settings",
    [
        {"l1": 1e-3}, {"l2": 0.01}, {"clip_value": 1e-3}, {"clip_norm": 0.01}, {"max_norm": 0.5},
        {"dropout": 0.3}, {"alpha": 2.0},
        {"l1": 1e-3, "l2": 0.01, "clip_norm": 0.01, "max_norm": 0.5},
    ],
    ids="-".join,
)  # fmt: skip
def test_regularization(settings, optimizer, threads, dtype):
    X, y = rows(dtype=dtype)
    nets = [network(dtype, optimizer, threads=threads, **settings) for _ in range(2)]
    found, want = results(nets[0], X, y), results(nets[1], X.toarray(), y)
    if "alpha" in settings:
        found, want = without_penalty(found), without_penalty(want)
    assert_same(found, want)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_schedule_of_rates(optimizer):
    X, y = rows()
    nets = network(optimizer=optimizer), network(optimizer=optimizer)
    for net, features in zip(nets, (X, X.toarray()), strict=True):
        net.fit(features, y, 4, 16, schedule=lambda step: 1 / (1 + step))
    assert_same(learned(nets[0]), learned(nets[1]))


@pytest.mark.parametrize("weights", [{"sample_weight": np.arange(103.0)},
                                     {"class_weight": "balanced"}])  # fmt: skip
def test_weights_of_rows(weights):
    X, y = rows()
    nets = network(), network()
    for net, features in zip(nets, (X, X.toarray()), strict=True):
        net.fit(features, y, 2, 16, **weights)
    assert_same(learned(nets[0]), learned(nets[1]))


def test_batches_that_somebody_else_makes():
    X, y = rows()
    nets = network(), network()
    for net, features in zip(nets, (X, X.toarray()), strict=True):
        net.fit_batches([(features[i : i + 20], y[i : i + 20]) for i in range(0, 100, 20)])
    assert_same(learned(nets[0]), learned(nets[1]))


def test_one_network_takes_both():
    X, y = rows()
    net, other = network(), network()
    for features in (X, X.toarray(), X, X.toarray()):
        results(net, features, y)
        want = results(other, X.toarray(), y)
    assert_same(learned(net), {k: want[k] for k in learned(net)})


def test_only_rules_that_do_nothing_without_a_gradient_rest():
    resting = [o for o in (optimizers.SGD(), optimizers.Adagrad()) if o.rests]
    assert len(resting) == 2
    for other in (
        optimizers.SGD(momentum=0.5), optimizers.SGD(weight_decay=0.1), optimizers.Adagrad(eps=0),
        optimizers.Adam(), optimizers.RMSprop(), optimizers.Nadam(),
    ):  # fmt: skip
        assert not other.rests


# ---- forms of the input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        sparse.csr_matrix, sparse.coo_array, sparse.csc_matrix, sparse.lil_array, sparse.bsr_array,
        lambda X: sparse.csr_array((X.data, X.indices.astype("i8"), X.indptr.astype("i8"))),
    ],
    ids=["matrix", "coo", "csc", "lil", "bsr", "int64"],
)  # fmt: skip
def test_every_format(given):
    X, y = rows(dtype="float32")
    X = X.astype("float64")
    nets = network(), network()
    for net, features in zip(nets, (given(X), X), strict=True):
        net.fit(features, y, batch_size=16)
    assert_same(learned(nets[0]), learned(nets[1]))
    np.testing.assert_array_equal(nets[0].predict(given(X)), nets[0].predict(X))


@pytest.mark.parametrize("kind", ["bool", "uint8", "int32", "float32", "float64"])
@pytest.mark.parametrize("factor", [None, 0.3])
def test_every_kind_of_values(factor, kind):
    X, y = rows()
    X = (3 * X).astype(kind)
    for dtype in ("float32", "float64"):
        net, other = (network(dtype, scaling=factor) for _ in range(2))
        assert_same(results(net, X, y), results(other, X.toarray(), y))


def test_unsorted_columns_and_duplicates_add_up():
    X, y = rows()
    order = np.concatenate([np.arange(b - 1, a - 1, -1) for a, b in pairwise(X.indptr)])
    unsorted = sparse.csr_array((X.data[order], X.indices[order], X.indptr), X.shape)
    halves = sparse.csr_array(
        (np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), 2 * X.indptr), X.shape
    )
    want = results(network(), X, y)
    for other in (unsorted, halves):
        assert (other.toarray() == X.toarray()).all()
        got = results(network(), other, y)
        for name in want:
            np.testing.assert_allclose(got[name], want[name], rtol=1e-9, atol=1e-12)


def test_rows_without_any_entry():
    X, y = sparse.csr_array((50, 61)), data(50, 1, 3, "labels")[1]
    assert_same(results(network(), X, y), results(network(), X.toarray(), y))


def test_entries_behind_the_last_row_are_not_read():
    X, y = rows()
    longer = sparse.csr_array(X.shape)
    longer.indptr = X.indptr
    longer.indices, longer.data = (np.append(a, [-9]) for a in (X.indices, X.data))
    longer.data[-1] = np.nan
    assert_same(results(network(), longer, y), results(network(), X, y))


def test_the_caller_s_arrays_are_shared_and_not_written_to():
    X, y = rows()
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    results(network(), X, y)


def test_the_networks_own_weights_as_values():
    X, y = rows(3, 9, density=1.0)
    net = network(layers=(9, 3))
    held = np.concatenate([X.data[:3]] * 9)
    X.data = net.biases[0]
    X.indices, X.indptr = X.indices[:3], np.array([0, 1, 2, 3], X.indptr.dtype)
    net.biases[0][:] = held[:3]
    other = network(layers=(9, 3))
    other.biases[0][:] = held[:3]
    copied = X.copy()
    net.fit(X, y, 5, 1, shuffle=False)
    other.fit(copied, y, 5, 1, shuffle=False)
    assert_same(learned(net), learned(other))


# ---- what ends early ----------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("bad", [0, 15, 102])
def test_a_loss_that_is_not_finite_leaves_the_last_good_epoch(bad, optimizer):
    X, y = rows(targets="real", dtype="float32")
    nets = [network("float32", optimizer, MSE) for _ in range(2)]
    nets[0].fit(X, y, 2, 8)
    nets[1].fit(X.toarray(), y, 2, 8)
    before = learned(nets[0])
    assert_same(before, learned(nets[1]))
    y[bad] = 1e30
    with raises(FloatingPointError, f"epoch 1 of 3, step {bad // 8 + 1} of 13"):
        nets[0].fit(X, y, 3, 8, shuffle=False)
    assert_same(learned(nets[0]), before)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_later_epoch_of_one_call_fails(optimizer):
    """What its epochs had put off is made up for, and the network is that of the epoch before."""
    X, y = rows(targets="real", dtype="float32")
    arguments = {"loss": MSE, "layers": (61, 3), "dtype": "float32"}
    lr = {"sgd": fastbp.SGD(25.0), "adam": fastbp.Adam(2e18)}[optimizer]

    class Steep:
        def optimizer(self):
            return lr

    nets = [network(optimizer=Steep(), **arguments) for _ in range(2)]
    for net, features in zip(nets, (X, X.toarray()), strict=True):
        with raises(FloatingPointError, "epoch "):
            net.fit(features, y, 2000, 20, shuffle=False)
    assert nets[0].steps > 0
    assert_same(learned(nets[0]), learned(nets[1]))


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_comes_after_a_whole_update(threads):
    X, y = rows(2000, 400)
    net = network(layers=(400, 19, 3), threads=threads)
    net.train_step(X[:20], y[:20])

    def interrupt():
        while net.steps < 150:  # in the midst of the second epoch
            time.sleep(0.0005)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, epochs=100_000, batch_size=20, shuffle=False)
    assert 150 <= net.steps < 10_000_000
    other = network(layers=(400, 19, 3), threads=threads)
    other.train_step(X[:20], y[:20])
    whole, rest = divmod(net.steps - 1, 100)
    other.fit(X, y, epochs=whole, batch_size=20, shuffle=False)
    for step in range(rest):
        other.train_step(X[20 * step : 20 * step + 20], y[20 * step : 20 * step + 20])
    assert_same(learned(net), learned(other))


# ---- memory -------------------------------------------------------------------------------------


def test_no_call_makes_room_for_dense_rows():
    count, columns = 2000, 20_000
    X = sparse_rows(count, columns, 1e-3, "float32")
    y = np.arange(count) % 3
    net = network("float32", layers=(columns, 4, 3))
    tracemalloc.start()
    try:
        results(net, X, y, 200)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    parameters = 4 * 16 * (columns + 1)
    assert peak < 8 * parameters  # state, snapshot, gradient and a copy or two
    assert net._core.engine.nbytes < 8 * parameters
    assert 200 * 4 * columns > 8 * parameters  # one dense batch


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "index", "value", "told"),
    [
        ("indices", 7, 61, "X has an entry in column 61 of row "),
        ("indices", 7, -1, "X has an entry in column -1 of row "),
        ("indptr", 3, 1000, "X is a damaged CSR matrix: indptr"),
        ("indptr", 0, 1, "X is a damaged CSR matrix"),
        ("indptr", -1, 10_000, "X is a damaged CSR matrix"),
        ("data", 7, np.nan, "X holds nan at row "),
        ("data", 7, -np.inf, "X holds -inf at row "),
    ],
)
def test_damaged_rows(array, index, value, told):
    net, (X, y) = network(), rows()
    before = contents(net)
    getattr(X, array)[index] = value
    for call in (net.fit, net.evaluate, net.train_step, net.loss_and_gradients):
        with raises(ValueError, told):
            call(X, y)
    with raises(ValueError, told):
        net.predict(X)
    with raises(ValueError, f"validation_data {told}"):
        net.fit(*rows(), validation_data=(X, y))
    assert_same(contents(net), before)


def test_where_a_value_is_not_finite():
    X, y = rows()
    entry = X.indptr[50]
    X.data[entry] = 1e300
    told = f"X holds 1e+300 at row 50, column {X.indices[entry]}, which is too large for float32"
    with raises(ValueError, told, "every value must be finite"):
        network("float32").fit(X, y)
    assert network("float32", scaling=1e-300).evaluate(X, y)["loss"] > 0


def test_shapes_and_kinds():
    net, (X, y) = network(), rows()
    others = [X[:, :60], sparse.csr_array((0, 61))]
    if hasattr(sparse.coo_array, "coords"):  # SciPy 1.13, the first with arrays of one axis
        others.append(sparse.coo_array((61,)))
    for other in others:
        with raises(ValueError, "X must have shape (rows, 61) with at least one row; got shape"):
            net.predict(other)
    with raises(TypeError, "X must hold real numbers", "complex"):
        net.predict(X.astype(complex))
    with raises(ValueError, "y must have a row for each of the 103 rows of X"):
        net.fit(X, y[:5])
    with raises(TypeError, "y must hold real numbers"):
        net.fit(X, X)


def test_standard_would_make_it_dense():
    X, y = rows()
    net = network(scaling="standard")
    for call in (lambda: net.fit(X, y), lambda: net.learn_scaling(X)):
        with raises(ValueError, 'scaling="standard" takes the mean off', "sparse X dense"):
            call()
    net.learn_scaling(X.toarray())
    with raises(ValueError, "sparse X dense"):
        net.predict(X)
