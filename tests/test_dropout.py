"""Dropout: its random numbers, the masks in training, and that everything else goes without."""

import copy

import numpy as np
import pytest
from cases import (
    ADAM,
    LOSSES,
    Case,
    assert_close,
    assert_same_parameters,
    both_dtypes,
    data,
    network,
    twins,
)
from contents import assert_different, assert_same, contents, learned
from reference_dropout import mask, random_words

import fastbp
from fastbp.engine import engine
from fastbp.kernels.machine.jit import address
from fastbp.kernels.panels.dropout import EVENTS, drop, drop_delta
from fastbp.layout.aligned import aligned_zeros, row_stride

LABELS = Case("cross_entropy", targets="labels")


def dropped(values, rate=0.3, seed=1, layer=0, step=0, row=0):
    """What the kernel makes of (rows, columns) values, whose rows begin at row `row`."""
    rows, columns = values.shape
    ld = row_stride(columns, values.itemsize)
    source, to = (aligned_zeros(rows * ld, values.dtype).reshape(rows, ld) for _ in range(2))
    source[:, :columns] = values
    threshold = round(rate * EVENTS)
    drop.call(values.dtype)(
        address(source), address(to), rows, ld, ld, 0, threshold, seed, layer, step, row
    )
    assert not to[:, columns:].any()
    return to[:, :columns]


def kept(rows, columns, **where):
    """(rows, columns) bool: what is not dropped."""
    return dropped(np.ones((rows, columns), np.float32), **where) != 0


@both_dtypes
@pytest.mark.parametrize("shape", [(1, 1), (3, 16), (7, 17), (5, 130)])
def test_the_kernels_use_the_masks_of_the_reference(shape, dtype):
    values = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    where = {"seed": (1 << 62) - 5, "layer": 2, "step": 10**12}
    whole = mask(0.3, rows=shape[0] + 4, columns=shape[1], **where).astype(dtype)
    values[1:2] = -0.0  # is not taken for dropped
    got = np.ascontiguousarray(dropped(values, row=4, **where))
    np.testing.assert_array_equal(got, values * whole[4:])
    assert (np.signbit(got) == (whole[4:] == 0))[1:2].all()
    delta = np.ones_like(values)
    drop_delta.call(dtype)(address(delta), address(got), delta.size, round(0.3 * EVENTS))
    np.testing.assert_array_equal(delta, whole[4:])


def test_what_is_dropped_is_zero_even_where_the_output_is_not_finite():
    values = np.full((8, 32), np.inf)
    got = dropped(values, rate=0.5)
    assert set(got.ravel().tolist()) == {0.0, np.inf}


# ---- statistics ---------------------------------------------------------------------------------


def assert_chi_square(observed, expected, free):
    """Within six deviations of what chance gives; free: degrees of freedom."""
    chi_square = (((observed - expected) ** 2) / expected).sum()
    assert abs(chi_square - free) < 6 * np.sqrt(2 * free)


def test_random_words_are_uniform_in_every_byte():
    words = np.array([random_words(1, 0, 0, row, 256) for row in range(1024)])
    for shift in (0, 8, 16, 24):
        counts = np.bincount(((words >> np.uint32(shift)) & np.uint32(255)).ravel(), minlength=256)
        assert_chi_square(counts, words.size / 256, 255)


def test_neighbours_of_any_kind_are_independent():
    """Of the pairs in columns, rows, steps, layers and seeds, all four outcomes are as likely."""
    rate = 0.3
    base = {"seed": 1, "layer": 0, "step": 0, "row": 0}
    one = kept(512, 512, rate=rate, **base)
    pairs = {"columns": (one[:, :-1], one[:, 1:]), "rows": (one[:-1], one[1:])}
    for distance in (2, 16, 128):
        pairs[f"columns {distance} apart"] = one[:, :-distance], one[:, distance:]
    for name in ("seed", "layer", "step"):
        for distance in (1, 2, 256):
            other = kept(512, 512, rate=rate, **base | {name: base[name] + distance})
            pairs[f"{name} {distance} apart"] = one, other
    pairs["step of one layer, layer of one step"] = (
        kept(512, 512, rate=rate, **base | {"step": 1}),
        kept(512, 512, rate=rate, **base | {"layer": 1}),
    )
    p = np.array([rate, 1 - rate])
    for a, b in pairs.values():
        counts = np.bincount((2 * a + b).ravel(), minlength=4)
        assert_chi_square(counts, np.outer(p, p).ravel() * a.size, 3)


@pytest.mark.parametrize("rate", [1e-3, 0.1, 0.5, 0.9])
def test_the_rate_is_right_in_every_row_column_and_step(rate):
    masks = np.array([kept(128, 128, rate=rate, step=step) for step in range(64)])
    for axes in ((0, 1), (0, 2), (1, 2)):
        counts = (~masks).sum(axis=axes)
        size = masks.size / counts.size
        both = np.array([counts, size - counts])
        assert_chi_square(both, size * np.array([[rate], [1 - rate]]), counts.size)
    deviation = np.sqrt(rate * (1 - rate) / masks.size)
    assert abs((~masks).mean() - rate) < 5 * deviation


@both_dtypes
def test_the_mean_of_dropped_outputs_is_that_of_the_outputs(dtype):
    values = np.random.default_rng(0).standard_normal((1, 64)).astype(dtype)
    many = np.array([dropped(values, rate=0.4, step=step)[0] for step in range(20_000)])
    deviation = np.abs(values[0]) * np.sqrt(0.4 / 0.6 / len(many))
    assert (np.abs(many.mean(axis=0, dtype=float) - values[0]) < 5 * deviation).all()


# ---- training -----------------------------------------------------------------------------------

SHAPES = {  # layers, rows, batch size
    "one": ((3, 1, 1), 9, 1),
    "short": ((5, 17, 9, 4), 37, 16),
    "parts": ((5, 17, 9, 4), 2003, 1501),
    "slabs": ((20, 260, 130, 3), 900, 600),
    "wide": ((30, 620, 3), 33, 32),
}


@pytest.mark.parametrize("activation", ["tanh", "gelu", "relu"])
@pytest.mark.parametrize("shape", SHAPES)
def test_fit_and_single_steps_are_those_of_the_reference(shape, activation):
    layers, rows, batch = SHAPES[shape]
    rates = [0.4, 0.1][: len(layers) - 2]
    net, ref = twins(layers, activation, optimizer=ADAM, dropout=rates)
    X, y = data(rows, layers[0], layers[-1])
    history = net.fit(X, y, epochs=3, batch_size=batch, shuffle=False, progress=False)
    np.testing.assert_allclose(history["loss"], ref.fit(X, y, 3, batch), rtol=1e-10)
    for _ in range(2):
        assert net.train_step(X[:9], y[:9]) == pytest.approx(ref.train_step(X[:9], y[:9]), 1e-10)
    assert_same_parameters(net, ref, 1e-10)


@pytest.mark.parametrize("loss", [LOSSES[0], LABELS], ids=str)
def test_layers_without_it_stay_whole(loss):
    net, ref = twins([5, 17, 9, 7, 4], loss=loss, dropout=[0.0, 0.5, 0.0])
    X, y = data(33, 5, 4, loss.targets)
    net.fit(X, y, epochs=5, batch_size=8, shuffle=False, progress=False)
    ref.fit(X, y, 5, 8)
    assert_same_parameters(net, ref, 1e-10)


def test_the_update_is_the_gradient_of_the_loss_under_the_mask():
    """By central differences of the loss of the same step, which has the same mask."""
    sgd = Case("sgd", {"lr": 1.0})
    net = network([4, 9, 7, 3], "gelu", optimizer=sgd, dropout=[0.3, 0.5])
    X, y = data(11, 4, 3)
    stepped = copy.deepcopy(net)
    stepped.train_step(X, y)
    for number, parameter in enumerate([*net.weights, *net.biases]):
        numeric = np.zeros(parameter.shape)
        for place in np.ndindex(parameter.shape):
            losses = []
            for change in (1e-5, -1e-5):
                other = copy.deepcopy(net)
                [*other.weights, *other.biases][number][place] += change
                losses.append(other.train_step(X, y))
            numeric[place] = (losses[0] - losses[1]) / 2e-5
        gradient = parameter - [*stepped.weights, *stepped.biases][number]
        assert_close([gradient], [numeric], 1e-7)


def test_all_but_training_goes_without():
    net, plain = (network([5, 17, 9, 4], **options) for options in ({"dropout": 0.5}, {}))
    X, y = data(33, 5, 4)
    for one in (net, plain):
        one.train_step(X, y)  # makes the plan in which dropout is on
    for layer in range(3):
        plain.weights[layer][:] = net.weights[layer]
        plain.biases[layer][:] = net.biases[layer]
    np.testing.assert_array_equal(net.predict(X), plain.predict(X))
    assert net.evaluate(X, y) == plain.evaluate(X, y)
    (loss, got), (expected, want) = (one.loss_and_gradients(X, y) for one in (net, plain))
    assert loss == expected
    np.testing.assert_array_equal(np.concatenate(got.biases), np.concatenate(want.biases))
    history = net.fit(X, y, validation_data=(X, y), progress=False)
    assert history["val_loss"] == [net.evaluate(X, y)["loss"]]
    assert history["loss"] != [plain.fit(X, y, progress=False)["loss"][0]]


# ---- what the masks depend on -------------------------------------------------------------------


def trained(epochs=(6,), steps_a_call=None, monkeypatch=None, **arguments):
    net = fastbp.Network([5, 17, 9, 4], rng=0, dropout=0.4, **arguments)
    X, y = data(37, 5, 4)
    if steps_a_call is not None:
        monkeypatch.setattr(engine, "STEPS_A_CALL", steps_a_call)
    losses = [loss for e in epochs for loss in net.fit(X, y, e, 8, progress=False)["loss"]]
    return learned(net) | {"losses": np.array(losses)}


@both_dtypes
@pytest.mark.parametrize("threads", [1, 2])
def test_epochs_may_be_cut_into_calls_in_any_way(threads, dtype, monkeypatch):
    whole = trained(threads=threads, dtype=dtype)
    assert_same(trained((1, 2, 3), threads=threads, dtype=dtype), whole)
    cut = trained(threads=threads, dtype=dtype, steps_a_call=2, monkeypatch=monkeypatch)
    losses, wanted = cut.pop("losses"), whole.pop("losses")
    np.testing.assert_allclose(losses, wanted, rtol=1e-12)  # means of means
    assert_same(cut, whole)


def test_single_steps_drop_what_an_epoch_does():
    nets = [network([5, 17, 9, 4], dropout=0.4) for _ in range(2)]
    X, y = data(37, 5, 4)
    nets[0].fit(X, y, epochs=2, batch_size=8, shuffle=False, progress=False)
    for _ in range(2):
        for start in range(0, 37, 8):
            nets[1].train_step(X[start : start + 8], y[start : start + 8])
    assert_same(learned(nets[1]), learned(nets[0]))


def test_both_dtypes_drop_the_same():
    nets = [network([5, 17, 4], dtype=dtype, dropout=0.4) for dtype in ("float32", "float64")]
    X, y = data(37, 5, 4)
    first, second = ([net.train_step(X, y) for _ in range(20)] for net in nets)
    np.testing.assert_allclose(first, second, rtol=1e-4)


def test_the_seed_is_drawn_after_the_weights_and_only_with_dropout():
    plain, none, some = (
        fastbp.Network([5, 9, 4], rng=3, **options)
        for options in ({}, {"dropout": 0.0}, {"dropout": 0.1})
    )
    assert_same(contents(none), contents(plain))
    assert_same(learned(some), learned(plain))
    assert contents(some)["rng"] != contents(plain)["rng"]
    other = fastbp.Network([5, 9, 4], rng=4, dropout=0.1)
    for layer in range(2):
        other.weights[layer][:] = some.weights[layer]
    X, y = data(37, 5, 4)
    for net in (some, other):
        net.train_step(X, y)
    assert_different(learned(other), learned(some))


def test_a_failed_epoch_takes_its_masks_back():
    net, twin = (fastbp.Network([5, 17, 9, 4], rng=0, dropout=0.4) for _ in range(2))
    X, y = data(37, 5, 4)
    for one in (net, twin):
        one.fit(X, y, epochs=2, batch_size=8, shuffle=False)
        if one is net:
            bad = y.copy()
            bad[30] = 1e30
            with pytest.raises(FloatingPointError):
                one.fit(X, bad, epochs=2, batch_size=8, shuffle=False)
        one.fit(X, y, epochs=2, batch_size=8, shuffle=False)
    assert_same(learned(net), learned(twin))
