"""What the tests of ensembles share: data, and ensembles that are quick to train."""

import numpy as np

import fastbp

X = np.random.default_rng(0).normal(size=(97, 3))
LABELS = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 1)
SIGNS = (X[:, 0] > X[:, 1]).astype(int)
VALUES = np.stack([X[:, 0] * X[:, 1], np.sin(X[:, 2])], axis=1)
TARGETS = {
    "cross_entropy": LABELS,
    "binary_cross_entropy": SIGNS,
    "focal": SIGNS,
    "hinge": SIGNS,
    "mse": VALUES,
    "mae": VALUES,
    "huber": VALUES,
    "log_cosh": VALUES,
    "quantile": VALUES,
    "poisson": np.floor(np.abs(VALUES)),
    "kl_divergence": np.eye(3)[LABELS],
}


def outputs(loss):
    """How many outputs a network with this loss has for its targets."""
    y = TARGETS[loss]
    return 3 if loss == "cross_entropy" else 1 if y.ndim == 1 else y.shape[1]


def maker(loss="cross_entropy", hidden=(5,), **options):
    """A function that makes such networks."""

    def make(rng):
        return fastbp.Network([3, *hidden, outputs(loss)], loss=loss, rng=rng, **options)

    return make


def ensemble(count=4, loss="cross_entropy", rng=0, **options):
    return fastbp.Ensemble.of(maker(loss, **options), count, rng=rng)


def fitted(count=4, loss="cross_entropy", epochs=3, options=None, **of_network):
    made = ensemble(count, loss, **of_network)
    made.fit(X, TARGETS[loss], epochs, 16, **{"progress": False} | (options or {}))
    return made


def failing(network):
    """The network, of which every fit fails in its first epoch."""
    network.weights[0][:] = 3e38
    return network
