"""Which networks can answer together, and how their common answer is judged."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.losses import BaseLoss, Cosine, GaussianNLL
from fastbp.many.fitting import expect_networks
from fastbp.network import Network
from fastbp.tasks import Tasks

# Why the mean of the outputs of networks with this loss is no output of such a network.
NO_MEANS: dict[type[BaseLoss], str] = {
    Tasks: "groups of outputs by name",
    GaussianNLL: "means and logs of variances",
    Cosine: "directions of any length",
}


def expect_alike(networks: Any) -> None:
    """Raise where these are no networks, or their outputs have no common mean."""
    expect_networks(networks)
    first = networks[0]._core.configuration
    for kind, outputs in NO_MEANS.items():
        if isinstance(first.loss, kind):
            raise ValueError(
                f"networks have the loss {first.loss.name!r}, whose outputs are {outputs}: their "
                "mean over networks means nothing"
            )
    for number, network in enumerate(networks):
        parts = network._core.configuration
        for what, wanted, found in (
            ("inputs", first.layout.widths[0], parts.layout.widths[0]),
            ("outputs", first.layout.widths[-1], parts.layout.widths[-1]),
            ("loss", first.loss, parts.loss),
            ("loss_weights", first.loss_weights, parts.loss_weights),
        ):
            if wanted != found:
                raise ValueError(
                    f"networks must have the same {what}: networks[0] has {wanted}, "
                    f"networks[{number}] has {found}"
                )


def judge(networks: Sequence[Network]) -> Network:
    """A network whose outputs are its inputs, to evaluate outputs that are there already.

    Its one layer is the identity, its loss that of the networks. It is one of float64.
    """
    parts = networks[0]._core.configuration
    outputs = parts.layout.widths[-1]
    made = Network(
        [outputs, outputs],
        loss=parts.loss,
        output_activation=None if parts.loss.on_logits else "identity",
        initializer="zeros",
        dtype="float64",
        rng=0,
        loss_weights=parts.loss_weights,
    )
    made.weights[0][:] = np.eye(outputs)
    return made


def before_activation(
    outputs: NDArray[np.float64], loss: BaseLoss, dtype: np.dtype[Any]
) -> NDArray[np.float64]:
    """What `judge` takes: the outputs, or what is before the output activation that makes them.

    dtype: of the networks; what is less than it can tell from 0, or from 1, is taken as its least.
    """
    return _BEFORE[loss.output_activation](outputs, dtype) if loss.on_logits else outputs


def _logs(outputs: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[np.float64]:
    limits = np.finfo(dtype)
    return np.log(np.clip(outputs, float(limits.tiny), float(limits.max)))


def _logits(outputs: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[np.float64]:
    limits = np.finfo(dtype)
    against = np.maximum(1 - outputs, float(limits.epsneg) / 2)
    return np.log(np.maximum(outputs, float(limits.tiny))) - np.log(against)


_BEFORE: dict[str, Callable[[NDArray[np.float64], np.dtype[Any]], NDArray[np.float64]]] = {
    "softmax": _logs,  # which adds them up again
    "sigmoid": _logits,
    "exponential": _logs,
}
