"""Sent: a fit that a worker makes, as it is seen from here."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastbp.history import History
from fastbp.many.arguments import Each
from fastbp.many.sending import Work
from fastbp.many.task import Options, Task
from fastbp.many.workers import not_back
from fastbp.network.core import Core


class Sent:
    """The fit of one network.

    Parameters
    ----------
    task : Task
        What was checked; it is not kept.

    Attributes
    ----------
    network, epochs, operations
        Those of the task.
    history : History or None
        What was recorded, once it has come back.
    ended : bool
        Whether it has.
    """

    def __init__(self, task: Task) -> None:
        self.network, self.epochs, self.operations = task.network, task.epochs, task.operations
        self._callbacks = task.options.callbacks
        self.history: History | None = None
        self.ended = False

    def fail(self, error: Exception) -> None:
        """Take down why it could not begin."""
        self.history = History()
        self.history.failure = error
        self.ended = True

    def take(self, after: tuple[History, bool, dict[str, Any], Any]) -> None:
        """Put back what has become of the network: all at once, in its own turn.

        after: its history, whether that is the network's own, its state, and its own callbacks.
        """
        history, own, state, callbacks = after
        core = self.network._core
        core.take_over(state)
        if own:
            core.history = history
        self.history, self.ended = history, True
        try:
            for mine, theirs in zip(self._callbacks, callbacks or (), strict=False):
                _take_over(mine, theirs)
        except Exception as error:  # noqa: BLE001 - whatever a class of a user's raises
            history.failure = history.failure or not_back(error)


def work_of(
    fits: Sequence[Sent], options: Options, call: Callable[..., list[History | None]]
) -> Work:
    """What workers are to do; call: what they call for their share."""
    cores = [fit.network._core for fit in fits]
    return Work(
        call,
        [fit.network for fit in fits],
        options._asdict(),
        [fit.operations for fit in fits],
        True,
        lambda number, after: fits[number].take(after),
        lambda number, error: fits[number].fail(error),
        copied(cores, options.X, *_parts(options.validation_data)),
    )


def copied(cores: Sequence[Core], *data: Any) -> int:
    """Bytes of the features that a worker has to convert, where all networks have the same ones."""
    dtypes = {core.configuration.layout.dtype for core in cores}
    total = 0
    for X in data:
        given = getattr(X, "dtype", None)
        if isinstance(X, Each) or not isinstance(given, np.dtype) or given == np.uint8:
            continue
        total += sum(X.size * dtype.itemsize for dtype in dtypes if dtype != given)
    return total


def _parts(validation_data: Any) -> tuple[Any, ...]:
    return tuple(validation_data[:1]) if isinstance(validation_data, tuple | list) else ()


def _take_over(mine: Any, theirs: Any) -> None:
    """Make an object what another one of its class is, as copies and pickles do."""
    state = theirs.__getstate__()
    if hasattr(mine, "__setstate__"):
        mine.__setstate__(state)
        return
    plain, slots = state if isinstance(state, tuple) else (state, None)
    if hasattr(mine, "__dict__"):
        vars(mine).clear()
        vars(mine).update(plain or {})
    for name, value in (slots or {}).items():
        setattr(mine, name, value)
