"""State: what compiled code needs of a network."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastbp.engine import separate
from fastbp.engine.engine import ALONE, Engine
from fastbp.kernels.machine.jit import source_hash
from fastbp.tasks import Tasks
from fastbp.validation import positive_int

ROWS = 1024  # of a batch, at the most, where nothing else is asked for
VERSION = int(source_hash()[:12], 16)  # of the records that compiled code writes


class State(NamedTuple):
    """A network for compiled code, which `fastbp.Network.state` makes, and `state`.

    It belongs to one thread at a time: another one that uses it meanwhile gets a RuntimeError.
    Parameters, the optimizer's slots and the step count are the network's own, which nobody else
    may use while compiled code trains it. A new state is needed once the network's optimizer,
    scaling or settings are others, or where the steps run out for which `coefficients` has rows.

    Attributes
    ----------
    version : int
        Of the records; compiled code that was made for another refuses the state.
    inputs, outputs, rows : int
        Features; outputs; how many rows a batch may have.
    flat : ndarray of the network's dtype
        Parameters and optimizer slots.
    steps : (1,) ndarray of int64
        How many updates there were.
    first_step, lasts, coefficients
        The numbers of the updates from step `first_step` on, one row each; whether the last row is
        that of all steps that follow.
    row, alpha, updating, alone, row_bytes, gradient_bytes
        What a call computes its coefficients and the cut of its batch from.
    places : (parameters,) ndarray of int64
        Where the parameters stand in the order of `loss_and_gradients`.
    results : (5,) ndarray of float64
        What a call leaves: the loss, and what the kernel carries.
    busy : (1,) ndarray of int64
        How many threads are at work.
    predicting, training, training_labels, gradient_program, gradient_labels, kernels, shared,
    gradient, numbers
        As of `fastbp.engine.separate.Programs`.
    """

    version: int
    inputs: int
    outputs: int
    rows: int
    flat: NDArray[Any]
    steps: NDArray[np.int64]
    first_step: int
    lasts: bool
    coefficients: NDArray[np.float64]
    row: NDArray[np.float64]
    alpha: float
    updating: int
    alone: bool
    row_bytes: int
    gradient_bytes: int
    places: NDArray[np.int64]
    results: NDArray[np.float64]
    busy: NDArray[np.int64]
    predicting: NDArray[np.int64]
    training: NDArray[np.int64]
    training_labels: NDArray[np.int64]
    gradient_program: NDArray[np.int64]
    gradient_labels: NDArray[np.int64]
    kernels: NDArray[np.int64]
    shared: NDArray[np.int64]
    gradient: NDArray[Any]
    numbers: NDArray[np.int64]


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
        `rows` is no count, or the network has several tasks.
    RuntimeError
        The scaling is not known yet.
    """
    core = network._core
    core.known_scaling()
    core.engine.turns.expect_whole()
    return made(core.engine, rows)


def made(engine: Engine, rows: int = ROWS) -> State:
    """A state of the network that has this engine."""
    parts, layout = engine.configuration, engine.layout
    rows = positive_int(rows, "rows")
    if isinstance(parts.loss, Tasks):
        raise ValueError("compiled code cannot train networks with several tasks")
    programs = separate.programs(engine, rows)
    table, lasts = separate.coefficients(engine)
    size = layout.dtype.itemsize
    alpha = parts.regularization.alpha
    every = np.arange(layout.parameters)
    places = [
        part.ravel()
        for layer in range(layout.layers)
        for part in (layout.weights(every, layer), layout.biases(every, layer))
    ]
    return State(
        version=VERSION,
        inputs=layout.widths[0],
        outputs=layout.widths[-1],
        rows=rows,
        flat=engine.state,
        steps=engine.step_counter,
        first_step=engine.step,
        lasts=lasts,
        coefficients=table,
        row=np.zeros(table.shape[1] + (alpha > 0)),
        alpha=alpha,
        updating=int(parts.regularization.clip_norm is None),
        alone=layout.parameters <= ALONE,
        row_bytes=layout.row_elements * size,
        gradient_bytes=layout.parameters * size,
        places=np.concatenate(places),
        results=np.zeros(5),
        busy=np.zeros(1, np.int64),
        **programs._asdict(),
    )
