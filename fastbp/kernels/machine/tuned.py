"""The file of what was measured on this processor, beside its compiled kernels.

It belongs to one version of the kernels, one processor and its caches: another one has another
file. Written by `fastbp.tuning`; what the numbers are, `sizes.py` tells.
"""

import json
import os
from pathlib import Path
from typing import Any

from fastbp.kernels.machine.caches import caches
from fastbp.kernels.machine.jit import find_cache, processor, replace

MOST_BYTES = 1 << 16  # of a file: all that is written takes a thousand


class DamagedError(ValueError):
    """The file is there and cannot be used."""


def path() -> Path | None:
    """Where the file is, or would be; None where kernels are not kept either."""
    folder, _ = find_cache()
    return None if folder is None else folder / f"tuned.{processor(caches())}.json"


def read() -> dict[str, dict[str, Any]]:
    """What was measured: of each table the fields by their names; nothing where there is no file.

    Raises
    ------
    DamagedError
        The file cannot be read, or has another form.
    """
    at = path()
    if at is None:
        return {}
    try:
        with at.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError("it is too long")
        tables = json.loads(content, object_pairs_hook=_once)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedError(str(error)) from error
    if not isinstance(tables, dict) or not all(isinstance(one, dict) for one in tables.values()):
        raise DamagedError("tables of numbers are expected")
    return tables


def write(tables: dict[str, dict[str, Any]]) -> None:
    """Put the file in the place of the one before.

    Raises
    ------
    OSError
        It cannot be written, or kernels are not kept.
    """
    replace(_place(), json.dumps(tables, indent=1, allow_nan=False).encode())


def forget() -> None:
    """Remove the file, if there is one; raises OSError as `write` does."""
    _place().unlink(missing_ok=True)


def check_place() -> None:
    """Raise what `write` would raise now, but for a full disk."""
    folder = _place().parent
    if not os.access(folder, os.W_OK):
        raise OSError(f"{folder} cannot be written")


def _place() -> Path:
    at = path()
    if at is None:
        raise OSError(find_cache()[1])
    return at


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON in which each name stands once."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name stands there twice")
    return dict(pairs)
