"""Frames and tables of pandas, polars and PyArrow: same numbers, shared memory, clear errors."""

from datetime import datetime

import numpy as np
import pytest
from contents import assert_same, contents
from expect import raises
from process import run

import fastbp
from fastbp.data.arrays import contiguous, finite, numeric

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype("f4")
LABELS = RNG.integers(0, 3, 40)
NAMES = ["height", "width", "depth"]


@pytest.fixture
def pd():
    return pytest.importorskip("pandas")


@pytest.fixture
def pl():
    return pytest.importorskip("polars")


@pytest.fixture
def pa():
    return pytest.importorskip("pyarrow")


def columns(array):
    return {name: array[:, j].copy() for j, name in enumerate(NAMES)}


def frames(library):
    """Makers of X as every form of table that `library` has."""
    module = pytest.importorskip(library)
    if library == "pandas":
        yield lambda a: module.DataFrame(a, columns=NAMES, index=np.arange(len(a))[::-1])
        yield lambda a: module.DataFrame(columns(a)).astype("Float32")
        yield lambda a: module.DataFrame(columns(a)).astype({"width": "Float32"})
        yield lambda a: module.DataFrame(columns(a)).astype(module.SparseDtype("f4"))
        pytest.importorskip("pyarrow")
        yield lambda a: module.DataFrame(columns(a)).astype("float[pyarrow]")
    elif library == "polars":
        yield lambda a: module.DataFrame(columns(a))
        yield lambda a: module.Series(a, dtype=module.Array(module.Float32, 3))
    else:
        yield lambda a: module.table(columns(a))
        yield lambda a: module.concat_tables(
            [module.table(columns(part)) for part in (a[:7], a[7:])]
        )
        yield lambda a: module.RecordBatch.from_pydict(columns(a))
        kind = module.list_(module.float32(), 3)
        yield lambda a: module.FixedSizeListArray.from_arrays(a.ravel(), 3)
        yield lambda a: module.chunked_array([a[:5].tolist(), a[5:].tolist()], kind)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_all_methods_take_frames_as_they_take_arrays(library):
    module = pytest.importorskip(library)
    series = module.array if library == "pyarrow" else module.Series

    def everything(X, y):
        net = fastbp.Network([3, 5, 3], loss="cross_entropy", rng=0)
        history = net.fit(X, y, epochs=2, validation_data=(X, y))
        outcome = [
            dict(history),
            net.train_step(X, y),
            net.evaluate(X, y),
            net.loss_and_gradients(X, y)[0],
        ]
        predictions = net.predict(X)
        assert type(predictions) is np.ndarray
        return outcome, predictions.tobytes(), contents(net)

    want = everything(X, LABELS)
    for make in frames(library):
        given = everything(make(X), series(LABELS))
        assert given[:2] == want[:2]
        assert_same(given[2], want[2])


def test_a_pandas_frame_of_one_block_is_not_copied(pd):
    frame = pd.DataFrame(X, copy=False)
    assert np.shares_memory(contiguous(numeric(frame, "X"), "f4"), X)
    assert np.shares_memory(numeric(pd.Series(X[:, 0], copy=False), "y"), X)


def test_a_polars_series_is_not_copied(pl):
    series = pl.Series(np.arange(5.0))
    assert np.shares_memory(numeric(series, "y"), series.to_numpy(allow_copy=False))


def test_an_arrow_array_is_not_copied(pa):
    values = np.arange(6, dtype="f4")
    array = pa.array(values)
    assert np.shares_memory(numeric(array, "y"), values)
    assert np.shares_memory(numeric(pa.chunked_array([array]), "y"), values)
    assert np.shares_memory(numeric(pa.table({"a": array}), "X"), values)
    assert np.shares_memory(numeric(pa.FixedSizeListArray.from_arrays(array, 3), "X"), values)


def test_a_slice_of_lists_begins_where_it_should(pa):
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(12.0)), 3)[1:3]
    np.testing.assert_array_equal(numeric(lists, "X"), np.arange(3, 9).reshape(2, 3))


MIXED = {
    "a": np.array([1, 2], "i8"),
    "b": np.array([True, False]),
    "c": np.array([0.5, -1], "f4"),
}
MIXED_VALUES = [[1, 1, 0.5], [2, 0, -1]]


def mixed(library, values):
    module = pytest.importorskip(library)
    return module.table(values) if library == "pyarrow" else module.DataFrame(values)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_columns_of_several_dtypes_take_the_one_that_holds_them(library):
    array = numeric(mixed(library, MIXED), "X")
    assert array.dtype == "f8"
    np.testing.assert_array_equal(array, MIXED_VALUES)
    few = {name: MIXED[name] for name in ("a", "b")}
    array = numeric(mixed(library, few), "X")
    assert array.dtype == "i8"
    np.testing.assert_array_equal(array, [[1, 1], [2, 0]])


def test_mixed_nullable_columns_of_pandas(pd):
    frame = pd.DataFrame(MIXED).convert_dtypes()
    assert [str(dtype) for dtype in frame.dtypes] == ["Int64", "boolean", "Float32"]
    np.testing.assert_array_equal(numeric(frame, "X"), MIXED_VALUES)


def test_many_columns_are_brought_together_block_by_block(pa):
    many = RNG.integers(0, 100, (700, 200))
    table = pa.table({str(j): column for j, column in enumerate(many.T)})
    array = numeric(table, "X")
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, many)


WITHOUT = {"a": [1, 2, 3], "b": [1, 0, None]}


def with_nulls(library, kind):
    """A frame and a column in which one value of `kind` is missing."""
    module = pytest.importorskip(library)
    if library == "pandas":
        if "pyarrow" in kind:
            pytest.importorskip("pyarrow")
        frame = module.DataFrame(WITHOUT).astype({"b": kind})
        return frame, frame["b"]
    if library == "polars":
        frame = module.DataFrame(WITHOUT).cast({"b": getattr(module, kind)})
        return frame, frame["b"]
    table = module.table(WITHOUT)
    table = table.set_column(1, "b", table.column("b").cast(kind))
    return table, table.column("b")


NULLS = [
    *(("pandas", kind) for kind in ("Int64", "boolean", "Float32", "int8[pyarrow]")),
    *(("polars", kind) for kind in ("Int64", "Boolean", "Float32")),
    *(("pyarrow", kind) for kind in ("int64", "bool", "float32")),
]


@pytest.mark.parametrize(("library", "kind"), NULLS)
def test_a_missing_value_is_named_by_row_and_column(library, kind):
    frame, column = with_nulls(library, kind)
    with raises(ValueError, "X holds no value (null) at row 2, column 'b'; fill it, or drop its"):
        fastbp.Network([2, 1]).predict(frame)
    with raises(ValueError, "y holds no value (null) at row 2; fill it"):
        fastbp.Network([1, 2], loss="cross_entropy").fit(np.zeros((3, 1)), column)


@pytest.mark.parametrize(("library", "kind"), NULLS)
def test_missing_values_can_become_nan(library, kind):
    frame, column = with_nulls(library, kind)
    want = [[1, 1], [2, 0], [3, np.nan]]
    np.testing.assert_array_equal(numeric(frame, "y", nulls=True), want)
    np.testing.assert_array_equal(numeric(column, "y", nulls=True), [1, 0, np.nan])


def test_missing_lists_are_errors(pa):
    lists = pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2))
    with raises(ValueError, "X holds no value (null) at row 1"):
        numeric(lists, "X")


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_nan_is_named_by_row_and_column(library):
    frame = mixed(library, {"a": np.zeros(3), "b": np.array([1.0, np.nan, 2.0])})
    for call in (
        fastbp.Network([2, 1]).predict,
        lambda X: fastbp.Network([2, 1]).fit(X, np.zeros(3)),
        lambda y: fastbp.Network([1, 2]).fit(np.zeros((3, 1)), y),
    ):
        with raises(ValueError, "holds nan at row 1, column 'b'; every value must be finite"):
            call(frame)
    with raises(ValueError, "X holds nan at row 1, column 'b'"):
        finite(numeric(frame, "X"), "f4", "X", given=frame)


TEXT = np.array(["x", "y"], object)


def test_columns_without_numbers_of_pandas(pd):
    frame = pd.DataFrame({"n": [1, 2], "s": TEXT, "t": [datetime(2026, 1, 2)] * 2})
    with raises(TypeError, "X must hold real numbers", "column 's' of dtype", "np.unique"):
        numeric(frame[["n", "s"]], "X")
    with raises(TypeError, "column 't' of dtype datetime64", "; subtract a reference time"):
        numeric(frame[["n", "t"]], "X")
    frame["s"] = frame["s"].astype("category")
    with raises(TypeError, "column 's' of dtype category; .cat.codes numbers categories"):
        fastbp.Network([2, 1]).predict(frame[["n", "s"]])
    with raises(TypeError, "y must hold real numbers", "got dtype category; .cat.codes"):
        fastbp.Network([1, 2], loss="cross_entropy").fit([[0], [1]], frame["s"])
    np.testing.assert_array_equal(numeric(frame["s"].cat.codes, "y"), [0, 1])


def test_columns_without_numbers_of_polars(pl):
    frame = pl.DataFrame({"n": [1, 2], "s": ["x", "y"]})
    with raises(TypeError, "column 's' of dtype String"):
        numeric(frame, "X")
    frame = frame.cast({"s": pl.Categorical})
    with raises(TypeError, "column 's' of dtype Categorical", "; .to_physical() numbers"):
        numeric(frame, "X")
    with raises(TypeError, "got a polars LazyFrame; X.collect() computes it"):
        numeric(frame.lazy(), "X")
    with raises(TypeError, "column 'd' of dtype Decimal"):
        numeric(pl.DataFrame({"d": ["1.5"]}).cast(pl.Decimal(5, 2)), "X")


def test_columns_without_numbers_of_arrow(pa):
    table = pa.table({"n": [1, 2], "s": ["x", "y"]})
    with raises(TypeError, "column 's' of dtype string"):
        numeric(table, "X")
    encoded = table.column("s").dictionary_encode()
    with raises(TypeError, "got dtype dictionary", ".indices of each chunk numbers"):
        numeric(encoded, "y")
    np.testing.assert_array_equal(numeric(encoded.chunk(0).indices, "y"), [0, 1])


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_frame_without_columns_has_the_wrong_shape(library):
    frame = mixed(library, {})
    with raises(ValueError, "X must have shape (rows, 2)"):
        fastbp.Network([2, 1]).predict(frame)


def test_other_things_of_pandas(pd):
    np.testing.assert_array_equal(numeric(pd.Index([3, 4]), "y"), [3, 4])
    np.testing.assert_array_equal(numeric(pd.array([3, 4], "Int64"), "y"), [3, 4])
    with raises(ValueError, "y holds no value (null) at row 1"):
        numeric(pd.array([3, None], "Int64"), "y")


def test_fastbp_imports_none_of_the_libraries(tmp_path):
    program = """
import sys, fastbp, fastbp.interchange
fastbp.Network([2, 1]).predict([[1, 2]])
libraries = {"matplotlib", "pandas", "polars", "pyarrow", "sklearn", "torch", "jax", "onnx"}
print(*libraries & {*sys.modules})
"""
    assert run(tmp_path, program).split() == []
