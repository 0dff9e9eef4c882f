"""Initial weights and biases, drawn as scikit-learn draws them."""

import numpy as np

from fastbp.network import Network


def draw(network: Network, alone: str, draws: np.random.RandomState) -> None:
    """Overwrite weights and biases: uniform, after Glorot and Bengio (2010).

    The output layer counts as one of the activation before it; alone: that, where there is none.
    """
    hidden = network.activations[:-1] or (alone,)
    names = (*network.activations[:-1], hidden[-1])
    for weights, biases, name in zip(network.weights, network.biases, names, strict=True):
        factor = 2.0 if name in ("logistic", "sigmoid") else 6.0
        bound = np.sqrt(factor / sum(weights.shape))
        weights[:] = draws.uniform(-bound, bound, weights.shape)
        biases[:] = draws.uniform(-bound, bound, biases.shape)
