"""How long model files take: to save a network, to load it, and a fit with a checkpoint."""

import tempfile
from pathlib import Path

import fastbp

from .workloads import WORKLOADS


class Files:
    """`save`, `load`, and an epoch with its checkpoint, by workload, in the temporary folder."""

    params = (list(WORKLOADS),)
    param_names = ("workload",)
    number = 1
    repeat = (5, 50, 5.0)
    warmup_time = 0  # setup has done it

    def setup(self, workload):
        workload = WORKLOADS[workload]
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "m"
        self.X, self.y = workload.data()
        self.batch_size = workload.batch_size
        self.net = workload.network(1)
        self.fit([])
        self.net.save(self.path)

    def teardown(self, workload):
        self.folder.cleanup()

    def fit(self, callbacks):
        """Train for an epoch."""
        self.net.fit(
            self.X, self.y, batch_size=self.batch_size, callbacks=callbacks, progress=False
        )

    def time_save(self, workload):
        self.net.save(self.path)

    def time_load(self, workload):
        fastbp.load(self.path)

    def time_epoch_with_checkpoint(self, workload):
        self.fit([fastbp.callbacks.Checkpoint(self.path)])
