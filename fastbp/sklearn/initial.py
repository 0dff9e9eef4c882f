"""Initial weights and biases, drawn as scikit-learn draws them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastbp.network import Network


def draw(network: Network, activations: Sequence[Any], draws: np.random.RandomState) -> None:
    """Overwrite weights and biases: uniform, after Glorot and Bengio (2010).

    activations: of the layers, as the estimator has them; the output layer's is that of the hidden.
    """
    for weights, biases, activation in zip(
        network.weights, network.biases, activations, strict=True
    ):
        factor = 2.0 if activation in ("logistic", "sigmoid") else 6.0
        bound = np.sqrt(factor / sum(weights.shape))
        weights[:] = draws.uniform(-bound, bound, weights.shape)
        biases[:] = draws.uniform(-bound, bound, biases.shape)
