"""Networks from model files."""

import numpy as np

from fastbp.network.core import Core
from fastbp.network.model_files import Model
from fastbp.network.network import Network
from fastbp.validation import generator


def network_of(
    model: Model, threads: int | None = None, rng: np.random.Generator | None = None
) -> Network:
    """The network that a file holds.

    Parameters
    ----------
    model : Model
        As `model_files.checked` returns it.
    threads, rng
        As `fastbp.load` takes them.
    """
    network = Network.__new__(Network)
    network._core = core = Core(model.parts, threads, rng or model.rng or generator(None))
    core.engine.step, core.names = model.steps, model.names
    core.engine.dropout_seed = model.dropout_seed or 0
    if rng is None and model.fit is not None:
        core.interrupted = model.steps, model.fit
    for name, view in core.arrays().items():
        view[:] = model.arrays[name]
    if model.scaling is not None:
        core.engine.scaling = model.scaling
    return network
