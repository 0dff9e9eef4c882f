"""What a network learns beside its parameters: the names of its features, and their scaling."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from fastbp.data.scaling import STANDARD
from fastbp.network.core import Core

NOTHING_TO_LEARN = nullcontext()


def learning(core: Core, X: Any, validation_data: Any = None) -> AbstractContextManager[None]:
    """A call that may learn from these; what it learned is forgotten if it makes no step.

    X: as the user passed it; None for what is not known yet.
    """
    named = core.names is not None or (type(X) is np.ndarray and validation_data is None)
    return NOTHING_TO_LEARN if named and _scaled(core) else _forgetting(core)


def learn(core: Core, X: Any, trained_on: Any) -> None:
    """Learn what is not known yet; `trained_on`: the part of `X` that is not held out."""
    core.learn_names(X, "X")
    if not _scaled(core):
        core.learn_scaling(trained_on)


def _scaled(core: Core) -> bool:
    """Whether there is no scaling to be learned."""
    return core.engine.scaling is not None or core.configuration.scaling != STANDARD


@contextmanager
def _forgetting(core: Core) -> Iterator[None]:
    before, names, scaled = core.engine.step, core.names, _scaled(core)
    try:
        yield
    finally:
        if core.engine.step == before:
            core.names = names
            if not scaled:
                core.engine.scaling = None
