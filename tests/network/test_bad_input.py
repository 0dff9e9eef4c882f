"""What cannot be used is refused with one clear error, and the network stays as it was."""

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents
from expect import raises, stable

import fastbp
from fastbp import losses, optimizers

NAN, INF = float("nan"), float("inf")


def network(loss="mse", **arguments):
    """A network that has trained a little, so that the optimizer's state is not zero."""
    net = fastbp.Network([5, 9, 4], loss=loss, rng=0, **arguments)
    kinds = {"cross_entropy": "labels", "binary_cross_entropy": "bits", "poisson": "counts"}
    net.fit(*data(19, 5, 4, kinds.get(loss, "real")), epochs=2, batch_size=8)
    return net


def calls(net):
    """Every method that takes X and y, and what it calls them."""
    good = (
        np.zeros((2, 5)),
        np.zeros(2, int) if net.loss.targets == "labels" else np.zeros((2, 4)),
    )
    yield "", net.fit
    yield "", net.evaluate
    yield "", net.train_step
    yield "", net.loss_and_gradients
    yield "validation_data ", lambda X, y: net.fit(*good, validation_data=(X, y))


def refused(net, X, y, error, argument, *parts):
    """All methods refuse X and y with this error and leave the network alone."""
    before = contents(net)
    for prefix, call in calls(net):
        with raises(error, f"{prefix}{argument}", *parts):
            call(X, y)
    if argument == "X":
        with raises(error, "X", *parts):
            net.predict(X)
    assert_same(contents(net), before)


def changed(array, place, value):
    array = array.copy()
    array[place] = value
    return array


X, Y = data(7, 5, 4)
LABELS = np.array([0, 1, 2, 3, 0, 1, 2])
P = np.full((7, 4), 0.25)

FEATURES = [
    (None, TypeError, ("got None",)),
    ("abc", TypeError, ("real numbers",)),
    (3.0, ValueError, ("(rows, 5)", "got shape ()")),
    (X[0], ValueError, ("(rows, 5)", "got shape (5,)", "reshape(1, -1)")),
    (X[None], ValueError, ("(rows, 5)", "got shape (1, 7, 5)")),
    (X[:, :4], ValueError, ("(rows, 5)", "got shape (7, 4)")),
    (np.zeros((7, 6)), ValueError, ("(rows, 5)", "got shape (7, 6)")),
    (X[:0], ValueError, ("at least one row", "got shape (0, 5)")),
    ([], ValueError, ("at least one row", "got shape (0,)")),
    ([[1, 2, 3, 4, 5], [1, 2]], ValueError, ()),
    (changed(X, (3, 2), NAN), ValueError, ("nan at row 3, column 2", "finite")),
    (changed(X, (6, 4), -INF), ValueError, ("-inf at row 6, column 4", "finite")),
    (changed(X, (1, 0), 1e300), ValueError, ("1e+300 at row 1, column 0", "too large for float32")),
    (X.astype(complex), TypeError, ("real numbers", "complex")),
    (X.astype(object), TypeError, ("real numbers", "object")),
    (X.astype(str), TypeError, ("real numbers",)),
    (np.ma.masked_array(X, X > 1), TypeError, ("mask",)),
    (np.zeros((7, 5), "M8[s]"), TypeError, ("real numbers",)),
    (np.zeros((7, 5), [("a", "f4")]), TypeError, ("real numbers",)),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "error", "parts"), FEATURES)
def test_features(bad, error, parts):
    refused(network(), bad, Y, error, "X", *parts)


VALUES = [
    (None, TypeError, ("got None",)),
    (Y[:6], ValueError, ("7 rows of X", "got 6 rows")),
    (Y[:, :3], ValueError, ("(7, 4)", "got shape (7, 3)")),
    (Y[:, 0], ValueError, ("(7, 4)", "got shape (7,)")),
    (Y[None], ValueError, ("(7, 4)", "got shape (1, 7, 4)")),
    (changed(Y, (2, 3), NAN), ValueError, ("nan at row 2, column 3",)),
    (changed(Y, (2, 3), INF), ValueError, ("inf at row 2, column 3",)),
    (Y.astype(complex), TypeError, ("complex",)),
    (Y.astype(object), TypeError, ("object",)),
    (Y.astype(str), TypeError, ("real numbers",)),
    (np.ma.masked_array(Y), TypeError, ("mask",)),
]


@pytest.mark.parametrize(("bad", "error", "parts"), VALUES)
@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_values(loss, bad, error, parts):
    refused(network(loss), X, bad, error, "y", *parts)


CLASSES = [
    (None, TypeError, ("got None",)),
    (LABELS[:6], ValueError, ("7 rows of X", "got 6 rows")),
    (changed(LABELS, 3, -1), ValueError, ("-1 at row 3", "from 0 to 3")),
    (changed(LABELS, 3, 4), ValueError, ("4 at row 3", "from 0 to 3")),
    (changed(LABELS, 3, 2**62), ValueError, ("at row 3", "from 0 to 3")),
    (changed(LABELS.astype(float), 3, 1.5), ValueError, ("1.5 at row 3", "whole numbers")),
    (changed(LABELS.astype(float), 3, NAN), ValueError, ("nan at row 3",)),
    (changed(P, (2, 0), 0.3), ValueError, ("sums to 1.05 in row 2",)),
    (changed(changed(P, (2, 0), -0.25), (2, 1), 0.75), ValueError, ("-0.25 at row 2, column 0",)),
    (changed(P, (2, 0), NAN), ValueError, ("nan at row 2, column 0",)),
    (np.zeros((7, 3)), ValueError, ("(7, 4) for probabilities", "got shape (7, 3)")),
    (["a"] * 7, TypeError, ("real numbers", "np.unique")),
]


@pytest.mark.parametrize(("bad", "error", "parts"), CLASSES)
def test_classes(bad, error, parts):
    refused(network("cross_entropy"), X, bad, error, "y", *parts)


@pytest.mark.parametrize(
    ("loss", "bad", "message"),
    [
        ("binary_cross_entropy", -0.1, "at most 1"),
        ("binary_cross_entropy", 1.5, "1.5 at row 2, column 3"),
        ("binary_cross_entropy", NAN, "nan at row 2, column 3"),
        ("poisson", -1.0, "-1.0 at row 2, column 3; every value must be at least 0"),
    ],
)
def test_values_out_of_the_losss_range(loss, bad, message):
    refused(network(loss), X, changed(np.zeros((7, 4)), (2, 3), bad), ValueError, "y", message)


@pytest.mark.parametrize(
    ("arguments", "error", "parts"),
    [
        ({"epochs": 0}, ValueError, ("epochs", "at least 1", "got 0")),
        ({"epochs": 2.0}, TypeError, ("epochs", "integer", "got 2.0")),
        ({"epochs": None}, TypeError, ("epochs", "integer", "got None")),
        ({"epochs": True}, TypeError, ("epochs", "integer", "got True")),
        ({"epochs": "3"}, TypeError, ("epochs", "integer", "got '3'")),
        ({"batch_size": 0}, ValueError, ("batch_size", "at least 1", "got 0")),
        ({"batch_size": -5}, ValueError, ("batch_size", "at least 1", "got -5")),
        ({"batch_size": 8.0}, TypeError, ("batch_size", "integer", "got 8.0")),
        ({"batch_size": True}, TypeError, ("batch_size", "integer", "got True")),
        ({"batch_size": None}, TypeError, ("batch_size", "integer", "got None")),
        ({"shuffle": 1}, TypeError, ("shuffle", "True or False", "got 1")),
        ({"shuffle": None}, TypeError, ("shuffle", "True or False", "got None")),
        ({"progress": "yes"}, TypeError, ("progress", "True or False", "got 'yes'")),
        ({"validation_data": X}, TypeError, ("validation_data", "(X, y)", "ndarray")),
        ({"validation_data": (X,)}, TypeError, ("validation_data", "(X, y)", "tuple")),
        ({"validation_data": (X, Y, None, Y)}, TypeError, ("validation_data", "(X, y)", "tuple")),
        ({"validation_data": (X, Y[:3])}, ValueError, ("validation_data y", "got 3 rows")),
    ],
    ids=str,
)
def test_arguments_of_fit(arguments, error, parts):
    net = network()
    before = contents(net)
    with raises(error, *parts):
        net.fit(X, Y, **arguments)
    assert_same(contents(net), before)


@pytest.mark.parametrize(
    ("arguments", "error", "parts"),
    [
        ({"layers": 5}, TypeError, ("layers", "got 5")),
        ({"layers": [5]}, ValueError, ("layers", "at least two")),
        ({"layers": [5, 0, 2]}, ValueError, ("layers[1]", "at least 1", "got 0")),
        ({"layers": [5, 2.0]}, TypeError, ("layers[1]", "integer", "got 2.0")),
        ({"layers": "784"}, TypeError, ("layers", "got '784'")),
        ({"activation": "rleu"}, ValueError, ("activation", "'rleu'", "did you mean 'relu'?")),
        ({"activation": "softmax"}, ValueError, ("activation", "got 'softmax'")),
        ({"activation": None}, TypeError, ("activation", "got None")),
        ({"activation": fastbp.Activation}, TypeError, ("activation", "got <class")),
        ({"activation": ["relu", "tanh"]}, ValueError, ("activation", "each of the 1", "got 2")),
        ({"activation": ["tanhh"]}, ValueError, ("activation[0]", "did you mean 'tanh'?")),
        ({"activation": [3]}, TypeError, ("activation[0]", "got 3")),
        ({"output_activation": "sfotmax"}, ValueError, ("output_activation", "mean 'softmax'?")),
        ({"output_activation": 3}, TypeError, ("output_activation", "got 3")),
        ({"loss": "crossentropy"}, ValueError, ("loss", "did you mean 'cross_entropy'?")),
        ({"loss": losses.Huber}, TypeError, ("loss", "Huber()", "brackets")),
        ({"loss": losses.BaseLoss()}, TypeError, ("loss", "got BaseLoss()")),
        ({"loss": None}, TypeError, ("loss", "got None")),
        ({"optimizer": "adm"}, ValueError, ("optimizer", "did you mean 'adam'?")),
        ({"optimizer": fastbp.Adam}, TypeError, ("optimizer", "Adam()", "brackets")),
        (
            {"optimizer": optimizers.BaseOptimizer(0.1)},
            TypeError,
            ("optimizer", "got BaseOptimizer("),
        ),
        ({"optimizer": 1e-3}, TypeError, ("optimizer", "got 0.001")),
        ({"initializer": "he"}, ValueError, ("initializer", "'he'")),
        ({"initializer": NAN}, ValueError, ("initializer", "finite", "nan")),
        ({"initializer": None}, TypeError, ("initializer", "got None")),
        (
            {"initializer": lambda rng, i, o: np.zeros((o, i))},
            ValueError,
            ("initializer", "(5, 9)"),
        ),
        ({"dtype": "float16"}, ValueError, ("dtype must be float32 or float64", "'float16'")),
        ({"dtype": "a"}, ValueError, ("dtype must be float32 or float64", "'a'")),
        ({"dtype": None}, ValueError, ("dtype", "got None")),
        ({"dtype": int}, ValueError, ("dtype", "int")),
        ({"rng": "seed"}, TypeError, ("rng", "'seed'")),
        ({"rng": -1}, ValueError, ("rng", "-1")),
        ({"rng": 1.5}, TypeError, ("rng", "1.5")),
        ({"threads": 0}, ValueError, ("threads", "at least 1", "got 0")),
    ],
    ids=stable,
)
def test_arguments_of_the_constructor(arguments, error, parts):
    with raises(error, *parts):
        fastbp.Network(**({"layers": [5, 9, 4], "rng": 0} | arguments))


def test_nothing_is_drawn_from_the_generator_before_all_is_checked():
    rng = np.random.default_rng(0)
    for bad in ({"loss": "x"}, {"threads": 0}, {"optimizer": None}, {"dtype": "f2"}):
        with pytest.raises((TypeError, ValueError)):
            fastbp.Network([5, 4], rng=rng, **bad)
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


@pytest.mark.parametrize("path", [None, 3, 1.5, ["m"]])
def test_paths(path):
    net = network()
    before = contents(net)
    with raises(TypeError, "path"):
        net.save(path)
    with raises(TypeError, "path"):
        fastbp.load(path)
    assert_same(contents(net), before)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"f": abs, "df": abs, "name": 1}, "name must be a string, got 1 (int)"),
        ({"f": None, "df": abs}, "f must be a function, got None"),
        ({"f": abs, "df": 3}, "df must be a function, got 3 (int)"),
        ({"f": abs, "df": abs, "from_output": 1}, "from_output must be"),
        ({"f": abs, "df": abs, "check": None}, "check must be"),
    ],
    ids=str,
)
def test_what_an_activation_of_your_own_is_made_of(wrong, told):
    with raises(TypeError, told):
        fastbp.Activation(**wrong)
