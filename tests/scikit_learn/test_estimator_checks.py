"""scikit-learn's checks of an estimator, with the defaults and with what fastbp adds."""

import pytest

pytest.importorskip("sklearn")
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastbp.sklearn import MLPClassifier, MLPRegressor

pytestmark = [
    # A check of few epochs, or of much data in a batch, that is no check of these.
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings(f"ignore::{SkipTestWarning.__module__}.SkipTestWarning"),
    pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1 or larger:UserWarning"),
]
FEW = {"max_iter": 100}
EXTRAS = {"max_iter": 60, "hidden_layer_sizes": (30, 20), "activation": ["tanh", "relu"]}


@parametrize_with_checks(
    [
        MLPClassifier(**FEW),
        MLPRegressor(**FEW),
        MLPClassifier(solver="adamw", learning_rate_init=5e-3, **EXTRAS),
        MLPRegressor(mask_nan=True, solver="nadam", loss="huber", **EXTRAS),
    ],
)
def test_checks(estimator, check):
    check(estimator)
