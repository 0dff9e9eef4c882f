"""How long `predict` takes by workload and number of rows."""

import numpy as np

from .workloads import WORKLOADS


class Prediction:
    """`predict` of one row, of a batch, and of many; nothing changes, so samples may repeat it."""

    params = (list(WORKLOADS), [1, 100, 10_000])
    param_names = ("workload", "rows")

    def setup(self, workload, rows):
        layers = WORKLOADS[workload].layers
        self.net = WORKLOADS[workload].network()
        self.X = np.random.default_rng(0).standard_normal((rows, layers[0]), dtype=np.float32)
        self.net.predict(self.X)

    def time_predict(self, workload, rows):
        self.net.predict(self.X)
