"""Validation, solvers and how a fit runs, beyond scikit-learn's: parameters do what they say."""

import pickle

import numpy as np
import pytest
from expect import stable
from perceptrons import (
    BOTH,
    LABELS,
    NAMES,
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
from sklearn.metrics import log_loss, r2_score

import fastbp
from fastbp import schedules

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
PARTS = {"batch_size": 40}


# Validation.


@pytest.mark.parametrize("early_stopping", [False, True])
def test_validation_rows_and_a_scorer(early_stopping):
    train, held_out = slice(0, 150, 2), slice(1, 150, 2)
    options = {"scoring": "neg_log_loss", "early_stopping": early_stopping, "max_iter": 8} | PARTS
    given = {"X_val": X[held_out], "y_val": NAMES[held_out]}
    model = classifier(**options).fit(X[train], NAMES[train], **given)
    last = log_loss(NAMES[held_out], model.predict_proba(X[held_out]))
    np.testing.assert_allclose(model.validation_loss_curve_, np.negative(model.validation_scores_))
    assert len(model.validation_scores_) == model.n_iter_ == 8
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert -last == pytest.approx(max(model.validation_scores_))  # the scores still improve
    without = classifier(max_iter=8, **PARTS).fit(X[train], NAMES[train])
    expect_equal(model, without)  # all rows are trained on, and to the end
    weighed = classifier(**options).fit(
        X[train], NAMES[train], sample_weight_val=WEIGHTS[held_out], **given
    )
    last = log_loss(
        NAMES[held_out], weighed.predict_proba(X[held_out]), sample_weight=WEIGHTS[held_out]
    )
    assert weighed.validation_loss_curve_[-1] == pytest.approx(last)


def test_early_stopping_by_the_users_rows_and_scorer():
    def worse(estimator, rows, y):
        worse.calls += 1
        assert len(rows) == len(y) == 20
        return -float(worse.calls)

    worse.calls = 0
    options = {"scoring": worse, "n_iter_no_change": 3, "max_iter": 50, "early_stopping": True}
    model = classifier(**options).fit(X, LABELS, X_val=X[:20], y_val=LABELS[:20])
    assert model.validation_scores_ == [-1, -2, -3, -4, -5]
    assert model.best_validation_score_ == -1
    expect_equal(model, classifier(max_iter=1).fit(X, LABELS))  # the best is the first


def test_validation_of_values():
    model = regressor().fit(WIDE[:100], BOTH[:100], X_val=WIDE[100:], y_val=BOTH[100:])
    found = model.predict(WIDE[100:])
    assert model.validation_scores_[-1] == pytest.approx(r2_score(BOTH[100:], found))
    half = ((found - BOTH[100:]) ** 2).mean() / 2
    assert model.validation_loss_curve_[-1] == pytest.approx(half)


# Solvers.


@pytest.mark.parametrize(
    ("solver", "made"),
    [
        ("adamw", fastbp.AdamW(1e-3, epsilon_hat=True)),
        ("rmsprop", fastbp.RMSprop(1e-3)),
        ("nadam", fastbp.Nadam(1e-3)),
        ("adagrad", fastbp.Adagrad(1e-3)),
        ("sgd", fastbp.SGD(1e-3, momentum=0.9, nesterov=True)),
    ],
    ids=["adamw", "rmsprop", "nadam", "adagrad", "sgd"],
)
def test_solvers(solver, made):
    named = classifier(solver=solver, **PARTS).fit(X, LABELS)
    assert type(named.network_.optimizer) is type(made)
    options = {} if solver in ("adamw", "sgd") else {"epsilon": made.eps}
    named = classifier(solver=solver, **options, **PARTS).fit(X, LABELS)
    expect_equal(named, classifier(solver=made, **PARTS).fit(X, LABELS))
    expect_different(named, classifier(**PARTS).fit(X, LABELS))
    more = classifier(solver=solver, learning_rate_init=0.02, **PARTS).fit(X, LABELS)
    expect_different(named, more)


def test_a_schedule():
    still = classifier(schedule=lambda step: 0.0, **PARTS).fit(X, LABELS)
    begun = classifier(max_iter=1, learning_rate_init=1e-15, **PARTS).fit(X, LABELS)
    expect_equal(still, begun)
    half = classifier(schedule=schedules.Constant(0.5), **PARTS).fit(X, LABELS)
    expect_equal(half, classifier(learning_rate_init=5e-4, **PARTS).fit(X, LABELS), rtol=1e-7)
    cosine = classifier(schedule=schedules.Cosine(), **PARTS).fit(X, LABELS)
    expect_different(cosine, classifier(**PARTS).fit(X, LABELS))


@pytest.mark.parametrize("solver", ["adam", "sgd", "rmsprop", "nadam", "adagrad"])
def test_a_warm_start_that_keeps_the_optimizer(solver):
    options = {"solver": solver, "shuffle": False, "learning_rate_init": 0.01} | PARTS
    long = regressor(max_iter=6, **options).fit(WIDE, VALUES)
    options |= {"warm_start": True, "max_iter": 3}
    kept = regressor(keep_optimizer=True, **options).fit(WIDE, VALUES)
    kept = pickle.loads(pickle.dumps(kept)).fit(WIDE, VALUES)
    expect_equal(long, kept)
    assert kept.loss_curve_ == pytest.approx(long.loss_curve_)
    assert kept.t_ == long.t_
    forgot = regressor(**options).fit(WIDE, VALUES).fit(WIDE, VALUES)
    expect_different(long, forgot)


# How it runs.


@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"early_stopping": True}], ids=stable)
def test_progress(options, capsys):
    classifier(progress=True, **options).fit(X, LABELS)
    told = capsys.readouterr().err
    assert "100%" in told
    assert "3/3" in told
    classifier(**options).fit(X, LABELS)
    assert capsys.readouterr().err == ""


def test_threads():
    models = [classifier(threads=n, **PARTS).fit(X, LABELS) for n in (1, 2, None)]
    assert [model.network_._core.engine.threads for model in models] == [1, 2, None]
    expect_equal(*models)
    models[0].set_params(threads=2).predict(X)
    assert models[0].network_._core.engine.threads == 2
