"""from_sklearn and to_sklearn: the same predictions, what is carried, and what is refused."""

import pickle
import sys
import warnings

import numpy as np
import pytest
from cases import both_dtypes, data
from expect import raises

import fastbp
from fastbp.losses import CrossEntropy, Loss

sklearn = pytest.importorskip("sklearn")
neural_network = pytest.importorskip("sklearn.neural_network")
MLPClassifier, MLPRegressor = neural_network.MLPClassifier, neural_network.MLPRegressor

HAS_POISSON = "loss" in MLPRegressor().get_params()
# Of a network: loss, outputs, targets as fastbp takes them.
KINDS = {
    "binary": ("binary_cross_entropy", 1, "bits"),
    "multiclass": ("cross_entropy", 3, "labels"),
    "multilabel": ("binary_cross_entropy", 3, "bits"),
    "regression": ("mse", 1, "real"),
    "outputs": ("mse", 2, "real"),
    "poisson": ("poisson", 1, "counts"),
}
every_kind = pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.skipif(kind == "poisson" and not HAS_POISSON,
                                                    reason="scikit-learn before 1.7"))
        for kind in KINDS
    ],
)  # fmt: skip
ADAM = fastbp.Adam(5e-3, 0.8, 0.99, 1e-2, epsilon_hat=True)


def rows(kind, dtype="float64"):
    """Features and targets; those of one output as scikit-learn takes them."""
    X, y = data(40, 4, KINDS[kind][1], KINDS[kind][2])
    return X.astype(dtype), y.ravel() if KINDS[kind][1] == 1 else y


def network(kind="multiclass", dtype="float64", activation="tanh", layers=None, **arguments):
    """A network with biases that are not zero, before its first step."""
    loss, outputs, _ = KINDS[kind]
    layers = layers or [4, 6, 5, outputs]
    arguments = {"optimizer": ADAM, "loss": loss} | arguments
    net = fastbp.Network(layers, activation, dtype=dtype, rng=0, **arguments)
    for bias in net.biases:
        bias[:] = np.linspace(-1, 1, bias.size) + 0.3
    return net


def predicted(perceptron, X):
    """What the network of it must predict."""
    if isinstance(perceptron, MLPRegressor):
        return perceptron.predict(X).reshape(len(X), -1)
    found = perceptron.predict_proba(X)
    return found[:, 1:] if perceptron.n_outputs_ == 1 else found


def assert_same_weights(net, perceptron):
    for views, arrays in ((net.weights, perceptron.coefs_), (net.biases, perceptron.intercepts_)):
        for view, array in zip(views, arrays, strict=True):
            assert array.dtype == view.dtype
            np.testing.assert_array_equal(view, array)
            assert not np.shares_memory(view, array)


@both_dtypes
@every_kind
def test_both_ways(kind, dtype):
    """Bits of the weights, predictions, and what scikit-learn does with a fitted estimator."""
    net, (X, y) = network(kind, dtype), rows(kind, dtype)
    made = net.to_sklearn()
    assert_same_weights(net, made)
    rtol = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(predicted(made, X), net.predict(X), rtol, atol=rtol)
    if kind != "multilabel":  # where scikit-learn counts rows
        name = "r2" if isinstance(made, MLPRegressor) else "accuracy"
        want = net.evaluate(X, y, metrics=[name])[name]
        assert made.score(X, y) == pytest.approx(want, rel=1e-4)

    again = fastbp.Network.from_sklearn(made, rng=0, threads=1)
    assert_same_weights(again, made)
    assert (again.layers, again.activations) == (net.layers, net.activations)
    assert (again.loss, again.optimizer) == (net.loss, net.optimizer)

    double = pickle.loads(pickle.dumps(made))
    first = double.partial_fit(X, y).loss_
    for _ in range(20):
        double.partial_fit(X, y)
    assert double.loss_ < first
    assert_same_weights(net, made)
    fresh = sklearn.base.clone(made)
    assert fresh.get_params() == made.get_params()
    assert not hasattr(fresh, "coefs_")
    warm = made.set_params(warm_start=True, n_iter_no_change=1, tol=1e9)
    assert warm.fit(X, y).n_iter_ == 3  # the first is better than none


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_from_what_scikit_learn_has_fitted(activation):
    X, y = rows("multiclass")
    fitted = MLPClassifier((6, 5), activation, random_state=0).partial_fit(X, y, classes=[0, 1, 2])
    net = fastbp.Network.from_sklearn(fitted)
    assert net.activations[0] == {"logistic": "sigmoid"}.get(activation, activation)
    np.testing.assert_allclose(net.predict(X), fitted.predict_proba(X), 1e-12)
    assert net.to_sklearn().activation == activation


@pytest.mark.parametrize("optimizer", [ADAM, fastbp.SGD(1e-2, 0.8, True)], ids=["adam", "sgd"])
def test_an_epoch_of_both_is_the_same(optimizer):
    """The settings of the optimizer are carried, and velocities begin at zero."""
    X, y = rows("multiclass")
    net = network(optimizer=optimizer)
    made = net.to_sklearn().set_params(shuffle=False, batch_size=16)
    net.fit(X, y, 1, 16, shuffle=False, progress=False)
    made.partial_fit(X, y)
    for got, want in zip(made.coefs_, net.weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)
    fresh = fastbp.Network.from_sklearn(made)
    assert fresh.optimizer == net.optimizer
    assert fresh.steps == 0


def test_other_optimizers():
    made = network(optimizer="rmsprop", dropout=0.5, l2=0.1, clip_norm=1.0).to_sklearn()
    assert made.get_params() == MLPClassifier((6, 5), "tanh", alpha=0.0).get_params()
    made.set_params(solver="lbfgs")
    assert fastbp.Network.from_sklearn(made).optimizer == fastbp.Adam()
    sgd = fastbp.SGD(0.5)
    assert fastbp.Network.from_sklearn(made, optimizer=sgd).optimizer is sgd
    made.set_params(solver="sgd", momentum=0)  # for which Nesterov's is the same
    assert fastbp.Network.from_sklearn(made).optimizer == fastbp.SGD(1e-3)


CLASSES = {  # loss, outputs, classes in the order of the outputs
    "three": ("cross_entropy", 3, ["dog", "ant", "cat"]),
    "two": ("cross_entropy", 2, ["yes", "no"]),
    "one": ("binary_cross_entropy", 1, np.array([7, -7])),
    "sorted": ("binary_cross_entropy", 1, ("no", "yes")),
}


@pytest.mark.parametrize("case", CLASSES)
def test_classes_are_those_of_the_outputs(case):
    loss, outputs, classes = CLASSES[case]
    net, X = network(loss=loss, layers=[4, 5, outputs]), rows("binary")[0]
    net.biases[-1][:] = 0.1
    made = net.to_sklearn(classes)
    assert list(made.classes_) == sorted(classes)
    found = net.predict(X)
    chances = found if outputs > 1 else np.hstack([1 - found, found])
    order = [list(made.classes_).index(one) for one in classes]
    np.testing.assert_allclose(made.predict_proba(X)[:, order], chances, rtol=1e-12)
    labels = np.asarray(classes)[chances.argmax(axis=1)]
    np.testing.assert_array_equal(made.predict(X), labels)
    assert len(set(labels)) > 1
    assert made.score(X, labels) == 1.0
    assert made.partial_fit(X, labels).classes_ is made.classes_


def test_names_of_features():
    pandas = pytest.importorskip("pandas")
    X, y = rows("multiclass")
    frame = pandas.DataFrame(X, columns=["a", "b", "ä", "d"])
    net = network()
    net.fit(frame, y, 1, progress=False)
    made = net.to_sklearn()
    assert made.feature_names_in_.dtype == object
    assert made.partial_fit(frame, y).score(frame, y) > 0
    assert fastbp.Network.from_sklearn(made).feature_names == net.feature_names
    with raises(ValueError, "names should match"):
        made.predict(frame[["b", "a", "ä", "d"]])
    assert fastbp.Network.from_sklearn(network().to_sklearn()).feature_names is None


def twice(a, y=0):
    return 2 * a


def two(a, y=0):
    return 2.0


REFUSED = {  # arguments of the network, and what the message names
    "tasks": (
        {"loss": {"a": "mse", "b": "mse"}, "outputs": {"a": 1, "b": 2}},
        ["several tasks", "one loss for all outputs can be carried"],
    ),
    "loss": ({"loss": "mae"}, ["loss 'mae'", "'cross_entropy', 'binary_cross_entropy', 'mse'"]),
    "own loss": ({"loss": Loss(twice, two, name="mse")}, ["loss 'mse'"]),
    "output": (
        {"loss": "mse", "output_activation": "tanh"},
        ["output activation 'tanh' with loss 'mse'", "'identity' can be carried"],
    ),
    "one": ({"layers": [4, 1]}, ["cross_entropy of one output"]),
    "scaling": ({"scaling": "standard"}, ["scaling='standard'", "StandardScaler"]),
    "activation": ({"activation": "gelu"}, ["activation 'gelu'", "'identity', 'relu', 'sigmoid'"]),
    "own": (
        {"activation": fastbp.Activation(twice, two, name="relu")},
        ["activation 'relu'", "'tanh' can be carried"],
    ),
    "several": (
        {"activation": ["relu", "tanh"]},
        ["hidden layers with different activations ('relu', 'tanh')", "one for all"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_scikit_learn_has_not(case):
    arguments, told = REFUSED[case]
    with raises(ValueError, "to_sklearn cannot carry", *told):
        network(**arguments).to_sklearn()


def test_what_is_for_training_alone_is_left_behind():
    net = network(loss=CrossEntropy(0.1), layers=[4, 3])
    made = net.to_sklearn()
    X = rows("multiclass")[0]
    np.testing.assert_allclose(made.predict_proba(X), net.predict(X), rtol=1e-12)
    assert made.hidden_layer_sizes == ()


@pytest.mark.parametrize("bad", [["a", "b"], ["a", "b", "a"], [0.5, 1.5, 2.5], [], [1, None, "a"]],
                         ids=str)  # fmt: skip
def test_classes_of_another_number_or_kind(bad):
    with raises(ValueError, "classes must be a sequence of 3 different labels, got"):
        network().to_sklearn(bad)


def test_classes_that_are_none():
    for bad in ("abc", {1, 2, 3}, np.eye(3)):
        with raises(TypeError, "classes must be a sequence of 3 different labels, got"):
            network().to_sklearn(bad)
    with raises(ValueError, "classes are for classifiers; the loss is 'mse'"):
        network("regression").to_sklearn(["a"])
    with raises(ValueError, "classes of a multi-label classifier are always numbers"):
        network("multilabel").to_sklearn(["a", "b", "c"])


def test_poisson_needs_a_scikit_learn_that_has_it(monkeypatch):
    monkeypatch.setattr(MLPRegressor, "get_params", lambda self: {})
    with raises(ValueError, "loss 'poisson' to scikit-learn", "since 1.7"):
        network("poisson").to_sklearn()


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.neural_network", None)
    with raises(ModuleNotFoundError, "to_sklearn needs scikit-learn: pip install"):
        network().to_sklearn()


def test_what_is_no_fitted_perceptron():
    from sklearn.pipeline import make_pipeline

    fitted = network().to_sklearn()
    for bad in (None, "m", MLPClassifier, make_pipeline(fitted), network()):
        with raises(TypeError, "fitted must be an MLPClassifier or MLPRegressor", "got "):
            fastbp.Network.from_sklearn(bad)
    with raises(sklearn.exceptions.NotFittedError, "not fitted yet"):
        fastbp.Network.from_sklearn(MLPClassifier())


def test_parameters_that_make_no_network():
    for change in (
        lambda p: p.coefs_.pop(),
        lambda p: p.coefs_.__setitem__(1, np.ones((5, 5))),
        lambda p: p.intercepts_.__setitem__(0, np.ones(3)),
        lambda p: setattr(p, "n_features_in_", 3),
    ):
        fitted = network().to_sklearn()
        change(fitted)
        with raises(ValueError, "coefs_ and intercepts_ of fitted must be the layers of", "shapes"):
            fastbp.Network.from_sklearn(fitted)


class Like:
    """An estimator that has the attributes, with fastbp's names in them."""

    activation, out_activation_, loss, n_features_in_ = ["gelu", "tanh"], "sigmoid", "huber", 4

    def __init__(self):
        made = network("regression", "float32").to_sklearn()
        self.coefs_, self.intercepts_ = made.coefs_, made.intercepts_


def test_an_estimator_with_the_same_attributes():
    net = fastbp.Network.from_sklearn(Like())
    assert net.activations == ("gelu", "tanh", "sigmoid")
    assert (net.loss, net.dtype) == (fastbp.losses.Huber(), "float32")
    assert net.optimizer == fastbp.Adam()


GOING_ON = {
    "classes": (MLPClassifier, {}, 3),
    "two classes": (MLPClassifier, {}, 2),
    "labels": (MLPClassifier, {}, "labels"),
    "values": (MLPRegressor, {}, 1),
    "several values": (MLPRegressor, {}, 3),
    "counts": (MLPRegressor, {"loss": "poisson"}, 1),
}


@pytest.mark.parametrize("name", GOING_ON)
def test_training_goes_on_as_there(name):
    kind, options, targets = GOING_ON[name]
    if options and not HAS_POISSON:
        pytest.skip("this scikit-learn has no Poisson loss")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 4))
    if kind is MLPClassifier:
        y = rng.integers(0, 2, (50, 3)) if targets == "labels" else rng.integers(0, targets, 50)
    else:
        y = rng.poisson(2, (50, targets)).astype(float)
        y = y[:, 0] if targets == 1 else y
    theirs = kind(
        hidden_layer_sizes=(6,), activation="tanh", solver="sgd", momentum=0,
        learning_rate_init=0.05, alpha=3.0, batch_size=20, max_iter=1, shuffle=False,
        random_state=0, **options,
    )  # fmt: skip
    with warnings.catch_warnings(action="ignore"):
        theirs.fit(X, y)
    net = fastbp.Network.from_sklearn(theirs)
    again = net.to_sklearn().set_params(batch_size=20, shuffle=False)
    assert again.alpha == pytest.approx(3.0)
    assert again.learning_rate_init == pytest.approx(0.05)
    theirs.partial_fit(X, y)
    again.partial_fit(X, y)
    net.fit(X, y, batch_size=20, shuffle=False, progress=False)
    for one, two, three in zip(net.weights, theirs.coefs_, again.coefs_, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(three, two, rtol=1e-9, atol=1e-12)


def test_estimators_of_fastbp_hand_over_what_their_network_has():
    from fastbp.sklearn import MLPRegressor as Own

    X = np.random.default_rng(0).standard_normal((40, 3))
    double = fastbp.Activation(lambda z: z + z, lambda z: z * 0 + 2, name="tanh")  # as another one
    own = Own("huber", (5, 4), [double, "gelu"], out_activation=double, max_iter=2, dropout=0.2)
    with warnings.catch_warnings(action="ignore"):
        own.fit(X, X[:, :2])
    net = fastbp.Network.from_sklearn(own)
    np.testing.assert_array_equal(net.predict(X), own.predict(X))
    own.set_params(activation="relu")  # of a fit to come
    np.testing.assert_array_equal(fastbp.Network.from_sklearn(own).predict(X), own.predict(X))
    assert net.regularization.dropout == (0.2, 0.2)
    assert net.regularization.alpha == own.alpha


def test_weights_that_are_not_finite_are_refused():
    theirs = MLPRegressor(hidden_layer_sizes=(3,), max_iter=1)
    with warnings.catch_warnings(action="ignore"):
        theirs.fit(np.eye(4), np.arange(4.0))
    theirs.coefs_[0][0, 0] = np.nan
    with raises(ValueError, "coefs_ and intercepts_ of fitted must be finite"):
        fastbp.Network.from_sklearn(theirs)
