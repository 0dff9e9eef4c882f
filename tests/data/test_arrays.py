"""The form the kernels read: same numbers, no needless copy, nothing that is no finite number."""

import numpy as np
import pytest
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastbp.data import arrays
from fastbp.data.arrays import contiguous, finite, numeric
from fastbp.data.tables import features

DTYPES = (np.float32, np.float64)
KINDS = ("?", "i1", "u2", "<i4", ">i8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8")


class Frame:
    """A table that is no array but turns into one, as a pandas DataFrame does."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


class Subclass(np.ndarray):
    pass


class Sparse:
    """As a SciPy sparse matrix: NumPy sees one object."""

    def toarray(self):
        raise AssertionError("asked for, never called")


def unaligned(values):
    """Return a contiguous array that starts at an odd address."""
    values = np.asarray(values)
    memory = np.empty(values.nbytes + 1, np.uint8)
    array = memory[1:].view(values.dtype).reshape(values.shape)
    array[...] = values
    return array


@st.composite
def laid_out(draw):
    """Draw values as rows x columns, and an array of some dtype and strides that holds them."""
    kind = draw(
        st.sampled_from(["?", "i1", "u2", "<i4", ">i8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
    )
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    values = np.arange(shape[0] * shape[1], dtype=np.float64).reshape(shape) % 7
    array = values.astype(kind)
    values = array.astype(np.float64)
    layout = draw(st.sampled_from(["c", "fortran", "backward", "strided", "frozen", "unaligned"]))
    if layout == "fortran":
        array = np.asfortranarray(array)
    elif layout == "backward":
        array = array[::-1, ::-1].copy()[::-1, ::-1]
    elif layout == "strided":
        array = np.repeat(np.repeat(array, 2, axis=0), 3, axis=1)[::2, ::3]
    elif layout == "frozen":
        array.flags.writeable = False
    elif layout == "unaligned":
        array = unaligned(array)
    return values, array


@given(laid_out(), st.sampled_from(DTYPES))
def test_every_layout_becomes_the_same_array_and_none_is_changed(case, dtype):
    values, array = case
    before = array.tobytes()
    result = finite(numeric(array, "X"), dtype, "X")
    assert type(result) is np.ndarray
    assert result.dtype == dtype
    assert result.dtype.isnative
    assert result.flags.c_contiguous
    assert result.flags.aligned
    np.testing.assert_array_equal(result, values)
    assert array.tobytes() == before
    ready = array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned
    assert np.may_share_memory(result, array) == ready


@pytest.mark.parametrize("dtype", DTYPES)
def test_ready_arrays_are_returned_as_they_are(dtype):
    array = np.ones((3, 4), dtype)
    assert finite(numeric(array, "X"), dtype, "X") is array
    array.flags.writeable = False
    assert finite(numeric(array, "X"), dtype, "X") is array


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "layout",
    [np.asfortranarray, lambda a: a[::-1], lambda a: a[:, ::2], unaligned],
    ids=["fortran", "backward", "strided", "unaligned"],
)
def test_other_layouts_of_the_right_dtype_are_copied(layout, dtype):
    array = layout(np.arange(12, dtype=dtype).reshape(3, 4))
    result = contiguous(array, dtype)
    assert result.flags.c_contiguous
    assert result.flags.aligned
    assert not np.shares_memory(result, array)
    np.testing.assert_array_equal(result, array)


def test_a_memory_map_is_not_copied(tmp_path):
    path = tmp_path / "X.f32"
    np.arange(12, dtype=np.float32).tofile(path)
    mapped = np.memmap(path, np.float32, "r", shape=(3, 4))
    result = finite(numeric(mapped, "X"), np.float32, "X")
    assert type(result) is np.ndarray
    assert np.shares_memory(result, mapped)
    np.testing.assert_array_equal(result, np.arange(12).reshape(3, 4))


def test_the_copy_of_a_large_memory_map_is_no_surprise(tmp_path, monkeypatch):
    np.arange(12.0).tofile(tmp_path / "X")
    mapped = np.memmap(tmp_path / "X", float, "r", shape=(3, 4))
    told = r"X is a memory map of float64.*as C-contiguous float32 takes 0.00 GiB"
    assert features(mapped, 4, np.float32).dtype == np.float32  # 48 bytes: nothing to tell
    monkeypatch.setattr(arrays, "_LARGE_COPY", 32)
    assert np.shares_memory(features(mapped, 4, np.float64), mapped)
    features(np.array(mapped), 4, np.float32)
    with pytest.warns(UserWarning, match=told):
        assert features(mapped, 4, np.float32).nbytes == 48
    with pytest.warns(UserWarning, match=told):
        features(np.asarray(mapped)[1:], 4, np.float32)


@pytest.mark.parametrize(
    "value",
    [
        [[1, 2], [3, 4]],
        ((1.0, 2.0), (3.0, 4.0)),
        [np.array([1, 2]), np.array([3, 4])],
        [[np.float32(1), np.int8(2)], [3, np.float64(4)]],
        Frame(np.array([[1, 2], [3, 4]], order="F")),
        np.array([[1, 2], [3, 4]]).view(Subclass),
        np.array([[1, 2], [3, 4]], np.longdouble),
    ],
)
def test_other_containers_of_numbers_are_read(value):
    result = finite(numeric(value, "X"), np.float32, "X")
    assert type(result) is np.ndarray
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.ones((2, 2), complex), ("got dtype complex128", "real and the imaginary part")),
        (np.ones((2, 2), object), ("got dtype object", "np.asarray(..., dtype=float)")),
        ([[1, None]], ("got dtype object", "np.asarray(..., dtype=float)")),
        ([["a", "b"]], ("got dtype <U1", "np.unique")),
        (np.array([b"a"]), ("got dtype |S1", "np.unique")),
        (np.zeros(2, "M8[s]"), ("got dtype datetime64[s]", "subtract a reference time")),
        (np.zeros(2, "m8[s]"), ("got dtype timedelta64[s]", "unit of time")),
        (np.zeros(2, "f4,f4"), ("got dtype [('f0'", "plain dtype")),
        (Frame(np.array([["a", 1]], object)), ("got dtype object",)),
        ({"a": 1}, ("got {'a': 1} (dict)",)),
        (None, ("got None (NoneType)",)),
        ("12", ("got dtype <U2",)),
        (Sparse(), ("Sparse", "X.toarray() makes a sparse matrix dense")),
    ],
)
def test_what_holds_no_real_numbers_is_a_type_error(value, told):
    accepted = "X must hold real numbers (booleans, integers or floats); "
    with raises(TypeError, accepted, *told):
        numeric(value, "X")


@pytest.mark.parametrize(
    "value",
    [
        np.ma.array([[1.0, 2.0]], mask=[[False, True]]),
        np.ma.array([[1, 2]]),
        np.ma.array([["a"]]),
        [np.ma.array([1.0, 2.0], mask=[True, False])],
        [np.ma.masked, 1.0],
    ],
)
def test_masked_arrays_are_rejected_with_and_without_a_mask(value):
    with raises(TypeError, "y must be an array without a mask, got a masked array", "y.filled("):
        numeric(value, "y")


@pytest.mark.parametrize("value", [[[1, 2], [3]], [[1], 2], [np.ones(2), np.ones(3)]])
def test_ragged_lists_are_rejected(value):
    with raises(ValueError, "X must be a rectangular array of numbers", "got a list", "inhomog"):
        numeric(value, "X")


@given(
    hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=2, max_side=6)),
    st.sampled_from(DTYPES),
    st.booleans(),
)
def test_the_first_value_that_is_not_finite_is_named(values, dtype, fortran):
    source = np.asfortranarray(values) if fortran else values
    with np.errstate(over="ignore"):
        wrong = np.argwhere(~np.isfinite(values.astype(dtype)))
    if not len(wrong):
        np.testing.assert_array_equal(finite(source, dtype, "X"), values.astype(dtype))
        return
    place = tuple(wrong[0])
    where = f"row {place[0]}" + (f", column {place[1]}" if len(place) == 2 else "")
    overflows = np.isfinite(values[place])
    cause = f", which is too large for {np.dtype(dtype)}" if overflows else ""
    with raises(
        ValueError, f"X holds {values[place]} at {where}{cause}; every value must be finite"
    ):
        finite(source, dtype, "X")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (20, 2), (99, 9)])
def test_the_search_goes_through_every_block(monkeypatch, value, place):
    monkeypatch.setattr(arrays, "_BLOCK", 64)
    array = np.ones((100, 10), np.float32)
    array[place] = value
    with raises(ValueError, f"X holds {value} at row {place[0]}, column {place[1]}; every value"):
        finite(array, np.float32, "X")


def test_finite_data_whose_sum_overflows_is_accepted():
    array = np.full((9, 9), np.finfo(np.float32).max)
    assert finite(array, np.float32, "X") is array


@settings(max_examples=20)
@given(st.sampled_from(["u8", "i8", "?"]), st.sampled_from(DTYPES))
def test_no_integer_is_too_large(kind, dtype):
    largest = True if kind == "?" else np.iinfo(kind).max
    assert np.isfinite(finite(np.array([[largest]], kind), dtype, "X")).all()


@pytest.mark.parametrize("value", [1e300, np.nan])
def test_no_warning_and_no_trap_of_the_caller_gets_in_the_way(value):
    with np.errstate(all="raise"), raises(ValueError, "X holds", "every value must be finite"):
        finite(np.array([[value]]), np.float32, "X")


def test_contiguous_leaves_the_values_unchecked():
    with np.errstate(all="raise"):
        assert contiguous(np.array([1e300]), np.float32)[0] == np.inf
    assert contiguous(np.array([3], ">i2"), np.int64).dtype.isnative
