"""Files that are replaced as a whole or not at all, and opened without waiting for anybody."""

import contextlib
import errno
import io
import os
import secrets
import stat
from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def opened(path: str) -> Iterator[io.BufferedReader]:
    """A regular file, to be read; OSError for a directory, a pipe or a device."""
    with open(path, "rb", opener=_without_waiting) as file:
        _expect_regular(file, path)
        yield file


def replace(path: str, parts: Iterable[bytes | memoryview]) -> None:
    """Write the parts to a temporary file beside the file at `path` and put it in its place.

    Errors of the file system name `path`, and the temporary file is gone after them.
    """
    with _saving(path):
        _replace(path, parts)


def check_replace(path: str) -> None:
    """Raise what `replace` would raise now, but for a full disk."""
    with _saving(path):
        _, temporary = _target(path)
        try:
            with open(temporary, "xb"):
                pass
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


@contextlib.contextmanager
def _saving(path: str) -> Iterator[None]:
    """Errors of the file system name `path`, and what was to be done."""
    try:
        yield
    except OSError as error:
        message = f"cannot save the model: {error.strerror or error}"
        raise OSError(error.errno, message, path) from error


def _target(path: str) -> tuple[str, str]:
    """The file to replace, behind links, and the temporary file to replace it with."""
    with contextlib.suppress(FileNotFoundError), open(path, "r+b", buffering=0) as existing:
        # Replacing needs rights on the directory only: a read-only file fails at the open above,
        # and a device must not become a regular file.
        _expect_regular(existing, path)
    target = os.path.realpath(path)
    name = f".fastbp-{secrets.token_hex(8)}.tmp"
    return target, os.path.join(os.path.dirname(target), name)


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; plainly opened, a pipe waits for whoever writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # Windows has none


def _expect_regular(file: io.BufferedIOBase | io.RawIOBase, path: str) -> None:
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)


def _replace(path: str, parts: Iterable[bytes | memoryview]) -> None:
    """Write the parts to a temporary file beside the file at `path` and put it in its place."""
    target, temporary = _target(path)
    try:
        with open(temporary, "xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if os.name == "posix":
        # The new file is whole and in place: a directory that cannot be synced is no failure.
        with contextlib.suppress(OSError):
            descriptor = os.open(os.path.dirname(target), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
