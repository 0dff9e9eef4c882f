"""The state of a fit after a whole epoch: what a checkpoint holds besides the network."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastbp.history import History
from fastbp.validation import shown

__all__ = ["FitState", "data_sample", "parse"]

SAMPLED = 64  # rows that tell data from other data, for what their checksum costs once a fit
MOST = 1 << 62  # epochs or steps


class FitState(NamedTuple):
    """How far a fit has come, and what it was told to do.

    Attributes
    ----------
    history : History
        What was recorded, which tells the epochs that are done, too.
    step : int
        Steps that the fit has made.
    arguments : dict
        Those that a fit that goes on must have as well: by name, a plain value or a `data_sample`.
    callbacks : list of (str, dict)
        Class name and `Callback.state` of each callback that has a state.
    """

    history: History
    step: int
    arguments: dict[str, Any]
    callbacks: list[tuple[str, dict[str, Any]]]

    def tree(self) -> dict[str, Any]:
        """The state as `plain_state.pack` takes it.

        The columns of the history are arrays: those of a long fit are too long for JSON.
        """
        return {
            "epoch": self.history.epochs,
            "step": self.step,
            "history": [[name, np.array(values)] for name, values in self.history.items()],
            "stopped": self.history.stopped,
            "arguments": self.arguments,
            "callbacks": [[name, state] for name, state in self.callbacks],
        }

    def expect(self, now: Mapping[str, Any], epochs: int) -> None:
        """Raise ValueError where a fit with these arguments would not go on with this one."""
        done = self.history.epochs
        if epochs < done:
            raise ValueError(
                f"epochs must be at least {done}, as many as the fit that is resumed has done; "
                f"got {epochs}"
            )
        for name, value in now.items():
            before = self.arguments.get(name)
            if before == value:
                continue
            rows, other = (v.get("rows") if isinstance(v, dict) else None for v in (before, value))
            if before is None or value is None:
                fault = f"must {'be' if before is None else 'not be'} None"
            elif other is None:
                fault = f"must be {shown(before)}, got {shown(value)}"
            elif rows != other:
                fault = f"must have {shown(rows)} rows, got {other}"
            else:
                fault = "must be the same data in the same order; they differ"
            raise ValueError(f"{name} {fault} (as in the fit that is resumed)")


def parse(tree: Mapping[str, Any]) -> FitState:
    """What `FitState.tree` told; raises ValueError.

    What the callbacks' own states hold is left to them to check.
    """
    if tree.keys() != {"epoch", "step", "history", "stopped", "arguments", "callbacks"}:
        raise ValueError("the state of the fit has not the keys that it must have")
    epoch, step = (_count(tree[name], name) for name in ("epoch", "step"))
    stopped, arguments = tree["stopped"], tree["arguments"]
    if stopped is not None and not isinstance(stopped, str):
        raise ValueError(f"the fit's stopped must be null or a string, got {shown(stopped)}")
    if not isinstance(arguments, dict):
        raise ValueError(f"the fit's arguments must be an object, got {shown(arguments)}")
    columns = {}
    for name, values in _pairs(tree["history"], np.ndarray, "history"):
        if values.dtype != np.float64 or values.ndim != 1 or len(values) > epoch:
            raise ValueError(
                f"the fit's history must have float64 columns of at most {epoch} epochs, got "
                f"{values.dtype} of shape {values.shape}"
            )
        columns[name] = values.tolist()
    if len(columns.get("loss", ())) != epoch:
        raise ValueError(f"the fit's history has no loss of {epoch} epochs")
    history = History(columns)
    history.stopped = stopped
    return FitState(history, step, arguments, _pairs(tree["callbacks"], dict, "callbacks"))


def data_sample(rows: Any) -> dict[str, Any]:
    """How many rows there are, and a checksum of some of them.

    Parameters
    ----------
    rows : Rows
        Its arrays, and those of tuples and dataclasses in it, are sampled.
    """
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, tuple):
            for entry in value:
                add(entry)
        elif dataclasses.is_dataclass(value):
            add(tuple(vars(value).values()))
        elif isinstance(value, np.ndarray):
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            chosen = np.linspace(0, len(value) - 1, min(len(value), SAMPLED)).astype(np.int64)
            digest.update(value[chosen].tobytes())

    add(rows.given)
    return {"rows": len(rows.features), "sample": digest.hexdigest()}


def _count(value: Any, name: str) -> int:
    """A number of epochs or steps, from a file."""
    if type(value) is not int or not 0 <= value < MOST:
        raise ValueError(f"the fit's {name} must be a count, got {shown(value)}")
    return value


def _pairs(value: Any, kind: type, name: str) -> list[tuple[str, Any]]:
    """A list of pairs of a name and an object of this kind, from a file."""
    if not isinstance(value, list):
        raise ValueError(f"the fit's {name} must be a list, got {shown(value)}")
    for pair in value:
        if (
            not isinstance(pair, list)
            or len(pair) != 2
            or not isinstance(pair[0], str)
            or not isinstance(pair[1], kind)
        ):
            raise ValueError(f"the fit's {name} has the wrong entry {shown(pair)}")
    return [(name, entry) for name, entry in value]
