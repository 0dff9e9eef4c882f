"""fastbp: ``Network.fit`` with arrays; the loss of every epoch is computed too."""

import os

import numpy as np

from .base import Contender, initial


class Contestant(Contender):
    """Keeps the network that `Workload.network` makes."""

    products = None

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        # None: fastbp takes as many as help, of the cores that this process is pinned to.
        pinned = hasattr(os, "sched_setaffinity")
        rng = np.random.default_rng()
        self.network = workload.network(None if pinned else threads, rng, self.products)
        rng.bit_generator.state = self.shuffler.bit_generator.state  # fit draws the same orders
        for weights, (W, _) in zip(self.network.weights, initial(workload.layers), strict=True):
            weights[:] = W

    def run(self, epochs):
        self.network.fit(
            self.X, self.y, epochs=epochs, batch_size=self.workload.batch_size, progress=False
        )

    def parameters(self):
        return zip(self.network.weights, self.network.biases, strict=True)
