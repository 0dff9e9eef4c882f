"""What is sent to workers: pickles whose arrays lie in a file that workers map, or go by its name.

Functions that a worker cannot import, as those of a notebook, are sent by value.
"""

import errno
import io
import mmap
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numba import cloudpickle
from numpy.typing import NDArray

from fastbp.kernels.machine.jit import address
from fastbp.network import Network

Bytes = NDArray[np.uint8]
LINE = 64  # bytes to whose multiples the arrays of a file are aligned


class UnreachableError(Exception):
    """A file that a worker cannot read where the caller can: it runs on another machine."""


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # Numba has no types
    def __init__(
        self,
        file: Any,
        buffers: list[pickle.PickleBuffer] | None = None,
        names: bool = True,
        numbers: Mapping[int, int] | None = None,
    ) -> None:
        keep = None if buffers is None else buffers.append
        super().__init__(file, protocol=5, buffer_callback=keep)
        self._names, self._numbers = names, numbers or {}

    def persistent_id(self, value: Any) -> int | None:
        return self._numbers.get(id(value)) if type(value) is Network else None

    def reducer_override(self, value: Any) -> Any:
        if self._names and isinstance(value, np.ndarray):
            named = _named(value)
            if named is not None:
                return _opened_by_name, named
        return super().reducer_override(value)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, networks: Sequence[Network], buffers: Any = None) -> None:
        super().__init__(file, buffers=buffers)
        self._networks = networks

    def persistent_load(self, number: Any) -> Any:
        return self._networks[number]


class _Nowhere:
    """A file that keeps nothing."""

    @staticmethod
    def write(data: Any) -> int:
        return len(data)


def packed(value: Any, names: bool = True, numbers: Mapping[int, int] | None = None) -> bytes:
    """A value as bytes.

    Parameters
    ----------
    value : object
        What is sent.
    names : bool
        Whether arrays in files that are mapped into memory go by the names of those.
    numbers : mapping of int to int, optional
        Numbers, by ``id``, of networks that are sent as these alone.
    """
    file = io.BytesIO()
    _Pickler(file, None, names, numbers).dump(value)
    return file.getvalue()


def unpacked(packed: bytes, networks: Sequence[Network] = ()) -> Any:
    """The value; networks: those that were sent as numbers."""
    return _Unpickler(io.BytesIO(packed), networks).load()


def expect_sendable(value: Any) -> None:
    """Raise what `packed` would raise, keeping nothing."""
    _Pickler(_Nowhere, []).dump(value)


def write(path: Path, value: Any, names: bool = True) -> int:
    """Write a value to a file, for `mapped` or `loaded`; returns its bytes."""
    stream, buffers = io.BytesIO(), list[pickle.PickleBuffer]()
    _Pickler(stream, buffers, names).dump(value)
    pieces = [*(buffer.raw() for buffer in buffers), memoryview(stream.getbuffer())]
    index = np.array([len(pieces), *map(len, pieces)], np.int64)
    with open(path, "wb") as file:
        for piece in (memoryview(index.tobytes()), *pieces):
            file.write(piece)
            file.write(bytes(-len(piece) % LINE))
        return file.tell()


def mapped(path: Path) -> Any:
    """The value in a file, whose arrays are read there; UnreachableError where there is none."""
    return loaded(_map_of(str(path)))


def loaded(whole: Any) -> Any:
    """The value whose file's bytes these are; its arrays lie in them and cannot be written."""
    view = memoryview(whole).toreadonly()
    count = int(np.frombuffer(view, np.int64, 1)[0])
    sizes = np.frombuffer(view, np.int64, count, 8)
    at, pieces = _lines(8 * (1 + count)), []
    for size in sizes.tolist():
        pieces.append(view[at : at + size])
        at += _lines(size)
    return _Unpickler(io.BytesIO(pieces.pop()), (), pieces).load()


def _lines(size: int) -> int:
    return size + -size % LINE


def _named(array: NDArray[Any]) -> tuple[Any, ...] | None:
    """What `_opened_by_name` takes, of an array in a file that is mapped into memory."""
    owner: Any = array
    while isinstance(owner, np.ndarray) and not isinstance(owner.base, mmap.mmap):
        owner = owner.base
    if not isinstance(owner, np.memmap) or owner.filename is None or owner.mode == "c":
        return None  # "c": what was written since is in memory alone
    if not array.size or array.dtype.hasobject:
        return None
    owner.flush()
    whole: Any = owner.base
    path = os.path.abspath(owner.filename)
    began = owner.offset - owner.offset % mmap.ALLOCATIONGRANULARITY
    at = began + address(array) - address(np.frombuffer(whole, np.uint8))
    found = os.stat(path)
    return path, found.st_size, found.st_mtime_ns, array.dtype, array.shape, array.strides, at


def _opened_by_name(
    path: str,
    size: int,
    changed: int,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    at: int,
) -> NDArray[Any]:
    """The array at that place of a file; UnreachableError where it is not the caller's file."""
    try:
        found = os.stat(path)
        if (found.st_size, found.st_mtime_ns) != (size, changed):
            raise UnreachableError(f"{path} is another file here")
    except OSError as error:
        raise UnreachableError(path) from error
    return np.ndarray(shape, dtype, _map_of(path), at, strides)


def _map_of(path: str) -> mmap.mmap:
    """A file in memory; MemoryError where a limit of the process has no room for it."""
    try:
        with open(path, "rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        if error.errno == errno.ENOMEM:  # nor would it have room for what is sent by value
            raise MemoryError(f"{path} cannot be mapped: this process may not have more") from error
        raise UnreachableError(path) from error
