"""fastbp: a loop over `Network.fit`, one network after the other."""

from . import many_fastbp


class Contestant(many_fastbp.Contestant):
    """Each network uses as many threads as help it."""

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        for network in self.networks:
            network._core.engine.threads = None if threads > 1 else 1

    def run(self, epochs):
        for network in self.networks:
            network.fit(self.X, self.y, epochs, self.workload.batch_size, progress=False)
