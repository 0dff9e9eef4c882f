"""The methods for losses that the caller computes: forward, and what is done with slopes."""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

from numpy.typing import ArrayLike, NDArray

from fastbp.data.arrays import finite, numeric
from fastbp.data.names import Names, agreed
from fastbp.engine import derivatives
from fastbp.network.core import Core, HasCore
from fastbp.network.derivatives import expect_one_loss, features_of, with_slopes
from fastbp.network.inference import Gradients
from fastbp.rows.rows import Features, Rows, Slopes
from fastbp.validation import flag, positive_int, shown


class Outputs(NamedTuple):
    """What `forward` was called with, the steps that the network had then, the features' names."""

    features: Features
    of: Slopes
    steps: int
    names: Names


def forward(network: HasCore, X: ArrayLike, training: bool = True) -> NDArray[Any]:
    """The network's outputs, for a loss of the caller's own: `backward` or `step` come next.

    Parameters
    ----------
    X : (rows, inputs) array_like or sparse
        Features, as in `fit`: one batch.
    training : bool
        Whether with the dropout of the next step; without, `backward` and `step` have none either.

    Returns
    -------
    (rows, outputs) ndarray
        Of the network's dtype, after the output activation.

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used, or a network with several losses.

    Notes
    -----
    The activations are kept until the network is used otherwise; then `backward` and `step` compute
    them once more, from a copy of `X`. Do not edit `weights` or `biases` in between.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.random((64, 2)), rng.random((64, 1))
    >>> net = fastbp.Network([2, 8, 1], rng=0)
    >>> for _ in range(100):
    ...     out = net.forward(X)
    ...     net.step(2 * (out - y) / len(X))
    >>> net.steps
    100
    """
    core = network._core
    expect_one_loss(core, "forward")
    flag(training, "training")
    engine = core.engine
    with engine.turns.changing:
        features = features_of(core, X)
        own = copy.deepcopy(features)
        of = Slopes(training)
        with engine.turns.lock:
            core.outputs = None
            found = derivatives.forward(engine, own, of)
            core.outputs = Outputs(own, of, engine.step, agreed(core.names, X, "X"))
    return found


def backward(network: HasCore, d_out: ArrayLike) -> Gradients:
    """The gradient of any number by all parameters, from its derivative by the last outputs.

    Parameters
    ----------
    d_out : (rows, outputs) array_like
        The derivative of the number by each of the outputs that `forward` returned last.

    Returns
    -------
    Gradients
        As `loss_and_gradients` returns them; the network stays as it is, so that there may be
        several calls.

    Raises
    ------
    RuntimeError
        `forward` was not called, or the network has been changed since.
    TypeError, ValueError
        A `d_out` that cannot be used.
    """
    core = network._core
    engine = core.engine
    with engine.turns.changing:
        rows = _rows(core, d_out, "backward")
        with engine.turns.lock:
            _, flat = engine.differentiate(rows)
            engine.forwarded = rows.slopes  # no more than the deltas was overwritten
            weights, biases = core.views(flat)
            return Gradients(
                tuple(view.copy() for view in weights), tuple(view.copy() for view in biases)
            )


def step(network: HasCore, d_out: ArrayLike) -> None:
    """One update by the gradient that `backward` would return, with penalties, clipping and norms.

    Parameters
    ----------
    d_out : (rows, outputs) array_like
        As in `backward`.

    Raises
    ------
    RuntimeError, TypeError, ValueError
        As in `backward`; nothing has changed.
    """
    core = network._core
    engine = core.engine
    with engine.turns.changing:
        rows = _rows(core, d_out, "step")
        with engine.turns.lock:
            kept, core.outputs = core.outputs, None
            engine.train_step(rows)
        if core.names is None and kept is not None:
            core.names = kept.names


def apply(network: HasCore, gradients: Gradients, *, rows: int | None = None) -> None:
    """One update by these gradients, with penalties, clipping and norms as in training.

    Parameters
    ----------
    gradients : Gradients
        As `backward` and `loss_and_gradients` return them, or a pair of sequences of arrays.
    rows : int, optional
        Of how many rows they are, for a network with `alpha`, which is divided by that.

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used; nothing has changed.
    """
    core = network._core
    engine = core.engine
    if core.regularization.alpha and rows is None:
        raise TypeError("apply needs the argument rows, by which the network's alpha is divided")
    mass = 1 if rows is None else positive_int(rows, "rows")
    checked = _checked(gradients, [view.shape for part in core.parameters for view in part], core)
    with engine.turns.changing, engine.turns.lock:
        flat = derivatives.gradient_room(engine)
        to_weights, to_biases = core.views(flat)
        for view, array in zip((*to_weights, *to_biases), checked, strict=True):
            view[:] = array
        core.outputs = None
        derivatives.apply(engine, mass)


def _checked(gradients: Any, shapes: Sequence[tuple[int, ...]], core: Core) -> list[NDArray[Any]]:
    """The arrays of the weights, then of the biases."""
    layers = len(shapes) // 2
    if not isinstance(gradients, tuple | list) or len(gradients) != 2:
        raise TypeError(f"gradients must be Gradients, got {shown(gradients)}")
    for part, name in zip(gradients, Gradients._fields, strict=True):
        if not isinstance(part, tuple | list) or len(part) != layers:
            raise ValueError(
                f"gradients.{name} must have an array for each of the {layers} layers, "
                f"got {shown(part)}"
            )
    names = [f"gradients.{name}[{layer}]" for name in Gradients._fields for layer in range(layers)]
    found = []
    for value, name, shape in zip([*gradients[0], *gradients[1]], names, shapes, strict=True):
        array = numeric(value, name)
        if array.shape != shape:
            raise ValueError(f"{name} must have the shape {shape}, got {array.shape}")
        found.append(finite(array, core.configuration.layout.dtype, name))
    return found


def _rows(core: Core, d_out: Any, name: str) -> Rows:
    """The rows of the last outputs with their slopes."""
    kept = core.outputs
    if kept is None or kept.steps != core.engine.step:
        raise RuntimeError(
            f"{name} needs the outputs of forward(X), which must come first: the network has been "
            "changed since, or it was not called"
        )
    return with_slopes(core, kept.features, d_out, kept.of)
