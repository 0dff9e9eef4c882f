"""How long many networks take together, and how much memory they hold."""

from dataclasses import replace

from .workloads import MANY

NETWORKS = 96


class ManyNetworks:
    """One call of `fit_many` and of `predict_many`, by shape and number of threads."""

    params = (list(MANY), [1, 2])
    param_names = ("workload", "threads")
    number = 1  # the networks change
    repeat = (3, 20, 5.0)
    warmup_time = 0  # setup has done it

    def setup(self, workload, threads):
        try:
            from fastbp import fit_many, predict_many
        except ImportError as error:
            raise NotImplementedError("this version has no fit_many") from error
        self.fit_many, self.predict_many, self.threads = fit_many, predict_many, threads
        workload = replace(MANY[workload], networks=NETWORKS)
        self.X, self.y = workload.data()
        self.batch_size = workload.batch_size
        self.networks = [workload.network(rng=seed) for seed in range(NETWORKS)]
        self.fit(1)

    def fit(self, epochs):
        """Train all networks for so many epochs of 25 steps."""
        batch = self.batch_size
        self.fit_many(
            self.networks, self.X, self.y, epochs, batch, threads=self.threads, progress=False
        )

    def time_fit_many(self, workload, threads):
        self.fit(16)

    def time_predict_many(self, workload, threads):
        self.predict_many(self.networks, self.X, threads=self.threads)

    def track_bytes_a_network(self, workload, threads):
        return sum(network._core.engine.nbytes for network in self.networks) / NETWORKS

    track_bytes_a_network.unit = "bytes"
