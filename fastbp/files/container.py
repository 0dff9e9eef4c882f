"""Model files: named arrays and a JSON configuration in one safetensors file.

The container is the safetensors format: 8 bytes little-endian header length, a JSON header,
the bytes of the arrays without gaps. The header's ``__metadata__`` holds

- ``format``: ``"fastbp"``, and ``format_version``: ``"1"``;
- ``configuration``: the configuration as JSON text;
- ``sha256``: of the compact, key-sorted JSON of the header without this entry, followed by the
  bytes of the arrays as they lie in the file.

The safetensors package reads these files, but they are neither written nor read with it. Its
writer puts the metadata in random order and raises no OSError when the disk is full. Its reader
opens the path anew, perhaps another file than the one checked, and maps it into memory, where a
file cut short meanwhile is a bus error.
"""

import hashlib
import io
import math
import os
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastbp.files import strict_json
from fastbp.files.replacing import check_replace, opened, replace
from fastbp.validation import path_text

__all__ = ["check", "expect", "read", "write"]

_FORMAT = "fastbp"
_VERSION = "1"

# Parsed JSON takes up to 30 times its text, so this bounds what a hostile header can allocate;
# it is room for some 50 000 arrays.
_MAX_HEADER = 4 << 20
_MAX_DIMENSIONS = 64  # NumPy 2's
# Read and hashed by pieces that stay in cache.
_CHUNK = 1 << 20

_DTYPES = {
    "F64": "f8", "F32": "f4", "F16": "f2",
    "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1",
    "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1",
}  # fmt: skip
_CODES = {kind: code for code, kind in _DTYPES.items()}


def write(
    path: str | os.PathLike[str],
    arrays: Mapping[str, npt.NDArray[Any]],
    configuration: Mapping[str, object],
) -> None:
    """Write arrays and a configuration to a file, whole or not at all.

    The content goes to a temporary file in the same directory, reaches the disk (fsync) and then
    replaces `path`; a symbolic link stays and what it points to is replaced. After any failure
    the old file is as it was and the temporary file is gone; only a killed process may leave one,
    named ``.fastbp-*.tmp``. Equal content gives equal bytes.

    Parameters
    ----------
    path : str or path-like
        The file to make or replace. Its mode follows the umask.
    arrays : mapping of str to ndarray
        Floating-point (16, 32, 64 bits) or integer arrays of any shape, strides and byte order.
        They must not change during the call.
    configuration : mapping of str to object
        What JSON holds without a change: dict with str keys, list, str, bool, None, int of at
        most 128 digits and finite float.

    Raises
    ------
    TypeError
        An array that is no ndarray or of another dtype, a name that is no str, a configuration
        with objects JSON does not know.
    ValueError
        A configuration that does not come back from JSON as it was (NaN, infinity, tuples, keys
        that are no str), is nested too deep or too large; a reserved array name.
    OSError
        The directory is missing, `path` is a directory or a device, permission is missing (also
        for a read-only file at `path`), the disk is full. On Windows also: another process has
        the file open.
    """
    path = path_text(path)
    parts = _parts(arrays, configuration)
    replace(path, parts)


def check(
    path: str | os.PathLike[str],
    arrays: Mapping[str, npt.NDArray[Any]],
    configuration: Mapping[str, object],
) -> None:
    """Raise what `write` would raise now, but for a full disk.

    It makes a temporary file where `write` would, empty, and removes it. An old file at `path` is
    not touched.
    """
    path = path_text(path)
    _parts(arrays, configuration)
    check_replace(path)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Read what `write` wrote.

    Every size is checked against the size of the file before anything is allocated, and the
    checksum before anything is returned. No content of a file is ever run.

    Parameters
    ----------
    path : str or path-like
        A file made by `write`.

    Returns
    -------
    arrays : dict of str to ndarray
        Writable, aligned, C-contiguous arrays, independent of the file.
    configuration : dict

    Raises
    ------
    ValueError
        The file is truncated, damaged, malformed, not made by fastbp or of a newer format.
    OSError
        The file is missing (FileNotFoundError), a directory, a pipe, a device or not readable.
    """
    path = path_text(path)
    with opened(path) as file:
        try:
            return _parse(file)
        except ValueError as error:
            raise ValueError(f"cannot load {path!r}: {error}") from error


def expect(
    arrays: Mapping[str, npt.NDArray[Any]],
    expected: Mapping[str, tuple[tuple[int, ...], npt.DTypeLike]],
) -> None:
    """Demand exactly the expected arrays.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        As `read` returns them.
    expected : mapping of str to (shape, dtype)

    Raises
    ------
    ValueError
        Names every array that is missing, superfluous or of another shape or dtype.
    """
    faults = [f"{name!r} is missing" for name in expected if name not in arrays]
    faults += [f"{reprlib.repr(name)} is superfluous" for name in arrays if name not in expected]
    for name, (shape, dtype) in expected.items():
        array = arrays.get(name)
        if array is not None and (array.shape != tuple(shape) or array.dtype != np.dtype(dtype)):
            faults.append(
                f"{name!r} is {array.dtype} of shape {array.shape}, "
                f"expected {np.dtype(dtype)} of shape {tuple(shape)}"
            )
    if faults:
        more = f" and {len(faults) - 8} more" if len(faults) > 8 else ""
        raise ValueError(f"the arrays do not fit the model: {'; '.join(faults[:8])}{more}")


def _parts(
    arrays: Mapping[str, npt.NDArray[Any]], configuration: Mapping[str, object]
) -> list[bytes | memoryview]:
    """The content of a file."""
    stored = {name: _storable(name, array) for name, array in arrays.items()}
    # Widest elements first, so that every array is aligned in the file.
    order = sorted(stored, key=lambda name: (-stored[name].itemsize, name))
    metadata = {"format": _FORMAT, "format_version": _VERSION}
    metadata["configuration"] = strict_json.encode_checked(configuration, "configuration")
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in order:
        code, shape = _CODES[stored[name].dtype.str[1:]], list(stored[name].shape)
        begin, end = end, end + stored[name].nbytes
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [begin, end]}
    digest = hashlib.sha256(strict_json.encode(header).encode())
    for name in order:
        digest.update(_bytes_of(stored[name]))
    metadata["sha256"] = digest.hexdigest()
    text = strict_json.encode(header).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _MAX_HEADER:
        raise ValueError(
            f"configuration and {len(stored)} array names take {len(text)} bytes, "
            f"at most {_MAX_HEADER} are accepted"
        )
    start = len(text).to_bytes(8, "little") + text
    return [start, *(_bytes_of(stored[name]) for name in order)]


def _storable(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the array C-contiguous and little-endian (itself where it is that already)."""
    if not isinstance(name, str):
        raise TypeError(f"arrays: a name must be a str, got {name!r}")
    if name == "__metadata__":
        raise ValueError("arrays: the name '__metadata__' is reserved by the file format")
    if not isinstance(array, np.ndarray):
        raise TypeError(f"arrays[{name!r}] must be an ndarray, got {type(array).__name__}")
    if array.dtype.str[1:] not in _CODES:
        raise TypeError(
            f"arrays[{name!r}] has dtype {array.dtype}; accepted are float16, float32, float64 "
            "and integers of 8 to 64 bits"
        )
    # Not ascontiguousarray, which turns a scalar array into one of shape (1,).
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _bytes_of(array: npt.NDArray[Any]) -> memoryview:
    """Return the bytes of a C-contiguous array, uncopied (memoryview.cast takes no empty ones)."""
    return array.reshape(-1).view(np.uint8).data


def _parse(file: io.BufferedReader) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Read an open model file; every fault of its content is a ValueError."""
    size = os.fstat(file.fileno()).st_size - 8
    length = int.from_bytes(file.read(8), "little")
    if size < 0:
        raise ValueError(f"it is truncated: {size + 8} bytes")
    if length > _MAX_HEADER:
        raise ValueError(
            f"its header claims {length} bytes, at most {_MAX_HEADER} are accepted; "
            "it is damaged or no model file"
        )
    if length > size:
        raise ValueError(f"it is truncated: the header takes {length} bytes, {size} are there")
    header = _decode(file.read(length), "header")
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
        raise ValueError("it is a safetensors file that fastbp did not write")
    version = metadata.get("format_version")
    if version != _VERSION:
        raise ValueError(
            f"it has format version {reprlib.repr(version)}, this fastbp reads version "
            f"{_VERSION}; a newer fastbp may read it"
        )
    checksum = metadata.pop("sha256", None)
    digest = hashlib.sha256(strict_json.encode(header).encode())
    del header["__metadata__"]
    entries = sorted((*_entry(name, entry), name) for name, entry in header.items())
    end = 0
    for begin, stop, *_, name in entries:
        if begin != end:
            raise ValueError(f"array {reprlib.repr(name)} does not begin where the last one ends")
        end = stop
    if end != size - length:
        raise ValueError(
            f"its header describes {end} bytes of arrays, {size - length} are there; "
            "it is truncated or damaged"
        )
    arrays = {}
    for _, _, dtype, shape, name in entries:
        array = arrays[name] = np.empty(shape, np.dtype(f"<{dtype}"))
        raw = _bytes_of(array)
        for start in range(0, len(raw), _CHUNK):
            piece = raw[start : start + _CHUNK]
            if file.readinto(piece) != len(piece):
                raise ValueError("it was truncated while it was read")
            digest.update(piece)
    if digest.hexdigest() != checksum:
        raise ValueError("its checksum does not fit its content; it is damaged")
    configuration = metadata.get("configuration")
    if not isinstance(configuration, str):
        raise ValueError("it holds no configuration")
    return arrays, _decode(configuration.encode(), "configuration")


def _decode(text: bytes, what: str) -> dict[str, Any]:
    try:
        return strict_json.decode(text.decode())
    except ValueError as error:
        raise ValueError(f"its {what} is no valid JSON: {error}") from error


def _entry(name: str, entry: object) -> tuple[int, int, str, tuple[int, ...]]:
    """Check one array's entry in the header; return begin, end, dtype and shape."""
    label = f"array {reprlib.repr(name)}"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{label} is not described by dtype, shape and data_offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        raise ValueError(f"{label} has the unknown dtype {reprlib.repr(code)}")
    for field, values in (("shape", shape), ("data_offsets", offsets)):
        # bool is an int too, hence type.
        if not isinstance(values, list) or any(type(v) is not int or v < 0 for v in values):
            raise ValueError(f"{label} has {field} {reprlib.repr(values)}, not integers from 0 up")
    dtype = _DTYPES[code]
    itemsize = np.dtype(dtype).itemsize
    # NumPy's own limit, which counts an axis of length 0 as 1.
    if len(shape) > _MAX_DIMENSIONS or math.prod(max(n, 1) for n in shape) * itemsize >= 2**63:
        raise ValueError(f"{label} has shape {reprlib.repr(shape)}, too large")
    if len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * itemsize:
        raise ValueError(
            f"{label} of shape {reprlib.repr(shape)} and dtype {code} does not fill "
            f"data_offsets {reprlib.repr(offsets)}"
        )
    return offsets[0], offsets[1], dtype, tuple(shape)
