"""fastbp: one call of `fit_many`."""

import fastbp

from .base import ManyContender


class Contestant(ManyContender):
    """Holds the networks; the orders of their rows are drawn in the call."""

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        self.networks = [workload.network(rng=self.shufflers[i]) for i in range(self.count)]
        for network, weights in zip(self.networks, self.weights, strict=True):
            for layer, (W, b) in enumerate(weights):
                network.weights[layer][:], network.biases[layer][:] = W, b

    def run(self, epochs):
        batch = self.workload.batch_size
        fastbp.fit_many(
            self.networks, self.X, self.y, epochs, batch, threads=self.threads, progress=False
        )

    def parameters_of(self, number):
        network = self.networks[number]
        return zip(network.weights, network.biases, strict=True)
