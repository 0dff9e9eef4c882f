"""What the tests of fastbp.sklearn share: small data, and estimators that are quick to fit."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
import sklearn
from sklearn.datasets import load_diabetes, load_iris

from fastbp.sklearn import (
    MLPClassifier,
    MLPEnsembleClassifier,
    MLPEnsembleRegressor,
    MLPRegressor,
)

VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
since_1_7 = pytest.mark.skipif(VERSION < (1, 7), reason="scikit-learn before 1.7")

X, LABELS = load_iris(return_X_y=True)
SIGNS, NAMES = (LABELS > 0).astype(int), np.array(["setosa", "versi", "virgi"])[LABELS]
BITS = np.stack([LABELS > 0, LABELS > 1, X[:, 0] > 6], axis=1).astype(int)
WIDE, VALUES = load_diabetes(return_X_y=True)
WIDE, VALUES = WIDE[:150] * 20, (VALUES[:150] - 150) / 77
BOTH = np.stack([VALUES, VALUES**2], axis=1)
WEIGHTS = np.random.default_rng(0).uniform(0.2, 3, 150)
WEIGHTS[:5] = 0
QUICK = {"hidden_layer_sizes": 5, "max_iter": 3, "random_state": 0}


def classifier(**options):
    return MLPClassifier(**QUICK | options)


def regressor(**options):
    return MLPRegressor(**QUICK | options)


def classifiers(count=4, options=None, **of_each):
    return MLPEnsembleClassifier(
        classifier(**of_each), count, **{"random_state": 0} | (options or {})
    )


def regressors(count=4, options=None, **of_each):
    return MLPEnsembleRegressor(
        regressor(**of_each), count, **{"random_state": 0} | (options or {})
    )


def interrupting(calls, error=KeyboardInterrupt):
    """A scorer that is interrupted in one of its calls."""
    left = [calls]

    def score(estimator, rows, y):
        left[0] -= 1
        if not left[0]:
            raise error
        return estimator.score(rows, y)

    return score


def expect_equal(*models, rtol=1e-10):
    """The same weights."""
    first, *others = models
    for other in others:
        for wanted, found in zip(first.coefs_, other.coefs_, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=rtol, atol=1e-12)


def expect_different(first, second):
    assert not np.allclose(first.coefs_[0], second.coefs_[0], rtol=1e-6)
