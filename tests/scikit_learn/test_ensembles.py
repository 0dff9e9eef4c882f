"""Ensembles of perceptrons: each to the bit as alone, and together as scikit-learn's bagging."""

import pickle

import numpy as np
import pytest
from expect import raises
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
    classifiers,
    regressor,
    regressors,
)

pytest.importorskip("sklearn")
import pandas as pd
import scipy.sparse
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier, BaggingRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp.sklearn import MLPEnsembleClassifier, MLPEnsembleRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def expect_bits(member, alone):
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(member, name), getattr(alone, name), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    assert member.n_iter_ == alone.n_iter_
    assert member.loss_ == alone.loss_


EACH = {
    "adam": {},
    "sgd, adaptive": {"solver": "sgd", "learning_rate": "adaptive", "batch_size": 7},
    "lbfgs": {"solver": "lbfgs"},
    "early stopping": {"early_stopping": True, "max_iter": 20, "n_iter_no_change": 2},
    "scoring": {"early_stopping": True, "scoring": "neg_log_loss", "shuffle": False},
    "dropout": {"dropout": 0.3, "hidden_layer_sizes": (8, 8), "solver": "nadam"},
    "balanced": {"class_weight": "balanced", "schedule": lambda step: 1 / (1 + step)},
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("drawing", [{}, {"bootstrap": True}, {"max_samples": 0.5}], ids=str)
@pytest.mark.parametrize("name", EACH)
def test_each_classifier_is_to_the_bit_as_alone(name, drawing, threads):
    made = classifiers(3, {**drawing, "threads": threads}, **EACH[name]).fit(X, NAMES)
    for member, rows in zip(made.estimators_, made.estimators_samples_, strict=True):
        alone = classifier(**EACH[name] | {"random_state": member.random_state})
        expect_bits(member, alone.fit(X[rows], NAMES[rows]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("y", [VALUES, BOTH], ids=["one output", "two"])
def test_each_regressor_is_to_the_bit_as_alone(y, solver, dtype):
    rows_of = WIDE.astype(dtype)
    made = regressors(3, {"bootstrap": True}, solver=solver).fit(rows_of, y)
    for member, rows in zip(made.estimators_, made.estimators_samples_, strict=True):
        alone = regressor(solver=solver, random_state=member.random_state)
        expect_bits(member, alone.fit(rows_of[rows], y[rows]))


def test_weights_count_for_each_without_bootstrap():
    for options in ({}, {"max_samples": 40}):
        made = regressors(3, options).fit(WIDE, VALUES, WEIGHTS)
        for member, rows in zip(made.estimators_, made.estimators_samples_, strict=True):
            alone = regressor(random_state=member.random_state)
            expect_bits(member, alone.fit(WIDE[rows], VALUES[rows], WEIGHTS[rows]))


def test_weights_are_probabilities_with_bootstrap():
    made = regressors(40, {"bootstrap": True}, max_iter=1).fit(WIDE, VALUES, WEIGHTS)
    for member, rows in list(zip(made.estimators_, made.estimators_samples_, strict=True))[:2]:
        alone = regressor(random_state=member.random_state, max_iter=1)
        expect_bits(member, alone.fit(WIDE[rows], VALUES[rows]))
    counts = np.bincount(np.concatenate(made.estimators_samples_), minlength=150)
    assert not counts[WEIGHTS == 0].any()
    want = 6000 * WEIGHTS / WEIGHTS.sum()
    assert (((counts - want) ** 2)[5:] / want[5:]).sum() < 145 + 5 * np.sqrt(2 * 145)  # chi squared


@pytest.mark.parametrize("y", [LABELS, NAMES, SIGNS], ids=["labels", "names", "two"])
def test_as_scikit_learns_bagging_of_all_rows(y):
    """Which passes weights of 1 to the estimators."""
    theirs = BaggingClassifier(classifier(), 4, bootstrap=False, random_state=7).fit(X, y)
    ours = MLPEnsembleClassifier(classifier(), 4, random_state=7).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(
        ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-6, atol=1e-9
    )
    theirs = BaggingRegressor(regressor(), 4, bootstrap=False, random_state=7).fit(WIDE, VALUES)
    ours = MLPEnsembleRegressor(regressor(), 4, random_state=7).fit(WIDE, VALUES)
    np.testing.assert_allclose(ours.predict(WIDE), theirs.predict(WIDE), rtol=1e-9)


def test_answers_are_those_of_all_estimators():
    made = classifiers(max_iter=30).fit(X, NAMES)
    each = np.stack([member.predict_proba(X) for member in made.estimators_])
    np.testing.assert_allclose(made.predict_proba(X), each.mean(axis=0), rtol=1e-13)
    want = made.classes_[made.predict_proba(X).argmax(axis=1)]
    np.testing.assert_array_equal(made.predict(X), want)
    assert made.score(X, NAMES) == (want == NAMES).mean()
    made = regressors(max_iter=30).fit(WIDE, BOTH)
    each = np.stack([member.predict(WIDE) for member in made.estimators_])
    mean, std = made.predict(WIDE, return_std=True)
    np.testing.assert_allclose(mean, each.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(std, each.std(axis=0), rtol=1e-9)
    assert made.score(WIDE, BOTH) == pytest.approx(r2_score(BOTH, each.mean(axis=0)), rel=1e-12)
    mean, std = regressors().fit(WIDE, VALUES).predict(WIDE[:1], return_std=True)
    assert mean.shape == std.shape == (1,)


def test_several_labels():
    made = classifiers(3, {"bootstrap": True, "oob_score": True}, max_iter=30)
    with pytest.warns(UserWarning, match="OOB"):
        made.fit(X, BITS)
    each = np.stack([member.predict_proba(X) for member in made.estimators_])
    np.testing.assert_allclose(made.predict_proba(X), each.mean(axis=0), rtol=1e-13)
    np.testing.assert_array_equal(made.predict(X), (each.mean(axis=0) > 0.5).astype(int))
    known = np.isfinite(made.oob_decision_function_[:, 0])
    right = ((made.oob_decision_function_ > 0.5) == BITS).all(axis=1)[known]
    assert made.oob_score_ == right.mean()


def test_an_estimator_that_has_not_seen_a_class_takes_it_for_impossible():
    names = np.array(["a"] * 60 + ["b"] * 60 + ["c"])
    rows = np.concatenate([X[:60], X[50:110], X[-1:]])
    made = classifiers(8, {"bootstrap": True}).fit(rows, names)
    seen = [list(member.classes_) for member in made.estimators_]
    assert ["a", "b"] in seen
    assert ["a", "b", "c"] in seen
    each = np.zeros((8, len(X), 3))
    for at, member in enumerate(made.estimators_):
        each[at][:, : len(member.classes_)] = member.predict_proba(X)
    np.testing.assert_allclose(made.predict_proba(X), each.mean(axis=0), rtol=1e-12)
    with raises(ValueError, "outputs"):
        made.ensemble_  # noqa: B018 - what it raises
    made = classifiers(8, {"max_samples": 1}).fit(X, LABELS)
    np.testing.assert_allclose(made.predict_proba(X).sum(axis=1), 1, rtol=1e-12)


def test_estimates_out_of_bag():
    drawing = {"bootstrap": True, "oob_score": True}
    made = classifiers(30, drawing, max_iter=30).fit(X, NAMES)
    total, count = np.zeros((150, 3)), np.zeros((150, 1))
    for member, rows in zip(made.estimators_, made.estimators_samples_, strict=True):
        left = np.setdiff1d(np.arange(150), rows)
        total[left] += member.predict_proba(X[left])
        count[left] += 1
    np.testing.assert_allclose(made.oob_decision_function_, total / count, rtol=1e-12)
    found = made.classes_[(total / count).argmax(axis=1)]
    assert made.oob_score_ == (found == NAMES).mean()
    for y in (VALUES, BOTH):
        made = regressors(30, drawing).fit(WIDE, y)
        total, count = np.zeros(y.shape), np.zeros((150,) + (1,) * (y.ndim - 1))
        for member, rows in zip(made.estimators_, made.estimators_samples_, strict=True):
            left = np.setdiff1d(np.arange(150), rows)
            total[left] += member.predict(WIDE[left])
            count[left] += 1
        np.testing.assert_allclose(made.oob_prediction_, total / count, rtol=1e-11)
        assert made.oob_score_ == pytest.approx(r2_score(y, total / count), rel=1e-11)
    made.set_params(oob_score=False).fit(WIDE, VALUES)
    assert not hasattr(made, "oob_score_")


def test_rows_without_an_estimate_are_told():
    drawing = {"bootstrap": True, "oob_score": True}
    with pytest.warns(UserWarning, match=r"of 150 rows do not have OOB scores") as caught:
        made = regressors(2, drawing).fit(WIDE, VALUES)
    assert caught[0].filename == __file__
    seen = set.intersection(*(set(rows) for rows in made.estimators_samples_))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(made.oob_prediction_)), sorted(seen))
    with pytest.warns(UserWarning, match="1 of 1 rows"):
        made.fit(WIDE[:1], VALUES[:1])
    assert np.isnan(made.oob_score_)


def test_random_states():
    first, again, other = (
        classifiers(options={"bootstrap": True, "random_state": seed}).fit(X, LABELS)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))
    assert (first.predict_proba(X) != other.predict_proba(X)).any()
    draws = np.random.RandomState(0)
    one, two = (classifiers(options={"random_state": draws}).fit(X, LABELS) for _ in range(2))
    assert (one.predict_proba(X) != two.predict_proba(X)).any()
    more = classifiers(6, {"bootstrap": True}).fit(X, LABELS)  # the first four are the same
    for a, b in zip(first.estimators_, more.estimators_, strict=False):
        expect_bits(a, b)


def test_sparse_rows_and_frames():
    dense = np.where(WIDE > 0, WIDE, 0)
    for kind in (scipy.sparse.csr_array, scipy.sparse.csc_matrix):
        made = regressors(3, {"bootstrap": True, "oob_score": False}).fit(kind(dense), VALUES)
        plain = regressors(3, {"bootstrap": True}).fit(dense, VALUES)
        np.testing.assert_allclose(made.predict(kind(dense)), plain.predict(dense), rtol=1e-9)
    frame = pd.DataFrame(X, columns=list("abcd"))
    made = classifiers().fit(frame, NAMES)
    assert list(made.feature_names_in_) == list("abcd")
    made.predict(frame)
    with raises(ValueError, "feature names"):
        made.predict(frame[list("dcba")])
    made.fit(X, NAMES)
    assert not hasattr(made, "feature_names_in_")


def test_missing_targets():
    y = np.where(np.arange(150) % 4 == 0, np.nan, VALUES)
    made = regressors(30, {"bootstrap": True, "oob_score": True}, mask_nan=True).fit(WIDE, y)
    known = np.isfinite(y)
    assert made.score(WIDE, y) == pytest.approx(r2_score(y[known], made.predict(WIDE)[known]))
    want = r2_score(y[known], made.oob_prediction_[known])
    assert made.oob_score_ == pytest.approx(want)


def test_tools_around_it():
    pipeline = make_pipeline(StandardScaler(), classifiers(2))
    name = "mlpensembleclassifier__estimator__hidden_layer_sizes"
    search = GridSearchCV(pipeline, {name: [(3,), (6,)]}, cv=2).fit(X, NAMES)
    best = search.best_estimator_[-1]
    assert best.estimators_[0].coefs_[0].shape == (4, search.best_params_[name][0])
    assert len(cross_val_score(regressors(2), WIDE, VALUES, cv=3, n_jobs=2)) == 3
    made = classifiers(options={"bootstrap": True}).fit(X, NAMES)
    other = pickle.loads(pickle.dumps(made))
    np.testing.assert_array_equal(other.predict_proba(X), made.predict_proba(X))
    np.testing.assert_array_equal(other.estimators_samples_, made.estimators_samples_)
    assert not hasattr(clone(made), "estimators_")
    assert MLPEnsembleClassifier().fit(X, NAMES).estimator_.hidden_layer_sizes == (100,)


def test_the_ensemble_of_networks(tmp_path):
    made = classifiers(3, max_iter=30).fit(X, LABELS)
    np.testing.assert_allclose(made.ensemble_.predict(X), made.predict_proba(X), rtol=1e-13)
    assert made.ensemble_.votes(X).shape == (150, 3)
    made.ensemble_.save(tmp_path / "m")
    made.estimators_[0].coefs_[0][:] = 0  # what is written into an estimator counts
    np.testing.assert_allclose(made.ensemble_.predict(X), made.predict_proba(X), rtol=1e-13)
