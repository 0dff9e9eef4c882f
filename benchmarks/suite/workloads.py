"""The networks, batches and data that the suite measures."""

from dataclasses import dataclass

import numpy as np

import fastbp


@dataclass(frozen=True)
class Workload:
    """A classifier and how it is trained: relu layers, cross-entropy, Adam."""

    layers: tuple[int, ...]
    batch_size: int
    steps: int  # an epoch's; long enough that one epoch takes some ten milliseconds

    def data(self):
        """Return X (rows, features), float32, and the labels that a random linear map gives it."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((self.steps * self.batch_size, self.layers[0]), dtype=np.float32)
        scores = X @ rng.standard_normal((self.layers[0], self.layers[-1]), dtype=np.float32)
        return X, scores.argmax(axis=1)

    def network(self, threads=1):
        """Return the untrained network, the same one each time."""
        return fastbp.Network(
            list(self.layers),
            activation="relu",
            loss="cross_entropy",
            optimizer=fastbp.Adam(1e-3),
            rng=0,
            threads=threads,
        )


WORKLOADS = {
    "rl": Workload((8, 64, 64, 4), batch_size=64, steps=512),
    "digits": Workload((64, 100, 10), batch_size=200, steps=128),
    "mnist": Workload((784, 128, 10), batch_size=128, steps=64),
}
