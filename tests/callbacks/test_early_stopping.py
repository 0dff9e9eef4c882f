"""EarlyStopping and `tol`: when a fit ends, why, and what the network is then."""

import copy

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents, learned
from expect import raises

import fastbp
from fastbp.callbacks import Callback, Checkpoint, EarlyStopping

X, Y = data(37, 5, 4)
VALIDATION = data(20, 5, 4, seed=1)


def network(**arguments):
    arguments = {"optimizer": fastbp.Adam(0.05)} | arguments
    return fastbp.Network([5, 30, 4], dtype="float64", rng=0, **arguments)


class Keeper(Callback):
    """Copies the network after each epoch."""

    def __init__(self):
        self.copies = []

    def on_epoch_end(self, fit):
        self.copies.append(learned(copy.deepcopy(fit.network)))


@pytest.mark.parametrize("patience", [1, 3])
def test_the_fit_ends_after_epochs_without_improvement_at_its_best(patience):
    net, keeper, stopping = network(), Keeper(), EarlyStopping(patience=patience)
    history = net.fit(X, Y, 500, 8, validation_data=VALIDATION, callbacks=[keeper, stopping])
    losses = history["val_loss"]
    best = int(np.argmin(losses))
    assert history.epochs == best + 1 + patience < 500
    assert (stopping.best, stopping.best_epoch) == (losses[best], best + 1)
    assert history.stopped.startswith(f"val_loss has not improved for {patience} epoch")
    assert_same(learned(net), keeper.copies[best])
    assert net.evaluate(*VALIDATION)["loss"] == losses[best]


def test_without_restoring_the_network_stays_where_the_fit_ended():
    net, keeper = network(), Keeper()
    stopping = EarlyStopping(patience=2, restore_best=False)
    net.fit(X, Y, 500, 8, validation_data=VALIDATION, callbacks=[keeper, stopping])
    assert_same(learned(net), keeper.copies[-1])


def test_the_best_epoch_is_restored_at_the_end_of_a_fit_that_was_not_stopped():
    net, keeper = network(), Keeper()
    history = net.fit(
        X, Y, 30, 8, validation_data=VALIDATION, callbacks=[keeper, EarlyStopping(patience=99)]
    )
    assert history.stopped is None
    best = int(np.argmin(history["val_loss"]))
    assert best < 29
    assert_same(learned(net), keeper.copies[best])


def test_the_network_trains_on_from_its_best_epoch():
    net, twin = network(), network()
    history = net.fit(
        X, Y, 500, 8, shuffle=False, validation_data=VALIDATION, callbacks=[EarlyStopping()]
    )
    twin.fit(X, Y, int(np.argmin(history["val_loss"])) + 1, 8, shuffle=False)
    for n in (net, twin):
        n.fit(X, Y, 2, 8, shuffle=False)
    assert_same(learned(net), learned(twin))


def test_quantities_that_are_to_grow():
    X, y = data(37, 5, 4, "labels")
    net = fastbp.Network([5, 9, 4], loss="cross_entropy", rng=0, optimizer=fastbp.SGD(0))
    stopping = EarlyStopping("val_accuracy", patience=2)
    history = net.fit(X, y, 9, validation_data=(X, y), callbacks=[stopping])
    assert history.epochs == 3
    assert stopping.best_epoch == 1
    assert EarlyStopping("val_accuracy")._monitor.better(0.5, 0.4)
    assert not EarlyStopping("val_accuracy")._monitor.better(0.3, 0.4)


def test_the_change_that_counts_and_the_way_it_goes():
    net = network(optimizer=fastbp.SGD(1e-6))
    history = net.fit(X, Y, 50, callbacks=[EarlyStopping("loss", 4, min_delta=0.1)])
    assert history.epochs == 5
    assert "by more than 0.1 for 4 epochs" in history.stopped
    history = net.fit(X, Y, 50, callbacks=[EarlyStopping("loss", 4, mode="max")])
    assert history.epochs == 5  # it falls


def test_a_loss_that_is_not_finite_is_no_improvement():
    bad = VALIDATION[0], VALIDATION[1] * 1e200
    history = network().fit(X, Y, 50, validation_data=bad, callbacks=[EarlyStopping(patience=3)])
    assert history.epochs == 3
    assert history.stopped == "val_loss has not improved for 3 epochs"


def test_one_object_for_several_fits():
    stopping = EarlyStopping("loss", patience=2, mode="max")
    for _ in range(2):
        net = network(optimizer=fastbp.SGD(1e-3))
        assert net.fit(X, Y, 50, 8, callbacks=[stopping]).epochs == 3
        assert stopping.best_epoch == 1


def test_a_divergence_restores_the_best_epoch():
    y = Y.copy()
    net, keeper = network(), Keeper()

    class Spoil(Callback):
        def on_epoch_end(self, fit):
            if fit.epoch == 30:
                y[30] = 1e200

    with raises(FloatingPointError, "epoch 31"):
        net.fit(
            X, y, 40, 8, shuffle=False, validation_data=VALIDATION,
            callbacks=[keeper, Spoil(), stopping := EarlyStopping(patience=99)],
        )  # fmt: skip
    assert_same(learned(net), keeper.copies[stopping.best_epoch - 1])


@pytest.mark.parametrize("after", [1, 3, 6])
def test_a_resumed_fit_ends_where_the_whole_one_does(after, tmp_path):
    def stopping():
        return EarlyStopping(patience=5)

    whole = network()
    arguments = {"epochs": 500, "batch_size": 8, "validation_data": VALIDATION}
    want = whole.fit(X, Y, callbacks=[stopping(), Checkpoint(tmp_path / "{epoch}")], **arguments)
    assert want.epochs > 6
    for epoch in (after, want.epochs):  # and after the last one nothing but the best is restored
        net = fastbp.load(tmp_path / f"{epoch}")
        got = net.fit(X, Y, callbacks=[stopping()], resume=True, **arguments)
        assert dict(got) == dict(want)
        assert got.stopped == want.stopped
        assert_same(contents(net), contents(whole))


def test_a_resumed_fit_of_another_network_is_refused(tmp_path):
    stopping = EarlyStopping("loss")
    network().fit(X, Y, 2, 8, callbacks=[stopping, Checkpoint(tmp_path / "m")])
    state = EarlyStopping("loss").state()
    for wrong in ({}, {**state, "best": "1"}, {**state, "parameters": 3}, {**state, "waited": -1}):
        with pytest.raises((TypeError, ValueError)):
            EarlyStopping("loss").restore(wrong)
    net = fastbp.load(tmp_path / "m")
    _, fit = net._core.interrupted
    fit.callbacks[0][1]["parameters"] = np.zeros(3)
    with raises(ValueError, "best parameters must be float64 of shape"):
        net.fit(X, Y, 4, 8, callbacks=[EarlyStopping("loss")], resume=True)
    net = fastbp.load(tmp_path / "m")
    _, fit = net._core.interrupted
    fit.callbacks[0][1]["steps"] = 10**10
    with raises(ValueError, "best parameters must have at most 10 steps"):
        net.fit(X, Y, 4, 8, callbacks=[EarlyStopping("loss")], resume=True)


@pytest.mark.parametrize(
    ("monitor", "parts"),
    [
        ("val_loss", ("EarlyStopping watches 'val_loss'", "it records 'loss'", "validation_data")),
        ("accuracy", ("EarlyStopping watches 'accuracy'", "it records 'loss'")),
    ],
)
def test_a_quantity_that_nothing_records_is_found_before_training(monitor, parts):
    net = network()
    before = contents(net)
    with raises(ValueError, *parts):
        net.fit(X, Y, 3, callbacks=[EarlyStopping(monitor)])
    assert_same(contents(net), before)


@pytest.mark.parametrize(
    ("arguments", "error", "part"),
    [
        ({"patience": 0}, ValueError, "patience must be an integer of at least 1"),
        ({"min_delta": -1}, ValueError, "min_delta"),
        ({"mode": "up"}, ValueError, "mode must be one of 'auto', 'min', 'max'"),
        ({"monitor": "happiness"}, ValueError, "mode must be 'min' or 'max' for monitor="),
        ({"monitor": None}, TypeError, "monitor must be the name"),
        ({"restore_best": 1}, TypeError, "restore_best must be True or False"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_used(arguments, error, part):
    with raises(error, part):
        EarlyStopping(**arguments)


# ---- tol ----------------------------------------------------------------------------------------


def test_tol_ends_the_fit_when_the_loss_no_longer_falls():
    net = network(optimizer=fastbp.SGD(1e-9))
    history = net.fit(X, Y, 100, 8, shuffle=False, tol=1e-4)
    assert history.epochs == 11
    assert history.stopped.startswith("loss has not improved by more than 0.0001 for 10 epochs")
    assert net.steps == 55  # nothing is put back


def test_tol_lets_a_falling_loss_fall():
    net, plain = network(), network()
    history = net.fit(X, Y, 20, 8, tol=0)
    plain.fit(X, Y, 20, 8)
    assert history.stopped is None
    assert_same(contents(net), contents(plain))


@pytest.mark.parametrize("tol", [-1, float("nan"), "small"])
def test_a_tol_that_cannot_be_used(tol):
    with pytest.raises((TypeError, ValueError), match="tol must be"):
        network().fit(X, Y, tol=tol)
