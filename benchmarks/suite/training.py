"""How long training takes, how much memory it holds, and where the loss ends."""

from share import step_seconds

from .workloads import WORKLOADS


class Training:
    """One epoch of `fit`, and as many calls of `train_step`, by workload and number of threads."""

    params = (list(WORKLOADS), [1, 2])
    param_names = ("workload", "threads")
    number = 1  # a step changes the network: each sample starts from a fresh one
    repeat = (5, 50, 5.0)
    warmup_time = 0  # setup has done it

    def setup(self, workload, threads):
        workload = WORKLOADS[workload]
        self.X, self.y = workload.data()
        self.batch_size = workload.batch_size
        self.batches = [
            (self.X[row : row + self.batch_size], self.y[row : row + self.batch_size])
            for row in range(0, len(self.X), self.batch_size)
        ]
        self.net = workload.network(threads)
        self.epoch()
        self.net.train_step(*self.batches[0])

    def epoch(self):
        """Train on each batch once."""
        self.net.fit(self.X, self.y, batch_size=self.batch_size, progress=False)

    def time_epoch(self, workload, threads):
        self.epoch()

    def time_train_step(self, workload, threads):
        for X, y in self.batches:
            self.net.train_step(X, y)


class Share:
    """How close training comes to the floating-point peak of the machine's core: more is better."""

    params = (list(WORKLOADS),)
    param_names = ("workload",)

    def track_share_of_peak(self, workload):
        from fastbp.kernels.machine.peak import (
            fma_peak,  # not in older versions, which asv measures too
        )

        before = fma_peak()
        seconds, _ = step_seconds(WORKLOADS[workload], threads=1, repeats=5)
        peak = 1e9 * max(before, fma_peak())
        return 100 * WORKLOADS[workload].flops / seconds / peak

    track_share_of_peak.unit = "%"


class Outcome:
    """What must not grow when training becomes faster: its memory, and the loss that it reaches."""

    params = (list(WORKLOADS),)
    param_names = ("workload",)

    def setup_cache(self):
        """Fill the disk cache in a process of its own: compiling would take the most memory."""
        for workload in WORKLOADS:
            self.fit(workload, epochs=1)

    def fit(self, workload, epochs):
        """Train a new network and return its history."""
        workload = WORKLOADS[workload]
        return workload.network().fit(
            *workload.data(), epochs=epochs, batch_size=workload.batch_size, progress=False
        )

    def peakmem_fit(self, workload):
        self.fit(workload, epochs=1)

    def track_final_loss(self, workload):
        return self.fit(workload, epochs=5)["loss"][-1]

    track_final_loss.unit = "loss"
