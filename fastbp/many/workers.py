"""What a worker does: tell what it is, and fit, or use, a share of the networks."""

import os
import platform
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numba

from fastbp.history import History
from fastbp.kernels.machine.cores import available_cores
from fastbp.many import bundles
from fastbp.many.arguments import each
from fastbp.network import Network
from fastbp.version import __version__

GLANCE = 0.1  # seconds after which a share that waits for another one looks whether it is to end
MISSING, FAILED, ENDED, DONE = "missing", "failed", "ended", "done"
DATA, STOP = "data", "stop"  # files in the folder of a call

_turn = threading.Lock()  # of the shares that an engine hands to one process at once


class Seat(NamedTuple):
    """Where a worker sits: who has the same seat shares its cores.

    Attributes
    ----------
    host : str
        The machine.
    cores : tuple of int
        Those that it may run on, where the system tells.
    """

    host: str
    cores: tuple[int, ...]


class Told(NamedTuple):
    """What a worker tells of itself.

    Attributes
    ----------
    seat, process : Seat, int
        Where it runs.
    free : int or None
        Bytes of memory that can be had there; None where that cannot be told.
    reaches : bool
        Whether it sees the caller's folder.
    versions : tuple of str
        Of what the bits depend on.
    limit : int or None
        Bytes of memory that the engine lets this worker have.
    """

    seat: Seat
    process: int
    free: int | None
    reaches: bool
    versions: tuple[str, ...]
    limit: int | None = None


class Place(NamedTuple):
    """What a worker needs to know besides its share.

    Attributes
    ----------
    folder : str
        Of the call, with the data.
    neighbours : dict of Seat to int
        How many workers sit there.
    others : int
        How many at any other seat.
    threads : int or None
        How many the user wants.
    granted : int or None
        How many the engine grants.
    """

    folder: str
    neighbours: dict[Seat, int]
    others: int
    threads: int | None
    granted: int | None


def seat() -> Seat:
    """That of this process."""
    known = hasattr(os, "sched_getaffinity")
    return Seat(socket.gethostname(), tuple(sorted(os.sched_getaffinity(0))) if known else ())


def versions() -> tuple[str, ...]:
    """Of what the bits depend on, here."""
    python = ".".join(platform.python_version_tuple()[:2])  # by which functions are pickled
    return f"fastbp {__version__}", f"Numba {numba.__version__}", f"Python {python}"


def tell(folder: str, hold: float = 0.0) -> Told:
    """What there is to know of this worker; hold: seconds that it takes for that."""
    time.sleep(hold)
    return Told(seat(), os.getpid(), free_memory(), Path(folder).is_dir(), versions())


def free_memory() -> int | None:
    """Bytes that processes can have here, or None where that cannot be told."""
    free = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            free.append(int(limit) - int((group / "memory.current").read_text()))
    except (OSError, ValueError, IndexError):
        pass
    if not free and "psutil" in sys.modules:
        free.append(int(sys.modules["psutil"].virtual_memory().available))
    return max(0, min(free)) if free else None


def threads_of(place: Place) -> int:
    """How many threads a share has: all workers of a machine together no more than its cores."""
    if place.threads is not None:
        return place.threads
    neighbours = place.neighbours.get(seat(), place.others)
    limits = [available_cores() // neighbours]
    if place.granted is not None:
        limits.append(place.granted)
    of_joblib = os.environ.get("NUMBA_NUM_THREADS", "")  # set in its processes
    if of_joblib.isdigit():
        limits.append(int(of_joblib))
    return max(1, min(limits))


def work(place: Place, share: bytes, data: Any = None) -> tuple[str, Any]:
    """Do a share.

    Parameters
    ----------
    place : Place
        What else there is to know.
    share : bytes
        A pickle of what is called, with which networks, which values of theirs by argument, and
        whether it trains.
    data : buffer, optional
        The bytes of the arguments' file, where the worker does not see that.

    Returns
    -------
    (str, object)
        `DONE`, or `ENDED` before all was done, and a pickle for each network; `MISSING`, where a
        file is not seen from here, and its name; `FAILED` and the pickle of an exception.
    """
    folder = Path(place.folder)
    try:
        common = bundles.mapped(folder / DATA) if data is None else bundles.loaded(data)
        call, networks, own, trains = bundles.unpacked(share)
    except bundles.UnreachableError as error:
        return MISSING, str(error)
    except Exception as error:  # noqa: BLE001 - raised by the caller
        return FAILED, bundles.packed(sendable(error))
    arguments = common | {name: each(values) for name, values in own.items()}
    ends = _Ends(folder)
    try:
        ends.look()  # before anything is done
        while not _turn.acquire(timeout=GLANCE):
            ends.look()
        try:
            results = call(networks, threads=threads_of(place), glance=ends.look, **arguments)
        finally:
            _turn.release()
        state = DONE
    except KeyboardInterrupt as error:
        state, results = ENDED, getattr(error, "histories", [None] * len(networks))
    except Exception as error:  # noqa: BLE001 - likewise
        return FAILED, bundles.packed(sendable(error))
    answers = _trained(networks, results, own) if trains else map(bundles.packed, results)
    return state, list(answers)


class _Ends:
    """Whether the caller has told all to end, by a file in the folder, or has left."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._sees = folder, folder.is_dir()

    def look(self) -> None:
        """Raise KeyboardInterrupt where he has."""
        if self._sees and ((self._folder / STOP).exists() or not self._folder.is_dir()):
            raise KeyboardInterrupt


def _trained(
    networks: Sequence[Network], histories: Sequence[History | None], own: dict[str, list[Any]]
) -> Iterator[bytes | None]:
    """What has become of each network: its history, its state, and its own callbacks.

    None of those whose fit has not begun.
    """
    numbers = {id(network): number for number, network in enumerate(networks)}
    callbacks = own.get("callbacks", [()] * len(networks))
    for network, history, called in zip(networks, histories, callbacks, strict=True):
        if history is None:
            yield None
            continue
        if history.failure is not None:
            history.failure = sendable(history.failure)
        core = network._core
        state = core.state() | {"configuration": None}
        after = history, core.history is history, state, called
        try:
            yield bundles.packed(after, False, numbers)
        except Exception as error:  # noqa: BLE001 - whatever a class of a user's raises
            history.failure = history.failure or not_back(error)
            yield bundles.packed((*after[:3], None), False, numbers)


def not_back(error: Exception) -> TypeError:
    """What is told where callbacks cannot be what they were in the worker."""
    return TypeError(f"the network was trained, but its callbacks cannot be brought back: {error}")


def sendable(error: Exception) -> Exception:
    """The exception, with where it was raised, or one that says the same where it is not picklable.

    What it has come of is told by a note, since no traceback is sent.
    """
    where = f"in a worker, process {os.getpid()} on {socket.gethostname()}"
    told = "".join(traceback.format_exception(error))
    try:
        bundles.unpacked(bundles.packed(error, False))
        if error.__traceback__ is None:  # a network's failure, whose notes tell it already
            told = ""
    except Exception:  # noqa: BLE001 - whatever a class of a user's raises
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"{where}:\n{told}" if told else where)
    return error
