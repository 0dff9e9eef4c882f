"""The same weights, losses, scores and predictions as scikit-learn's, to rounding."""

from itertools import pairwise

import numpy as np
import pytest
from expect import stable
from perceptrons import BITS, BOTH, LABELS, NAMES, SIGNS, VALUES, WEIGHTS, WIDE, X, since_1_7

pytest.importorskip("sklearn")
import scipy.sparse
from sklearn import neural_network
from sklearn.base import clone

import fastbp.sklearn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

COUNTS = np.round(np.exp(VALUES))

CURVES = ("loss_curve_", "validation_scores_")
SGD = {"solver": "sgd", "learning_rate_init": 0.02, "batch_size": 20}
ADAPTIVE = {"learning_rate": "adaptive", "tol": 5e-2, "n_iter_no_change": 2, "max_iter": 60}
# Kind, targets, whether rows have weights, parameters.
CASES = {
    "labels": ("Classifier", LABELS, {}),
    "names": ("Classifier", NAMES, {"batch_size": 37}),
    "signs": ("Classifier", SIGNS, {"batch_size": 37, "alpha": 0.5, "activation": "logistic"}),
    "bits": ("Classifier", BITS, {"batch_size": 37, "alpha": 0.5, "activation": "tanh"}),
    "unshuffled": ("Classifier", LABELS, {"batch_size": 37, "shuffle": False}),
    "two layers": ("Classifier", LABELS, {"hidden_layer_sizes": (9, 7), "activation": "identity"}),
    "no layer": ("Regressor", VALUES, {"hidden_layer_sizes": ()}),
    "adam": ("Regressor", BOTH, {"beta_1": 0.7, "beta_2": 0.99, "epsilon": 1e-3, "alpha": 1}),
    "stops": ("Classifier", SIGNS, {"tol": 1e-1, "n_iter_no_change": 3, "max_iter": 60}),
    "stops early": ("Classifier", LABELS, {"early_stopping": True, "n_iter_no_change": 3}),
    "stops early, signs": ("Classifier", SIGNS, {"early_stopping": True, "batch_size": 37}),
    "stops early, bits": ("Classifier", BITS, {"early_stopping": True, "validation_fraction": 0.3}),
    "stops early, values": ("Regressor", VALUES, {"early_stopping": True, "batch_size": 37}),
    "stops early, both": ("Regressor", BOTH, {"early_stopping": True, "n_iter_no_change": 2}),
    "nesterov": ("Classifier", LABELS, SGD),
    "momentum": ("Classifier", LABELS, SGD | {"nesterovs_momentum": False}),
    "plain": ("Regressor", BOTH, SGD | {"momentum": 0}),
    "invscaling": ("Classifier", LABELS, SGD | {"learning_rate": "invscaling", "power_t": 0.1}),
    "adaptive": ("Classifier", LABELS, SGD | ADAPTIVE),
    "adaptive, no nesterov": ("Regressor", VALUES, SGD | ADAPTIVE | {"nesterovs_momentum": False}),
    "adaptive, stops early": ("Classifier", LABELS, SGD | ADAPTIVE | {"early_stopping": True}),
    "adam, adaptive": ("Regressor", VALUES, ADAPTIVE),
    "lbfgs": ("Classifier", LABELS, {"solver": "lbfgs"}),
    "lbfgs, bits": ("Classifier", BITS, {"solver": "lbfgs", "alpha": 0.5}),
    "lbfgs, both": ("Regressor", BOTH, {"solver": "lbfgs", "activation": "tanh", "alpha": 1}),
    "lbfgs, max_fun": ("Regressor", VALUES, {"solver": "lbfgs", "max_fun": 4}),
}
SINCE_1_7 = {
    "weights": ("Classifier", LABELS, {"batch_size": 37, "alpha": 1}),
    "weights, signs": ("Classifier", SIGNS, {"early_stopping": True, "alpha": 1}),
    "weights, bits": ("Classifier", BITS, SGD),
    "weights, both": ("Regressor", BOTH, {"early_stopping": True, "batch_size": 37, "alpha": 1}),
    "weights, lbfgs": ("Regressor", VALUES, {"solver": "lbfgs", "alpha": 1}),
    "poisson": ("Regressor", COUNTS, {"loss": "poisson", "batch_size": 37}),
    "poisson, weights": ("Regressor", COUNTS, {"loss": "poisson", "batch_size": 37}),
    "poisson, lbfgs": ("Regressor", COUNTS, {"loss": "poisson", "solver": "lbfgs"}),
}


def pair(kind, **options):
    """scikit-learn's and fastbp's, of the same parameters."""
    options = {"hidden_layer_sizes": 8, "max_iter": 12, "random_state": 3} | options
    name = f"MLP{kind}"
    return getattr(neural_network, name)(**options), getattr(fastbp.sklearn, name)(**options)


def fitted_pair(kind, y, weights=None, rows=None, **options):
    """Both, fitted."""
    theirs, ours = pair(kind, **options)
    rows = features(kind) if rows is None else rows
    given = {} if weights is None else {"sample_weight": weights}
    return theirs.fit(rows, y, **given), ours.fit(rows, y, **given)


def features(kind):
    return X if kind == "Classifier" else WIDE


def expect_same(theirs, ours, rows, rtol=1e-7, atol=1e-9, losses=True):
    """The fitted attributes and the predictions."""
    bounds = {"rtol": rtol, "atol": atol}
    for name in ("coefs_", "intercepts_"):
        for wanted, found in zip(getattr(theirs, name), getattr(ours, name), strict=True):
            assert wanted.dtype == found.dtype
            np.testing.assert_allclose(found, wanted, **bounds)
    missing = {name for name in vars(theirs) if name.endswith("_") and not hasattr(ours, name)}
    assert not missing
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("loss_", "best_loss_", "best_validation_score_", *CURVES) if losses else ():
        wanted = getattr(theirs, name, None)
        found = getattr(ours, name, None)
        assert (wanted is None) == (found is None), name
        if wanted is not None:
            np.testing.assert_allclose(found, wanted, **bounds, err_msg=name)
    for method in ("predict_proba", "predict_log_proba"):
        if hasattr(theirs, method):
            wanted, found = getattr(theirs, method)(rows), getattr(ours, method)(rows)
            assert found.dtype == wanted.dtype
            np.testing.assert_allclose(found, wanted, **bounds)
    if hasattr(theirs, "classes_"):
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        np.testing.assert_array_equal(ours.predict(rows), theirs.predict(rows))
        assert ours.predict(rows).dtype == theirs.predict(rows).dtype
    else:
        np.testing.assert_allclose(ours.predict(rows), theirs.predict(rows), **bounds)


@pytest.mark.parametrize("case", CASES, ids=stable)
def test_fit(case):
    kind, y, options = CASES[case]
    expect_same(*fitted_pair(kind, y, **options), features(kind))


@since_1_7
@pytest.mark.parametrize("case", SINCE_1_7, ids=stable)
def test_fit_with_what_came_in_1_7(case):
    kind, y, options = SINCE_1_7[case]
    weights = WEIGHTS if "weights" in case else None
    expect_same(*fitted_pair(kind, y, weights, **options), features(kind))


@since_1_7
def test_scores_with_weights():
    theirs, ours = fitted_pair("Regressor", BOTH, WEIGHTS)
    for given in ({}, {"sample_weight": WEIGHTS}):
        assert ours.score(WIDE, BOTH, **given) == pytest.approx(theirs.score(WIDE, BOTH, **given))


@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}], ids=stable)
def test_float32(options):
    theirs, ours = fitted_pair("Classifier", LABELS, rows=X.astype("f4"), **options)
    assert ours.coefs_[0].dtype == ours.predict_proba(X.astype("f4")).dtype == np.float32
    bounds = {"rtol": 1e-3, "atol": 1e-4}
    for wanted, found in zip(theirs.coefs_, ours.coefs_, strict=True):
        np.testing.assert_allclose(found, wanted, **bounds)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-4)


def unsorted(rows):
    """CSR with the columns of each row in descending order."""
    found = scipy.sparse.csr_matrix(rows)
    for a, b in pairwise(found.indptr):
        found.indices[a:b], found.data[a:b] = found.indices[a:b][::-1], found.data[a:b][::-1]
    found.has_sorted_indices = False
    return found


INPUTS = {
    "big endian": lambda rows: rows.astype(">f8"),
    "reversed": lambda rows: np.ascontiguousarray(rows[::-1, ::-1])[::-1, ::-1],
    "columns": np.asfortranarray,
    "half": lambda rows: rows.astype("f2"),
    "integers": lambda rows: (rows * 2).astype("i2"),
    "booleans": lambda rows: rows > 3,
    "objects": lambda rows: rows.astype(object),
    "lists": lambda rows: rows.tolist(),
    "unsorted": unsorted,
    "coo": scipy.sparse.coo_array,
    "wide csr": lambda rows: scipy.sparse.csr_array(rows).astype("i8"),
    "empty": lambda rows: scipy.sparse.csr_array(rows.shape),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_kinds_of_input(kind):
    rows = INPUTS[kind](np.where(np.abs(X) < 2, 0, X))
    expect_same(*fitted_pair("Classifier", NAMES.tolist(), rows=rows, alpha=0, max_iter=4), rows)


def test_losses_of_certain_errors_are_not_capped():
    """The weights are the same, since scikit-learn's gradient knows of no cap, either."""
    theirs, ours = fitted_pair("Classifier", LABELS, learning_rate_init=100.0, max_iter=6)
    for wanted, found in zip(theirs.coefs_, ours.coefs_, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-7)
    assert max(theirs.loss_curve_) < 40 < max(ours.loss_curve_)


@since_1_7
def test_batches_that_weigh_nothing():
    weights = np.where(np.arange(150) < 60, 0.0, 1.0)
    options = {"batch_size": 30, "shuffle": False, "hidden_layer_sizes": 8, "max_iter": 12}
    ours = fastbp.sklearn.MLPClassifier(
        solver="sgd", momentum=0, alpha=0, random_state=3, **options
    )
    ours.fit(X, NAMES == "virgi", sample_weight=weights)  # scikit-learn divides by zero
    without = clone(ours).fit(X[60:], NAMES[60:] == "virgi")
    for wanted, found in zip(without.coefs_, ours.coefs_, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10)


@pytest.mark.parametrize(
    "made", [scipy.sparse.csr_matrix, scipy.sparse.csc_array], ids=["csr", "csc"]
)
def test_sparse(made):
    rows = made(np.where(np.abs(X) < 2, 0, X))
    theirs, ours = fitted_pair("Classifier", LABELS, rows=rows, alpha=0, batch_size=37)
    expect_same(theirs, ours, rows)
    expect_same(*fitted_pair("Classifier", LABELS, rows=rows, alpha=1, batch_size=37), rows)
    expect_same(*fitted_pair("Classifier", BITS, rows=rows, solver="lbfgs", alpha=1), rows)


def test_sparse_of_many_batches():
    """The penalty within the losses is interpolated; all else is the same."""
    rows = scipy.sparse.csr_array(np.where(np.abs(X) < 2, 0, X))
    options = {"rows": rows, "alpha": 10, "batch_size": 3, "max_iter": 4}
    theirs, ours = fitted_pair("Classifier", LABELS, **options)
    expect_same(theirs, ours, rows, losses=False)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-3)
    assert ours.loss_curve_ != theirs.loss_curve_


@pytest.mark.parametrize("options", [{}, SGD, {"solver": "lbfgs"}], ids=stable)
def test_warm_start(options):
    theirs, ours = pair("Classifier", warm_start=True, max_iter=4, **{"batch_size": 37} | options)
    for rows, y in ((X, NAMES), (X[::2], NAMES[::2]), (X, NAMES)):
        expect_same(theirs.fit(rows, y), ours.fit(rows, y), X)
    for estimator in (theirs, ours):
        estimator.set_params(warm_start=False).fit(X, LABELS)
    expect_same(theirs, ours, X)


def test_a_warm_start_that_improves_nothing_keeps_the_best():
    """Where scikit-learn's has the last, since its best are the arrays that it goes on to train."""
    options = {"early_stopping": True, "warm_start": True, "learning_rate_init": 0.1}
    _, ours = pair("Classifier", **options)
    ours.fit(X, LABELS)
    best, coefs = ours.best_validation_score_, [coef.copy() for coef in ours.coefs_]
    ours.set_params(max_iter=1, learning_rate_init=10.0).fit(X, LABELS)
    assert ours.validation_scores_[-1] < best == ours.best_validation_score_
    for found, wanted in zip(ours.coefs_, coefs, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_warm_start_goes_on_from_weights_that_were_assigned():
    theirs, ours = pair("Regressor", warm_start=True, max_iter=4)
    for estimator in (theirs, ours):
        estimator.fit(WIDE, VALUES)
        estimator.coefs_ = [coef * 0.5 for coef in estimator.coefs_]
        estimator.intercepts_[0][:] = 0.25
        estimator.coefs_[1] = np.ones_like(estimator.coefs_[1])
    np.testing.assert_allclose(ours.predict(WIDE), theirs.predict(WIDE))
    expect_same(theirs.fit(WIDE, VALUES), ours.fit(WIDE, VALUES), WIDE)


@pytest.mark.parametrize(
    "options",
    [{}, SGD, SGD | {"learning_rate": "invscaling"}, SGD | ADAPTIVE, {"shuffle": False}],
    ids=stable,
)
def test_partial_fit(options):
    theirs, ours = pair("Classifier", **{"batch_size": 20} | options)
    parts = [slice(0, 60), slice(40, 150), slice(0, 150, 3)]
    for _ in range(3):
        for part in parts:
            for estimator in (theirs, ours):
                estimator.partial_fit(X[part], LABELS[part], classes=[0, 1, 2])
    expect_same(theirs, ours, X)
    expect_same(theirs.fit(X, LABELS), ours.fit(X, LABELS), X)  # t_ and the curve go with it
    for estimator in (theirs, ours):
        estimator.partial_fit(X, LABELS)
    expect_same(theirs, ours, X)


@pytest.mark.parametrize("options", [{}, SGD], ids=stable)
def test_parameters_that_change_between_parts(options):
    """What the optimizer has gathered is kept."""
    theirs, ours = pair("Classifier", **{"batch_size": 20} | options)
    for change in ({"alpha": 1}, {"activation": "tanh"}, {"batch_size": 50}, {"shuffle": False}):
        for estimator in (theirs, ours):
            estimator.partial_fit(X, LABELS, classes=[0, 1, 2]).set_params(**change)
            estimator.partial_fit(X, LABELS)
        expect_same(theirs, ours, X)


def test_partial_fit_of_values_and_of_bits():
    theirs, ours = pair("Regressor")
    for estimator in (theirs, ours):
        for _ in range(4):
            estimator.partial_fit(WIDE, BOTH)
    expect_same(theirs, ours, WIDE)
    theirs, ours = pair("Classifier")
    for estimator in (theirs, ours):
        for _ in range(4):
            estimator.partial_fit(X, BITS, classes=[0, 1, 2])
    expect_same(theirs, ours, X)


@pytest.mark.parametrize("options", [{}, {"batch_size": 37}, {"early_stopping": True}], ids=stable)
def test_one_random_state_of_two_fits(options):
    """What a fit draws, and no more: the next user of the generator finds the same numbers."""
    states = [np.random.RandomState(5), np.random.RandomState(5)]
    results = []
    for state, kind in zip(states, (neural_network, fastbp.sklearn), strict=True):
        options = options | {"random_state": state, "hidden_layer_sizes": 8, "max_iter": 7}
        results.append([kind.MLPClassifier(**options).fit(X, LABELS) for _ in range(2)])
    for theirs, ours in zip(*results, strict=True):
        expect_same(theirs, ours, X)
    assert states[0].randint(1 << 30) == states[1].randint(1 << 30)


def test_the_stopping_rules_draws_no_more_than_the_fit_needs():
    states = [np.random.RandomState(5), np.random.RandomState(5)]
    for state, kind in zip(states, (neural_network, fastbp.sklearn), strict=True):
        options = {"tol": 1e-1, "n_iter_no_change": 3, "random_state": state}
        assert kind.MLPClassifier(8, max_iter=60, **options).fit(X, LABELS).n_iter_ < 50
    assert states[0].randint(1 << 30) == states[1].randint(1 << 30)


def test_the_global_random_state():
    found = []
    for kind in (neural_network, fastbp.sklearn):
        np.random.seed(7)  # noqa: NPY002 - what random_state=None is
        found.append(
            kind.MLPRegressor(hidden_layer_sizes=8, max_iter=5, batch_size=37).fit(WIDE, VALUES)
        )
    expect_same(*found, WIDE)


def test_verbose(capsys):
    told = []
    for options in ({"early_stopping": True}, SGD | ADAPTIVE):
        for estimator in pair("Classifier", verbose=True, **options):
            estimator.fit(X, LABELS)
            told.append(capsys.readouterr().out)
        assert told[-1] == told[-2]
        assert "Iteration 1, loss = " in told[-1]


def test_more_rows_a_batch_than_there_are():
    theirs, ours = pair("Classifier", batch_size=400)
    for estimator in (theirs, ours):
        with pytest.warns(UserWarning, match="Got `batch_size` less than 1 or larger than sample"):
            estimator.fit(X, LABELS)
    expect_same(theirs, ours, X)
