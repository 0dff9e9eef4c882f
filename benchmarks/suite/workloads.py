"""The networks, batches and data that the benchmarks train."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Workload:
    """A network and how it is trained."""

    layers: tuple[int, ...]
    batch_size: int
    steps: int  # an epoch's; with more than one an epoch takes some ten milliseconds
    activation: str = "relu"
    loss: str = "cross_entropy"
    optimizer: str = "adam"
    networks: int = 1

    @property
    def whole(self):
        """Whether a batch holds all rows."""
        return self.steps == 1

    @property
    def flops(self):
        """Floating-point operations of a step: its matrix products alone."""
        pairs = list(zip(self.layers[:-1], self.layers[1:], strict=True))
        products = [2 * self.batch_size * inputs * outputs for inputs, outputs in pairs]
        return 3 * sum(products) - products[0]  # the first layer hands no delta down

    def data(self):
        """Return X (rows, features) and targets that a random linear map gives it, float32."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((self.steps * self.batch_size, self.layers[0]), dtype=np.float32)
        scores = X @ rng.standard_normal((self.layers[0], self.layers[-1]), dtype=np.float32)
        return X, scores.argmax(axis=1) if self.loss == "cross_entropy" else np.tanh(scores)

    def network(self, threads=1, rng=0, products=None):
        """Return the untrained network, the same one each time."""
        import fastbp  # here: the race's other contenders need the data alone

        return fastbp.Network(
            list(self.layers),
            activation=self.activation,
            loss=self.loss,
            optimizer=self.optimizer,
            rng=rng,
            threads=threads,
            products=products,
        )


WORKLOADS = {
    "tiny": Workload((2, 8, 1), 16, 4096, "tanh", "mse", "sgd"),
    "expm": Workload((4, 32, 16, 4), 10_000, 1, "tanh", "mse"),
    "rl": Workload((8, 64, 64, 4), 64, 512),
    "digits": Workload((64, 100, 10), 200, 128),
    "kann": Workload((784, 64, 10), 64, 128, optimizer="rmsprop"),
    "mnist": Workload((784, 128, 10), 128, 64),
    "mlp512": Workload((784, 512, 512, 10), 128, 16),
    "wide": Workload((1024, 2048, 2048, 1024), 256, 3),
}

# Many networks at once, each with its own order of the rows.
MANY = {
    "tiny": Workload((2, 8, 1), 16, 25, "tanh", "mse", "sgd", networks=1000),
    "expm": Workload((4, 32, 16, 4), 64, 25, "tanh", "mse", networks=1000),
    "rl": Workload((8, 64, 64, 4), 64, 25, networks=1000),
}
