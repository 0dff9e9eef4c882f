"""How long `predict` takes by workload and rows a call."""

import numpy as np

from .workloads import WORKLOADS

ROWS = 1000


class Prediction:
    """`predict` of ROWS rows in calls of one row, of a batch, and of all."""

    params = (list(WORKLOADS), [1, 100, ROWS])
    param_names = ("workload", "rows a call")
    repeat = (5, 100, 5.0)
    warmup_time = 0  # setup has done it

    def setup(self, workload, rows):
        network, inputs = WORKLOADS[workload].network(), WORKLOADS[workload].layers[0]
        X = np.random.default_rng(0).standard_normal((ROWS, inputs), dtype=np.float32)
        self.predict, self.parts = network.predict, np.split(X, ROWS // rows)
        self.predict(self.parts[0])

    def time_predict(self, workload, rows):
        for part in self.parts:
            self.predict(part)
