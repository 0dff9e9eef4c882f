"""What users of scikit-learn's perceptrons have reported, and attributes that are assigned."""

import copy
import pickle

import numpy as np
import pytest
from expect import raises, stable
from perceptrons import (
    BITS,
    BOTH,
    LABELS,
    NAMES,
    VALUES,
    WIDE,
    X,
    classifier,
    interrupting,
    regressor,
)

pytest.importorskip("sklearn")
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.metrics import r2_score

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# Of issues of scikit-learn, by their numbers.


@pytest.mark.parametrize("options", [{}, {"solver": "sgd"}], ids=stable)
def test_partial_fit_after_early_stopping(options):  # 25693
    model = classifier(early_stopping=True, **options).fit(X, NAMES)
    with raises(ValueError, "partial_fit does not support early_stopping=True"):
        model.partial_fit(X, NAMES)
    steps = len(model.loss_curve_)
    model.set_params(early_stopping=False).partial_fit(X, NAMES)
    assert len(model.loss_curve_) == steps + 1
    assert model.best_loss_ == model.loss_
    model = regressor(early_stopping=True, **options).fit(WIDE, VALUES)
    model.set_params(early_stopping=False, warm_start=True).fit(WIDE, VALUES)
    assert model.best_loss_ == min(model.loss_curve_[3:])


def test_partial_fit_with_names_of_which_a_batch_has_few():  # 6994
    classes = ["virgi", "setosa", "versi"]
    model = classifier(learning_rate_init=0.05).partial_fit(X[:50], NAMES[:50], classes=classes)
    np.testing.assert_array_equal(model.classes_, sorted(classes))
    for _ in range(40):
        for part in (slice(0, 50), slice(50, 60), slice(100, 150), slice(60, 100)):
            model.partial_fit(X[part], NAMES[part])
    assert set(model.predict(X)) == set(classes)
    assert model.predict_proba(X).shape == (150, 3)
    with raises(ValueError, "`y` has classes not in `self.classes_`"):
        model.partial_fit(X, np.full(150, "rosa"))


@pytest.mark.parametrize("bits", [BITS, scipy.sparse.csr_matrix(BITS)], ids=["dense", "sparse"])
def test_partial_fit_of_several_labels(bits):  # 12505
    model = classifier(learning_rate_init=0.05)
    for rows in (slice(0, 5), slice(0, 150), slice(50, 150)):  # of the first, no label is set
        model.partial_fit(X[rows], bits[rows], classes=[0, 1, 2])
    assert model.predict(X).shape == model.predict_proba(X).shape == (150, 3)
    assert model.n_outputs_ == 3


def test_divergence_with_early_stopping():  # 29504
    model = regressor(
        hidden_layer_sizes=100, activation="identity", solver="sgd", learning_rate_init=1,
        max_iter=20, early_stopping=True,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="Training diverged in iteration") as told:
        model.fit(X, LABELS)
    assert len(told) == 1
    for curve in (model.loss_curve_, model.validation_scores_, model.validation_loss_curve_):
        assert len(curve) == model.n_iter_ > 1
        assert np.isnan(curve[-1])
    assert isinstance(model.validation_scores_[-1], float)
    assert model.best_validation_score_ == max(model.validation_scores_[:-1])
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_divergence_before_anything_was_measured(early_stopping):
    model = regressor(early_stopping=early_stopping)
    with raises(ValueError, "Solver produced non-finite parameter weights."):
        model.fit(WIDE, VALUES * 1e300)
    with pytest.raises(NotFittedError):
        model.predict(WIDE)


# Few rows, few classes, odd shapes.


@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"solver": "sgd"}], ids=stable)
def test_one_row(options):
    model = classifier(**options).fit(X[:1], NAMES[:1])
    assert model.predict(X[:3]).tolist() == ["setosa"] * 3
    assert model.predict_proba(X[:3]).tolist() == [[1.0]] * 3
    assert model.predict_log_proba(X[:3]).tolist() == [[0.0]] * 3
    assert np.isfinite(regressor(**options).fit(WIDE[:1], VALUES[:1]).predict(WIDE)).all()


@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"early_stopping": True}], ids=stable)
def test_one_class(options):
    model = classifier(**options).fit(X[:40], NAMES[:40])
    assert model.classes_.tolist() == ["setosa"]
    assert set(model.predict(X)) == {"setosa"}
    assert model.score(X[:50], NAMES[:50]) == 1


@pytest.mark.parametrize(
    ("make", "rows", "y"),
    [(classifier, X, NAMES), (regressor, WIDE, VALUES)],
    ids=["names", "values"],
)
def test_a_column_of_targets(make, rows, y):
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed") as told:
        model = make().fit(rows, y[:, None])
    assert len([w for w in told if w.category is DataConversionWarning]) == 1
    assert model.predict(rows).shape == y.shape
    np.testing.assert_array_equal(model.predict(rows), make().fit(rows, y).predict(rows))


def test_warm_start_with_other_classes_or_shapes():
    model = classifier(warm_start=True).fit(X, NAMES)
    before = model.predict_proba(X)
    for y in (NAMES[:100], np.where(NAMES == "versi", "rosa", NAMES)):
        with raises(ValueError, "warm_start can only be used where `y` has the same classes"):
            model.fit(X[: len(y)], y)
    with raises(ValueError, "X has 3 features, but MLPClassifier is expecting 4 features"):
        model.fit(X[:, :3], NAMES)
    with raises(ValueError, "hidden_layer_sizes", "[4, 5, 3]", "got [4, 6, 3]", "warm_start=False"):
        model.set_params(hidden_layer_sizes=6).fit(X, NAMES)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    model.set_params(warm_start=False).fit(X, LABELS)
    assert model.coefs_[0].shape == (4, 6)
    assert model.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("patience", [2, 5, np.inf], ids=stable)
def test_n_iter_no_change_against_max_iter(patience):
    model = classifier(n_iter_no_change=patience, tol=1e9, max_iter=5)
    if patience == 2:  # the first epoch improves upon infinity, and one more than 2 do not
        model.fit(X, LABELS)
        assert model.n_iter_ == 4
        return
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(5\) reached"):
        model.fit(X, LABELS)
    assert model.n_iter_ == 5


def test_patience_that_ends_with_the_iterations_is_no_warning(recwarn):
    assert classifier(n_iter_no_change=3, tol=1e9, max_iter=5).fit(X, LABELS).n_iter_ == 5
    assert not recwarn.list


def test_probabilities_sum_to_one_in_float32():
    rows = X.astype("f4")
    for y in (LABELS, LABELS > 0):
        for out_activation in (None, "logistic", "softmax"):
            found = classifier(out_activation=out_activation).fit(rows, y).predict_proba(rows)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found.sum(axis=1), 1, atol=3e-7)


def test_score_of_several_outputs():
    model = regressor(max_iter=30).fit(WIDE, BOTH)
    assert model.score(WIDE, BOTH) == r2_score(BOTH, model.predict(WIDE))
    model = classifier(max_iter=30).fit(X, BITS)
    assert model.score(X, BITS) == (model.predict(X) == BITS).all(axis=1).mean()


# Interrupts.


@pytest.mark.parametrize("early_stopping", [False, True])
def test_ctrl_c(early_stopping):
    model = classifier(max_iter=9, early_stopping=early_stopping, scoring=interrupting(4))
    given = {} if early_stopping else {"X_val": X, "y_val": NAMES}
    with pytest.warns(UserWarning, match="Training interrupted by user") as told:
        model.fit(X, NAMES, **given)
    assert len(told) == 1
    assert len(model.loss_curve_) == len(model.validation_scores_) == model.n_iter_ == 3
    assert set(model.predict(X)) <= set(NAMES)
    again = pickle.loads(pickle.dumps(model.set_params(early_stopping=False, scoring=None)))
    assert again.partial_fit(X, NAMES).n_iter_ == 1


# Attributes that are assigned.


def test_coefs_can_be_assigned():
    model = regressor().fit(WIDE, VALUES)
    ones, one = [np.ones((10, 5)), np.ones((5, 1))], WIDE[:, :1] * 0
    model.coefs_, model.intercepts_ = ones, [np.zeros(5), np.zeros(1)]
    expected = np.maximum(WIDE.sum(axis=1), 0) * 5
    np.testing.assert_allclose(model.predict(WIDE), expected, atol=1e-12)
    model.intercepts_[1][:] = 7
    np.testing.assert_allclose(model.predict(WIDE), expected + 7)
    model.coefs_[1] = np.zeros((5, 1))
    np.testing.assert_allclose(model.predict(WIDE), one[:, 0] + 7)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(again.predict(WIDE), model.predict(WIDE))
        again.intercepts_[1][:] = 8
        np.testing.assert_allclose(again.predict(WIDE), one[:, 0] + 8)
    np.testing.assert_allclose(model.predict(WIDE), one[:, 0] + 7)
    # Another number of hidden units, as scikit-learn predicts with.
    model.coefs_, model.intercepts_ = (
        [np.ones((10, 2)), np.ones((2, 1))],
        [np.zeros(2), np.zeros(1)],
    )
    np.testing.assert_allclose(model.predict(WIDE), expected / 5 * 2, atol=1e-12)


def test_coefs_that_cannot_be_used():
    model = regressor().fit(WIDE, VALUES)
    coefs = model.coefs_
    model.coefs_ = [np.ones((10, 4)), coefs[1]]
    with raises(ValueError, "coefs_[0] must have shape (10, 5), got (10, 4)"):
        model.predict(WIDE)
    model.coefs_ = coefs[:1]
    with raises(ValueError, "coefs_ and intercepts_ must hold one array a layer, got 1 and 2"):
        model.predict(WIDE)
    model.coefs_ = None
    with raises(TypeError, "coefs_ must be a list of arrays, one a layer, got None"):
        model.predict(WIDE)
    assert model.fit(WIDE, VALUES).coefs_[0].shape == (10, 5)
