"""Scores that are measured after each epoch are scikit-learn's, and warnings point at the user."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score

from fastbp.sklearn import MLPClassifier, labels, scores

WEIGHTS = np.random.default_rng(1).uniform(0, 3, 30)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_r2(outputs, weights, rng):
    y, found = rng.standard_normal((2, 30, outputs))
    expected = r2_score(y, found, sample_weight=weights)
    assert scores.r2(y, found, weights) == pytest.approx(expected, rel=1e-12)
    y[:, 0] = 4.0  # a constant target, not found and found
    assert scores.r2(y, found, weights) == pytest.approx(
        r2_score(y, found, sample_weight=weights), rel=1e-12
    )
    found[:, 0] = 4.0
    assert scores.r2(y, found, weights) == pytest.approx(
        r2_score(y, found, sample_weight=weights), rel=1e-12
    )


def test_r2_of_targets_that_are_missing(rng):
    y, found = rng.standard_normal((2, 30, 3))
    y[:28, 1], y[3:9, 2] = np.nan, np.nan
    y[:29, 1] = np.nan  # one is left, which has no spread
    expected = [r2_score(y[:, 0], found[:, 0])]
    known = ~np.isnan(y[:, 2])
    expected.append(r2_score(y[known, 2], found[known, 2]))
    assert scores.r2(y, found, None) == pytest.approx(np.mean(expected), rel=1e-12)
    assert np.isnan(scores.r2(np.full((4, 1), np.nan), found[:4, :1], None))


@pytest.mark.parametrize(
    ("classes", "options"),
    [
        (1, {}), (2, {}), (2, {"out_activation": "softmax"}), (3, {}),
        (3, {"out_activation": "logistic"}), ("several", {}),
    ],
    ids=str,
)  # fmt: skip
def test_accuracy(classes, options, rng):
    X = rng.standard_normal((40, 4))
    y = (X[:, :3] > 0).astype(int) if classes == "several" else rng.integers(0, classes, 40)
    estimator = MLPClassifier((5,), max_iter=3, random_state=0, **options)
    with warnings.catch_warnings(action="ignore"):
        estimator.fit(X, y)
    data, _ = labels.checked(estimator, X, y, None, incremental=False, first=False)
    right = labels.right(estimator, estimator.network_.predict(X), data.targets)
    assert right.mean() == accuracy_score(y, estimator.predict(X))


def test_warnings_point_at_the_line_that_called(rng):
    X = rng.standard_normal((40, 4))
    with pytest.warns(ConvergenceWarning) as caught:
        MLPClassifier((5,), max_iter=1).fit(X, X[:, 0] > 0)
    assert [warning.filename for warning in caught] == [__file__]


def test_probabilities_of_one_against_the_rest(rng):
    X = rng.standard_normal((30, 4))
    estimator = MLPClassifier((), max_iter=1, out_activation="logistic", random_state=0)
    with warnings.catch_warnings(action="ignore"):
        estimator.fit(X, np.arange(30) % 3)
    outputs = np.array([[0.2, 0.4, 0.2], [0.0, 0.0, 0.0]])
    expected = [[0.25, 0.5, 0.25], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(labels.probabilities(estimator, outputs), expected)
    np.testing.assert_allclose(estimator.predict_proba(X).sum(axis=1), 1)
