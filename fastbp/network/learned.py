"""What a network learns beside its parameters: the names of its features, and their scaling."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from fastbp.data.scaling import STANDARD
from fastbp.network.core import Core, HasCore

NOTHING_TO_LEARN = nullcontext()


def feature_names(network: HasCore) -> tuple[str, ...] | None:
    """What the inputs are called; None where they have no names.

    The names of the columns of the first frame or table that the network was trained on, if all
    are strings and take no more than 2 MiB of a file. Every frame with such names must have these
    since, in this order: another is a ValueError. Arrays have no names and are taken as they are.
    """
    return network._core.names


def learning(
    core: Core, X: Any, trained_on: Any, validation_data: Any = None, steps: bool = True
) -> AbstractContextManager[None]:
    """Learn what is not known yet, and forget it if no step is made with it.

    Parameters
    ----------
    core : Core
        The network's; it is its turn.
    X : object
        As the user passed it.
    trained_on : object
        The part of `X` that is not held out.
    validation_data : object
        As the user passed it; whoever checks it learns of it.
    steps : bool
        False for what trains without steps: it forgets where it ends by an exception.

    Raises
    ------
    TypeError, ValueError
        `X` has other names than the network, or cannot be used.
    """
    scaled = core.engine.scaling is not None or core.configuration.scaling != STANDARD
    plain = type(X) is np.ndarray and validation_data is None
    if not scaled or (core.names is None and not plain):
        return learned(core, X, trained_on, scaled, steps)
    core.expect_names(X, "X")
    return NOTHING_TO_LEARN


@contextmanager
def learned(
    core: Core,
    X: Any = None,
    trained_on: Any = None,
    scaled: bool = True,
    steps: bool = True,
) -> Iterator[None]:
    """`learning` where there is something to learn; without `X`, by whoever checks batches.

    scaled: there is no scaling to be learned.
    """
    before, names, ended = core.engine.step, core.names, False
    try:
        core.learn_names(X, "X")
        if not scaled:
            core.learn_scaling(trained_on)
        yield
        ended = not steps
    finally:
        if core.engine.step == before and not ended:
            core.names = names
            if not scaled:
                with core.engine.turns.lock:
                    core.engine.scaling = None
