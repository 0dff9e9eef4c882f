"""What users see in passing: prints, places of warnings, what a scorer gets, names in errors."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from expect import raises
from perceptrons import BITS, BOTH, LABELS, VALUES, WIDE, X, classifier, regressor
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning


def test_lbfgs_counts_its_iterations(capsys):
    with warnings.catch_warnings(action="ignore"):
        classifier(solver="lbfgs", verbose=True, max_iter=3).fit(X, LABELS)
    lines = [line.split(",")[0] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["Iteration 1", "Iteration 2", "Iteration 3"]


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_filters_that_name_scikit_learn_hold(solver):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")
        classifier(solver=solver, max_iter=1).fit(X, LABELS)


def test_messages_of_lbfgs():
    with pytest.warns(ConvergenceWarning) as caught:
        classifier(solver="lbfgs", max_iter=2).fit(X, LABELS)
    message = str(caught[0].message)
    assert message.startswith("lbfgs failed to converge after 2 iteration(s) (status=1):")
    assert "Increase the number of iterations to improve the convergence (max_iter=2)." in message
    assert [warning.filename for warning in caught] == [__file__]


def test_a_column_of_targets_warns_here():
    with pytest.warns(DataConversionWarning, match="column-vector y") as caught:
        regressor(max_iter=1).partial_fit(WIDE, VALUES[:, None])
    assert [warning.filename for warning in caught] == [__file__]


def test_a_scorer_sees_the_epoch():
    seen = []

    def score(estimator, X, y):
        seen.append((estimator.n_iter_, estimator.loss_ == estimator.loss_curve_[-1]))
        return 0.5

    with warnings.catch_warnings(action="ignore"):
        classifier(early_stopping=True, scoring=score, max_iter=3).fit(X, LABELS)
    assert seen == [(1, True), (2, True), (3, True)]


def test_sparse_labels_come_back_sparse():
    with warnings.catch_warnings(action="ignore"):
        sparse = classifier(max_iter=3).fit(X, scipy.sparse.csr_matrix(BITS))
        dense = classifier(max_iter=3).fit(X, BITS)
    found = sparse.predict(X)
    assert scipy.sparse.issparse(found)
    np.testing.assert_array_equal(found.toarray(), dense.predict(X))
    assert sparse.score(X, BITS) == dense.score(X, BITS)


def test_scorers_get_the_rows_whose_targets_are_there():
    holes = np.where(np.arange(300).reshape(150, 2) % 5 == 0, np.nan, BOTH)
    options = {"mask_nan": True, "early_stopping": True, "scoring": "r2", "max_iter": 3}
    with warnings.catch_warnings(action="ignore"):
        assert np.isfinite(regressor(**options).fit(WIDE, holes).validation_scores_).all()
    with raises(ValueError, "scoring needs rows none of whose targets is NaN"):
        regressor(**options).fit(WIDE, holes, X_val=WIDE[:1], y_val=[[np.nan, 1]])


WRONG = {
    "class_weight": (
        lambda: classifier(class_weight={0: 0, 1: 0, 2: 0}).fit(X, LABELS),
        ["class_weight", "all zero"],
    ),
    "sample_weight_val": (
        lambda: classifier().fit(
            X, LABELS, X_val=X, y_val=LABELS, sample_weight_val=-(X[:, 0] ** 2)
        ),
        ["of X_val, y_val and sample_weight_val", "Negative values"],
    ),
    "X_val": (
        lambda: classifier().fit(X, LABELS, X_val=X[:, :1], y_val=LABELS),
        ["of X_val, y_val and sample_weight_val", "features"],
    ),
    "dropout": (
        lambda: classifier(hidden_layer_sizes=(), dropout=0.5).fit(X, LABELS),
        ["dropout needs a hidden layer", "hidden_layer_sizes"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_what_the_user_passed(name):
    call, parts = WRONG[name]
    with raises(ValueError, *parts):
        call()


def test_errors_of_shapes_and_of_coefs():
    model = regressor(mask_nan=True, max_iter=1)
    with warnings.catch_warnings(action="ignore"):
        model.fit(WIDE, BOTH)
    with raises(ValueError, "y must have the shape (150, 2), got (150,)"):
        model.score(WIDE, VALUES)
    model.coefs_[0] = None
    with raises(ValueError, "coefs_[0] must have 2 dimension(s), got None"):
        model.predict(WIDE)
