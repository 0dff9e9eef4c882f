"""The initial weights: the stated distributions, one seed one network, clear errors."""

import copy
import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
from expect import raises
from hypothesis import given
from hypothesis import strategies as st

from fastbp.initializers import NAMES, Constant, check, describe, initialize

RELU_FAMILY = ("relu", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "softplus")
OTHERS = ("identity", "softsign", "hard_tanh", "sigmoid", "tanh", "softmax", "exponential", "own")


def draw(spec, fan_in, fan_out, seed=0, dtype=np.float64, activation="relu"):
    return initialize(spec, fan_in, fan_out, np.random.default_rng(seed), dtype, activation)


def ones(rng, fan_in, fan_out):
    return np.ones((fan_in, fan_out))


VARIANCES = {
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
}


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize("family", VARIANCES)
@pytest.mark.parametrize("shape", [(300, 100), (100, 300)])
def test_moments(family, distribution, shape):
    weights = draw(f"{family}_{distribution}", *shape)
    variance = VARIANCES[family](*shape)
    deviation = math.sqrt(variance)
    # Five standard errors at least; the fourth moment over the squared variance is 9/5 or 3.
    kurtosis = 1.8 if distribution == "uniform" else 3.0
    assert abs(weights.mean()) < 5 * deviation / math.sqrt(weights.size)
    assert abs(weights.var() / variance - 1) < 5 * math.sqrt((kurtosis - 1) / weights.size)
    assert abs(np.mean(weights**4) / variance**2 - kurtosis) < 0.3
    if distribution == "uniform":
        bound = math.sqrt(3) * deviation
        assert 0.999 * bound < np.abs(weights).max() <= bound


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_orthogonal(fan_in, fan_out, seed):
    weights = draw("orthogonal", fan_in, fan_out, seed)
    tall = weights if fan_in >= fan_out else weights.T
    np.testing.assert_allclose(tall.T @ tall, np.eye(tall.shape[1]), atol=1e-13)
    # Of all QR decompositions of the normal draws, the one with a positive diagonal of R.
    normal = np.random.default_rng(seed).standard_normal(tall.shape)
    r = tall.T @ normal
    np.testing.assert_allclose(np.tril(r, -1), 0, atol=1e-12)
    assert (np.diagonal(r) > 0).all()


def test_zeros_and_constants():
    assert not draw("zeros", 3, 4).any()
    for spec in (Constant(0.25), 0.25, np.float32(0.25), Constant(np.float64(0.25))):
        np.testing.assert_array_equal(draw(spec, 3, 4), np.full((3, 4), 0.25))
    np.testing.assert_array_equal(draw(2, 1, 1), [[2.0]])


@pytest.mark.parametrize(
    ("activation", "name"),
    [(activation, "he_normal") for activation in RELU_FAMILY]
    + [("selu", "lecun_normal")]
    + [(activation, "glorot_uniform") for activation in OTHERS],
)
def test_auto_chooses_by_the_activation(activation, name):
    expected = draw(name, 5, 7)
    np.testing.assert_array_equal(draw("auto", 5, 7, activation=activation), expected)


@pytest.mark.parametrize("spec", [*NAMES, Constant(0.1), 0.1, ones])
@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (1, 1), (1, 5), (5, 1)])
def test_both_dtypes_start_from_the_same_weights(spec, shape):
    double = draw(spec, *shape, dtype=np.float64)
    single = draw(spec, *shape, dtype=np.float32)
    for weights, dtype in ((double, np.float64), (single, np.float32)):
        assert type(weights) is np.ndarray
        assert weights.shape == shape
        assert weights.dtype == dtype
        assert weights.flags.c_contiguous
        assert weights.flags.writeable
    np.testing.assert_array_equal(single, double.astype(np.float32))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"zeros"}))
def test_the_seed_decides_and_the_generator_moves_on(name):
    np.testing.assert_array_equal(draw(name, 4, 3, seed=1), draw(name, 4, 3, seed=1))
    assert (draw(name, 4, 3, seed=1) != draw(name, 4, 3, seed=2)).any()
    rng = np.random.default_rng(1)
    first = initialize(name, 4, 3, rng, np.float64, "relu")
    assert (initialize(name, 4, 3, rng, np.float64, "relu") != first).any()


@pytest.mark.parametrize("name", NAMES)
def test_the_legacy_generator_of_numpy_is_not_touched(name):
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - what is tested
    draw(name, 4, 3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002 - what is tested


def test_a_function_gets_the_generator_and_the_widths():
    def uniform(rng, fan_in, fan_out):
        return rng.uniform(0, 1 / fan_in, (fan_in, fan_out))

    expected = np.random.default_rng(3).uniform(0, 1 / 4, (4, 2))
    np.testing.assert_array_equal(draw(uniform, 4, 2, seed=3), expected)


@pytest.mark.parametrize(
    "result",
    [
        [[1, 0], [2, 3]],
        np.array([[1, 0], [2, 3]], ">f4"),
        np.array([[1, 0], [2, 3]], order="F"),
        np.array([[1, 0], [2, 3]], np.int8),
    ],
)
def test_what_a_function_returns_is_converted(result):
    weights = draw(lambda rng, fan_in, fan_out: result, 2, 2, dtype=np.float32)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, [[1, 0], [2, 3]])


def test_what_a_function_keeps_is_not_shared():
    kept = np.ones((2, 3), np.float32)
    kept.flags.writeable = False
    weights = draw(lambda rng, fan_in, fan_out: kept, 2, 3, dtype=np.float32)
    assert not np.shares_memory(weights, kept)
    assert weights.flags.writeable


@pytest.mark.parametrize(
    ("result", "error", "told"),
    [
        (np.ones((3, 2)), ValueError, "must have shape (2, 3), which is (fan_in, fan_out); got "),
        (np.ones(6), ValueError, "must have shape (2, 3), which is (fan_in, fan_out); got shape ("),
        (1.0, ValueError, "must have shape (2, 3), which is (fan_in, fan_out); got shape ()"),
        (np.full((2, 3), np.nan), ValueError, "holds nan at row 0, column 0; every value must be"),
        (np.full((2, 3), 1e39), ValueError, "holds 1e+39 at row 0, column 0, which is too large"),
        (np.ones((2, 3), complex), TypeError, "must hold real numbers"),
        (None, TypeError, "must hold real numbers (booleans, integers or floats); got None"),
        (np.ma.ones((2, 3)), TypeError, "must be an array without a mask"),
        ([[1, 2, 3], [1]], ValueError, "must be a rectangular array of numbers"),
    ],
)
def test_what_a_function_must_not_return(result, error, told):
    with raises(error, "the array that the initializer function returned " + told):
        draw(lambda rng, fan_in, fan_out: result, 2, 3, dtype=np.float32)


def test_an_error_of_the_function_is_passed_on():
    def fails(rng, fan_in, fan_out):
        raise RuntimeError("out of luck")

    with raises(RuntimeError, "out of luck"):
        draw(fails, 2, 3)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_kept(name):
    assert check(name) == name
    assert describe(name) == name


def test_numbers_become_constants_and_functions_stay():
    assert check(0.5) == Constant(0.5)
    assert check(np.int8(2)) == Constant(2.0)
    assert check(ones) is ones
    assert type(Constant(np.float32(0.5)).value) is float


@pytest.mark.parametrize("spec", [*NAMES, Constant(0.1), 0.1, 3, np.float32(0.5)])
def test_a_description_goes_through_json_and_back(spec):
    stored = json.loads(json.dumps(describe(spec)))
    assert check(stored) == check(spec)


def test_a_function_is_described_as_auto():
    assert describe(ones) == "auto"


def test_a_constant_is_a_small_immutable_value():
    constant = Constant(0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        constant.value = 1.0
    assert repr(constant) == "Constant(value=0.5)"
    assert pickle.loads(pickle.dumps(constant)) == copy.deepcopy(constant) == constant
    assert hash(Constant(1)) == hash(Constant(1.0))


@pytest.mark.parametrize("act", [check, describe, lambda spec: draw(spec, 2, 2)])
def test_unknown_names_suggest_the_nearest(act):
    with raises(ValueError, "initializer must be one of 'auto', 'glorot_uniform'", "'zeros'; got"):
        act("xavier")
    with raises(ValueError, "got 'He-Normal'; did you mean 'he_normal'?"):
        act("He-Normal")


@pytest.mark.parametrize("spec", [None, True, b"zeros", [0.1], 1j, Constant, np.ones((2, 2)), int])
def test_what_is_no_initializer(spec):
    told = "initializer must be one of 'auto'", "a number, Constant(value) or a function"
    for act in (check, describe, lambda spec: draw(spec, 2, 2)):
        with raises(TypeError, *told, "f(rng, fan_in, fan_out); got "):
            act(spec)


@pytest.mark.parametrize("value", [np.nan, np.inf, 10**400])
def test_constants_must_be_finite(value):
    with raises(ValueError, "initializer must be a finite real number; got "):
        check(value)
    with raises(ValueError, "value of Constant must be a finite real number; got "):
        Constant(value)


@pytest.mark.parametrize("value", ["0.1", None, True, [1.0]])
def test_a_constant_must_be_a_number(value):
    with raises(TypeError, "value of Constant must be a finite real number; got "):
        Constant(value)


def test_a_constant_must_fit_the_dtype():
    assert draw(1e300, 1, 1)[0, 0] == 1e300
    with raises(ValueError, "initializer holds 1e+300", "which is too large for float32"):
        draw(1e300, 2, 2, dtype=np.float32)
