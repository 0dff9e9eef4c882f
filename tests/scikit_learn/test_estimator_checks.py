"""scikit-learn's checks of an estimator, with the defaults and with what fastbp adds."""

from unittest import SkipTest

import pytest

pytest.importorskip("sklearn")
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import estimator_checks_generator

from fastbp.sklearn import (
    MLPClassifier,
    MLPEnsembleClassifier,
    MLPEnsembleRegressor,
    MLPRegressor,
)

pytestmark = [
    # A check of few epochs, or of much data in a batch, that is no check of these.
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings(f"ignore::{SkipTestWarning.__module__}.SkipTestWarning"),
    pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1 or larger:UserWarning"),
]
FEW = {"max_iter": 100}
EXTRAS = {"max_iter": 60, "hidden_layer_sizes": (30, 20), "activation": ["tanh", "relu"]}


ESTIMATORS = {
    "classifier": MLPClassifier(**FEW),
    "regressor": MLPRegressor(**FEW),
    "classifier with extras": MLPClassifier(solver="adamw", learning_rate_init=5e-3, **EXTRAS),
    "regressor with extras": MLPRegressor(mask_nan=True, solver="nadam", loss="huber", **EXTRAS),
    "ensemble of classifiers": MLPEnsembleClassifier(MLPClassifier(**FEW), 3),
    "ensemble of regressors": MLPEnsembleRegressor(MLPRegressor(**FEW), 3),
}


def _checks():
    """What `parametrize_with_checks` makes, by numbers: scikit-learn's ids are not always two."""
    for name, estimator in ESTIMATORS.items():
        for number, (checked, check) in enumerate(estimator_checks_generator(estimator)):
            what = getattr(check, "func", check).__name__
            yield pytest.param(checked, check, id=f"{name}-{number}-{what}")


@pytest.mark.parametrize(("estimator", "check"), list(_checks()))
def test_checks(estimator, check):
    try:
        check(estimator)
    except SkipTest as reason:  # which pytest 9.0.0 takes for a failure
        pytest.skip(str(reason))
