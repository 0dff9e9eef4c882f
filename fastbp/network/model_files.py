"""Model files: what of a network is in one, and the checks of what is read from one."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp import configuration
from fastbp.configuration import SCALING_ARRAYS, Configuration
from fastbp.data.names import Names, from_file
from fastbp.data.scaling import Scaling, restored
from fastbp.files import container, generators, plain_state
from fastbp.history import state
from fastbp.history.state import FitState
from fastbp.validation import shown

MOST_COUNT = 1 << 62  # of steps, and above any seed of dropout


class Model(NamedTuple):
    """All that a file holds.

    Attributes
    ----------
    parts : Configuration
        What the network is made of.
    arrays : mapping of str to ndarray
        Parameters, optimizer slots and the scaling that was learned, named as
        `configuration.arrays` names them.
    steps : int
        How many updates they have had.
    rng : numpy.random.Generator or None
        None where a file has none: an old one, or one of a network whose bit generator is not one
        of NumPy's.
    fit : FitState or None
        The state of the fit in whose midst the network is.
    dropout_seed : int or None
        What the random numbers of dropout begin with, where there is dropout.
    scaling : Scaling or None
        Of a file that was read: what its arrays say.
    names : tuple of str or None
        Of the features.
    """

    parts: Configuration
    arrays: Mapping[str, NDArray[Any]]
    steps: int
    rng: np.random.Generator | None
    fit: FitState | None
    dropout_seed: int | None
    scaling: Scaling | None = None
    names: Names = None


def write(path: str | os.PathLike[str], model: Model) -> None:
    """Write a model file; raises as `container.write` and `configuration.describe` do."""
    container.write(path, *content(model))


def check(path: str | os.PathLike[str], model: Model) -> None:
    """Raise what `write` would raise now, but for a full disk.

    Raises also a ValueError for a generator that a file cannot hold.
    """
    container.check(path, *content(model))
    if model.rng is not None and generators.describe(model.rng) is None:
        name = type(model.rng.bit_generator).__name__
        raise ValueError(
            f"the network's rng has the bit generator {name}, which is not one of NumPy's own: "
            "a file cannot hold its state, so the fit could not be resumed"
        )


def content(model: Model) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays, uncopied, and configuration of a file."""
    described = configuration.describe(model.parts) | {"steps": model.steps}
    if model.dropout_seed is not None:
        described["dropout_seed"] = model.dropout_seed
    if model.names is not None:
        described["feature_names"] = list(model.names)
    arrays = dict(model.arrays)
    rng = None if model.rng is None else generators.describe(model.rng)
    if rng is not None:
        described["rng"] = rng
    if model.fit is not None:
        described["fit"], more = plain_state.pack(model.fit.tree(), "the state of the fit")
        arrays |= more
    return arrays, described


def checked(arrays: dict[str, NDArray[Any]], described: dict[str, Any]) -> Model:
    """What `container.read` has found, which is taken apart; raises TypeError or ValueError."""
    steps = _count(described.pop("steps", None), "steps")
    seed = None
    if "dropout_seed" in described:
        seed = _count(described.pop("dropout_seed"), "dropout_seed")
    rng = generators.restore(described.pop("rng")) if "rng" in described else None
    fit = None
    if "fit" in described:
        names = [name for name in arrays if name.startswith(plain_state.PREFIX)]
        of_fit = {name: arrays.pop(name) for name in names}
        fit = state.parse(plain_state.unpack(described.pop("fit"), of_fit))
    listed = [described.pop("feature_names")] if "feature_names" in described else []
    parts = configuration.parse(described)
    called = from_file(listed[0], parts.layout.widths[0]) if listed else None
    if parts.regularization.drops != (seed is not None):
        raise ValueError("a dropout_seed must be there where there is dropout, and only there")
    configuration.expect_count(parts, len(arrays))
    scaled = configuration.has_scaling(parts, len(arrays))
    container.expect(arrays, configuration.arrays(parts, scaled))
    scaling = restored(*(arrays[name] for name in SCALING_ARRAYS)) if scaled else None
    return Model(parts, arrays, steps, rng, fit, seed, scaling, called)


def _count(value: Any, name: str) -> int:
    if type(value) is not int or not 0 <= value < MOST_COUNT:
        raise ValueError(f"{name} must be a count, got {shown(value)}")
    return value
