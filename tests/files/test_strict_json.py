"""JSON comes back as it went in, and hostile text is refused before it costs anything."""

import sys

import pytest
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbp.files.strict_json import decode, encode, encode_checked

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**120), 10**120)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@settings(max_examples=60)
@given(st.dictionaries(st.text(), VALUES))
def test_values_come_back_and_their_order_does_not_matter(value):
    text = encode_checked(value, "value")
    assert decode(text) == value
    assert encode(dict(reversed(value.items()))) == text


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ({"a": float("nan")}, ValueError, "not JSON compliant"),
        ({"a": [-float("inf")]}, ValueError, "not JSON compliant"),
        ({"a": {1}}, TypeError, "set"),
        ({"a": (1, 2)}, ValueError, "does not come back from JSON"),
        ({"a": {1: 2}}, ValueError, "does not come back from JSON"),
        ({"a": {1: 2, "1": 3}}, TypeError, "not supported between"),
        ({"a": {None: 2, True: 3}}, TypeError, "not supported between"),
        ({"a": 10**200}, ValueError, "201 digits"),
        ({"a": 10**5000}, ValueError, "limit"),
        ({"a": "\ud800"}, ValueError, "lone surrogate ('\\ud800')"),
        ({"a": ["x\udfff"]}, ValueError, "lone surrogate ('\\udfff')"),
        ({"\udc00": 1}, ValueError, "lone surrogate ('\\udc00')"),
    ],
)
def test_what_json_would_change_or_refuse_is_named(value, error, message):
    with raises(error, "options", message):
        encode_checked(value, "options")


def test_endless_values_are_refused():
    circular: dict = {}
    circular["a"] = circular
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for value in (circular, {"a": deep}):
        with raises(ValueError, "options cannot be stored as JSON"):
            encode_checked(value, "options")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        ("[]", "list where an object"),
        ("3", "int where an object"),
        ('{"a":1', "Expecting ',' delimiter"),
        ('{"a":1} x', "Extra data"),
        ('\ufeff{"a":1}', "BOM"),
        ('{"a":"\n"}', "Invalid control character"),
        ('{"a":1,"a":1}', "occurs twice"),
        ('{"a":{"b":1,"\\u0062":2}}', "occurs twice"),
        ('{"a":NaN}', "NaN is not finite"),
        ('{"a":-Infinity}', "-Infinity is not finite"),
        ('{"a":-1e999}', "-1e999 is not finite"),
        ('{"a":"\\ud800"}', "lone surrogate ('\\ud800')"),
        ('{"a":["\\udfff\\ud800"]}', "lone surrogate ('\\udfff')"),
        ('{"\\ud800":1}', "lone surrogate"),
    ],
)
def test_text_that_is_no_strict_json_is_refused(text, message):
    with raises(ValueError, message):
        decode(text)


@pytest.mark.parametrize(
    ("start", "repeated", "message"),
    [
        ('{"a":', "9", "1000000 digits"),
        ('{"a":0.', "9", "1000002 digits"),
        ('{"a":', "[", "deeper than 32"),
        ("", '{"a":', "deeper than 32"),
        ('{"a":[', "],[[", "deeper than 32"),
        ('{"a":"', '\\"', "Unterminated string"),
        ('{"a":"', '\\"[', "Unterminated string"),
        ('{"', "\\", "Unterminated string"),
    ],
)
def test_bombs_are_refused(start, repeated, message):
    # With the interpreter's own limit out of the way, for a user may have raised it.
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**9)
    try:
        with raises(ValueError, message):
            decode(start + repeated * 1_000_000)
    finally:
        sys.setrecursionlimit(limit)


def test_escaped_pairs_are_text():
    assert decode('{"a":"\\ud83d\\ude00"}') == {"a": "😀"}


def test_depth_is_counted_outside_strings_only():
    value = {"a": "[" * 100, 'b"\\' + "[" * 100: '{"' * 100, "c": [[[]]] * 40}
    assert decode(encode(value)) == value
