"""NetworkBase: a network's parts, memory and locks, and how rows and files come to it."""

import copy
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp import data, model_files, weighting
from fastbp.configuration import SCALING_ARRAYS, Configuration
from fastbp.engine import Engine
from fastbp.fit_state import FitState
from fastbp.losses import Loss
from fastbp.model_files import Model
from fastbp.optimizers import Optimizer
from fastbp.regularization import Regularization
from fastbp.rows import Rows, Targets, with_targets
from fastbp.scaling import STANDARD, Scaling, standard
from fastbp.sparse import SparseRows, is_sparse, reject_standard
from fastbp.summary import bytes_text, summary
from fastbp.tasks import Tasks


class NetworkBase:
    """What `fastbp.Network` has, beside the methods that train it and those that use it."""

    _rng: np.random.Generator

    def _build(self, parts: Configuration, threads: int | None) -> None:
        self._configuration = parts
        self._lock: Any = threading.RLock()
        self._guests: Any = None  # while a callback of `fit` runs, the lock that its calls hold
        self._engine = Engine(parts, threads)
        self._interrupted: tuple[int, FitState] | None = None  # after how many steps, and the fit

    @property
    def _turn(self) -> Any:
        """The lock that every call holds; for other threads to wait, not for its own to use."""
        if self._lock._is_owned():
            guests = self._guests
            if guests is None or guests._is_owned():
                raise RuntimeError(
                    "the network is at work: a signal handler or an initializer cannot use it in "
                    "the midst of a call of the same thread"
                )
            return guests
        return self._lock

    @property
    def _whole_turn(self) -> Any:
        """The lock of a fit, which cannot be one within another."""
        turn = self._turn
        if turn is not self._lock:
            raise RuntimeError("a callback cannot fit the network that is being fitted")
        return turn

    @contextmanager
    def _between_steps(self) -> Iterator[None]:
        """Within a fit, let the callbacks that run here use the network."""
        self._guests = threading.RLock()
        try:
            yield
        finally:
            self._guests = None

    @property
    def layers(self) -> tuple[int, ...]:
        """Layer widths, input first."""
        return self._configuration.layout.widths

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of parameters, data and arithmetic."""
        return self._configuration.layout.dtype

    @property
    def loss(self) -> Loss:
        """The loss."""
        return self._configuration.loss

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer's settings."""
        return self._configuration.optimizer

    @property
    def regularization(self) -> Regularization:
        """The settings of dropout, penalties and clipping."""
        return self._configuration.regularization

    @property
    def activations(self) -> tuple[str, ...]:
        """The name of each layer's activation, the output layer's last."""
        return tuple(activation.name for activation in self._configuration.activations)

    @property
    def scaling(self) -> Scaling | None:
        """What inputs go through, ``(x - shift) * factor``; None for nothing, or nothing yet."""
        return self._engine.scaling

    @property
    def steps(self) -> int:
        """How many updates the parameters have had."""
        return self._engine.step

    @property
    def weights(self) -> tuple[NDArray[Any], ...]:
        """One (inputs, outputs) array a layer: writable views, edits count."""
        return self._views(self._engine.state)[0]

    @property
    def biases(self) -> tuple[NDArray[Any], ...]:
        """One (outputs,) array a layer: writable views, edits count."""
        return self._views(self._engine.state)[1]

    def learn_scaling(self, X: ArrayLike) -> Scaling:
        """Learn the means and deviations of ``scaling="standard"``, again where they are known.

        `fit` does this by itself where they are not; it is for those who train by `train_step`.

        Parameters
        ----------
        X : (rows, inputs) array_like
            Features; finite.

        Returns
        -------
        Scaling
            What inputs go through from now on.

        Raises
        ------
        TypeError, ValueError
            An `X` that cannot be used, or a network that was made with another `scaling`.
        """
        with self._turn:
            parts = self._configuration
            if parts.scaling != STANDARD:
                raise ValueError(
                    'learn_scaling is for networks with scaling="standard", this one has '
                    f"scaling={parts.scaling!r}"
                )
            return self._learn_scaling(X)

    def _known_scaling(self) -> Scaling | None:
        scaling = self._engine.scaling
        if scaling is None and self._configuration.scaling == STANDARD:
            raise RuntimeError(
                "the network has not learned the scaling of its inputs; call fit, or "
                "learn_scaling(X), first"
            )
        return scaling

    def _learn_scaling(self, X: ArrayLike) -> Scaling:
        layout = self._configuration.layout
        if is_sparse(X):
            reject_standard(STANDARD, "X")
        features = data.features(X, layout.widths[0], layout.dtype, "X", True)
        self._engine.scaling = scaling = standard(features, "X")
        return scaling

    def _rows(
        self,
        X: ArrayLike,
        y: Targets,
        prefix: str = "",
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[Any, Any] | str | None = None,
        mask_nan: bool = False,
    ) -> Rows:
        plain = sample_weight is None and class_weight is None and mask_nan is False
        if plain and not isinstance(self.loss, Tasks):
            rows = with_targets(self._configuration, self._known_scaling(), X, y, prefix)
        else:
            rows = weighting.weighted_rows(
                self._configuration,
                self._known_scaling(),
                X,
                y,
                prefix,
                sample_weight,
                class_weight,
                mask_nan,
            )
        state, features = self._engine.state, rows.features
        values = features.values if isinstance(features, SparseRows) else features
        own = np.may_share_memory(values, state) or np.may_share_memory(rows.targets, state)
        if own or any(np.may_share_memory(task.targets, state) for task in rows.tasks):
            # The network's own weights as data: training must not change what it reads.
            return copy.deepcopy(rows)
        return rows

    def _views(
        self, flat: NDArray[Any]
    ) -> tuple[tuple[NDArray[Any], ...], tuple[NDArray[Any], ...]]:
        layout = self._configuration.layout
        numbers = range(layout.layers)
        return (
            tuple(layout.weights(flat, number) for number in numbers),
            tuple(layout.biases(flat, number) for number in numbers),
        )

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Views of all parameters and optimizer slots under the names of a model file."""
        named = {}
        for slot in range(1 + self.optimizer.slots):
            prefix = f"slot{slot}." if slot else ""
            weights, biases = self._views(self._engine.slot(slot))
            for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                named[f"{prefix}weights.{layer}"] = weight
                named[f"{prefix}biases.{layer}"] = bias
        if self._configuration.scaling == STANDARD and self.scaling is not None:
            named |= zip(SCALING_ARRAYS, self.scaling, strict=True)
        return named

    @property
    def _pending(self) -> FitState | None:
        """The fit in whose midst the network is, to be resumed."""
        steps, fit = self._interrupted or (0, None)
        return fit if steps == self.steps else None

    def _model(self, fit: FitState | None) -> Model:
        """What a file is to hold, uncopied."""
        seed = self._engine.dropout_seed if self.regularization.drops else None
        return Model(self._configuration, self._arrays(), self.steps, self._rng, fit, seed)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights, optimizer state, settings, step count and random state to a file.

        It is a safetensors file, which is replaced as a whole or not at all. A random generator
        whose bit generator is not one of NumPy's own is left out. A fit that could be resumed still
        can be from the new file.

        Parameters
        ----------
        path : str or path-like
            Where to; an existing file is replaced.

        Raises
        ------
        ValueError
            The network has an activation of your own, which a file cannot hold.
        OSError
            The file cannot be written; an old one is still whole.
        """
        with self._turn:
            model_files.write(path, self._model(self._pending))

    def summary(self) -> str:
        """A table of the layers, to be printed: shapes, activations, parameters, memory, work.

        Operations are the floating-point operations of the matrix products.
        """
        return summary(self._configuration, self._engine.nbytes)

    def __repr__(self) -> str:
        parts = self._configuration
        layout = parts.layout
        widths = [str(width) for width in layout.widths]
        steps = [
            f"-> {width} {name}" for width, name in zip(widths[1:], self.activations, strict=True)
        ]
        given = {"scaling": parts.scaling, "loss_weights": parts.loss_weights}
        options = {name: value for name, value in given.items() if value is not None}
        options |= self.regularization.options()
        settings = "".join(f"{name}={value}, " for name, value in options.items())
        return (
            f"Network({widths[0]} {' '.join(steps)}; {self.loss}, {self.optimizer}, {settings}"
            f"{self.dtype}, {layout.parameter_count:,} parameters, {self.steps:,} steps, "
            f"{bytes_text(self._engine.nbytes)})"
        )

    def __getstate__(self) -> dict[str, Any]:
        with self._turn:
            return {
                "configuration": self._configuration,
                "threads": self._engine.threads,
                "rng": copy.deepcopy(self._rng),
                "state": self._engine.state.copy(),
                "steps": self.steps,
                "dropout_seed": self._engine.dropout_seed,
                "scaling": self.scaling,
                "fit": copy.deepcopy(self._pending),
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._build(state["configuration"], state["threads"])
        self._rng = state["rng"]
        self._engine.state[:] = state["state"]
        self._engine.step = state["steps"]
        self._engine.dropout_seed = state["dropout_seed"]
        self._engine.scaling = state["scaling"]
        if state["fit"] is not None:
            self._interrupted = state["steps"], state["fit"]
