"""The checks of scalar arguments: what passes, and what each error says."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from expect import raises
from hypothesis import given
from hypothesis import strategies as st

from fastbp.validation import (
    choice,
    path_text,
    positive_int,
    real,
    returned,
    shown,
    storable,
    widths,
)


class Broken:
    def __repr__(self):
        raise RuntimeError("no repr")


def test_shown_is_one_short_line_with_the_type():
    assert shown(2.5) == "2.5 (float)"
    assert shown(np.zeros((2, 2))) == "array([[0., 0.], [0., 0.]]) (ndarray)"
    assert len(shown("x" * 10_000)) < 80
    assert len(shown(list(range(10_000)))) < 80
    assert "Broken" in shown(Broken())
    assert shown(10**5000) == "<int of 16610 bits> (int)"


@pytest.mark.parametrize("value", [1, 7, 2**63 - 1, np.int8(3), np.uint64(3), np.array(5)])
def test_positive_int_accepts_integers(value):
    result = positive_int(value, "epochs")
    assert type(result) is int
    assert result == int(value)


@pytest.mark.parametrize(
    "value",
    [True, np.True_, 2.0, np.float32(2), "2", None, [2], np.array([2]), np.array(True), 2j],
)
def test_positive_int_rejects_other_types(value):
    with raises(TypeError, "epochs must be an integer of at least 1", "got ", shown(value)):
        positive_int(value, "epochs")


@pytest.mark.parametrize("value", [0, -1, np.int64(-5)])
def test_positive_int_rejects_less_than_one(value):
    with raises(ValueError, "epochs must be an integer of at least 1", f"got {value}"):
        positive_int(value, "epochs")


def test_counts_fit_into_64_bits():
    told = "epochs must be an integer of at least 1"
    for value in (2**63, np.uint64(2**63), 10**400, 10**5000):
        with raises(ValueError, f"{told} and below 2**63, got "):
            positive_int(value, "epochs")
        with raises(ValueError, f"{told}, got "):
            positive_int(-int(value), "epochs")


@pytest.mark.parametrize(
    "layers",
    [[3, 4, 2], (3, 4, 2), np.array([3, 4, 2], np.int16), iter([3, 4, 2]), [np.int64(3), 4, 2]],
)
def test_widths_gives_a_tuple_of_ints(layers):
    result = widths(layers)
    assert result == (3, 4, 2)
    assert all(type(width) is int for width in result)


@pytest.mark.parametrize("layers", [5, None, "784", b"ab", {3: 1, 4: 1}, {3, 4}, np.array(3), 2.5])
def test_widths_rejects_what_is_no_ordered_sequence(layers):
    with raises(TypeError, "layers must be a sequence of at least two", "got ", shown(layers)):
        widths(layers)


@pytest.mark.parametrize("layers", [[], [3], ()])
def test_widths_rejects_fewer_than_two(layers):
    with raises(ValueError, "layers must be a sequence of at least two", "got ", shown(layers)):
        widths(layers)


@pytest.mark.parametrize("bad", [True, 2.0, "4", None, [4], (2, 3)])
def test_widths_names_the_entry_that_is_no_integer(bad):
    with raises(TypeError, "layers[1] must be an integer of at least 1", shown(bad)):
        widths([3, bad, 2])


def test_widths_names_the_entry_below_one_and_the_argument():
    with raises(ValueError, "layers[2] must be an integer of at least 1, got 0"):
        widths([3, 4, 0])
    with raises(ValueError, "hidden[0] must be an integer of at least 1, got -4"):
        widths([-4, 2], "hidden")


OPTIONS = ("relu", "leaky_relu", "sigmoid", "tanh")


@pytest.mark.parametrize("name", OPTIONS)
def test_choice_returns_a_plain_string(name):
    result = choice(np.str_(name), OPTIONS, "activation")
    assert result == name
    assert type(result) is str


@pytest.mark.parametrize(
    ("given_name", "nearest"),
    [("rleu", "relu"), ("ReLU", "relu"), ("Leaky-ReLU", "leaky_relu"), ("sigmiod", "sigmoid")],
)
def test_choice_suggests_the_nearest(given_name, nearest):
    listed = "'relu', 'leaky_relu', 'sigmoid', 'tanh'"
    expected = f"activation must be one of {listed}; got '{given_name}'; did you mean '{nearest}'?"
    with raises(ValueError, expected):
        choice(given_name, OPTIONS, "activation")


def test_choice_suggests_nothing_where_nothing_is_near():
    with pytest.raises(ValueError, match=r"'tanh'; got 'quux'$"):
        choice("quux", iter(OPTIONS), "activation")


@pytest.mark.parametrize("value", [None, 3, ["relu"], b"relu"])
def test_choice_rejects_what_is_no_string(value):
    with raises(TypeError, "activation must be one of 'relu'", "got ", shown(value)):
        choice(value, OPTIONS, "activation")


@given(st.text())
def test_choice_accepts_exactly_the_options(text):
    if text in OPTIONS:
        assert choice(text, OPTIONS, "activation") == text
    else:
        with pytest.raises(ValueError, match="activation must be one of"):
            choice(text, OPTIONS, "activation")


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), np.int8(1), Fraction(1, 2), -3.5, 0])
def test_real_gives_a_python_float(value):
    result = real(value, "lr")
    assert type(result) is float
    assert result == value


@pytest.mark.parametrize("value", [True, np.False_, "0.1", None, 1j, [0.1], np.array([0.1])])
def test_real_rejects_other_types(value):
    with raises(TypeError, "lr must be a finite real number, at least 0; got ", shown(value)):
        real(value, "lr", low=0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, np.float32(np.inf)])
def test_real_rejects_what_is_not_finite(value):
    with raises(ValueError, "lr must be a finite real number; got "):
        real(value, "lr")


@pytest.mark.parametrize(
    ("value", "bounds", "accepted"),
    [
        (-0.1, {"low": 0}, "at least 0"),
        (0.0, {"low": 0, "low_open": True}, "greater than 0"),
        (1.5, {"high": 1}, "at most 1"),
        (1, {"high": 1, "high_open": True}, "less than 1"),
        (1.0, {"low": 0, "high": 1, "high_open": True}, "at least 0 and less than 1"),
        (-1, {"low": 0, "high": 1, "low_open": True}, "greater than 0 and at most 1"),
    ],
)
def test_real_rejects_what_is_out_of_bounds(value, bounds, accepted):
    with raises(ValueError, f"beta1 must be a finite real number, {accepted}; got {value!r}"):
        real(value, "beta1", **bounds)


@given(
    st.floats(-2, 2) | st.sampled_from([0.0, 1.0, -0.0]),
    st.booleans(),
    st.booleans(),
)
def test_real_keeps_exactly_the_interval(value, low_open, high_open):
    inside = (value > 0 if low_open else value >= 0) and (value < 1 if high_open else value <= 1)
    bounds = {"low": 0, "high": 1, "low_open": low_open, "high_open": high_open}
    if inside:
        assert real(value, "rho", **bounds) == value
    else:
        with pytest.raises(ValueError, match="rho must be"):
            real(value, "rho", **bounds)


@pytest.mark.parametrize("path", ["a.csv", b"a.csv", Path("a.csv")], ids=type)
def test_path_text_gives_text(path):
    assert path_text(path) == "a.csv"


def test_path_text_rejects_what_is_no_name():
    with raises(TypeError, "folder must be a string or path-like, got 3 (int)"):
        path_text(3, "folder")
    with raises(ValueError, "path must not be empty, got '' (str)"):
        path_text("")
    with raises(ValueError, "path must not hold a null character", r"a\x00b"):
        path_text("a\0b")
    with raises(ValueError, "folder must be a string that the file system can encode", r"\ud800"):
        path_text("a\ud800", "folder")


def test_storable_knows_a_text_that_no_file_holds():
    assert storable("größe 😀", "name") == "größe 😀"
    for text in ("\ud800", "a\udfff", "\ud83d"):
        with raises(ValueError, "name must not hold a lone surrogate ('\\u", ascii(text)):
            storable(text, "name")


@pytest.mark.parametrize("value", [2, 0.5, np.float32(0.5), np.array(0.5), True, Fraction(1, 2)])
def test_returned_makes_a_float(value):
    result = returned(value, "metric")
    assert type(result) is float
    assert result == value


@pytest.mark.parametrize(
    "value", [None, "1", b"2", 1j, np.complex64(1), np.array(1j), [1.0], np.array("1"), object()]
)
def test_returned_rejects_what_is_no_real_number(value):
    with raises(TypeError, "metric must return a number, got ", shown(value), " at step 3"):
        returned(value, "metric", " at step 3")


def test_returned_rejects_what_no_float_holds():
    with raises(ValueError, "metric must return a number that a float can hold, got 1000"):
        returned(10**400, "metric")
