"""Prediction: rows as they were given, converted piece by piece where they must be."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.data.arrays import contiguous, finite, is_ready
from fastbp.data.tables import source_dtype
from fastbp.engine.engine import Engine
from fastbp.rows.rows import Features

PIECE = 1 << 20  # elements that are converted at a time


def predict(engine: Engine, source: NDArray[Any], name: str, given: Any) -> NDArray[Any]:
    """The outputs of all rows; beside them no more memory is needed than for a piece.

    Parameters
    ----------
    engine : Engine
        The network's.
    source : (rows, inputs) ndarray
        What `tables.table` returned.
    name : str
        What the caller calls the argument, for the message.
    given : object
        What the user passed, for the names of its columns in the message.

    Raises
    ------
    ValueError
        A value is NaN or infinite, or becomes infinite in the network's dtype.
    """
    rows, width = source.shape
    outputs = np.empty((rows, engine.layout.widths[-1]), engine.layout.dtype)
    dtype = source_dtype(source.dtype, engine.layout.dtype, engine.scaling is not None)
    if source.size <= PIECE or is_ready(source, dtype):
        _predict(engine, source, dtype, outputs, name, 0, given)
        return outputs
    height = max(1, PIECE // width)
    for first in range(0, rows, height):
        piece = slice(first, first + height)
        _predict(engine, source[piece], dtype, outputs[piece], name, first, given)
    return outputs


def predict_checked(engine: Engine, features: Features) -> NDArray[Any]:
    """The outputs of rows that were checked and converted."""
    outputs = np.empty((len(features), engine.layout.widths[-1]), engine.layout.dtype)
    engine.predict(features, outputs)
    return outputs


def _predict(
    engine: Engine,
    source: NDArray[Any],
    dtype: np.dtype[Any],
    outputs: NDArray[Any],
    name: str,
    first_row: int,
    given: Any,
) -> None:
    # The kernel looks for what is not finite while the rows are in its cache. The checks find the
    # place and raise, unless another thread has just mended it.
    while not engine.predict(features := contiguous(source, dtype), outputs):
        finite(source, dtype, name, first_row, given)
        if engine.scaling is not None:
            engine.scaling.check_range(features, engine.layout.dtype, name, first_row, given)
