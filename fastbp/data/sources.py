"""Data of other libraries as NumPy arrays: frames, tables, and tensors by way of DLPack.

None of the libraries is imported: their objects are known by the names of their classes. Memory is
shared where its form allows; several columns of one table mostly have to be brought together.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike, NDArray

BLOCK = 1 << 20  # elements of a block of rows that is filled column by column, within the caches
HOST = (1, 3, 11)  # DLPack's devices whose memory the CPU reads: its own, and pinned for a GPU

_NUMBERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_NUMBERS += ["float16", "float32", "float64"]
_POLARS = {"Boolean": "bool"} | {n.capitalize().replace("Ui", "UI"): n for n in _NUMBERS}
_ARROW = {name: name for name in ["bool", *_NUMBERS]}
_ARROW |= {"halffloat": "float16", "float": "float32", "double": "float64"}

_STRINGS = "; np.unique(..., return_inverse=True)[1] numbers the names of classes"
_CATEGORIES = {
    "pandas": "; .cat.codes numbers categories, pandas.get_dummies makes a column of each",
    "polars": "; .to_physical() numbers categories, .to_dummies() makes a column of each",
    "pyarrow": "; .indices of each chunk numbers the categories",
}
_HINTS = {
    "O": "; np.asarray(..., dtype=float) converts numbers held as objects" + _STRINGS,
    "c": "; pass the real and the imaginary part as separate columns",
    "M": "; subtract a reference time and divide by a unit of time",
    "m": "; divide it by a unit of time",
    "V": "; give it a plain dtype such as float32",
    "U": _STRINGS,
    "S": _STRINGS,
    "T": _STRINGS,
}


def reject(name: str, given: str, kind: str = "", hint: str = "") -> NoReturn:
    """Raise the TypeError of an argument without real numbers; `kind` is NumPy's, for a hint."""
    raise TypeError(
        f"{name} must hold real numbers (booleans, integers or floats); got {given}"
        f"{hint or _HINTS.get(kind, '')}"
    )


def plain(value: Any, name: str, nulls: bool = False) -> Any:
    """Return an object of another library as a NumPy array, and anything else as it is.

    Parameters
    ----------
    value : object
        A DataFrame, Series, Index or extension array of pandas, a DataFrame or Series of polars, a
        Table, RecordBatch, Array or ChunkedArray of PyArrow, or what has ``__dlpack__``: a tensor
        of PyTorch, an array of JAX.
    name : str
        What the caller calls the argument, for the message.
    nulls : bool
        Whether values that are missing become NaN; otherwise they are an error.

    Returns
    -------
    ndarray, or `value`
        The same memory where the library's form allows. Columns of several dtypes take the one
        that NumPy's arithmetic gives them.

    Raises
    ------
    TypeError
        A column that holds no real numbers (the message names it), or a tensor that NumPy cannot
        read: one that requires grad, on another device, in bfloat16.
    ValueError
        A value is missing; the message names the first one's row and column.
    """
    if isinstance(value, np.ndarray):
        return value
    reader = _entry(_READERS, value)
    if reader is not None:
        return reader(value, name, nulls)
    return _tensor(value, name) if hasattr(type(value), "__dlpack__") else value


def column_labels(value: Any) -> Sequence[Any] | None:
    """The names of the columns of a frame or table, or None for anything else."""
    labels = _entry(_LABELS, value)
    return None if labels is None else labels(value)


def _entry(table: dict[tuple[str, str], Callable[..., Any]], value: Any) -> Any:
    """The entry of `table` for the library and the name of one of the value's classes."""
    for kind in type(value).__mro__[:-1]:
        found = table.get((kind.__module__.partition(".")[0], kind.__name__))
        if found is not None:
            return found
    return None


# ---------------------------------------------------------------------------- tables


def _common(
    columns: Iterable[tuple[Any, Any, DTypeLike | None]], library: str, name: str
) -> np.dtype[Any]:
    """The dtype for columns of (label or None, the library's type, NumPy's dtype if any)."""
    found = []
    for label, kind, numpy in columns:
        dtype = np.dtype("O" if numpy is None else numpy)
        if dtype.kind not in "biuf":
            which = "" if label is None else f"column {label!r} of "
            text = str(kind)
            categories = text.lower().startswith(("categor", "enum", "dictionary"))
            reject(
                name, f"{which}dtype {text}", dtype.kind, _CATEGORIES[library] * bool(categories)
            )
        found.append(dtype)
    return np.result_type(*set(found)) if found else np.dtype("float64")


def _reject_null(name: str, missing: Any, label: Any = None) -> NoReturn:
    where = "" if label is None else f", column {label!r}"
    raise ValueError(
        f"{name} holds no value (null) at row {int(np.argmax(missing))}{where}; "
        "fill it, or drop its row"
    )


def _together(columns: list[NDArray[Any]], rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Columns as one C-contiguous table, block by block: a cache line is written whole."""
    if len(columns) == 1:
        return columns[0].reshape(-1, 1)
    table = np.empty((rows, len(columns)), dtype)
    height = max(1, BLOCK // max(1, len(columns)))
    for start in range(0, rows, height):
        block = table[start : start + height]
        for j, column in enumerate(columns):
            block[:, j] = column[start : start + height]
    return table


# ---------------------------------------------------------------------------- pandas


def _pandas_dtype(dtype: Any) -> Any:
    """NumPy's dtype for the values of a pandas dtype, or None."""
    if isinstance(dtype, np.dtype):
        return dtype
    if type(dtype).__name__ == "SparseDtype":
        return dtype.subtype
    return getattr(dtype, "numpy_dtype", None)


def _pandas_frame(frame: Any, name: str, nulls: bool) -> NDArray[Any]:
    dtypes = frame.dtypes.tolist()
    common = _common(
        zip(frame.columns, dtypes, map(_pandas_dtype, dtypes), strict=True), "pandas", name
    )
    array: NDArray[Any]
    if all(isinstance(dtype, np.dtype) for dtype in dtypes):
        array = frame.to_numpy(dtype=common)
        return array
    columns = [frame.iloc[:, j] for j in range(len(dtypes))]
    some = False
    for label, column in zip(frame.columns, columns, strict=True):
        missing = column.isna()
        if missing.any() and not isinstance(column.dtype, np.dtype):
            if not nulls:
                _reject_null(name, missing, label)
            some = True
    if some:
        common = np.result_type(common, "float16")  # integers have no NaN
    return _together([_pandas_values(column, common) for column in columns], len(frame), common)


def _pandas_values(column: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    values: NDArray[Any]
    if dtype.kind == "f" and not isinstance(column.dtype, np.dtype) and column.isna().any():
        values = column.to_numpy(dtype=dtype, na_value=np.nan)
    else:
        values = column.to_numpy(dtype=dtype)
    return values


def _pandas_column(column: Any, name: str, nulls: bool) -> NDArray[Any]:
    """A Series, an Index or an extension array."""
    common = _common([(None, column.dtype, _pandas_dtype(column.dtype))], "pandas", name)
    if not isinstance(column.dtype, np.dtype):
        missing = column.isna()
        if missing.any():
            if not nulls:
                _reject_null(name, missing)
            common = np.result_type(common, "float16")
    return _pandas_values(column, common)


# ---------------------------------------------------------------------------- polars


def _polars_dtype(dtype: Any) -> str | None:
    return _POLARS.get(dtype.base_type().__name__)


def _polars_frame(frame: Any, name: str, nulls: bool) -> NDArray[Any]:
    schema = frame.schema.items()
    _common(((label, kind, _polars_dtype(kind)) for label, kind in schema), "polars", name)
    if not frame.width:
        return np.empty((0, 0))
    for label, count in zip(frame.columns, frame.null_count().row(0), strict=True):
        if count and not nulls:
            _reject_null(name, frame[label].is_null().to_numpy(), label)
        if count and _polars_dtype(frame[label].dtype) == "bool":
            frame = frame.cast({label: float})  # else None, as an object
    array: NDArray[Any] = frame.to_numpy()
    return array


def _polars_series(series: Any, name: str, nulls: bool) -> NDArray[Any]:
    kind = series.dtype
    while kind.base_type().__name__ == "Array":  # of one width: a table
        kind = kind.inner
    _common([(None, series.dtype, _polars_dtype(kind))], "polars", name)
    if series.null_count():
        if not nulls:
            _reject_null(name, series.is_null().to_numpy())
        if _polars_dtype(series.dtype) == "bool":
            series = series.cast(float)
    array: NDArray[Any] = series.to_numpy()
    return array


def _polars_lazy(frame: Any, name: str, nulls: bool) -> NoReturn:
    reject(name, "a polars LazyFrame", hint=f"; {name}.collect() computes it")


# ---------------------------------------------------------------------------- PyArrow


def _arrow_values(column: Any, name: str, nulls: bool, label: Any = None) -> NDArray[Any]:
    """One column; the memory is shared but for booleans, several chunks, and nulls."""
    if column.null_count:
        if not nulls:
            _reject_null(name, column.is_null().to_numpy(zero_copy_only=False), label)
        column = column.cast("float64")
    array: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return array


def _arrow_table(table: Any, name: str, nulls: bool) -> NDArray[Any]:
    labels, kinds = table.schema.names, table.schema.types
    _common(
        ((label, kind, _ARROW.get(str(kind))) for label, kind in zip(labels, kinds, strict=True)),
        "pyarrow",
        name,
    )
    columns = [_arrow_values(table.column(j), name, nulls, label) for j, label in enumerate(labels)]
    dtype = np.result_type(*{column.dtype for column in columns}) if columns else np.dtype("f8")
    return _together(columns, table.num_rows, dtype)


def _arrow_array(array: Any, name: str, nulls: bool) -> NDArray[Any]:
    """An Array or ChunkedArray of numbers, or of lists of one length: a table."""
    kind = array.type
    width = getattr(kind, "list_size", None) if str(kind).startswith("fixed_size_list") else None
    inner = kind if width is None else kind.value_type
    _common([(None, kind, _ARROW.get(str(inner)))], "pyarrow", name)
    if width is None:
        return _arrow_values(array, name, nulls)
    if array.null_count:
        _reject_null(name, array.is_null().to_numpy(zero_copy_only=False))
    chunks = getattr(array, "chunks", [array])
    flat = [_arrow_values(chunk.flatten(), name, nulls) for chunk in chunks]
    return (flat[0] if len(flat) == 1 else np.concatenate(flat)).reshape(len(array), width)


# ---------------------------------------------------------------------------- tensors


def _tensor(value: Any, name: str) -> NDArray[Any]:
    """The memory of an object with ``__dlpack__``, as an array that may be read-only."""
    given = f"a {type(value).__name__} of dtype {getattr(value, 'dtype', 'unknown')}"
    if getattr(value, "requires_grad", False):
        raise TypeError(
            f"{name} must not require grad, as gradients do not flow back through a fastbp "
            f"network; pass {name}.detach()"
        )
    device = getattr(value, "device", "another device")
    if str(device) != "meta" and value.__dlpack_device__()[0] not in HOST:
        how = next((f"; pass {name}.{m}()" for m in ("cpu", "get") if hasattr(value, m)), "")
        raise TypeError(f"{name} must be in the memory of the CPU; got {given} on {device}{how}")
    if hasattr(value, "resolve_neg"):
        value = value.resolve_neg()  # a sign that PyTorch holds back, and DLPack loses
    try:
        return np.from_dlpack(value)
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
        how = ""
        if any(kind in given for kind in ("bfloat16", "float8")):
            how = f"; pass {name}" + (
                ".float()" if hasattr(value, "float") else ".astype('float32')"
            )
        elif hasattr(value, "to_dense"):
            how = f"; {name}.to_dense() makes a sparse one dense"
        raise TypeError(
            f"{name} must be an array that NumPy can read; got {given} ({error}){how}"
        ) from error


_READERS: dict[tuple[str, str], Callable[[Any, str, bool], Any]] = {
    ("pandas", "DataFrame"): _pandas_frame,
    ("pandas", "Series"): _pandas_column,
    ("pandas", "Index"): _pandas_column,
    ("pandas", "ExtensionArray"): _pandas_column,
    ("polars", "DataFrame"): _polars_frame,
    ("polars", "Series"): _polars_series,
    ("polars", "LazyFrame"): _polars_lazy,
    ("pyarrow", "Table"): _arrow_table,
    ("pyarrow", "RecordBatch"): _arrow_table,
    ("pyarrow", "Array"): _arrow_array,
    ("pyarrow", "ChunkedArray"): _arrow_array,
}
_LABELS: dict[tuple[str, str], Callable[[Any], Sequence[Any]]] = {
    ("pandas", "DataFrame"): lambda frame: list(frame.columns),
    ("polars", "DataFrame"): lambda frame: list(frame.columns),
    ("pyarrow", "Table"): lambda table: list(table.schema.names),
    ("pyarrow", "RecordBatch"): lambda table: list(table.schema.names),
}
