"""What metrics count, what they get, and what they say of outputs that are not finite."""

import numpy as np
import pytest
from cases import data
from expect import raises

import fastbp

pytest.importorskip("sklearn.metrics")
X, VALUES = data(60, 5, 4)
LABELS = data(60, 5, 4, "labels")[1]
BITS = data(60, 5, 1, "bits")[1]
PROBABILITIES = data(60, 5, 4, "probabilities")[1]
WEIGHTS = np.random.default_rng(1).random(60) * (np.arange(60) % 7 > 0)
CLASSES = {0: 0.0, 1: 5.0, 2: 0.5, 3: 1.0}  # a class of weight 0, too


def network(loss="cross_entropy", outputs=4):
    return fastbp.Network([5, 9, outputs], loss=loss, dtype="float64", rng=0)


# ---- weights of classes -------------------------------------------------------------------------


def spread(y_true, y_pred):
    return float(np.square(y_true).sum() + y_pred.sum())


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize(
    ("y", "of_classes", "metrics"),
    [
        (LABELS, CLASSES, ["f1", "auc", "top_2_accuracy", spread]),
        (LABELS, "balanced", ["f1", "matthews", spread]),
        (BITS, {0: 0.0, 1: 2.0}, ["f1", "auc", spread]),
        (PROBABILITIES, CLASSES, ["mae", "r2", spread]),
    ],
    ids=["labels", "balanced", "bits", "probabilities"],
)
def test_weights_of_classes_are_for_the_loss_alone(y, of_classes, metrics, weights):
    net = network() if y is not BITS else network("binary_cross_entropy", 1)
    options = {"sample_weight": weights, "metrics": metrics}
    plain = net.evaluate(X, y, **options)
    classed = net.evaluate(X, y, class_weight=of_classes, **options)
    assert classed.pop("loss") != plain.pop("loss")
    assert classed == plain
    history = net.fit(X, y, 2, class_weight=of_classes, progress=False, **options)
    after = net.evaluate(X, y, **options)
    last = {name: values[-1] for name, values in history.items()}
    assert {name: last[name] for name in last if name != "loss"} == {
        name: after[name] for name in last if name != "loss"
    }


def test_weights_of_classes_of_a_task():
    net = fastbp.Network(
        [5, 9, 5], loss={"a": "mse", "b": "cross_entropy"}, outputs={"a": 1, "b": 4}, rng=0
    )
    y = {"a": VALUES[:, 0], "b": LABELS}
    metrics = {"a": ["mae"], "b": ["f1", spread]}
    plain = net.evaluate(X, y, metrics=metrics)
    classed = net.evaluate(X, y, metrics=metrics, class_weight={"b": CLASSES})
    assert {name for name in plain if plain[name] != classed[name]} == {"loss", "b_loss"}


def test_masked_targets_do_not_count_whatever_their_class():
    net, known = network(), np.arange(60) % 5 > 0
    y = np.where(known, LABELS, np.nan)
    found = net.evaluate(X, y, mask_nan=True, class_weight=CLASSES, metrics=["f1"])
    want = net.evaluate(X[known], LABELS[known], metrics=["f1"])
    for name in ("accuracy", "f1"):
        assert found[name] == pytest.approx(want[name], rel=1e-12)


# ---- what is not finite -------------------------------------------------------------------------

OF_CLASSES = [
    "accuracy", "top_2_accuracy", "balanced_accuracy", "precision", "recall", "f1", "auc",
    "average_precision", "matthews",
]  # fmt: skip
OF_VALUES = ["mae", "mse", "rmse", "r2", "explained_variance", "mape", "max_error"]


def largest(y_true, y_pred):
    return y_pred.max()


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("loss", "y", "names"),
    [
        ("mse", VALUES[:, :1], OF_VALUES),
        ("cross_entropy", LABELS, OF_CLASSES),
        ("binary_cross_entropy", BITS, [name for name in OF_CLASSES if "top" not in name]),
    ],
)
def test_metrics_of_outputs_that_are_not_finite(loss, y, names, value, weights):
    net = network(loss, 4 if loss == "cross_entropy" else 1)
    net.biases[1][:] = value
    if loss == "binary_cross_entropy" and not np.isnan(value):
        net.biases[0][:], net.weights[1][:] = np.inf, [[value], *[[-value]] * 8]
    assert not np.isfinite(net.predict(X)).all()
    found = net.evaluate(X, y, sample_weight=weights, metrics=[*names, largest])
    assert found.keys() >= {*names, "largest"}
    for name in names:
        assert np.isnan(found[name]), name
    assert not np.isfinite(found["largest"])


def test_metrics_of_validation_data_that_overflow():
    net = network("mse", 1)
    far = np.copysign(np.full((60, 5), 1.5e308), X)
    net.weights[0][:] = 1.0
    history = net.fit(
        X, VALUES[:, :1], 2, validation_data=(far, VALUES[:, :1]),
        metrics=[*OF_VALUES, largest], progress=False,
    )  # fmt: skip
    assert np.isfinite(history["loss"]).all()
    for name in OF_VALUES:
        assert np.isnan(history[f"val_{name}"]).all(), name
    assert not np.isfinite(history["val_largest"]).any()


def test_large_values_make_no_warning():
    net = network("mse", 1)
    found = net.evaluate(X, 1e200 * VALUES[:, :1], metrics=OF_VALUES)
    assert found["mse"] == np.inf


def test_what_weighs_nothing_need_not_be_finite():
    net, counts = network("mse", 1), np.arange(60) % 7 > 0
    net.weights[0][:] = 1.0
    far = np.where(counts[:, None], X, 1.5e308)
    y, names = VALUES[:, :1], [*OF_VALUES, largest]
    found = net.evaluate(far, y, sample_weight=counts, metrics=names)
    want = net.evaluate(X[counts], y[counts], metrics=names)
    assert found == pytest.approx(want, rel=1e-12)


# ---- the caller's memory ------------------------------------------------------------------------


def minus(y_true, y_pred):
    y_true -= 1
    return 0.0


def doubled(y_true, y_pred):
    y_pred *= 2
    return 0.0


def filled(y_true, y_pred):
    y_true.fill(10**8)
    return 0.0


CHANGES = [minus, doubled, filled]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("weights", [None, np.ones(60), WEIGHTS], ids=["none", "ones", "zeros"])
@pytest.mark.parametrize(
    ("loss", "y"),
    [("cross_entropy", LABELS), ("cross_entropy", PROBABILITIES), ("mse", VALUES)],
    ids=["labels", "probabilities", "values"],
)
def test_a_metric_cannot_change_what_it_is_given(loss, y, weights, change):
    y, net = y.copy(), network(loss)
    kept, options = y.copy(), {"sample_weight": weights, "metrics": [change]}
    for call in (
        lambda: net.evaluate(X, y, **options),
        lambda: net.fit(X, y, 2, **options),
        lambda: net.fit(X, y, 2, validation_data=(X, y), metrics=[change]),
        lambda: net.fit(X, y, 2, validation_split=0.5, **options),
        lambda: net.fit_batches([(X, y)], validation_data=(X, y, weights), metrics=[change]),
    ):
        with raises(ValueError, "read-only"):
            call()
        np.testing.assert_array_equal(y, kept)
    assert y.flags.writeable
    y += 1


def test_a_metric_of_a_task_cannot_either():
    net = fastbp.Network(
        [5, 9, 5], loss={"a": "mse", "b": "cross_entropy"}, outputs={"a": 1, "b": 4}, rng=0
    )
    y = {"a": VALUES[:, :1].astype("float32"), "b": LABELS.copy()}
    for name in y:
        for change in CHANGES:
            with raises(ValueError, "read-only"):
                net.evaluate(X, y, metrics={name: [change]})
    assert y["a"].flags.writeable
    assert y["b"].flags.writeable
    np.testing.assert_array_equal(y["b"], LABELS)
