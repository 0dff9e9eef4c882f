"""What tests of model selection search: small data, and networks for them."""

import numpy as np

import fastbp


def classes(rows=61, inputs=3):
    """Features, and two classes of which one has a third of the rows."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(rows, inputs))
    return X, (X[:, 0] + 0.3 * rng.normal(size=rows) > 0.4).astype(int)


def classifier(width=4, lr=1e-2, rng=None, **options):
    return fastbp.Network(
        [3, width, 2], loss="cross_entropy", optimizer=fastbp.Adam(lr), rng=rng, **options
    )


def failing(width=4, lr=1e-2, rng=None):
    """A network whose loss overflows where the rate is 1e30."""
    return fastbp.Network(
        [3, width, 1], output_activation="identity", optimizer=fastbp.SGD(lr), rng=rng
    )


def same(one, other):
    """Whether two networks have the same parameters, to the bit."""
    assert one.layers == other.layers
    return np.array_equal(one.flat, other.flat) and one.steps == other.steps
