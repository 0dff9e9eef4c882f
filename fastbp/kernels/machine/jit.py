"""Compilation: the one place that holds Numba's flags and the disk cache of compiled kernels.

Two kinds of functions exist. `inline` functions (and `inline_early` ones) are called from kernels
and compiled into them. A `Kernel` has a fixed signature, and the rest of fastbp calls it by its
address: whatever is plugged into a training step, nothing else is compiled again.

Numba's own disk cache sees only the file that a function stands in, so an edit of another file
leaves it serving old machine code (numba #1833). Here a cache folder is named after a hash of all
sources of `fastbp.kernels`, which import nothing from elsewhere in fastbp. A kernel's key inside it
is its name, its element type, and what its function closes over: a panel is made of scalar rules.
"""

import contextlib
import functools
import hashlib
import os
import pickle
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from ctypes import CFUNCTYPE, PYFUNCTYPE, addressof, c_char, c_int64
from pathlib import Path
from typing import Any

import numba
import numpy as np
import platformdirs
from numba import types
from numba.core.ccallback import CFunc
from numba.core.compiler import CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.serialize import dumps

if numba.config.DISABLE_JIT:
    raise ImportError(
        "fastbp needs Numba's compiler, which the environment variable NUMBA_DISABLE_JIT (or "
        "numba.config.DISABLE_JIT) switches off"
    )

# Without nnan and ninf, which would remove the checks for NaN and infinity (numba #2919), and
# without reassoc and arcp, with which bits would depend on the width of the vectors.
FLAGS: dict[str, Any] = {
    "fastmath": {"contract", "nsz"},
    "error_model": "numpy",
    "nogil": True,
}

# Called from kernels alone: no wrappers for Python or C, which would double the compilation.
inline = numba.njit(**FLAGS, no_cpython_wrapper=True, no_cfunc_wrapper=True)
# The same for small functions, and for those with one caller: they become part of their callers
# before types are inferred, instead of being compiled once for each combination of argument types
# and optimized by themselves first. Nested deeply they take longer than they save.
inline_early = numba.njit(**FLAGS, no_cpython_wrapper=True, no_cfunc_wrapper=True, inline="always")


SOURCES = Path(__file__).resolve().parents[1]
UNUSED_SECONDS = 30 * 24 * 3600


@functools.cache
def source_hash() -> str:
    """The hash of the kernels' sources and of the compiler's version."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {numba.__version__} {np.__version__}".encode())
    for path in sorted(SOURCES.rglob("*.py")):
        digest.update(str(path.relative_to(SOURCES)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def cache_folder() -> Path | None:
    """The folder of compiled kernels, private to the user, or None where none can be used.

    The environment variable ``FASTBP_CACHE_DIR`` names another parent folder. Warns once where
    there is none.
    """
    folder, fault = find_cache()
    if folder is None:
        _warn(fault)
    return folder


@functools.cache
def find_cache() -> tuple[Path | None, str]:
    """The folder, or None and why there is none."""
    parent = os.environ.get("FASTBP_CACHE_DIR") or platformdirs.user_cache_dir("fastbp", False)
    folder = Path(parent) / f"kernels-{source_hash()}"
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _forget_others(folder)
        # The cache holds machine code that will be run: nobody else may own or write it.
        if hasattr(os, "getuid"):
            status = folder.stat()
            if status.st_uid != os.getuid():
                return None, f"{folder} belongs to another user"
            if status.st_mode & 0o022:
                return None, f"others may write to {folder} (mode {status.st_mode & 0o777:o})"
        os.utime(folder)
    except OSError as error:
        return None, f"{folder} cannot be used: {error.strerror or error}"
    return folder, ""


_warned: list[str] = []  # in this process


def _warn(fault: str) -> None:
    """Tell once what it costs that kernels are not kept."""
    if not _warned:
        _warned.append(fault)
        warnings.warn(
            f"compiled kernels are not kept: {fault}. Every process compiles them anew, for 7 to "
            "50 seconds; the environment variable FASTBP_CACHE_DIR names another folder for them",
            stacklevel=3,
        )


def _forget_others(folder: Path) -> None:
    """Remove the folders of other versions that have not been used for a month."""
    for other in folder.parent.glob("kernels-" + "[0-9a-f]" * 20):
        with contextlib.suppress(OSError):  # another process may be removing it too
            if other != folder and other.stat().st_mtime < time.time() - UNUSED_SECONDS:
                shutil.rmtree(other, ignore_errors=True)


def processor(*more: Any) -> str:
    """A name for the processor that kernels are compiled for, and for what else is told."""
    target = CFunc._targetdescr.target_context.codegen().magic_tuple()
    return hashlib.sha256(repr((target, *more)).encode()).hexdigest()[:12]


class _KernelFile:
    """A compiled kernel on disk behind the hash of its bytes: what CFunc takes for its cache.

    A file that is missing, damaged or cannot be written costs a compilation and nothing else.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.{processor()}"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        target_context.refresh()
        try:
            content = self._path.read_bytes()
        except OSError:
            return None
        digest, data = content[:32], content[32:]
        if hashlib.sha256(data).digest() != digest:
            return None
        return CompileResult._rebuild(target_context, *pickle.loads(data))

    def save_overload(self, sig: Any, result: Any) -> None:
        data = dumps(result._reduce())
        try:
            replace(self._path, hashlib.sha256(data).digest() + data)
        except OSError as error:
            _warn(f"{self._path.parent} cannot be written: {error.strerror or error}")


def replace(path: Path, content: bytes) -> None:
    """Write a file of the cache as a whole or not at all."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            temporary = file.name
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise


if hasattr(os, "register_at_fork"):
    # A child of a fork in the midst of another thread's compilation would wait for it for ever.
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )

REAL = object()  # in a kernel's signature: a pointer to elements of its dtype
INT = types.int64
FLOAT32 = np.dtype("float32")
POINTERS = {
    FLOAT32: types.CPointer(types.float32),
    np.dtype("float64"): types.CPointer(types.float64),
}


class Kernel:
    """A function that is compiled once a dtype, when first asked for, and called by its address.

    Parameters
    ----------
    function : callable
        What to compile. It must not raise.
    signature : sequence
        The types of its arguments: `INT`, a Numba type, or `REAL` for a pointer to elements of
        the dtype that is asked for.
    name : str, optional
        Identifies the kernel in the disk cache; the function's qualified name by default.
    cached : bool, optional
        False keeps a kernel out of the disk cache: for functions that fastbp's sources do not
        hold and their hash cannot tell apart.
    check : callable, optional
        Called with the dtype before the kernel is compiled for it, to refuse it.
    returns : Numba type, optional
        `INT`, or the default: nothing.

    Attributes
    ----------
    in_lanes : Kernel or None
        What does the same for networks side by side, where there is such a kernel.
    """

    in_lanes: "Kernel | None" = None

    def __init__(
        self,
        function: Callable[..., Any],
        signature: tuple[Any, ...],
        name: str | None = None,
        cached: bool = True,
        check: Callable[[np.dtype[Any]], None] | None = None,
        returns: Any = types.void,
    ) -> None:
        module = function.__module__.rpartition(".")[2]
        self.name = name or f"{module}.{function.__name__}"
        # Numba makes a symbol of the qualified name and a number that counts within a process. Of
        # closures of one factory, compiled in different processes, both can be the same: loaded
        # from the cache, the address of one would be that of the other.
        # A user's own name may hold what LLVM does not read.
        own = "own." + re.sub(r"[^\w.]", "_", self.name, flags=re.ASCII)
        function.__qualname__ = self.name if cached else own
        self.function, self.signature, self.cached = function, signature, cached
        self._check, self._returns = check, returns
        self._has_dtype = any(kind is REAL for kind in signature)
        self._compiled: dict[np.dtype[Any], CFunc] = {}

    def compiled(self, dtype: Any = "float32") -> CFunc:
        """The compiled function for `dtype`, from this process, from disk, or made now."""
        dtype = np.dtype(dtype) if self._has_dtype else FLOAT32
        if dtype not in self._compiled:
            arguments = tuple(POINTERS[dtype] if t is REAL else t for t in self.signature)
            if self._check is not None:
                self._check(dtype)
            compiled = CFunc(self.function, (arguments, self._returns), {}, FLAGS)
            folder = cache_folder() if self.cached else None
            if folder is not None:
                key = f"{self.name}.{_closed_over(self.function)}{dtype}"
                compiled._cache = _KernelFile(folder, key)
            compiled.compile()
            self._compiled[dtype] = compiled
        return self._compiled[dtype]

    @functools.cache  # noqa: B019 - kernels are module globals and live as long as the process
    def address(self, dtype: Any = "float32") -> int:
        """The address of the compiled function, which `pointers.call` takes."""
        compiled = self.compiled(dtype)
        name = compiled.native_name.removeprefix("cfunc.")  # without the wrapper for C
        return int(compiled._library.get_pointer_to_function(name))

    @functools.cache  # noqa: B019 - kernels are module globals and live as long as the process
    def c_address(self, dtype: Any = "float32") -> int:
        """The address of the compiled function as one of C's, which `pointers.call_c` takes."""
        return int(self.compiled(dtype).address)

    @functools.cache  # noqa: B019 - kernels are module globals and live as long as the process
    def call(self, dtype: Any = "float32", release: bool = True) -> Callable[..., Any]:
        """A Python callable taking addresses and sizes as ints; it runs without the GIL.

        Not so without `release`, for calls of microseconds: another thread that takes the GIL
        meanwhile keeps it for 5 milliseconds.
        """
        kind = CFUNCTYPE if release else PYFUNCTYPE
        result = c_int64 if self._returns is INT else None
        return kind(result, *[c_int64] * len(self.signature))(self.compiled(dtype).address)


def _closed_over(function: Callable[..., Any]) -> str:
    """A name for what the function closes over: compiled functions by their names, flags."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    if not cells:
        return ""
    made_of = [getattr(cell, "py_func", cell) for cell in cells]
    told = [getattr(one, "__qualname__", None) or str(one) for one in made_of]
    return hashlib.sha256(" ".join(told).encode()).hexdigest()[:8] + "."


def kernel(*signature: Any, returns: Any = types.void) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a `Kernel` of the decorated function."""
    return lambda function: Kernel(function, signature, returns=returns)


def address(array: np.ndarray) -> int:
    """The address of an array's first element, as kernels take it."""
    try:
        return addressof(c_char.from_buffer(array.data))  # a quarter of the other's time
    except (TypeError, ValueError, BufferError):  # read-only, empty, or not contiguous
        return int(array.__array_interface__["data"][0])
