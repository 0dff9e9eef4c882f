"""Network.fit: epochs, batches, order, History, validation and progress."""

import io
import sys

import numpy as np
import pytest
from cases import LOSSES, Case, data
from contents import assert_different, assert_same, contents, learned

import fastbp
from fastbp.engine import engine

LABELS = Case("cross_entropy", targets="labels")
BOTH = pytest.mark.parametrize("dtype", ["float32", "float64"])


def network(dtype="float64", loss="mse", **arguments):
    return fastbp.Network([5, 9, 4], loss=loss, dtype=dtype, rng=0, **arguments)


@BOTH
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_epochs_of_one_call_are_epochs_of_many(loss, dtype):
    X, y = data(37, 5, 4, loss.targets)
    once, often = network(dtype, loss.loss()), network(dtype, loss.loss())
    together = once.fit(X, y, epochs=7, batch_size=8, shuffle=False)["loss"]
    apart = [often.fit(X, y, batch_size=8, shuffle=False)["loss"][0] for _ in range(7)]
    assert together == apart
    assert once.steps == 7 * 5
    assert_same(learned(once), learned(often))


def test_shuffled_epochs_of_one_call_are_epochs_of_many():
    X, y = data(37, 5, 4)
    once, often = network(), network()
    once.fit(X, y, epochs=7, batch_size=8)
    for _ in range(7):
        often.fit(X, y, batch_size=8)
    assert_same(contents(once), contents(often))


@pytest.mark.parametrize(("batch_size", "draws"), [(36, True), (37, False), (1000, False)])
def test_only_batches_of_some_rows_are_drawn(batch_size, draws):
    X, y = data(37, 5, 4)
    drawn, ordered = network(), network()
    drawn.fit(X, y, epochs=3, batch_size=batch_size)
    ordered.fit(X, y, epochs=3, batch_size=batch_size, shuffle=False)
    (assert_different if draws else assert_same)(contents(drawn), contents(ordered))


@BOTH
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_an_epoch_in_several_calls_has_the_same_bits(dtype, shuffle, steps, monkeypatch):
    X, y = data(37, 5, 4)
    whole, parts = network(dtype), network(dtype)
    want = whole.fit(X, y, epochs=3, batch_size=8, shuffle=shuffle)
    monkeypatch.setattr(engine, "STEPS_A_CALL", steps)
    got = parts.fit(X, y, epochs=3, batch_size=8, shuffle=shuffle)
    np.testing.assert_allclose(got["loss"], want["loss"], rtol=1e-14)
    assert_same(contents(parts), contents(whole))


def test_shuffling_draws_from_rng():
    X, y = data(37, 5, 4)
    one, same = network(), network()
    for net in (one, same):
        net.fit(X, y, epochs=3, batch_size=8)
    assert_same(contents(one), contents(same))
    ordered = network()
    drawn = contents(ordered)["rng"]
    ordered.fit(X, y, epochs=3, batch_size=8, shuffle=False)
    assert contents(ordered)["rng"] == drawn
    assert_different(learned(ordered), learned(one))
    generator = np.random.default_rng(0)
    net = fastbp.Network([5, 9, 4], dtype="float64", rng=generator)
    net.fit(X, y, epochs=3, batch_size=8)
    assert_same(learned(net), learned(one))
    assert generator.bit_generator.state == contents(one)["rng"]


def test_every_epoch_visits_every_row_once_in_another_order():
    """With weights held at zero, a row's loss is its target: batches of one tell the order."""
    targets = np.linspace(-3.1, 4.7, 10) ** 3
    net = fastbp.Network(
        [1, 1], loss="mse", optimizer=fastbp.SGD(0.1), initializer="zeros", dtype="float64", rng=0
    )
    X = np.zeros((10, 1))
    # Each step moves the bias towards its target, so the mean loss depends on the order.
    orders = {tuple(net.fit(X, targets, epochs=1, batch_size=1)["loss"]) for _ in range(6)}
    assert len(orders) == 6
    net = fastbp.Network(
        [1, 1], optimizer=fastbp.SGD(0.0), initializer="zeros", dtype="float64", rng=0
    )
    losses = net.fit(X, targets, epochs=5, batch_size=3)["loss"]
    np.testing.assert_allclose(losses, np.mean(targets**2))


@pytest.mark.parametrize(
    ("batch_size", "steps"), [(1, 10), (3, 4), (9, 2), (10, 1), (11, 1), (10**18, 1)]
)
def test_batch_size(batch_size, steps):
    X, y = data(10, 5, 4)
    net = network()
    assert net.fit(X, y, epochs=2, batch_size=batch_size).epochs == 2
    assert net.steps == 2 * steps


def test_one_row_and_numpy_integers():
    X, y = data(1, 5, 4)
    net = network()
    assert net.fit(X, y, epochs=np.int64(3), batch_size=np.uint8(7)).epochs == 3
    assert net.steps == 3


def test_a_second_fit_goes_on_with_the_optimizer_where_it_stood():
    X, y = data(37, 5, 4)
    once, twice = network(), network()
    once.fit(X, y, epochs=5, shuffle=False)
    twice.fit(X, y, epochs=2, shuffle=False)
    twice.fit(X, y, epochs=3, shuffle=False)
    assert_same(learned(twice), learned(once))


def test_the_loss_of_an_epoch_is_the_mean_over_rows_before_each_update():
    X, y = data(37, 5, 4)
    net, by_hand = network(), network()
    loss = net.fit(X, y, batch_size=16, shuffle=False)["loss"][0]
    parts = [slice(0, 16), slice(16, 32), slice(32, 37)]
    losses = [by_hand.train_step(X[part], y[part]) for part in parts]
    assert loss == pytest.approx(np.average(losses, weights=[16, 16, 5]), rel=1e-14)


def test_history_with_validation_data():
    X, y = data(37, 5, 4, "labels")
    net = network(loss="cross_entropy")
    history = net.fit(X, y, epochs=4, validation_data=(X[:9], y[:9]))
    assert list(history) == ["loss", "val_loss", "val_accuracy"]
    assert all(len(column) == 4 for column in history.values())
    last = net.evaluate(X[:9], y[:9])
    assert (history["val_loss"][-1], history["val_accuracy"][-1]) == (
        last["loss"],
        last["accuracy"],
    )
    values = network().fit(*data(37, 5, 4), validation_data=list(data(5, 5, 4)))
    assert list(values) == ["loss", "val_loss"]


def test_validation_changes_nothing():
    X, y = data(37, 5, 4)
    with_it, without = network(), network()
    history = with_it.fit(X, y, epochs=3, batch_size=8, validation_data=data(300, 5, 4, seed=1))
    assert history["loss"] == without.fit(X, y, epochs=3, batch_size=8)["loss"]
    assert_same(contents(with_it), contents(without))


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("progress", "stream", "shown"),
    [
        (None, io.StringIO, False),
        (None, Terminal, True),
        (True, io.StringIO, True),
        (False, Terminal, False),
        (np.True_, io.StringIO, True),
    ],
)
def test_progress(progress, stream, shown, monkeypatch, capfd):
    monkeypatch.setattr(sys, "stderr", stream())
    net, (X, y) = network(), data(37, 5, 4)
    net.fit(X, y, epochs=3, validation_data=(X, y), progress=progress)
    text = sys.stderr.getvalue()
    assert bool(text) == shown
    if shown:
        assert "3/3" in text
        assert "val_loss" in text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("progress", [None, True, False])
def test_progress_where_there_is_no_stderr(progress, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert network().fit(*data(37, 5, 4), progress=progress).epochs == 1


def test_progress_does_not_change_the_numbers():
    X, y = data(37, 5, 4)
    one, other = network(), network()
    assert one.fit(X, y, epochs=3, progress=True)["loss"] == other.fit(X, y, epochs=3)["loss"]
    assert_same(contents(one), contents(other))


def test_training_where_numpy_raises_at_every_floating_point_error():
    """Powers of the betas underflow after some thousand steps; tiny inputs in float32."""
    X, y = data(37, 5, 4)
    net, plain = network("float32"), network("float32")
    plain.fit(X, y * 1e-44, epochs=8000, batch_size=37)
    with np.errstate(all="raise"):
        net.fit(X, y * 1e-44, epochs=8000, batch_size=37)
    assert_same(contents(net), contents(plain))
