"""Prediction: rows as they were given, converted piece by piece where they must be."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.arrays import finite, pieces
from fastbp.engine import Engine


def predict(engine: Engine, source: NDArray[Any], name: str) -> NDArray[Any]:
    """The outputs of all rows, in memory for them and one piece.

    The kernels look for features that are not finite while these are in the cache. Where they
    found one, `finite` finds its place for the message.

    Parameters
    ----------
    engine : Engine
        The network's.
    source : (rows, inputs) ndarray
        What `data.table` returned.
    name : str
        What the caller calls the argument, for the message.

    Raises
    ------
    ValueError
        A value is NaN or infinite, or becomes infinite in the network's dtype.
    """
    dtype = engine.layout.dtype
    if len(source) <= engine.few:
        while (outputs := engine.predict_few(source)) is None:
            finite(source, dtype, name)  # raises, unless another thread has mended it meanwhile
        return outputs
    outputs = np.empty((len(source), engine.layout.widths[-1]), dtype)
    for first, piece in pieces(source, dtype):
        part = slice(first, first + len(piece))
        while not engine.predict(piece, outputs[part]):
            finite(source[part], dtype, name, first)
    return outputs
