"""Networks and losses beyond scikit-learn's: each parameter does what it says."""

import pickle

import numpy as np
import pytest
from expect import raises, stable
from perceptrons import (
    BITS,
    BOTH,
    LABELS,
    NAMES,
    SIGNS,
    VALUES,
    WEIGHTS,
    WIDE,
    X,
    classifier,
    expect_different,
    expect_equal,
    regressor,
)

pytest.importorskip("sklearn")
from scipy.special import xlogy
from sklearn.base import clone
from sklearn.metrics import log_loss, r2_score
from sklearn.utils import compute_sample_weight

import fastbp
from fastbp import losses
from fastbp.activations import Activation

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
PARTS = {"batch_size": 40}


def forward(model, rows, *activations):
    """The outputs by hand."""
    for coefs, intercepts, activation in zip(
        model.coefs_, model.intercepts_, activations, strict=True
    ):
        rows = activation(rows @ coefs + intercepts)
    return rows


def identity(z):
    return z


def relu(z):
    return np.maximum(z, 0)


# The network.


def test_an_activation_a_layer():
    model = regressor(hidden_layer_sizes=(5, 4), activation=["tanh", "relu"]).fit(WIDE, VALUES)
    expected = forward(model, WIDE, np.tanh, relu, identity)[:, 0]
    np.testing.assert_allclose(model.predict(WIDE), expected)
    assert "tanh" in repr(model.network_)
    same = regressor(hidden_layer_sizes=(5, 4), activation=("relu", "relu")).fit(WIDE, VALUES)
    expect_equal(regressor(hidden_layer_sizes=(5, 4)).fit(WIDE, VALUES), same)


def test_names_of_activations():
    expect_equal(*(classifier(activation=a).fit(X, LABELS) for a in ("logistic", "sigmoid")))
    model = regressor(activation="leaky_relu").fit(WIDE, VALUES)
    expected = forward(model, WIDE, lambda z: np.where(z > 0, z, 0.01 * z), identity)[:, 0]
    np.testing.assert_allclose(model.predict(WIDE), expected)


def square(z):
    return z * z


def twice(z):
    return 2 * z


def test_an_activation_of_ones_own():
    model = regressor(activation=Activation(square, twice), **PARTS).fit(WIDE, VALUES)
    expected = forward(model, WIDE, square, identity)[:, 0]
    np.testing.assert_allclose(model.predict(WIDE), expected)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(WIDE), model.predict(WIDE))


def test_out_activation():
    model = regressor(out_activation="tanh", max_iter=20).fit(WIDE, VALUES)
    np.testing.assert_allclose(model.predict(WIDE), forward(model, WIDE, relu, np.tanh)[:, 0])
    assert model.out_activation_ == "tanh"
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    np.testing.assert_allclose(
        regressor(out_activation="softmax").fit(WIDE, BOTH).predict(WIDE).sum(axis=1), 1
    )
    model = classifier(out_activation="softmax").fit(X, SIGNS)
    assert model.n_outputs_ == 2
    assert model.out_activation_ == "softmax"
    np.testing.assert_array_equal(model.predict(X), model.predict_proba(X).argmax(axis=1))
    model = classifier(out_activation="logistic", max_iter=20).fit(X, NAMES)  # one against the rest
    assert model.out_activation_ == "logistic"
    outputs = model.network_.predict(X)
    shares = outputs / outputs.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), shares)
    np.testing.assert_array_equal(model.predict(X), model.classes_[outputs.argmax(axis=1)])


def test_the_network_itself():
    model = classifier(hidden_layer_sizes=(5, 4)).fit(X, LABELS)
    np.testing.assert_array_equal(model.network_.predict(X), model.predict_proba(X))
    for one in (model, pickle.loads(pickle.dumps(model))):
        for coefs, weights in zip(one.coefs_, one.network_.weights, strict=True):
            assert np.shares_memory(coefs, weights)
    assert model.network_.evaluate(X, LABELS)["loss"] == pytest.approx(
        log_loss(LABELS, model.predict_proba(X))
    )


def test_float32_is_kept():
    model = regressor().fit(WIDE.astype("f4"), VALUES.astype("f4"))
    assert model.coefs_[0].dtype == model.predict(WIDE).dtype == np.float32
    model = classifier(solver="lbfgs").fit(X.astype("f4"), LABELS)
    assert model.intercepts_[0].dtype == model.predict_proba(X).dtype == np.float32
    assert regressor().fit((WIDE * 9).astype("i4"), VALUES).coefs_[0].dtype == np.float64


# What is minimized.


@pytest.mark.parametrize(
    ("loss", "same", "of"),
    [
        ("huber", losses.Huber(), lambda d: np.where(abs(d) < 1, d * d / 2, abs(d) - 0.5)),
        ("absolute_error", losses.MAE(), abs),
        (
            losses.Huber(0.3),
            None,
            lambda d: np.where(abs(d) < 0.3, d * d / 2, 0.3 * abs(d) - 0.045),
        ),
        (losses.MSE(), None, lambda d: d * d),
        ("squared_error", None, lambda d: d * d / 2),
    ],
    ids=stable,
)
def test_losses_of_a_regressor(loss, same, of):
    given = {"alpha": 0, "learning_rate_init": 1e-12, "max_iter": 1}
    model = regressor(loss=loss, **given).fit(WIDE, VALUES)
    assert model.loss_ == pytest.approx(of(model.predict(WIDE) - VALUES).mean())
    moved = regressor(loss=loss, max_iter=20, learning_rate_init=0.01).fit(WIDE, BOTH)
    assert moved.loss_ < moved.loss_curve_[0]
    if same is not None:
        expect_equal(*(regressor(loss=l, solver="sgd").fit(WIDE, VALUES) for l in (loss, same)))


def quartic(a, y):
    return (a - y) ** 4


def cubic(a, y):
    return 4 * (a - y) ** 3


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_loss_of_ones_own(solver):
    own = losses.Loss(quartic, cubic)
    model = regressor(loss=own, solver=solver, alpha=0, max_iter=20).fit(WIDE, VALUES)
    if solver == "lbfgs":
        assert model.loss_ == pytest.approx(((model.predict(WIDE) - VALUES) ** 4).mean())
    else:
        assert model.loss_ < model.loss_curve_[0]


def test_label_smoothing():
    smooth = losses.CrossEntropy(label_smoothing=0.3)
    options = {"alpha": 0, "learning_rate_init": 1e-12, "max_iter": 1}
    for y, classes in ((LABELS, 3), (SIGNS, 2)):
        model = classifier(loss=smooth, **options).fit(X, y)
        targets = 0.7 * np.eye(classes)[y] + 0.3 / classes
        expected = -(targets * model.predict_log_proba(X)).sum(axis=1).mean()
        assert model.loss_ == pytest.approx(expected)
    expect_different(classifier(loss=smooth).fit(X, LABELS), classifier().fit(X, LABELS))


def test_a_loss_for_one_class_against_the_rest():
    model = classifier(loss=losses.BinaryCrossEntropy(), max_iter=60).fit(X, NAMES)
    assert model.out_activation_ == "logistic"
    assert model.n_outputs_ == 3
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


def test_dropout():
    plain = classifier(hidden_layer_sizes=(5, 4)).fit(X, LABELS)
    drops = [classifier(hidden_layer_sizes=(5, 4), dropout=0.5).fit(X, LABELS) for _ in range(2)]
    each = classifier(hidden_layer_sizes=(5, 4), dropout=[0.5, 0.5]).fit(X, LABELS)
    expect_equal(*drops, each)
    expect_different(plain, each)
    expect_different(each, classifier(hidden_layer_sizes=(5, 4), dropout=[0, 0.5]).fit(X, LABELS))
    expect_equal(plain, classifier(hidden_layer_sizes=(5, 4), dropout=[0, 0]).fit(X, LABELS))
    np.testing.assert_array_equal(each.predict_proba(X), each.predict_proba(X))
    parts = [each.partial_fit(X, LABELS).coefs_[0].copy() for _ in range(2)]
    assert not np.array_equal(*parts)


def test_dropout_depends_on_the_random_state():
    models = []
    for state in (1, 2, 2):
        options = {"dropout": 0.5, "shuffle": False, "warm_start": True, "random_state": state}
        model = classifier(**options).fit(X, LABELS)
        model.coefs_, model.intercepts_ = [np.ones((4, 5)), np.eye(5, 3)], [np.ones(5), np.ones(3)]
        models.append(model.fit(X, LABELS))
    expect_different(*models[:2])
    expect_equal(*models[1:])


@pytest.mark.parametrize("options", [PARTS, {"solver": "lbfgs"}], ids=stable)
@pytest.mark.parametrize(
    ("y", "weight"),
    [
        (LABELS, {0: 1.0, 1: 2.0, 2: 0.5}),
        (NAMES, {"setosa": 3.0, "versi": 1.0, "virgi": 0.0}),
        (np.minimum(LABELS + (np.arange(150) % 3 == 0), 2), "balanced"),
        (BITS, [{0: 1.0, 1: 2.0}, {0: 1.0, 1: 1.0}, {0: 3.0, 1: 1.0}]),
        (BITS, "balanced"),
    ],
    ids=["labels", "names", "balanced", "bits", "bits balanced"],
)
def test_class_weight_is_a_sample_weight(y, weight, options):
    by_hand = compute_sample_weight(weight, y)
    model = classifier(class_weight=weight, **options).fit(X, y)
    expect_equal(model, classifier(**options).fit(X, y, sample_weight=by_hand))
    expect_different(model, classifier(**options).fit(X, y))
    both = classifier(class_weight=weight, **options).fit(X, y, sample_weight=WEIGHTS)
    expect_equal(both, classifier(**options).fit(X, y, sample_weight=by_hand * WEIGHTS))


def test_class_weight_of_parts():
    weight = {0: 1.0, 1: 2.0, 2: 0.5}
    model = classifier(class_weight=weight).partial_fit(X, LABELS, classes=[0, 1, 2])
    by_hand = compute_sample_weight(weight, LABELS)
    expect_equal(model, classifier().partial_fit(X, LABELS, by_hand, classes=[0, 1, 2]))
    with pytest.raises(
        ValueError, match="class_weight 'balanced' is not supported for partial_fit"
    ):
        classifier(class_weight="balanced").partial_fit(X, LABELS, classes=[0, 1, 2])


def test_class_weight_is_not_of_the_rows_held_out():
    options = {"early_stopping": True, "max_iter": 1, "learning_rate_init": 1e-12}
    weight = {0: 1, 1: 5, 2: 0}
    models = [classifier(class_weight=w, **options).fit(X, LABELS) for w in (None, weight)]
    assert models[0].loss_ != pytest.approx(models[1].loss_)
    for curve in ("validation_scores_", "validation_loss_curve_"):
        assert getattr(models[0], curve) == pytest.approx(getattr(models[1], curve))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_masked_targets(solver):
    holes = np.where(np.arange(300).reshape(150, 2) % 3 == 0, np.nan, BOTH)
    options = {"mask_nan": True, "solver": solver, "max_iter": 20}
    model = regressor(**options).fit(WIDE, holes)
    known = [~np.isnan(y) for y in holes.T]
    found = model.predict(WIDE)
    expected = [r2_score(BOTH[k, i], found[k, i]) for i, k in enumerate(known)]
    assert model.score(WIDE, holes) == pytest.approx(np.mean(expected))
    holes = holes[:, 0]
    some = regressor(**options).fit(WIDE, holes)
    if solver == "lbfgs":  # of one output, as without the rows
        fewer = regressor(**options).fit(WIDE[known[0]], VALUES[known[0]])
        expect_equal(some, fewer, rtol=1e-5)
    early = regressor(early_stopping=True, mask_nan=True).fit(WIDE, holes)
    assert np.isfinite(early.validation_scores_).all()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_poisson_losses_of_masked_targets(solver):
    counts = np.where(np.arange(300).reshape(150, 2) % 4 == 0, np.nan, np.round(np.abs(BOTH)))
    options = {"loss": "poisson", "mask_nan": True, "solver": solver, "alpha": 0, "max_iter": 5}
    validation = {"X_val": WIDE, "y_val": counts} if solver == "adam" else {}
    model = regressor(**options).fit(WIDE, counts, **validation)
    found, known = model.predict(WIDE), ~np.isnan(counts)
    deviance = (xlogy(counts, counts / found) - counts + found)[known]
    loss = model.loss_ if solver == "lbfgs" else model.validation_loss_curve_[-1]
    assert loss == pytest.approx(2 * deviance.mean(), rel=1e-9)  # of the sum of two outputs


def descent(w, g, lr, t):
    return w - lr * g


def test_a_solver_of_ones_own():
    own = fastbp.Optimizer(descent, lr=0.01)
    mine, theirs = (
        clone(regressor(solver=one, max_iter=5)).fit(WIDE, VALUES)
        for one in (own, fastbp.SGD(0.01))
    )
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-12)


def test_losses_with_several_outputs_for_each_target_are_refused():
    for loss in (losses.GaussianNLL(), losses.Quantile((0.1, 0.9))):
        with raises(
            ValueError, f"loss '{loss.name}' has 2 outputs for each target", "an estimator"
        ):
            regressor(loss=loss).fit(WIDE, VALUES)


def test_the_focal_loss_has_an_output_for_each_class():
    model = classifier(loss=losses.Focal(), max_iter=30).fit(X, LABELS)
    assert model.out_activation_ == "logistic"
    assert model.loss_curve_[-1] < model.loss_curve_[0]
