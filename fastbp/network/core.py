"""Core: what a network is inside, for the functions that are its methods.

Its parts, memory, generator and locks; how rows come to it, and what of it goes into files.
"""

import copy
import os
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.configuration import SCALING_ARRAYS, Configuration
from fastbp.data import tables
from fastbp.data.names import Names, agreed
from fastbp.data.scaling import STANDARD, Scaling, standard
from fastbp.data.sparse import SparseRows, is_sparse, reject_standard
from fastbp.engine.engine import Engine
from fastbp.fit.soundness import Soundness
from fastbp.history import History
from fastbp.history.state import FitState
from fastbp.losses import BaseLoss
from fastbp.network import model_files
from fastbp.network.model_files import Model
from fastbp.regularization import Regularization
from fastbp.rows import weighting
from fastbp.rows.rows import Rows, Targets, with_targets
from fastbp.tasks import Tasks


class HasCore(Protocol):
    """A `fastbp.Network`, as the functions see it that are its methods."""

    _core: "Core"


class Core:
    """What a network is inside.

    Parameters
    ----------
    parts : Configuration
        What it is made of.
    threads : int or None
        As `fastbp.Network` takes it.
    rng : numpy.random.Generator
        What initializes and shuffles.

    Attributes
    ----------
    configuration, rng
        Those of the parameters.
    engine : Engine
        The memory, and the calls of the kernels.
    names : tuple of str or None
        Of the features.
    soundness : Soundness
        Whether parameters and losses are finite.
    interrupted : (int, FitState) or None
        The fit that can be resumed, and how many steps the network had then.
    history : History or None
        What was recorded of the last fit.
    outputs : object
        What `forward` has kept of the last outputs, for their slopes; None where they are outdated.
    """

    def __init__(self, parts: Configuration, threads: int | None, rng: np.random.Generator) -> None:
        self.configuration, self.rng = parts, rng
        self.engine = Engine(parts, threads)
        self.soundness = Soundness(parts, self.engine)
        self.names: Names = None
        self.interrupted: tuple[int, FitState] | None = None
        self.history: History | None = None
        self.outputs: Any = None

    @property
    def loss(self) -> BaseLoss:
        """The loss."""
        return self.configuration.loss

    @property
    def regularization(self) -> Regularization:
        """The settings of dropout, penalties and clipping."""
        return self.configuration.regularization

    def known_scaling(self) -> Scaling | None:
        """What inputs go through; RuntimeError where that is not known yet."""
        scaling = self.engine.scaling
        if scaling is None and self.configuration.scaling == STANDARD:
            raise RuntimeError(
                "the network has not learned the scaling of its inputs; call fit, or "
                "learn_scaling(X), first"
            )
        return scaling

    def expect_names(self, X: Any, name: str) -> None:
        """Raise ValueError where the columns of X are not called as the features are."""
        if type(X) is not np.ndarray:
            agreed(self.names, X, name)

    def learn_names(self, X: Any, name: str) -> None:
        """Keep the names of the columns of X where there are none yet, and expect them else."""
        if type(X) is not np.ndarray:
            self.names = agreed(self.names, X, name)

    def learn_scaling(self, X: ArrayLike | Scaling) -> Scaling:
        """Learn the means and deviations of ``scaling="standard"``, of rows or as they are."""
        scaling = X if isinstance(X, Scaling) else self.scaling_of(X)
        with self.engine.turns.lock:
            self.engine.scaling, self.outputs = scaling, None
        return scaling

    def scaling_of(self, X: ArrayLike) -> Scaling:
        """The means and deviations of rows, as the network's ``scaling="standard"`` has them."""
        layout = self.configuration.layout
        if is_sparse(X):
            reject_standard(STANDARD, "X")
        features = tables.features(X, layout.widths[0], layout.dtype, "X", True)
        return standard(features, "X")

    def rows(
        self,
        X: ArrayLike,
        y: Targets,
        prefix: str = "",
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[Any, Any] | str | None = None,
        mask_nan: bool = False,
    ) -> Rows:
        """Check data as a user passed them; errors call them by `prefix` and their names."""
        if type(X) is not np.ndarray:
            self.expect_names(X, f"{prefix}X")
        plain = sample_weight is None and class_weight is None and mask_nan is False
        if plain and not isinstance(self.loss, Tasks):
            rows = with_targets(self.configuration, self.known_scaling(), X, y, prefix)
        else:
            rows = weighting.weighted_rows(
                self.configuration,
                self.known_scaling(),
                X,
                y,
                prefix,
                sample_weight,
                class_weight,
                mask_nan,
            )
        state, features = self.engine.state, rows.features
        values = features.values if isinstance(features, SparseRows) else features
        own = np.may_share_memory(values, state) or np.may_share_memory(rows.judged.targets, state)
        if own or any(np.may_share_memory(task.judged.targets, state) for task in rows.tasks):
            # The network's own weights as data: training must not change what it reads.
            return copy.deepcopy(rows)
        return rows

    def views(
        self, flat: NDArray[Any]
    ) -> tuple[tuple[NDArray[Any], ...], tuple[NDArray[Any], ...]]:
        """The weights and the biases of all layers in a flat buffer."""
        layout = self.configuration.layout
        numbers = range(layout.layers)
        return (
            tuple(layout.weights(flat, number) for number in numbers),
            tuple(layout.biases(flat, number) for number in numbers),
        )

    @property
    def parameters(self) -> tuple[tuple[NDArray[Any], ...], tuple[NDArray[Any], ...]]:
        """Views of the weights and the biases of all layers."""
        self.engine.turns.expect_whole()
        return self.views(self.engine.state)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Views of all parameters and optimizer slots under the names of a model file."""
        named = {}
        for slot in range(1 + self.configuration.optimizer.slots):
            prefix = f"slot{slot}." if slot else ""
            weights, biases = self.views(self.engine.slot(slot))
            for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                named[f"{prefix}weights.{layer}"] = weight
                named[f"{prefix}biases.{layer}"] = bias
        if self.configuration.scaling == STANDARD and self.engine.scaling is not None:
            named |= zip(SCALING_ARRAYS, self.engine.scaling, strict=True)
        return named

    @property
    def pending(self) -> FitState | None:
        """The fit in whose midst the network is, to be resumed."""
        steps, fit = self.interrupted or (0, None)
        return fit if steps == self.engine.step else None

    def model(self, fit: FitState | None) -> Model:
        """What a file is to hold, uncopied."""
        seed = self.engine.dropout_seed if self.regularization.drops else None
        parts, step = self.configuration, self.engine.step
        return Model(parts, self.arrays(), step, self.rng, fit, seed, names=self.names)

    def write(self, path: str | os.PathLike[str], fit: FitState | None) -> None:
        """Write a model file, and into it the fit in whose midst the network is."""
        turns = self.engine.turns
        with turns.reading, turns.lock:
            turns.served()
            model_files.write(path, self.model(fit))

    def content(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """What `write` would write of the network as it is now: arrays, copied, and the rest."""
        turns = self.engine.turns
        with turns.reading, turns.lock:
            turns.served()
            arrays, described = model_files.content(self.model(self.pending))
            return {name: array.copy() for name, array in arrays.items()}, described

    def check_write(self, path: str | os.PathLike[str], fit: FitState | None) -> None:
        """Raise what `write` would raise now."""
        turns = self.engine.turns
        with turns.reading, turns.lock:
            turns.served()
            model_files.check(path, self.model(fit))

    def state(self) -> dict[str, Any]:
        """What a pickle holds."""
        turns = self.engine.turns
        with turns.reading, turns.lock:
            turns.served()
            return {
                "configuration": self.configuration,
                "threads": self.engine.threads,
                "rng": copy.deepcopy(self.rng),
                "state": self.engine.state.copy(),
                "steps": self.engine.step,
                "dropout_seed": self.engine.dropout_seed,
                "scaling": self.engine.scaling,
                "names": self.names,
                "fit": copy.deepcopy(self.pending),
            }

    @classmethod
    def restored(cls, state: dict[str, Any]) -> "Core":
        """The core whose `state` this is."""
        core = cls(state["configuration"], state["threads"], state["rng"])
        core.take_over(state)
        return core

    def take_over(self, state: dict[str, Any]) -> None:
        """Be where the core was whose `state` this is, in its configuration; in the own turn."""
        engine, fit = self.engine, state["fit"]
        with engine.turns.lock:
            engine.put_back(state["state"], state["steps"])
            engine.dropout_seed, engine.scaling = state["dropout_seed"], state["scaling"]
            self.names, self.outputs = state.get("names"), None
            self.interrupted = None if fit is None else (state["steps"], fit)
            self.rng.bit_generator.state = state["rng"].bit_generator.state
