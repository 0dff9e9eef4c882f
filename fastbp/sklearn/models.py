"""Models: the network of an estimator, made of its parameters, and carried on where they change."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.network import Network
from fastbp.sklearn import heads
from fastbp.sklearn.heads import Head
from fastbp.sklearn.solvers import optimizer

Design = dict[str, Any]  # the arguments of a network that decide what it computes


def design(estimator: Any, head: Head, widths: Sequence[int], dtype: Any) -> Design:
    """What the network of an estimator with this head is made of."""
    return {
        "layers": [*widths, head.outputs],
        "activation": hidden_activations(estimator.activation, len(widths) - 1),
        "loss": head.loss,
        "output_activation": head.activation,
        "optimizer": optimizer(estimator),
        "dtype": np.dtype(dtype).name,
        "alpha": float(estimator.alpha),
        "dropout": dropout(estimator.dropout),
        "loss_weights": head.loss_weights,
    }


def hidden_activations(value: Any, count: int) -> list[Any]:
    """One activation, as fastbp takes it, for each hidden layer."""
    if not isinstance(value, list | tuple):
        return [heads.activation(value)] * count
    if len(value) != count:
        raise ValueError(
            "activation must be one for all hidden layers or one for each of the "
            f"{count}; got {len(value)}"
        )
    return [heads.activation(one) for one in value]


def dropout(value: Any) -> Any:
    """Rates as a network takes them."""
    return float(value) if np.ndim(value) == 0 else [float(rate) for rate in value]


def made(of: Design, threads: int | None) -> Network:
    """A network of zeros."""
    return Network(**of, initializer="zeros", rng=0, threads=threads)


def carried_on(network: Network | None, before: Design | None, of: Design) -> Network:
    """A network of this design with the optimizer's state of another, if that suits it."""
    threads = None if network is None else network._core.engine.threads
    new = made(of, threads)
    if network is None or before is None or before["layers"] != of["layers"]:
        return new
    old, engine = network._core.engine, new._core.engine
    alike = type(network.optimizer) is type(new.optimizer)
    if alike and old.state.shape == engine.state.shape:
        engine.state[:] = old.state
        engine.step, engine.dropout_seed = old.step, old.dropout_seed
    return new


def forget_moments(network: Network) -> None:
    """Begin anew with the optimizer."""
    engine = network._core.engine
    engine.state[engine.layout.parameters :] = 0
    engine.step = 0


def kept(network: Network) -> tuple[NDArray[Any], int, int]:
    """What training changes: parameters and the optimizer's state, its steps, dropout's seed."""
    engine = network._core.engine
    return engine.state.copy(), engine.step, engine.dropout_seed


def put_back(network: Network, state: NDArray[Any], step: int, dropout_seed: int) -> None:
    """Undo the training since they were kept."""
    engine = network._core.engine
    engine.put_back(state, step)
    engine.dropout_seed = dropout_seed


def copied(network: Network, dtype: Any, of: Design) -> Network:
    """The network with parameters of another dtype."""
    other = made(of | {"dtype": np.dtype(dtype).name}, network._core.engine.threads)
    put([*other.weights, *other.biases], [*network.weights, *network.biases])
    return other


def put(views: Sequence[NDArray[Any]], arrays: Sequence[Any]) -> None:
    """Copy parameters that are not those of the network itself into it."""
    for number, (view, array) in enumerate(zip(views, arrays, strict=True)):
        if view is array:
            continue
        if np.shape(array) != view.shape:
            layers = len(views) // 2
            name = f"coefs_[{number}]" if number < layers else f"intercepts_[{number - layers}]"
            raise ValueError(f"{name} must have shape {view.shape}, got {np.shape(array)}")
        view[:] = array
