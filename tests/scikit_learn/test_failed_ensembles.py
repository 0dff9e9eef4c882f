"""Fits of ensembles that warn, that fail, that are interrupted."""

import signal
import sys
import time

import numpy as np
import pytest
from expect import raises
from perceptrons import LABELS, VALUES, WEIGHTS, WIDE, X, classifiers, regressor, regressors
from process import finish, start

pytest.importorskip("sklearn")
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_warnings_of_estimators_are_told_once():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations.*\(3 of 3 est") as caught:
        regressors(3, {"threads": 2}).fit(WIDE, VALUES)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.warns(ConvergenceWarning, match="Maximum iterations") as caught:
        regressor().fit(WIDE, VALUES)  # and alone as before
    assert "estimators" not in str(caught[0].message)


BAD = {
    "estimator": (classifiers, {"estimator": regressor()}, InvalidParameterError, "estimator"),
    "n_estimators": (classifiers, {"n_estimators": 0}, InvalidParameterError, "n_estimators"),
    "max_samples": (classifiers, {"max_samples": 1.5}, InvalidParameterError, "max_samples"),
    "max_samples, many": (classifiers, {"max_samples": 151}, ValueError, "max_samples", "150"),
    "bootstrap": (classifiers, {"bootstrap": 2}, InvalidParameterError, "bootstrap"),
    "oob_score": (classifiers, {"oob_score": True}, ValueError, "bootstrap=True"),
    "alpha": (classifiers, {"estimator__alpha": -1}, InvalidParameterError, "alpha"),
    "layers": (
        classifiers,
        {"estimator__activation": ["relu", "tanh"]},
        ValueError,
        "activation",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_parameters_change_nothing(name):
    make, wrong, error, *parts = BAD[name]
    made = make().fit(X, LABELS)
    before = made.predict_proba(X)
    with raises(error, *parts):
        made.set_params(**wrong).fit(X, LABELS)
    np.testing.assert_array_equal(made.predict_proba(X), before)


def test_a_fit_that_fails_names_the_estimator_and_changes_nothing():
    made = regressors(3, {"threads": 2}).fit(WIDE, VALUES)
    before = made.predict(WIDE)
    with raises(ValueError, "non-finite") as caught:
        made.fit(WIDE, VALUES * 1e300)
    assert caught.value.__notes__[-1].startswith("of estimator ")
    np.testing.assert_array_equal(made.predict(WIDE), before)
    for y, weights in ((VALUES[:5], None), (VALUES * np.nan, None), (VALUES, -WEIGHTS)):
        with pytest.raises(ValueError):  # noqa: PT011 - scikit-learn's own
            made.fit(WIDE, y, weights)
    with pytest.raises(ValueError, match=r"(?i)sample.weight"):
        made.set_params(bootstrap=True).fit(WIDE, VALUES, np.zeros(150))
    np.testing.assert_array_equal(made.predict(WIDE), before)


def test_not_fitted():
    for use in ("predict", "predict_proba", "predict_log_proba"):
        with pytest.raises(NotFittedError):
            getattr(classifiers(), use)(X)
    for name in ("ensemble_", "estimators_samples_"):
        with pytest.raises(NotFittedError):
            getattr(regressors(), name)
    with pytest.raises(NotFittedError):
        regressors().score(WIDE, VALUES)


def test_progress(capfd):
    regressors(3, {"progress": True}).fit(WIDE, VALUES)
    assert "3/3" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_leaves_it_as_it_was(tmp_path):
    program = """
import warnings
from perceptrons import VALUES, WIDE, regressor
from fastbp.sklearn import MLPEnsembleRegressor

warnings.simplefilter("ignore")
made = MLPEnsembleRegressor(regressor(), 4, threads=2, random_state=0).fit(WIDE, VALUES)
before = made.predict(WIDE)
made.set_params(estimator__max_iter=10**7, estimator__tol=0, estimator__n_iter_no_change=10**7)
print("ready", flush=True)
try:
    made.fit(WIDE, VALUES)
except KeyboardInterrupt:
    assert (made.predict(WIDE) == before).all()
    print("as before")
"""
    process = start(tmp_path, program)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert "as before" in finish(process)
