"""How long it takes to read inputs that are scaled or sparse."""

import numpy as np

import fastbp
from fastbp.kernels.machine.jit import address
from fastbp.kernels.step.scaled_rows import gather_scaled

from .behaviours import normal

ROWS, BATCH, WIDTH = 4096, 128, 784


class ScaledRows:
    """The gather of a batch that is converted, shifted and scaled, by what the data hold."""

    params = (["uint8", "float32", "float64"],)
    param_names = ("source",)
    repeat = (10, 200, 1.0)
    warmup_time = 0  # setup has done it

    def setup(self, source):
        rng = np.random.default_rng(0)
        X = rng.integers(0, 256, (ROWS, WIDTH)).astype(source)
        orders = rng.permutation(ROWS).reshape(-1, BATCH)
        terms, to = np.ones((2, WIDTH)), normal(BATCH, WIDTH)
        self.arrays = X, orders, terms, to  # their memory
        self.calls = [
            (address(X), WIDTH, 0, address(order), BATCH, address(to), WIDTH, WIDTH, address(terms))
            for order in orders
        ]
        self.gather = gather_scaled[np.dtype(source)].call()
        self.time_epoch(source)

    def time_epoch(self, source):
        for arguments in self.calls:
            self.gather(*arguments)


class SparseRows:
    """One epoch and one prediction of ROWS sparse rows, by optimizer and share of entries."""

    params = (["sgd", "adam"], [0.001, 0.01])
    param_names = ("optimizer", "density")
    number = 1  # a step changes the network: each sample starts from a fresh one
    repeat = (5, 50, 5.0)
    warmup_time = 0  # setup has done it

    def setup(self, optimizer, density):
        from scipy.sparse import csr_array

        width, rng = 20_000, np.random.default_rng(0)
        entries = round(density * width)
        indices = rng.integers(0, width, ROWS * entries, np.int32)
        values = rng.standard_normal(indices.size, np.float32)
        starts = np.arange(0, indices.size + 1, entries)
        self.X = csr_array((values, indices, starts), shape=(ROWS, width))
        self.y = rng.integers(0, 10, ROWS)
        self.net = fastbp.Network(
            [width, 100, 10], loss="cross_entropy", optimizer=optimizer, rng=0, threads=1
        )
        self.time_epoch(optimizer, density)
        self.time_predict(optimizer, density)

    def time_epoch(self, optimizer, density):
        self.net.fit(self.X, self.y, batch_size=BATCH, progress=False)

    def time_predict(self, optimizer, density):
        self.net.predict(self.X)
