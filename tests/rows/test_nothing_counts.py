"""Batches in which nothing counts: loss 0 and gradient 0, and an update like others, everywhere."""

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp.callbacks import Callback

NAN = float("nan")
X, Y = data(12, 5, 4)
LABELS = data(12, 5, 4, "labels")[1]
BITS = data(12, 5, 1, "bits")[1]
NONE = np.zeros(12)


def network(loss="mse", outputs=4):
    """A trained one: its momentum moves it on where the gradient is 0."""
    optimizer = fastbp.SGD(0.05, momentum=0.9, weight_decay=0.1)
    net = fastbp.Network([5, 9, outputs], loss=loss, optimizer=optimizer, dtype="float64", rng=0)
    targets = {"mse": Y, "cross_entropy": LABELS, "binary_cross_entropy": BITS}[loss]
    net.fit(X, targets, 2, 5, progress=False)
    return net


NOTHING = [
    ("mse", Y, {"sample_weight": NONE}),
    ("mse", Y * NAN, {"mask_nan": True}),
    ("mse", Y * NAN, {"mask_nan": True, "sample_weight": 1 + NONE}),
    ("mse", np.where(np.arange(12)[:, None] < 5, NAN, Y),
     {"mask_nan": True, "sample_weight": np.arange(12) < 5}),
    ("cross_entropy", LABELS, {"sample_weight": NONE}),
    ("cross_entropy", LABELS * NAN, {"mask_nan": True}),
    ("cross_entropy", LABELS, {"class_weight": dict.fromkeys(range(4), 0)}),
    ("cross_entropy", LABELS * NAN, {"class_weight": "balanced", "mask_nan": True}),
    ("cross_entropy", np.eye(4)[LABELS] * NAN, {"class_weight": "balanced", "mask_nan": True}),
    ("cross_entropy", np.eye(4)[LABELS], {"class_weight": dict.fromkeys(range(4), 0)}),
    ("cross_entropy", np.eye(4)[LABELS], {"sample_weight": NONE}),
    ("binary_cross_entropy", BITS * NAN, {"mask_nan": True}),
    ("binary_cross_entropy", BITS * NAN, {"class_weight": "balanced", "mask_nan": True}),
]  # fmt: skip
nothing = pytest.mark.parametrize(("loss", "y", "options"), NOTHING, ids=range(len(NOTHING)))


def by_momentum(loss, outputs, steps=1):
    """The network after updates by a gradient of 0, as a fit makes them since it has weights."""
    net = network(loss, outputs)
    velocity, state = net._core.engine.slot(1), net._core.engine.slot(0)
    for _ in range(steps):
        velocity *= 0.9
        velocity += 0.1 * state
        state -= 0.05 * velocity
    return net


@nothing
def test_steps_and_gradients(loss, y, options):
    outputs = 1 if loss == "binary_cross_entropy" else 4
    net, want = network(loss, outputs), by_momentum(loss, outputs)
    steps = net.steps
    value, gradients = net.loss_and_gradients(X, y, **options)
    assert value == 0
    assert not any(part.any() for part in (*gradients.weights, *gradients.biases))
    assert net.train_step(X, y, **options) == 0
    assert net.steps == steps + 1
    for got, to in zip((*net.weights, *net.biases), (*want.weights, *want.biases), strict=True):
        np.testing.assert_allclose(got, to, rtol=1e-12)


@nothing
def test_evaluation(loss, y, options):
    net = network(loss, 1 if loss == "binary_cross_entropy" else 4)

    def never(y_true, y_pred):
        raise AssertionError("called without rows")

    if "class_weight" in options and "mask_nan" not in options:
        found = net.evaluate(X, y, **options)
        assert found == net.evaluate(X, y) | {"loss": 0}  # for metrics the rows count
        return
    metrics = [never, *(["mae"] if loss == "mse" else [])]
    found = net.evaluate(X, y, metrics=metrics, **options)
    classes = loss == "binary_cross_entropy" or (loss == "cross_entropy" and y.ndim == 1)
    assert list(found) == ["loss", *["accuracy"] * classes, *["never", "mae"][: len(metrics)]]
    assert found.pop("loss") == 0
    assert np.isnan(list(found.values())).all()


@nothing
def test_a_fit_can_learn_nothing_from_nothing(loss, y, options):
    net = network(loss, 1 if loss == "binary_cross_entropy" else 4)
    before = contents(net)
    with raises(ValueError, "no row weighs anything by ", "all weights are zero"):
        net.fit(X, y, **options)
    assert_same(contents(net), before)


def test_what_a_fit_says_of_nothing():
    net = network()
    told = "no row weighs anything by "
    with raises(ValueError, told + "y (every target of it is NaN)"):
        net.fit(X, Y * NAN, mask_nan=True)
    with raises(ValueError, told + "sample_weight and mask_nan"):
        net.fit(X, Y * NAN, mask_nan=True, sample_weight=NONE)
    with raises(ValueError, told + "validation_data y (every"):
        net.fit(X, Y, validation_data=(X, Y * NAN), mask_nan=True)
    with raises(ValueError, told + "validation_data sample_weight:"):
        net.fit(X, Y, validation_data=(X, Y, NONE))
    with raises(ValueError, told + "validation part of sample_weight:"):
        net.fit(X, Y, validation_split=0.5, sample_weight=np.arange(12) < 6)
    with raises(ValueError, told + "validation_data sample_weight:"):
        net.fit_batches([(X, Y)], validation_data=(X, Y, NONE))
    with raises(ValueError, told + "sample_weight and class_weight:"):
        network("cross_entropy").fit(
            X, LABELS, sample_weight=LABELS == 1, class_weight={0: 1, 1: 0, 2: 1, 3: 1}
        )


def test_partial_fit_takes_what_a_batch_takes():
    net, want = network(), by_momentum("mse", 4, 3)
    history = net.partial_fit(X, Y, 4, sample_weight=NONE)
    assert history["loss"] == [0]
    np.testing.assert_allclose(net.weights[0], want.weights[0], rtol=1e-12)
    net = network()
    history = net.partial_fit(X, Y, 5, sample_weight=np.ones(12))
    other = network()
    want = other.fit(X, Y, 1, 5, shuffle=False, progress=False)
    assert dict(history) == dict(want)
    assert_same(contents(net), contents(other))


class Steps(Callback):
    def on_step_end(self, fit):
        pass


@pytest.mark.parametrize("callbacks", [[], [Steps()]], ids=["together", "one by one"])
def test_batches(callbacks):
    """One that counts nothing has no part in the mean of its epoch; none that counts: 0."""
    weights = np.r_[np.ones(4), NONE[:4], np.ones(4)]
    holed = np.where(weights[:, None] > 0, Y, NAN)
    cuts = [slice(at, at + 4) for at in (0, 4, 8)]
    fitted, weighted, masked = network(), network(), network()
    options = {"progress": False, "callbacks": callbacks}
    want = fitted.fit(X, Y, 2, 4, shuffle=False, sample_weight=weights, **options)
    got = weighted.fit_batches([(X[at], Y[at], weights[at]) for at in cuts], 2, **options)
    np.testing.assert_allclose(got["loss"], want["loss"], rtol=1e-14)
    assert_same(contents(weighted), contents(fitted))
    batches = [(X[at], holed[at]) for at in cuts]
    got = masked.fit_batches(batches, 2, mask_nan=True, **options)
    np.testing.assert_allclose(got["loss"], want["loss"], rtol=1e-14)
    assert_same(contents(masked), contents(fitted))
    history = masked.fit_batches([(X, Y, NONE)] * 2, 2, **options)
    assert history["loss"] == [0, 0]
    assert masked.steps == fitted.steps + 4


# ---- tasks --------------------------------------------------------------------------------------

BOTH = {"price": Y[:, :1], "kind": LABELS % 3}
WITHOUT = {**BOTH, "price": BOTH["price"] * NAN}


def tasks(**options):
    return fastbp.Network(
        [5, 9, 4], loss={"price": "mse", "kind": "cross_entropy"},
        outputs={"price": 1, "kind": 3}, dtype="float64", rng=0, **options,
    )  # fmt: skip


@pytest.mark.parametrize("callbacks", [[], [Steps()]], ids=["together", "one by one"])
def test_one_task_of_several_without_a_label(callbacks):
    """It changes nothing: as if its loss had no weight."""
    net, want = tasks(), tasks(loss_weights={"price": 0})
    options = {"validation_data": (X, WITHOUT), "mask_nan": True, "progress": False}
    metrics = {"price": ["mae"], "kind": ["top_2_accuracy"]}
    history = net.fit(X, WITHOUT, 2, 5, metrics=metrics, callbacks=callbacks, **options)
    plain = want.fit(X, BOTH, 2, 5, validation_data=(X, BOTH), progress=False)
    assert history["price_loss"] == history["val_price_loss"] == [0, 0]
    for name in ("loss", "kind_loss", "val_loss", "val_kind_loss", "val_kind_accuracy"):
        np.testing.assert_allclose(history[name], plain[name], rtol=1e-12)
    assert np.isnan(history["val_price_mae"]).all()
    assert np.isfinite(history["val_kind_top_2_accuracy"]).all()
    for got, to in zip(net.weights, want.weights, strict=True):
        np.testing.assert_allclose(got, to, rtol=1e-12)
    loss = want.train_step(X, BOTH)
    assert net.train_step(X, WITHOUT, mask_nan=True) == pytest.approx(loss, rel=1e-12)


def test_tasks_without_any_label():
    net = tasks()
    none = {name: targets * NAN for name, targets in BOTH.items()}
    before = contents(net)
    with raises(ValueError, "no row weighs anything by y (every target of it is NaN)"):
        net.fit(X, none, mask_nan=True)
    with raises(ValueError, "no row weighs anything by validation_data y (every"):
        net.fit(X, BOTH, validation_data=(X, none), mask_nan=True)
    assert_same(contents(net), before)
    found = net.evaluate(X, none, mask_nan=True)
    assert [found[name] for name in ("loss", "price_loss", "kind_loss")] == [0, 0, 0]
    assert np.isnan(found["kind_accuracy"])
    assert net.train_step(X, none, mask_nan=True) == 0
    twin = tasks()
    twin.train_step(X, none, mask_nan=True)
    both = [(X, none), (X, BOTH)]
    losses = [twin.train_step(*batch, mask_nan=True) for batch in both]
    history = net.fit_batches(both, mask_nan=True, progress=False)
    assert (losses[0], history["loss"]) == (0, [losses[1]])
    assert net.fit_batches([(X, none)], mask_nan=True)["loss"] == [0]
