"""How long training takes, how much memory it holds, and where the loss ends."""

from .workloads import WORKLOADS

SMALL = ["rl", "digits", "mnist"]  # what an asv run of every commit has time for


class Training:
    """One epoch of `fit`, and one `train_step`, by workload and number of threads."""

    params = (SMALL, [1, 2])
    param_names = ("workload", "threads")
    number = 1  # a step changes the network: each sample starts from a fresh one
    warmup_time = 0  # setup has done it

    def setup(self, workload, threads):
        self.workload = WORKLOADS[workload]
        self.X, self.y = self.workload.data()
        self.batch = self.X[: self.workload.batch_size], self.y[: self.workload.batch_size]
        self.net = self.workload.network(threads)
        self.epoch()
        self.net.train_step(*self.batch)

    def epoch(self):
        """Train `Workload.steps` steps."""
        batch_size = self.workload.batch_size
        return self.net.fit(self.X, self.y, batch_size=batch_size, progress=False)

    def time_epoch(self, workload, threads):
        self.epoch()

    def time_train_step(self, workload, threads):
        self.net.train_step(*self.batch)


class Outcome:
    """What must not change when training becomes faster."""

    params = (SMALL,)
    param_names = ("workload",)

    def setup(self, workload):
        self.workload = WORKLOADS[workload]
        self.X, self.y = self.workload.data()

    def fit(self, epochs):
        """Train a new network and return its history."""
        return self.workload.network().fit(
            self.X, self.y, epochs=epochs, batch_size=self.workload.batch_size, progress=False
        )

    def peakmem_fit(self, workload):
        self.fit(epochs=1)

    def track_final_loss(self, workload):
        return self.fit(epochs=5)["loss"][-1]

    track_final_loss.unit = "loss"
