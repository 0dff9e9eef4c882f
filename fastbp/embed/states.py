"""State: what compiled code needs of a network."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from fastbp.engine import separate
from fastbp.kernels.machine.jit import source_hash
from fastbp.layout import cutting
from fastbp.losses import RowLoss
from fastbp.tasks import Tasks
from fastbp.validation import positive_int, shown

ROWS = 1024  # of a batch, at the most, where nothing else is asked for


def _version() -> str:
    """The hash of all that compiled code has taken over, with the layout of what it writes."""
    digest = hashlib.sha256(source_hash().encode())
    others = Path(separate.__file__), Path(cutting.__file__)
    for path in (*sorted(Path(__file__).parent.glob("*.py")), *others):
        digest.update(path.read_bytes())
    return f"v{digest.hexdigest()[:12]}"


# The name of the record's one field, and so a part of its type: to Numba, what was compiled for
# the state of another version is a function of other arguments, in its disk cache too.
VERSION = _version()


class State(NamedTuple):
    """A network for compiled code, which `fastbp.Network.state` makes, and `state`.

    It belongs to one thread at a time: another one that uses it meanwhile gets a RuntimeError, and
    so does a second state of the network that would train at the same time. For predictions each
    thread can have a state of its own. Parameters, the optimizer's slots and the step count are the
    network's own; while compiled code trains it without the GIL, no other thread may use it, which
    the network's methods do not look for.

    A new state is needed once the network has another optimizer, scaling or groups of layers, which
    the old one says, and where the steps run out for which it has the optimizer's numbers: half a
    million, if these never come to rest. Pass it to compiled functions as an argument: of what is
    global to one, Numba makes a copy. A `numba.prange` needs a state for each of its threads, and
    Numba loses what is raised in it. Targets of "hinge" are -1 and 1.

    Attributes
    ----------
    inputs, outputs, parameters : int
        Of the network.
    rows : int
        How many rows a batch may have.
    flat : ndarray of the network's dtype
        Parameters and optimizer slots, as the kernels hold them.
    record : (1,) structured ndarray
        Addresses and numbers: `fastbp.engine.separate.RECORD`, as words.
    """

    inputs: int
    outputs: int
    parameters: int
    rows: int
    flat: NDArray[Any]
    record: NDArray[Any]

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a state holds addresses of this process: it cannot be copied or pickled. Copy or "
            "pickle the network, and take the state of that one"
        )


class HasCore(Protocol):
    """A `fastbp.Network`."""

    @property
    def _core(self) -> Any: ...


def state(network: HasCore, rows: int = ROWS) -> State:
    """What compiled code needs of a network; it takes some milliseconds to make.

    Parameters
    ----------
    network : Network
        Of one loss; with ``scaling="standard"``, one that has learned it.
    rows : int
        How many rows a batch may have. Predictions are of any number of rows.

    Returns
    -------
    State
        A NamedTuple, which Numba's compiled code takes as an argument.

    Raises
    ------
    TypeError, ValueError
        Not a network, or one of several tasks; `rows` is no count.
    RuntimeError
        The scaling is not known yet.
    """
    core = getattr(network, "_core", None)
    if core is None:
        raise TypeError(f"network must be a fastbp.Network, got {shown(network)}")
    rows = positive_int(rows, "rows")
    if isinstance(core.loss, Tasks):
        raise ValueError("compiled code cannot train networks with several tasks")
    if isinstance(core.loss, RowLoss):
        raise ValueError("compiled code cannot call a loss that is a function of whole rows")
    outputs = core.configuration.layout.widths[-1]
    if core.loss.held_columns(outputs) != core.loss.target_columns(outputs):
        raise ValueError(
            f"compiled code cannot train with the loss {core.loss.name!r} that has several outputs "
            "for each target"
        )
    core.known_scaling()
    engine = core.engine
    with engine.turns.reading, engine.turns.lock:  # no other optimizer meanwhile
        engine.turns.served()
        record = separate.record(engine, rows)
        return State(
            inputs=engine.layout.widths[0],
            outputs=outputs,
            parameters=engine.layout.parameter_count,
            rows=rows,
            flat=engine.state,
            record=record.view([(VERSION, np.int64, record.shape)]),
        )
