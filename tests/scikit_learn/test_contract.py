"""What scikit-learn expects of an estimator beyond its checks: tools around it, workers, tables."""

import copy
import pickle

import numpy as np
import pytest
from expect import raises, stable
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
    regressor,
)
from process import finish, start

pytest.importorskip("sklearn")
import joblib
import pandas as pd
import polars as pl
import scipy.sparse
import sklearn
from sklearn import neural_network
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier, StackingRegressor, VotingClassifier
from sklearn.inspection import partial_dependence
from sklearn.linear_model import Ridge
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, cross_val_predict, learning_curve
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr, get_tags

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
COLUMNS = ["length", "width", "petal length", "petal width"]
TABLE = pd.DataFrame(X, columns=COLUMNS)


def test_only_its_own_room_needs_scikit_learn(tmp_path):
    program = """if True:
        import sys
        import fastbp
        assert not [name for name in sys.modules if name.split(".")[0] == "sklearn"]
        sys.modules["sklearn"] = None  # as where it is not installed
        try:
            import fastbp.sklearn
        except ModuleNotFoundError as error:
            print(error.name, error)
        """
    expected = 'sklearn fastbp.sklearn needs scikit-learn: pip install "fastbp[sklearn]"\n'
    assert finish(start(tmp_path, program)) == expected


# Parameters.


def test_parameters_are_what_was_given():
    """Arrays, too: a clone has equal ones, and a fit changes none."""
    given = {
        "hidden_layer_sizes": np.array([6, 5]),
        "dropout": np.array([0.1, 0.2]),
        "activation": ["tanh", "relu"],
        "class_weight": {0: 1.0, 1: 2.0, 2: 1.0},
    }
    model = classifier(**given)
    twin = clone(model.fit(X, LABELS))
    for estimator in (model, twin):
        np.testing.assert_equal({name: estimator.get_params()[name] for name in given}, given)
    assert model.hidden_layer_sizes is given["hidden_layer_sizes"]
    np.testing.assert_array_equal(twin.fit(X, LABELS).predict_proba(X), model.predict_proba(X))
    assert model.coefs_[1].shape == (6, 5)
    assert "hidden_layer_sizes=array([6, 5])" in repr(model)


CHANGES = [
    {"solver": "sgd"},
    {"learning_rate_init": 0.1},
    {"activation": "tanh"},
    {"alpha": 50.0},
    {"beta_1": 0.3},
    {"batch_size": 20},
    {"dropout": 0.5},
    {"solver": "sgd", "momentum": 0.2, "nesterovs_momentum": False, "batch_size": 20},
]


@pytest.mark.parametrize("change", CHANGES, ids=stable)
def test_parameters_set_after_a_fit_count_in_the_next(change):
    model = classifier().fit(X, LABELS)
    before = model.predict_proba(X)
    model.set_params(**change)
    np.testing.assert_array_equal(model.predict_proba(X), before)  # until it is trained
    kept, moved = (pickle.loads(pickle.dumps(model)) for _ in range(2))
    moved.partial_fit(X, LABELS)
    kept.set_params(**classifier().get_params()).partial_fit(X, LABELS)
    assert not np.allclose(kept.predict_proba(X), moved.predict_proba(X), rtol=1e-7)
    fresh = classifier(**change).fit(X, LABELS)
    np.testing.assert_array_equal(model.fit(X, LABELS).predict_proba(X), fresh.predict_proba(X))


# Copies.


@pytest.mark.parametrize("make", [classifier, regressor])
def test_copies_predict_and_train_on(make, tmp_path):
    rows, y = (X, NAMES) if make is classifier else (WIDE, BOTH)
    model = make(hidden_layer_sizes=(7, 6)).fit(rows, y)
    joblib.dump(model, tmp_path / "model")
    copies = [
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
        joblib.load(tmp_path / "model"),
        joblib.load(tmp_path / "model", mmap_mode="r"),
    ]
    expected = model.predict(rows)
    model.partial_fit(rows, y)
    for one in copies:
        np.testing.assert_array_equal(one.predict(rows), expected)
        assert one.loss_curve_ == model.loss_curve_[:-1]
        one.partial_fit(rows, y)
        for coefs, others in zip(one.coefs_, model.coefs_, strict=True):
            np.testing.assert_array_equal(coefs, others)
        one.set_params(warm_start=True).fit(rows, y)
    np.testing.assert_array_equal(copies[0].coefs_[0], copies[3].coefs_[0])
    assert not np.array_equal(copies[0].coefs_[0], model.coefs_[0])


# Tools around an estimator.


def test_meta_estimators():
    model = classifier(max_iter=60, learning_rate_init=0.01, batch_size=15)
    for outer in (
        CalibratedClassifierCV(model, cv=2),
        VotingClassifier([("a", model), ("b", clone(model))], voting="soft", n_jobs=2),
        OneVsRestClassifier(model),
        AdaBoostClassifier(model, n_estimators=2),
    ):
        with joblib.parallel_config(backend="threading"):
            outer.fit(TABLE, NAMES)
        assert outer.predict_proba(TABLE).shape == (150, 3)
        assert outer.score(TABLE, NAMES) > 0.5
    values = regressor(max_iter=60, learning_rate_init=0.01)
    stacked = StackingRegressor([("mlp", values), ("ridge", Ridge())], cv=2).fit(WIDE, VALUES)
    assert stacked.score(WIDE, VALUES) > 0.3


def test_curves():
    values = regressor(max_iter=60, learning_rate_init=0.01).fit(WIDE, VALUES)
    assert np.ptp(partial_dependence(values, WIDE, [2], grid_resolution=5)["average"]) > 0
    sizes, train, _ = learning_curve(values, WIDE, VALUES, cv=2, train_sizes=[0.5, 1.0])
    assert sizes.tolist() == [37, 75]
    assert train.shape == (2, 2)
    found = cross_val_predict(classifier(max_iter=60), X, NAMES, cv=2, method="predict_proba")
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_representations():
    for model in (classifier(), classifier().fit(TABLE, NAMES), make_pipeline(regressor())):
        html = estimator_html_repr(model)
        assert "MLP" in html
        assert model._repr_html_() is not None
        assert "text/html" in model._repr_mimebundle_()
    assert (
        repr(clone(regressor(max_iter=200))) == "MLPRegressor(hidden_layer_sizes=5, random_state=0)"
    )


def test_tags_are_scikit_learns():
    for theirs, ours in (
        (neural_network.MLPClassifier(), classifier()),
        (neural_network.MLPRegressor(), regressor()),
    ):
        expected = get_tags(theirs)
        expected.input_tags.sparse = True  # of scikit-learn before 1.7, forgotten
        assert get_tags(ours) == expected
        assert is_classifier(ours) == is_classifier(theirs)
        assert is_regressor(ours) == is_regressor(theirs)
        lbfgs = copy.copy(ours).set_params(solver="lbfgs")
        assert hasattr(ours, "partial_fit")
        assert not hasattr(lbfgs, "partial_fit")


# Tables.


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("made", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_tables(made, early_stopping):
    table = made(dict(zip(COLUMNS, X.T, strict=True)))
    if not hasattr(StandardScaler().fit(table), "feature_names_in_"):
        pytest.skip("this scikit-learn does not know tables of this polars")
    y = pd.Series(NAMES) if made is pd.DataFrame else pl.Series(NAMES)
    options = {"early_stopping": early_stopping, "scoring": "neg_log_loss", "max_iter": 5}
    model, plain = classifier(**options).fit(table, y), classifier(**options).fit(X, NAMES)
    assert model.feature_names_in_.tolist() == COLUMNS
    np.testing.assert_array_equal(model.predict_proba(table), plain.predict_proba(X))
    assert model.score(table, y) == plain.score(X, NAMES)
    with pytest.warns(UserWarning, match="X does not have valid feature names, but MLPClassifier"):
        model.predict(X)
    with raises(ValueError, "The feature names should match those that were passed during fit"):
        model.predict(table[COLUMNS[::-1]])
    with raises(ValueError, "The feature names should match"):
        model.set_params(early_stopping=False).fit(table, y, X_val=table[COLUMNS[::-1]], y_val=y)
    model.fit(table, y, X_val=table, y_val=y)
    assert not hasattr(model.fit(X, NAMES), "feature_names_in_")


def test_pipelines_of_tables():
    scaler = StandardScaler().set_output(transform="pandas")
    pipeline = make_pipeline(scaler, classifier(early_stopping=True)).fit(TABLE, NAMES)
    assert pipeline[-1].feature_names_in_.tolist() == COLUMNS
    assert pipeline.predict(TABLE).shape == (150,)
    targets = pd.DataFrame(BOTH, columns=["first", "second"])
    assert regressor().fit(TABLE, targets).predict(TABLE).shape == (150, 2)
    nullable = TABLE.astype("Float64")
    assert classifier().fit(nullable, pd.Series(NAMES, dtype="category")).score(nullable, NAMES) > 0


# Metadata routing.


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_routing_of_weights():
    model = classifier().set_fit_request(sample_weight=True)
    model.set_score_request(sample_weight=True).set_partial_fit_request(sample_weight=True)
    assert model.get_metadata_routing().fit.requests["sample_weight"] is True
    pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=True), model)
    scorer = get_scorer("accuracy").set_score_request(sample_weight=True)
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-3]}, scoring=scorer, cv=2)
    search.fit(X, LABELS, sample_weight=WEIGHTS)
    scaled = StandardScaler().fit(X, sample_weight=WEIGHTS).transform(X)
    expected = classifier(alpha=1e-3).fit(scaled, LABELS, sample_weight=WEIGHTS)
    np.testing.assert_array_equal(
        search.best_estimator_[-1].predict_proba(scaled), expected.predict_proba(scaled)
    )
    silent = GridSearchCV(classifier(), {"alpha": [1e-3]}, cv=2)
    with pytest.raises(Exception, match=r"sample_weight.* are passed but are not explicitly set"):
        silent.fit(X, LABELS, sample_weight=WEIGHTS)


@pytest.mark.usefixtures("routing")
def test_routing_of_validation_rows_through_a_pipeline():
    model = classifier().set_fit_request(X_val=True, y_val=True)
    pipeline = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
    pipeline.fit(X[:100], SIGNS[:100], X_val=X[100:] + 1, y_val=SIGNS[100:])
    scaler = StandardScaler().fit(X[:100])
    held_out = {"X_val": scaler.transform(X[100:] + 1), "y_val": SIGNS[100:]}
    expected = classifier().fit(scaler.transform(X[:100]), SIGNS[:100], **held_out)
    assert pipeline[-1].validation_loss_curve_ == expected.validation_loss_curve_


# Input that cannot be written to.


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=stable)
def test_input_that_is_mapped_read_only(options, tmp_path):
    model = classifier(**options)
    rows = np.where(np.abs(X) < 2, 0, X)
    expected = model.fit(rows, BITS).predict_proba(rows)
    for given in (rows, scipy.sparse.csr_matrix(rows), scipy.sparse.csc_array(rows)):
        joblib.dump((given, BITS), tmp_path / "rows")
        mapped, y = joblib.load(tmp_path / "rows", mmap_mode="r")
        assert not (mapped if given is rows else mapped.data).flags.writeable
        found = clone(model).fit(mapped, y).predict_proba(mapped)
        np.testing.assert_allclose(found, expected, atol=1e-7)
        np.testing.assert_array_equal(mapped if given is rows else mapped.toarray(), rows)
    weighed = clone(model).fit(X, BITS, sample_weight=np.frombuffer(WEIGHTS.tobytes()))
    np.testing.assert_array_equal(
        weighed.predict_proba(X), clone(model).fit(X, BITS, sample_weight=WEIGHTS).predict_proba(X)
    )
