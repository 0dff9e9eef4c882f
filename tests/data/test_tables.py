"""X and y as users pass them: what is accepted, what it becomes, what each error says."""

import numpy as np
import pytest
from expect import raises
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastbp.data.tables import (
    SUM_TOLERANCE,
    batch_size,
    class_targets,
    features,
    labels,
    probabilities,
    targets,
)

DTYPES = (np.float32, np.float64)
F32 = np.dtype(np.float32)

# Every function that takes an array, called for 2 rows and 3 features, outputs or classes.
TAKE_ARRAYS = {
    "features": lambda value, name: features(value, 3, F32, name),
    "labels": lambda value, name: labels(value, 2, 3, name),
    "probabilities": lambda value, name: probabilities(value, 2, 3, F32, name),
    "class_targets": lambda value, name: class_targets(value, 2, 3, F32, name),
    "targets": lambda value, name: targets(value, 2, 3, F32, name),
}


@pytest.mark.parametrize("function", TAKE_ARRAYS)
@pytest.mark.parametrize(
    ("value", "error", "told"),
    [
        (np.ones((2, 3), complex), TypeError, "must hold real numbers"),
        (np.ones((2, 3), object), TypeError, "must hold real numbers"),
        ([["a", "b", "c"]] * 2, TypeError, "must hold real numbers"),
        (np.zeros((2, 3), "M8[s]"), TypeError, "must hold real numbers"),
        (None, TypeError, "must hold real numbers"),
        (np.ma.ones((2, 3)), TypeError, "must be an array without a mask"),
        ([[1, 2, 3], [1, 2]], ValueError, "must be a rectangular array of numbers"),
        (1.0, ValueError, "must have shape"),
        (np.ones((2, 3, 1)), ValueError, "must have shape"),
        (np.ones((2, 4)), ValueError, "must have shape"),
    ],
)
def test_each_function_names_its_argument(function, value, error, told):
    with raises(error, "validation_data[1] " + told):
        TAKE_ARRAYS[function](value, "validation_data[1]")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("source", ["f2", "f4", ">f4", "f8", "i2", "u8", "?"])
def test_features_of_any_numeric_dtype(source, dtype):
    X = np.array([[0, 1], [1, 0], [1, 1]], source)
    result = features(X, 2, dtype)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, [[0, 1], [1, 0], [1, 1]])


def test_features_that_are_ready_are_the_same_memory():
    X = np.ones((3, 2), np.float32)
    X.flags.writeable = False
    assert features(X, 2, np.float32) is X
    part = np.ones((9, 2), np.float32)[3:6]
    assert features(part, 2, np.float32) is part


@pytest.mark.parametrize(
    ("X", "told"),
    [
        (np.ones(2), "got shape (2,); X.reshape(1, -1) makes one row of it, X.reshape(-1, 1)"),
        (np.ones((5, 2, 1)), "got shape (5, 2, 1); X.reshape(len(X), -1) makes one row of every"),
        (np.ones((5, 3)), "got shape (5, 3)"),
        (np.ones((0, 2)), "got shape (0, 2)"),
        ([], "got shape (0,)"),
        (3.0, "got shape ()"),
    ],
)
def test_features_of_another_shape(X, told):
    with raises(ValueError, "X must have shape (rows, 2) with at least one row; ", told):
        features(X, 2, np.float32)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.nan, "X holds nan at row 2, column 1; every value must be finite"),
        (-np.inf, "X holds -inf at row 2, column 1; every value must be finite"),
        (1e300, "X holds 1e+300 at row 2, column 1, which is too large for float32"),
    ],
)
def test_features_that_are_not_finite(value, told):
    X = np.ones((4, 2))
    X[2, 1] = value
    with raises(ValueError, told):
        features(X, 2, np.float32)


def test_features_too_large_for_float32_are_fine_in_float64():
    assert features([[1e300]], 1, np.float64)[0, 0] == 1e300


@pytest.mark.parametrize("source", ["i1", ">i2", "u4", "i8", "u8", "f2", ">f4", "f8"])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_labels_of_any_dtype_that_holds_whole_numbers(source, shape):
    y = np.array([2, 0, 1, 2], source).reshape(shape)
    result = labels(y, 4, 3)
    assert result.dtype == np.int64
    assert result.flags.c_contiguous
    assert result.tolist() == [2, 0, 1, 2]


def test_labels_as_lists_and_booleans():
    assert labels([1, 0], 2, 2).tolist() == [1, 0]
    assert labels([True, False], 2, 2).tolist() == [1, 0]
    assert labels([0, 0], 2, 1).tolist() == [0, 0]


def test_labels_that_are_ready_are_the_same_memory():
    y = np.array([2, 0, 1], np.int64)
    y.flags.writeable = False
    result = labels(y, 3, 3)
    assert np.shares_memory(result, y)
    column = labels(y.reshape(3, 1), 3, 3)
    assert np.shares_memory(column, y)
    assert column.shape == (3,)


@pytest.mark.parametrize(
    ("y", "told"),
    [
        ([0, -1], "-1 at row 1"),
        ([0, 3], "3 at row 1"),
        (np.array([2**63 + 1, 0], np.uint64), f"{2**63 + 1} at row 0"),
        (np.array([0, -128], np.int8), "-128 at row 1"),
        ([0.0, 1.5], "1.5 at row 1"),
        ([np.nan, 0.0], "nan at row 0"),
        ([0.0, np.inf], "inf at row 1"),
        ([0.0, 1e30], "1e+30 at row 1"),
        ([[0], [7]], "7 at row 1"),
    ],
)
def test_labels_out_of_range_or_not_whole(y, told):
    expected = f"y holds {told}; the labels of 3 classes are the whole numbers from 0 to 2"
    with np.errstate(all="raise"), raises(ValueError, expected):
        labels(y, 2, 3)


ENTRIES = st.integers(-2, 12) | st.sampled_from([0.5, 3.0, np.nan, np.inf, 1e30, 2**63])


@given(st.lists(ENTRIES, min_size=1, max_size=6), st.integers(1, 20))
def test_labels_accept_exactly_the_whole_numbers_below_the_classes(entries, classes):
    y = np.array(entries)
    wrong = [row for row, label in enumerate(y.tolist()) if label not in range(classes)]
    if wrong:
        with raises(ValueError, f"y holds {y[wrong[0]]} at row {wrong[0]}"):
            labels(y, len(y), classes)
    else:
        assert labels(y, len(y), classes).tolist() == y.tolist()


@pytest.mark.parametrize("shape", [(2, 3), (2, 1, 1), ()])
def test_labels_of_another_shape(shape):
    with raises(ValueError, f"y must have shape (2,), one label a row; got shape {shape}"):
        labels(np.zeros(shape, int), 2, 3)


def test_a_column_for_one_class_holds_no_labels():
    with raises(ValueError, "y must have shape (2,), one label a row; got shape (2, 1)"):
        labels(np.zeros((2, 1), int), 2, 1)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_another_number_of_rows_names_both(rows):
    told = f"y must have a row for each of the 2 rows of X; got {rows} rows (shape ({rows},"
    with raises(ValueError, told):
        labels(np.zeros(rows, int), 2, 3)
    for function in (probabilities, class_targets, targets):
        with raises(ValueError, told):
            function(np.full((rows, 3), 1 / 3), 2, 3, np.float32)


@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(0.01, 1)
    ),
    st.sampled_from(DTYPES),
    st.sampled_from(["f2", "f4", "f8", ">f8"]),
)
def test_normalised_rows_are_probabilities_in_every_precision(values, dtype, source):
    y = (values / values.sum(axis=1, keepdims=True)).astype(source)
    result = probabilities(y, *y.shape, dtype)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, y.astype(dtype))


def test_probabilities_that_are_ready_are_the_same_memory():
    y = np.eye(3, dtype=np.float32)
    assert np.shares_memory(probabilities(y, 3, 3, np.float32), y)
    assert probabilities(np.eye(3, dtype=int), 3, 3, np.float32).tolist() == y.tolist()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ([0.5, 0.4, 0.0], "y sums to 0.9 in row 1; the probabilities of a row must sum to 1"),
        ([1.0, 1.0, 1.0], "y sums to 3 in row 1; "),
        ([3e38, 3e38, 0], "y sums to inf in row 1; "),
        ([1.5, -0.5, 0.0], "y holds -0.5 at row 1, column 1; every value must be at least 0"),
        ([0.0, 0.0, np.nan], "y holds nan at row 1, column 2; every value must be finite"),
        ([np.inf, 0.0, 0.0], "y holds inf at row 1, column 0; every value must be finite"),
    ],
)
def test_rows_that_are_no_distribution(row, told):
    with np.errstate(all="raise"), raises(ValueError, told):
        probabilities([[0, 1, 0], row], 2, 3, np.float32)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_tolerance_of_the_sum_is_the_stated_one(sign):
    probabilities([[0.5, 0.5 + 0.99 * sign * SUM_TOLERANCE]], 1, 2, np.float64)
    with raises(ValueError, "in row 0", "must sum to 1 within 0.001 (divide every row by its sum)"):
        probabilities([[0.5, 0.5 + 1.01 * sign * SUM_TOLERANCE]], 1, 2, np.float64)


def test_the_shape_decides_between_labels_and_probabilities():
    for y in ([1, 0], [[1], [0]], [1.0, 0.0]):
        result = class_targets(y, 2, 2, np.float32)
        assert result.dtype == np.int64
        assert result.tolist() == [1, 0]
    for y in ([[0, 1], [1, 0]], [[0.25, 0.75], [1.0, 0.0]]):
        result = class_targets(y, 2, 2, np.float32)
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, y)
    assert class_targets([[1.0], [1.0]], 2, 1, np.float32).shape == (2, 1)
    assert class_targets([0, 0], 2, 1, np.float32).shape == (2,)


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 1), ()])
def test_class_targets_of_another_shape_name_both_forms(shape):
    told = f"y must have shape (2,) for labels or (2, 3) for probabilities; got shape {shape}"
    with raises(ValueError, told):
        class_targets(np.zeros(shape), 2, 3, np.float32)


def test_targets_of_one_output_may_have_rank_one():
    y = np.array([1, 2, 3], np.float32)
    result = targets(y, 3, 1, np.float32)
    assert result.shape == (3, 1)
    assert np.shares_memory(result, y)
    assert targets([[1], [2]], 2, 1, np.float64).tolist() == [[1.0], [2.0]]
    assert targets([True, False], 2, 1, np.float32, low=0, high=1).tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize(
    ("shape", "outputs", "accepted"),
    [
        ((2,), 2, "(2, 2);"),
        ((2, 1), 2, "(2, 2);"),
        ((2, 2), 1, "(2, 1) or (2,);"),
        ((1, 1, 1), 1, "(2, 1) or (2,);"),
        ((), 1, "(2, 1) or (2,);"),
    ],
)
def test_targets_of_another_shape(shape, outputs, accepted):
    with raises(ValueError, f"y must have shape {accepted} got shape {shape}"):
        targets(np.zeros(shape), 2, outputs, np.float32)


@pytest.mark.parametrize(
    ("value", "bounds", "told"),
    [
        (-1.0, {"low": 0}, "-1.0 at row 1, column 0; every value must be at least 0"),
        (2, {"low": 0, "high": 1}, "2.0 at row 1, column 0; every value must be at least 0 and at"),
        (1.5, {"high": 1}, "1.5 at row 1, column 0; every value must be at most 1"),
        (np.nan, {"low": 0, "high": 1}, "nan at row 1, column 0; every value must be finite"),
        (1e39, {}, "1e+39 at row 1, column 0, which is too large for float32"),
    ],
)
def test_targets_out_of_bounds(value, bounds, told):
    with raises(ValueError, "y holds " + told):
        targets([[0.5, 0.5], [value, 0.5]], 2, 2, np.float32, **bounds)


def test_an_error_in_a_vector_of_targets_names_the_row_alone():
    with raises(ValueError, "y holds -3 at row 1; every value must be at least 0"):
        targets([0, -3], 2, 1, np.float32, low=0)


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_a_batch_has_no_more_rows_than_there_are(value, rows):
    assert batch_size(value, rows) == min(value, rows)


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (True, TypeError), (2.0, TypeError)])
def test_what_is_no_batch_size(value, error):
    with raises(error, f"batch_size must be an integer of at least 1, got {value}"):
        batch_size(value, 10)
