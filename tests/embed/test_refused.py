"""What compiled code is told where it passes the wrong thing, and that nothing has changed then."""

import copy
import doctest
import pickle
import threading

import numpy as np
import pytest
from expect import raises
from numba import njit
from numba.core.errors import TypingError

import fastbp
from fastbp import embed
from fastbp.embed import states

F32 = np.float32


@pytest.fixture(scope="module")
def net():
    return fastbp.Network([3, 4, 2], rng=0)


@pytest.fixture(scope="module")
def labelled():
    return fastbp.Network([3, 4, 2], loss="cross_entropy", rng=0)


def zeros(*shape, dtype=F32):
    return np.zeros(shape, dtype)


SHAPES = {
    "columns of X": ("predict", (zeros(2, 4), zeros(2, 2)), "X must have a column for each input"),
    "columns of out": ("predict", (zeros(2, 3), zeros(2, 1)), "out for each output"),
    "rows of out": ("predict", (zeros(2, 3), zeros(3, 2)), "X and out must have the same number"),
    "columns": ("train_step", (zeros(2, 2), zeros(2, 2)), "X must have a column for each input"),
    "columns of y": ("train_step", (zeros(2, 3), zeros(2, 3)), "y must have a column for each"),
    "rows of y": ("train_step", (zeros(2, 3), zeros(1, 2)), "X and y must have the same number"),
    "no rows": ("train_step", (zeros(0, 3), zeros(0, 2)), "X must have at least one row"),
    "rows": ("train_step", (zeros(9, 3), zeros(9, 2)), "more rows than the state has room for"),
    "labels": ("train_step", (zeros(2, 3), zeros(2, dtype=int)), "the loss of the network has no"),
    "gradients": ("loss_and_gradients", (zeros(2, 3), zeros(2, 2), zeros(25)), "an element for"),
    "rows of a gradient": ("loss_and_gradients", (zeros(9, 3), zeros(9, 2), zeros(26)), "room for"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(net, name):
    function, arguments, message = SHAPES[name]
    before = net._core.engine.state.copy()
    with raises(ValueError, message):
        getattr(embed, function)(embed.state(net, 8), *arguments)
    np.testing.assert_array_equal(net._core.engine.state, before)
    assert net.steps == 0


@pytest.mark.parametrize(
    ("order", "batch", "message"),
    [
        ([0, 5], 2, "order must hold numbers of rows of X"),
        ([0, -1], 2, "order must hold numbers of rows of X"),
        ([], 2, "order must hold at least one"),
        ([0, 1], 0, "batch must be at least 1"),
        ([0, 1], -1, "batch must be at least 1"),
        ([0, 1], 9, "no more than the rows of the state"),
    ],
)
def test_orders(net, order, batch, message):
    with raises(ValueError, message):
        embed.train_epoch(
            embed.state(net, 8), zeros(5, 3), zeros(5, 2), np.array(order, np.int64), batch
        )
    assert net.steps == 0


@pytest.mark.parametrize("label", [-1, 2, 2**62])
def test_labels(labelled, label):
    with raises(ValueError, "y must hold labels from 0 to outputs - 1"):
        embed.train_step(labelled.state, zeros(2, 3), np.array([0, label]))
    assert labelled.steps == 0


def test_no_rows_are_predicted(net):
    embed.predict(net.state, zeros(0, 3), zeros(0, 2))


READ_ONLY = zeros(2, 2)
READ_ONLY.setflags(write=False)
TYPES = {
    "no state": (
        "predict",
        (None, zeros(2, 3), zeros(2, 2)),
        "the state of a network, `net.state`",
    ),
    "dtype of X": ("predict", (zeros(2, 3, dtype=float), zeros(2, 2)), "X as a", "float32"),
    "one row": ("predict", (zeros(3), zeros(1, 2)), "X as a C-contiguous (rows, inputs)"),
    "layout": ("predict", (zeros(3, 2).T, zeros(2, 2)), "X as a C-contiguous"),
    "out": ("predict", (zeros(2, 3), zeros(2)), "out as a writable"),
    "read-only": ("predict", (zeros(2, 3), READ_ONLY), "out as a writable", "got readonly"),
    "no array": ("predict", ([[1.0]], zeros(2, 2)), "X as a C-contiguous", "reflected list"),
    "y": ("train_step", (zeros(2, 3), zeros(2)), "y as a C-contiguous (rows, outputs)", "int64"),
    "labels": ("train_step", (zeros(2, 3), zeros(2, dtype=np.int32)), "labels", "got array(int32"),
    "order": (
        "train_epoch",
        (zeros(2, 3), zeros(2, 2), zeros(2), 1),
        "order as a C-contiguous (count,) array of int64",
    ),
    "batch": (
        "train_epoch",
        (zeros(2, 3), zeros(2, 2), zeros(2, dtype=int), 1.5),
        "batch as an int; got float64",
    ),
    "gradients": (
        "loss_and_gradients",
        (zeros(2, 3), zeros(2, 2), zeros(26, dtype=float)),
        "gradients as a writable C-contiguous (parameters,) array of float32",
    ),
}


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaPendingDeprecationWarning")
def test_types(net, name):
    function, arguments, *message = TYPES[name]
    state = () if arguments[0] is None else (net.state,)
    with raises(TypingError, "embed takes", *message):
        getattr(embed, function)(*state, *arguments)
    assert net.steps == 0


def test_a_callers_mistake_names_his_own_line(net):
    @njit
    def own(state, X, out):
        embed.predict(state, X, out)

    with raises(TypingError, "embed takes X as", "test_refused.py"):
        own(net.state, zeros(2, 3, dtype=float), zeros(2, 2))


@pytest.mark.parametrize("rows", [0, -1, 1.5, "8", True, None])
def test_rows_of_a_state(net, rows):
    with pytest.raises((TypeError, ValueError), match="rows must"):
        embed.state(net, rows)


def test_what_is_no_network():
    with raises(TypeError, "network must be a fastbp.Network", "3"):
        embed.state(3)


def test_networks_of_several_tasks():
    net = fastbp.Network([3, 2], loss={"a": "mae", "b": "mse"}, outputs={"a": 1, "b": 1})
    with raises(ValueError, "several tasks"):
        _ = net.state


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_state_is_not_copied(net, copied):
    with raises(TypeError, "addresses of this process", "pickle the network"):
        copied(net.state)


def test_a_state_outlives_its_network():
    net = fastbp.Network([3, 4, 2], rng=0)
    X, out = np.ones((5, 3), F32), np.empty((5, 2), F32)
    wanted, state = net.predict(X), net.state
    del net
    embed.predict(state, X, out)
    np.testing.assert_array_equal(out, wanted)


def test_one_thread_at_a_time():
    net = fastbp.Network([3, 4, 2], rng=0)
    X, y, out = np.ones((2, 3), F32), zeros(2, 2), zeros(2, 2)
    state, second = net.state, net.state
    embed.train_step(state, X, y)
    embed.predict(state, X, out)
    order = np.zeros(1_000_000, np.int64)
    embed.train_epoch(state, X, y, order[:1], 1)
    # Behind these words other threads see that the first is at work.
    busy = state.record.view(np.int64)
    thread = threading.Thread(target=embed.train_epoch, args=(state, X, y, order, 1))
    thread.start()
    while not busy[0] and thread.is_alive():
        pass
    for function, one, rest in (
        (embed.predict, state, (out,)),
        (embed.train_step, state, (y,)),
        (embed.train_step, second, (y,)),
    ):
        with raises(RuntimeError, "in use by another thread"):
            function(one, X, *rest)
    embed.predict(second, X, out)  # which has memory of its own
    thread.join()
    assert net.steps == 1_000_002
    for one in (state, second):
        embed.train_step(one, X, y)
        embed.predict(one, X, out)
    assert net.steps == 1_000_004


def test_what_was_compiled_for_another_version_is_not_called(net, monkeypatch):
    X, out = zeros(2, 3), zeros(2, 2)
    embed.predict(net.state, X, out)
    known = set(embed.predict.signatures)
    assert any(states.VERSION in str(one[0]) for one in known)
    other = f"v_other_{len(known)}"
    monkeypatch.setattr(states, "VERSION", other)
    embed.predict(net.state, X, out)
    (new,) = set(embed.predict.signatures) - known
    assert other in str(new[0])


def test_an_exception_of_the_users_own_leaves_the_state_free(net):
    @njit
    def own(state, X, out):
        embed.predict(state, X, out)
        raise KeyError("mine")

    state = net.state
    for _ in range(2):
        with raises(KeyError, "mine"):
            own(state, zeros(2, 3), zeros(2, 2))


def test_what_the_module_shows():
    assert doctest.testmod(embed).failed == 0
