"""Networks from model files."""

import os

import numpy as np

from fastbp.network import model_files
from fastbp.network.core import Core
from fastbp.network.network import Network
from fastbp.validation import generator, positive_int


def load(
    path: str | os.PathLike[str],
    *,
    rng: int | np.random.Generator | None = None,
    threads: int | None = None,
) -> Network:
    """The network that `Network.save` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.
    rng : int, numpy.random.Generator or None
        What shuffles in further training; None goes on with the state in the file, or with a seed
        of the system's where the file has none. With another one no fit can be resumed.
    threads : int, optional
        As in `Network`.

    Raises
    ------
    ValueError
        The file is truncated, damaged or not a model of fastbp. Nothing large is allocated before
        the file's own size bears it out, and no code of a file is ever run.
    OSError
        The file is missing or cannot be read.
    """
    threads = None if threads is None else positive_int(threads, "threads")
    given = None if rng is None else generator(rng)
    model = model_files.read(path)
    network = Network.__new__(Network)
    network._core = core = Core(model.parts, threads, given or model.rng or generator(None))
    core.engine.step, core.names = model.steps, model.names
    core.engine.dropout_seed = model.dropout_seed or 0
    if rng is None and model.fit is not None:
        core.interrupted = model.steps, model.fit
    for name, view in core.arrays().items():
        view[:] = model.arrays[name]
    if model.scaling is not None:
        core.engine.scaling = model.scaling
    return network
