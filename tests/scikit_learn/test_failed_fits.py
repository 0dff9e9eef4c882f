"""Fits that fail: they change nothing, and their messages are scikit-learn's where it has one."""

import copy
import pickle

import numpy as np
import pytest
from expect import raises
from perceptrons import (
    BITS,
    LABELS,
    NAMES,
    QUICK,
    VALUES,
    WIDE,
    X,
    classifier,
    interrupting,
    regressor,
    since_1_7,
)

pytest.importorskip("sklearn")
from sklearn import neural_network
from sklearn.exceptions import NotFittedError

from fastbp.losses import CrossEntropy
from fastbp.sklearn import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def attributes(model):
    """What a fit changes."""
    return {k: copy.deepcopy(v) for k, v in vars(model).items() if k.endswith("_")}


FAILURES = {
    "length": lambda model: model.fit(WIDE, VALUES[:4]),
    "nan": lambda model: model.fit(WIDE, VALUES * np.nan),
    "activation": lambda model: model.set_params(activation=["relu", "tanh"]).fit(WIDE, VALUES),
    "solver": lambda model: model.set_params(solver="newton").fit(WIDE, VALUES),
    "weights": lambda model: model.fit(WIDE, VALUES, sample_weight=VALUES),
    "X_val": lambda model: model.fit(WIDE, VALUES, X_val=WIDE[:, 1:], y_val=VALUES),
    "too large": lambda model: model.fit(WIDE, VALUES * 1e300),
    "a part too large": lambda model: model.partial_fit(WIDE, VALUES * 1e300),
    "a part too wide": lambda model: model.partial_fit(WIDE[:, 1:], VALUES),
    "diverging": lambda model: model.set_params(
        solver="sgd", learning_rate_init=1e7, batch_size=150, max_iter=40
    ).fit(WIDE, VALUES),
    "scorer": lambda model: model.set_params(
        early_stopping=True, scoring=interrupting(3, OSError)
    ).fit(WIDE, VALUES),
    "lbfgs": lambda model: model.set_params(solver="lbfgs").fit(WIDE, VALUES * 1e300),
}


@pytest.mark.parametrize("warm_start", [False, True], ids=["anew", "warm"])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_fit_changes_nothing(failure, warm_start):
    model = regressor(warm_start=warm_start).fit(WIDE, VALUES)
    before, twin = attributes(model), pickle.loads(pickle.dumps(model))
    with pytest.raises((ValueError, OSError)):
        FAILURES[failure](model)
    np.testing.assert_equal(attributes(model), before)
    model.set_params(**twin.get_params())
    np.testing.assert_array_equal(model.predict(WIDE), twin.predict(WIDE))
    for each in (model, twin):  # nor what the next one goes on from
        each.partial_fit(WIDE, VALUES)
    np.testing.assert_equal(attributes(model), attributes(twin))


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_first_fit_leaves_nothing(failure):
    model = regressor()
    try:
        FAILURES[failure](model)
    except (ValueError, OSError):
        assert not [name for name in vars(model) if name not in model.get_params()]
        with pytest.raises(NotFittedError):
            model.predict(WIDE)
    else:
        assert failure == "a part too wide"  # of nothing


def test_a_failed_first_partial_fit_leaves_nothing():
    model = classifier()
    with raises(ValueError, "`y` has classes not in `self.classes_`"):
        model.partial_fit(X, NAMES, classes=["setosa"])
    model.partial_fit(X, LABELS, classes=[0, 1, 2])
    assert model.classes_.tolist() == [0, 1, 2]


# Messages.

AS_THEIRS = {
    "not fitted": lambda model: model.predict(X),
    "features": lambda model: model.fit(X, LABELS).predict(X[:, :2]),
    "nan": lambda model: model.fit(np.where(X > 6, np.nan, X), LABELS),
    "inf": lambda model: model.fit(np.where(X > 6, np.inf, X), LABELS),
    "nan in rows": lambda model: model.fit(X, LABELS).predict(X * np.nan),
    "continuous": lambda model: model.fit(X, X[:, 0]),
    "two columns of classes": lambda model: model.fit(X, np.stack([LABELS, LABELS], axis=1)),
    "no y": lambda model: model.fit(X, None),
    "no rows": lambda model: model.fit(X[:0], LABELS[:0]),
    "lengths": lambda model: model.fit(X, LABELS[:7]),
    "one dimension": lambda model: model.fit(X[:, 0], LABELS),
    "complex": lambda model: model.fit(X + 1j, LABELS),
    "sizes": lambda model: model.set_params(hidden_layer_sizes=(3, 0)).fit(X, LABELS),
    "size": lambda model: model.set_params(hidden_layer_sizes=-1).fit(X, LABELS),
    "max_iter": lambda model: model.set_params(max_iter=2.5).fit(X, LABELS),
    "alpha": lambda model: model.set_params(alpha=-1).fit(X, LABELS),
    "momentum": lambda model: model.set_params(momentum=2).fit(X, LABELS),
    "learning_rate": lambda model: model.set_params(learning_rate="slow").fit(X, LABELS),
    "parameter": lambda model: model.set_params(layers=3),
    "small": lambda model: model.set_params(early_stopping=True).fit(X[:5], LABELS[:5]),
    "one of a class": lambda model: model.set_params(early_stopping=True).fit(
        X, np.arange(150) == 0
    ),
    "partial_fit": lambda model: model.set_params(early_stopping=True).partial_fit(
        X, LABELS, [0, 1, 2]
    ),
    "no classes": lambda model: model.partial_fit(X, LABELS),
    "other classes": lambda model: model.partial_fit(X, LABELS, classes=[0, 1, 2]).partial_fit(
        X, LABELS, classes=[0, 1, 5]
    ),
    "lbfgs": lambda model: model.set_params(solver="lbfgs").partial_fit,
}


NEWER = {"small", "partial_fit"}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=since_1_7 if case in NEWER else ()) for case in AS_THEIRS],
)
def test_messages_are_scikit_learns(case):
    errors = []
    for kind in (neural_network.MLPClassifier, MLPClassifier):
        with pytest.raises(Exception) as error:  # noqa: PT011 - compared below
            AS_THEIRS[case](kind(**QUICK))
        errors.append(error.value)
    theirs, ours = errors
    assert type(ours) is type(theirs)
    if case == "parameter":  # the valid ones, which it lists, are more
        assert str(ours).startswith(str(theirs)[:40])
    else:  # what it lists of a set comes in any order
        assert sorted(str(ours)) == sorted(str(theirs))


OWN = {
    "activation": ({"activation": "foo"}, "'activation' parameter of MLPClassifier", "Got 'foo'"),
    "softmax": ({"activation": "softmax"}, "'activation' parameter", "Got 'softmax'"),
    "one of them": ({"activation": ["foo"]}, "activation[0] must be one of", "got 'foo'"),
    "how many": ({"activation": ["tanh"] * 2}, "activation must be one for all", "got 2"),
    "solver": ({"solver": "newton"}, "'solver' parameter of MLPClassifier", "Got 'newton'"),
    "out_activation": ({"out_activation": "relu"}, "'out_activation' parameter", "Got 'relu'"),
    "loss": ({"loss": "mse"}, "'loss' parameter", "Got 'mse'"),
    "sizes": ({"hidden_layer_sizes": (3.5,)}, "hidden_layer_sizes must be integers, got [3.5]"),
    "dropout": ({"dropout": 1.0}, "'dropout' parameter", "Got 1.0"),
    "rates": ({"dropout": [0.5, 0.5]}, "dropout must be one rate for all hidden", "got 2"),
    "rate": ({"dropout": [1.5]}, "dropout[0] must be", "got 1.5"),
    "lbfgs": ({"dropout": 0.5, "solver": "lbfgs"}, "dropout is for the stochastic solvers"),
    "scoring": ({"scoring": "grade"}, "'scoring' parameter", "Got 'grade'"),
    "class_weight": ({"class_weight": {7: 1}}, "are not in class_weight"),
    "negative": ({"class_weight": {0: -1}}, "class_weight must hold", "got {0: -1}"),
    "zero": ({"class_weight": {0: 0, 1: 0, 2: 0}}, "class_weight must hold", "nor all zero"),
    "threads": ({"threads": 0}, "'threads' parameter", "Got 0"),
    "softmax alone": (
        {"loss": CrossEntropy(), "out_activation": "logistic"},
        "out_activation of loss 'cross_entropy' must be 'softmax', got 'logistic'",
    ),
    "schedule": ({"schedule": "cosine"}, "'schedule' parameter", "Got 'cosine'"),
    "two": (
        {"schedule": lambda step: 1, "learning_rate": "adaptive"},
        "schedule and learning_rate='adaptive' were both given",
    ),
    "no": (
        {"schedule": lambda step: 1, "solver": "lbfgs"},
        "schedule is for fit with a stochastic",
    ),
}


@pytest.mark.parametrize("case", OWN)
def test_messages_about_what_is_fastbps(case):
    options, *parts = OWN[case]
    with raises((ValueError, TypeError), *parts):
        classifier(**options).fit(X, LABELS)


WRONG_FITS = {
    "y_val": ({"X_val": X}, "X_val was given without y_val"),
    "X_val": ({"y_val": LABELS}, "y_val was given without X_val"),
    "only": ({"sample_weight_val": LABELS}, "sample_weight_val was given without X_val and y_val"),
    "features": ({"X_val": X[:, 1:], "y_val": LABELS}, "X has 3 features, but MLPClassifier"),
    "lengths": ({"X_val": X, "y_val": LABELS[1:]}, "inconsistent numbers of samples: [150, 149]"),
    "classes": ({"X_val": X, "y_val": LABELS + 1}, "`y_val` has classes not in", ": [3]"),
    "length": ({"sample_weight": np.ones(3)}, "sample_weight.shape == (3,), expected (150,)"),
    "negative": (
        {"sample_weight": LABELS - 1},
        "Negative values in data passed to `sample_weight`",
    ),
    "nan": ({"sample_weight": LABELS * np.nan}, "Input sample_weight contains NaN"),
}


@pytest.mark.parametrize("case", WRONG_FITS)
def test_messages_about_the_arguments_of_fit(case):
    arguments, *parts = WRONG_FITS[case]
    with raises(ValueError, *parts):
        classifier().fit(X, LABELS, **arguments)


def no_number(estimator, rows, y):
    return float("nan")


def test_scores_that_are_no_numbers():
    """Early stopping would end with the weights that it began with."""
    given = {"X_val": WIDE[:50], "y_val": VALUES[:50]}
    model = regressor(scoring=no_number).fit(WIDE, VALUES, **given)
    assert np.isnan(model.validation_scores_).all()
    with raises(ValueError, "the score of the validation rows is NaN", "early_stopping"):
        model.set_params(early_stopping=True).fit(WIDE, VALUES, **given)
    with raises(ValueError, "the score of the validation rows is NaN"):
        regressor(early_stopping=True).fit(WIDE, VALUES, X_val=WIDE[:1], y_val=VALUES[:1])


def test_other_kinds_of_labels_than_before():
    model = classifier().fit(X, BITS)
    with raises(ValueError, "y must be an indicator matrix of 3 labels", "shape (150,)"):
        model.partial_fit(X, LABELS)
    with raises(ValueError, "y must be an indicator matrix of 3 labels", "shape (150,)"):
        model.fit(X, BITS, X_val=X, y_val=LABELS)
    with raises(ValueError, "y must be one label a row", "shape (150, 3)"):
        classifier().fit(X, LABELS).partial_fit(X, BITS)


def test_weights_of_zero_are_an_error():
    with pytest.raises(ValueError, match="zero"):
        classifier().fit(X, LABELS, sample_weight=np.zeros(150))
