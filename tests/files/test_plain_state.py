"""State with arrays in it comes back from JSON and arrays bit for bit; other trees are refused."""

import math

import numpy as np
import pytest
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbp.files import container, plain_state

TREE = {
    "nothing": None,
    "yes": True,
    "count": 2**70,
    "small": -0.0,
    "rates": [0.1, 1e-300, math.inf, -math.inf],
    "best": {"weights": np.array([[1.5, -np.nan], [np.inf, -0.0]], "f4"), "at": [np.arange(3)]},
    "text": "größer",
    "empty": {"list": [], "dict": {}, "array": np.empty((0, 2))},
}


def same(got, want):
    assert type(got) is type(want)
    if isinstance(want, dict):
        assert got.keys() == want.keys()
        for key in want:
            same(got[key], want[key])
    elif isinstance(want, list):
        assert len(got) == len(want)
        for one, other in zip(got, want, strict=True):
            same(one, other)
    elif isinstance(want, np.ndarray):
        assert (got.dtype, got.shape, got.tobytes()) == (want.dtype, want.shape, want.tobytes())
    else:
        assert repr(got) == repr(want)


def through_a_file(tree, path):
    described, arrays = plain_state.pack(tree, "tree")
    container.write(path, arrays, {"tree": described})
    arrays, read = container.read(path)
    return plain_state.unpack(read["tree"], arrays)


def test_a_tree_comes_back(tmp_path):
    same(through_a_file(TREE, tmp_path / "m"), TREE)
    assert math.isnan(through_a_file({"x": [math.nan]}, tmp_path / "m")["x"][0])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text("a$\0é"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100)
@given(tree=st.dictionaries(st.text("ab"), JSON, max_size=3))
def test_any_tree_comes_back(tree, tmp_path_factory):
    same(through_a_file(tree, tmp_path_factory.getbasetemp() / "tree"), tree)


@pytest.mark.parametrize(
    ("tree", "error", "parts"),
    [
        ({"a": {"$b": 1}}, ValueError, ["tree['a']", "'$b'"]),
        ({"a": [{1: 2}]}, TypeError, ["tree['a']", "keys must be str"]),
        ({"a": (1, 2)}, TypeError, ["tree['a']", "tuple"]),
        ({"a": {"b": {1, 2}}}, TypeError, ["tree['a']['b']", "set"]),
        ({"a": np.float32(1)}, TypeError, ["tree['a']", "float32"]),
        ({"a": b"x"}, TypeError, ["tree['a']", "bytes"]),
    ],
    ids=str,
)
def test_what_a_file_cannot_hold_is_refused(tree, error, parts):
    with raises(error, *parts):
        plain_state.pack(tree, "tree")


@pytest.mark.parametrize(
    "described",
    [
        None,
        [],
        {"$array": 0},  # the tree itself must be a dict
        {"a": {"$array": 1}},
        {"a": {"$array": -1}},
        {"a": {"$array": True}},
        {"a": {"$array": 0.0}},
        {"a": {"$array": "0"}},
        {"a": {"$array": [0]}},
        {"a": {"$array": 0, "b": 1}},
        {"a": [{"$array": 0}, {"$array": 0}]},
        {"a": {"$float": "nano"}, "b": {"$array": 0}},
        {"a": {"$float": 1.0}, "b": {"$array": 0}},
        {"a": {"$float": ["nan"]}, "b": {"$array": 0}},
        {"a": {"$other": 1}, "b": {"$array": 0}},
        {"a": 1},  # the array belongs to nothing
    ],
    ids=str,
)
def test_other_descriptions_are_refused(described):
    with raises(ValueError, "state of the fit"):
        plain_state.unpack(described, {"state.0": np.ones(3)})
