"""Metrics by name and by function: their values, where they are computed, what is refused."""

import sys

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp import metrics

sklearn_metrics = pytest.importorskip("sklearn.metrics")
X, VALUES = data(60, 5, 4)
LABELS = data(60, 5, 4, "labels")[1]
BITS = data(60, 5, 4, "bits")[1]
WEIGHTS = np.random.default_rng(1).random(60) * (np.arange(60) % 7 > 0)


def network(outputs=4, loss="mse", dtype="float64"):
    return fastbp.Network([5, 9, outputs], loss=loss, dtype=dtype, rng=0)


def of_labels(name, true, p, weights):
    given, found = {"sample_weight": weights}, p.argmax(axis=1)
    macro = given | {"average": "macro", "zero_division": 0}
    return {
        "accuracy": lambda: sklearn_metrics.accuracy_score(true, found, **given),
        "top_2_accuracy": lambda: sklearn_metrics.top_k_accuracy_score(true, p, k=2, **given),
        "balanced_accuracy": lambda: sklearn_metrics.balanced_accuracy_score(true, found, **given),
        "precision": lambda: sklearn_metrics.precision_score(true, found, **macro),
        "recall": lambda: sklearn_metrics.recall_score(true, found, **macro),
        "f1": lambda: sklearn_metrics.f1_score(true, found, **macro),
        "auc": lambda: sklearn_metrics.roc_auc_score(true, p, multi_class="ovr", **given),
        "average_precision": lambda: sklearn_metrics.average_precision_score(true, p, **given),
        "matthews": lambda: sklearn_metrics.matthews_corrcoef(true, found, **given),
    }[name]()


BY_CLASS = [
    "accuracy", "top_2_accuracy", "balanced_accuracy", "precision", "recall", "f1", "auc",
    "average_precision", "matthews",
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("name", BY_CLASS)
def test_classes(name, weights, dtype):
    net = network(loss="cross_entropy", dtype=dtype)
    got = net.evaluate(X, LABELS, sample_weight=weights, metrics=[name])
    want = of_labels(name, LABELS, net.predict(X), weights)
    assert got[name] == pytest.approx(want, rel=1e-6 if dtype == "float32" else 1e-12)
    assert list(got) == ["loss", "accuracy", *([] if name == "accuracy" else [name])]


def test_classes_that_the_targets_lack():
    exceptions = pytest.importorskip("sklearn.exceptions")
    net, labels = network(loss="cross_entropy"), LABELS % 2 * 2  # 0 and 2 of four
    p = net.predict(X)
    each = [sklearn_metrics.average_precision_score(labels == c, p[:, c]) for c in (0, 2)]
    got = net.evaluate(X, labels, metrics=["average_precision"])["average_precision"]
    assert got == pytest.approx(sum(each) / 2, rel=1e-12)
    with pytest.warns(exceptions.UndefinedMetricWarning):
        assert np.isnan(net.evaluate(X, labels, metrics=["auc"])["auc"])


@pytest.mark.parametrize("name", [name for name in BY_CLASS if "top" not in name])
def test_two_classes(name):
    """Softmax over two classes and one sigmoid: those of the class 1."""
    one = network(1, "binary_cross_entropy")
    p, true = one.predict(X)[:, 0], BITS[:, 0].astype(int)
    found = p > 0.5
    want = {
        "accuracy": lambda: sklearn_metrics.accuracy_score(true, found),
        "balanced_accuracy": lambda: sklearn_metrics.balanced_accuracy_score(true, found),
        "precision": lambda: sklearn_metrics.precision_score(true, found),
        "recall": lambda: sklearn_metrics.recall_score(true, found),
        "f1": lambda: sklearn_metrics.f1_score(true, found),
        "auc": lambda: sklearn_metrics.roc_auc_score(true, p),
        "average_precision": lambda: sklearn_metrics.average_precision_score(true, p),
        "matthews": lambda: sklearn_metrics.matthews_corrcoef(true, found),
    }[name]()
    assert one.evaluate(X, true, metrics=[name])[name] == pytest.approx(want, rel=1e-12)
    two = network(2, "cross_entropy")
    for layer in (0, 1):  # softmax over (0, z) is the sigmoid of z
        two.weights[layer][:], two.biases[layer][:] = 0, 0
    two.weights[0][:], two.biases[0][:] = one.weights[0], one.biases[0]
    two.weights[1][:, 1], two.biases[1][1] = one.weights[1][:, 0], one.biases[1][0]
    assert two.evaluate(X, true, metrics=[name])[name] == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "precision", "recall", "f1", "auc",
                                  "average_precision"])  # fmt: skip
def test_several_outputs_of_bits(name):
    net = network(loss="binary_cross_entropy")
    p, true = net.predict(X), BITS.astype(int)
    found = (p > 0.5).astype(int)
    want = {
        "accuracy": (found == true).mean,
        "precision": lambda: sklearn_metrics.precision_score(
            true, found, average="macro", zero_division=0
        ),
        "recall": lambda: sklearn_metrics.recall_score(true, found, average="macro"),
        "f1": lambda: sklearn_metrics.f1_score(true, found, average="macro", zero_division=0),
        "auc": lambda: sklearn_metrics.roc_auc_score(true, p),
        "average_precision": lambda: sklearn_metrics.average_precision_score(true, p),
    }[name]()
    assert net.evaluate(X, BITS, metrics=[name])[name] == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("mae", "mean_absolute_error"),
        ("mse", "mean_squared_error"),
        ("rmse", None),
        ("r2", "r2_score"),
        ("explained_variance", "explained_variance_score"),
        ("mape", "mean_absolute_percentage_error"),
    ],
)
def test_values(name, function, weights):
    net = network()
    found = net.predict(X)
    if function is None:
        want = sklearn_metrics.mean_squared_error(VALUES, found, sample_weight=weights) ** 0.5
    else:
        want = getattr(sklearn_metrics, function)(VALUES, found, sample_weight=weights)
    got = net.evaluate(X, VALUES, sample_weight=weights, metrics=[name])
    assert got[name] == pytest.approx(want, rel=1e-12)


def test_the_largest_error_of_one_output():
    net = network(1)
    got = net.evaluate(X, VALUES[:, 0], metrics=["max_error"])["max_error"]
    assert got == pytest.approx(abs(net.predict(X)[:, 0] - VALUES[:, 0]).max(), rel=1e-12)


def bias(y_true, y_pred):
    return (y_pred - y_true).mean()


def test_a_function():
    net = network()
    got = net.evaluate(X, VALUES, metrics=[bias, "mae"])
    assert list(got) == ["loss", "bias", "mae"]
    assert got["bias"] == pytest.approx((net.predict(X) - VALUES).mean(), rel=1e-12)
    seen = []

    def look(y_true, y_pred):
        seen.append((y_true, y_pred))
        return np.float32(2)

    network(loss="cross_entropy").evaluate(X, LABELS, sample_weight=WEIGHTS, metrics=[look])
    np.testing.assert_array_equal(seen[0][0], LABELS[WEIGHTS > 0])
    assert seen[0][1].shape == (np.count_nonzero(WEIGHTS), 4)


def test_rows_whose_target_is_unknown_do_not_count():
    net = network(loss="cross_entropy")
    y = LABELS.astype(float)
    y[::5] = np.nan
    known = np.arange(60) % 5 > 0
    got = net.evaluate(X, y, mask_nan=True, metrics=["f1", "top_2_accuracy"])
    want = net.evaluate(X[known], LABELS[known], metrics=["f1", "top_2_accuracy"])
    assert got == pytest.approx(want, rel=1e-12)
    values = network()
    y = VALUES.copy()
    y[::5] = np.nan
    got = values.evaluate(X, y, mask_nan=True, metrics=["r2", "mae"])
    want = values.evaluate(X[known], VALUES[known], metrics=["r2", "mae"])
    assert got == pytest.approx(want, rel=1e-12)
    y[1, 2] = np.nan
    with raises(ValueError, "metrics need all outputs of a row"):
        values.evaluate(X, y, mask_nan=True, metrics=["mae"])


# ---- in a fit -----------------------------------------------------------------------------------


def test_metrics_of_the_validation_data():
    net = network(loss="cross_entropy")
    history = net.fit(
        X[:40], LABELS[:40], 3, validation_data=(X[40:], LABELS[40:]),
        metrics=["accuracy", "f1", bias_of_labels],
    )  # fmt: skip
    assert list(history) == ["loss", "val_loss", "val_accuracy", "val_f1", "val_bias_of_labels"]
    last = net.evaluate(X[40:], LABELS[40:], metrics=["f1", bias_of_labels])
    assert {f"val_{name}": value for name, value in last.items()} == {
        name: values[-1] for name, values in history.items() if name != "loss"
    }


def bias_of_labels(y_true, y_pred):
    return (y_pred.argmax(axis=1) - y_true).mean()


def test_metrics_of_the_training_data_where_there_are_no_others():
    net, plain = network(loss="cross_entropy"), network(loss="cross_entropy")
    history = net.fit(X, LABELS, 3, metrics=["accuracy", "top_3_accuracy"])
    plain.fit(X, LABELS, 3)
    assert list(history) == ["loss", "accuracy", "top_3_accuracy"]
    assert history["accuracy"][-1] == net.evaluate(X, LABELS)["accuracy"]
    assert_same(contents(net), contents(plain))


def test_metrics_are_what_callbacks_watch():
    stopping = fastbp.callbacks.EarlyStopping("val_r2", patience=3)
    net = network(dtype="float64")
    history = net.fit(X, VALUES, 200, validation_split=0.5, metrics=["r2"], callbacks=[stopping])
    assert history.epochs < 200
    assert stopping.best == max(history["val_r2"])
    assert net.evaluate(X[30:], VALUES[30:], metrics=["r2"])["r2"] == stopping.best


def test_metrics_of_batches():
    batches = [(X[:30], VALUES[:30]), (X[30:], VALUES[30:])]
    history = network().fit_batches(batches, 2, validation_data=(X, VALUES), metrics=["mae"])
    assert list(history) == ["loss", "val_loss", "val_mae"]
    with raises(ValueError, "metrics of batches need validation_data"):
        network().fit_batches(batches, metrics=["mae"])


def refused(loss, y, error, metrics, *parts):
    net = network(loss=loss)
    before = contents(net)
    for call in (net.evaluate, net.fit, lambda *a, **k: net.fit(*a, validation_split=0.5, **k)):
        with raises(error, *parts):
            call(X, y, metrics=metrics)
    assert_same(contents(net), before)


def test_what_is_refused():
    refused("mse", VALUES, TypeError, "mae", "metrics must be a sequence", "'mae'")
    refused("mse", VALUES, TypeError, 3, "metrics must be a sequence")
    refused("mse", VALUES, ValueError, ["presicion"], "metrics[0]", "did you mean 'precision'?")
    refused("mse", VALUES, TypeError, [None], "metrics[0]")
    refused("mse", VALUES, ValueError, ["mae", "mae"], "metrics has 'mae' twice")
    refused("mse", VALUES, ValueError, ["accuracy"], "'accuracy' needs classes")
    refused("mse", VALUES, ValueError, ["f1"], "'f1' needs classes")
    refused("mse", VALUES, ValueError, ["top_2_accuracy"], "needs integer labels")
    refused("mse", VALUES, ValueError, ["max_error"], "'max_error' is for one output")
    refused("cross_entropy", LABELS, ValueError, ["mae"], "'mae' needs values")
    refused("cross_entropy", LABELS, ValueError, ["top_5_accuracy"], "at least 5 outputs")
    refused("cross_entropy", LABELS, ValueError, ["top_0_accuracy"], "metrics[0]")
    refused("binary_cross_entropy", BITS, ValueError, ["matthews"], "is for one output")

    def loss(y_true, y_pred):
        return 0.0

    refused("mse", VALUES, ValueError, [loss], "a name that is not taken", "'loss'")
    import functools

    refused("mse", VALUES, TypeError, [functools.partial(bias, 1)], "must have a __name__")


def test_a_function_whose_name_no_file_holds():
    def bias(y_true, y_pred):
        return 0.0

    bias.__name__ = "\ud800"
    refused("mse", VALUES, ValueError, [bias], "metrics[0].__name__", "lone surrogate")


def test_a_rank_of_too_many_digits():
    refused("mse", VALUES, ValueError, [f"top_{'9' * 5000}_accuracy"], "metrics[0] must be one of")


def test_a_function_that_returns_no_number():
    def text(y_true, y_pred):
        return "good"

    with raises(TypeError, "metric 'text' must return a number", "'good'"):
        network().evaluate(X, VALUES, metrics=[text])


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    net = network()
    with raises(ModuleNotFoundError, "metrics[1]='r2' needs scikit-learn", "fastbp[metrics]"):
        net.fit(X, VALUES, metrics=["mae", "r2"])
    assert list(net.fit(X, VALUES, metrics=["mae"])) == ["loss", "mae"]


def test_every_name_in_the_documentation():
    for name in metrics.NAMES:
        assert f'"{name}"' in metrics.__doc__


# ---- validation_split ---------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "held"), [(0.25, 15), (0.1, 6), (0.01, 1), (0.95, 57)])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_the_last_rows_are_held_out(weights, share, held):
    split, given = network(), network()
    at = 60 - held
    parts = [None if weights is None else weights[p] for p in (slice(at), slice(at, None))]
    if weights is not None and not (parts[0].any() and parts[1].any()):
        return
    got = split.fit(X, VALUES, 3, validation_split=share, sample_weight=weights)
    validation = (X[at:], VALUES[at:]) if weights is None else (X[at:], VALUES[at:], parts[1])
    want = given.fit(X[:at], VALUES[:at], 3, validation_data=validation, sample_weight=parts[0])
    assert dict(got) == dict(want)
    assert_same(contents(split), contents(given))


def test_sparse_rows_are_split():
    sparse = pytest.importorskip("scipy.sparse")
    net, twin = network(), network()
    got = net.fit(sparse.coo_array(X), VALUES, 2, validation_split=0.25, metrics=["mae"])
    want = twin.fit(
        sparse.csr_array(X[:45]), VALUES[:45], 2, validation_data=(X[45:], VALUES[45:]),
        metrics=["mae"],
    )  # fmt: skip
    for name, values in want.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-12)


def test_a_scaling_is_learned_from_the_rows_that_are_trained_on():
    net, twin = (fastbp.Network([5, 4], scaling="standard", rng=0) for _ in range(2))
    net.fit(X, VALUES, validation_split=0.5)
    twin.fit(X[:30], VALUES[:30])
    np.testing.assert_array_equal(net.scaling, twin.scaling)


@pytest.mark.parametrize(
    ("arguments", "error", "parts"),
    [
        ({"validation_split": 1.0}, ValueError, ("validation_split", "less than 1")),
        ({"validation_split": -0.1}, ValueError, ("validation_split", "at least 0")),
        ({"validation_split": "half"}, TypeError, ("validation_split",)),
        ({"validation_split": None}, TypeError, ("validation_split",)),
        ({"validation_split": 0.999}, ValueError, ("leaves none for training",)),
        (
            {"validation_split": 0.1, "validation_data": (X, VALUES)},
            ValueError,
            ("validation_data and validation_split were both given",),
        ),
        ({"validation_split": 0.5, "y": VALUES[:9]}, ValueError, ("60 rows of X",)),
        ({"validation_split": 0.5, "X": X[:, :2]}, ValueError, ("X must have shape",)),
        ({"validation_split": 0.5, "X": 3.0}, ValueError, ("X must have shape",)),
    ],
    ids=range(9),
)
def test_splits_that_cannot_be_used(arguments, error, parts):
    net = network()
    before = contents(net)
    with raises(error, *parts):
        net.fit(**({"X": X, "y": VALUES} | arguments))
    assert_same(contents(net), before)


def test_what_is_wrong_in_the_part_that_is_held_out():
    y = VALUES.copy()
    y[50, 1] = np.nan
    with raises(ValueError, "validation part of y holds nan at row 20, column 1"):
        network().fit(X, y, validation_split=0.5)
