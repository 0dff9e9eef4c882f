"""JAX, an epoch in one compiled call: ``lax.scan`` over its batches, the state donated.

Which way of writing it is the fastest depends on the shape and the number of threads: so before the
race each of WAYS is compiled and timed, and the fastest is kept. Of no use were: one flat array of
all parameters, a loss by ``take_along_axis``, XNNPACK, oneDNN, fast math, other schedulers.

Where a batch holds all rows nothing is gathered; to scan over many such epochs takes longer than a
call for each.
"""

import time
from functools import partial

import jax
import numpy as np

from .jax_common import JaxContender, rows_of

WAYS = {
    "gather": ("each batch", "the whole epoch"),
    "unroll": (1, 2),
    "width": (256, 512),  # bits of vectors that LLVM prefers
}


class Contestant(JaxContender):
    """Compiles the epoch."""

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        ways = {**WAYS, "gather": (None,)} if workload.whole else WAYS
        way = {name: values[0] for name, values in ways.items()}
        self.epoch, best = self.compiled(way)
        for name, values in ways.items():  # one after the other, not all together
            for value in values[1:]:
                epoch, seconds = self.compiled({**way, name: value})
                if seconds < best:
                    self.epoch, best, way = epoch, seconds, {**way, name: value}

    def compiled(self, way):
        """Return the epoch written that way, and the seconds that it takes."""

        def batch(state, Xy):
            return self.step(state, *Xy), None

        def gathering(X, y, state, rows):
            return batch(state, (rows_of(X, rows), rows_of(y, rows)))

        options = {"xla_cpu_prefer_vector_width": way["width"]}

        @partial(jax.jit, donate_argnums=0, compiler_options=options)
        def epoch(state, X, y, order):
            if way["gather"] is None:
                one, through = batch, (X[None], y[None])
            elif way["gather"] == "each batch":
                one, through = partial(gathering, X, y), order
            else:
                one, through = batch, (rows_of(X, order), rows_of(y, order))
            return jax.lax.scan(one, state, through, unroll=way["unroll"])[0]

        order = self.in_batches(np.random.default_rng(0).permutation(len(self.X)))
        best = float("inf")
        state = jax.tree.map(lambda array: array.copy(), self.state)
        for _ in range(4):  # the first compiles
            start = time.perf_counter()
            state = jax.block_until_ready(epoch(state, self.features, self.targets, order))
            best = min(best, time.perf_counter() - start)
        return epoch, best

    def in_batches(self, order):
        """Return the row numbers of each batch, (steps, batch) int32, or None for all rows."""
        if self.workload.whole:
            return None
        return order.astype(np.int32).reshape(-1, self.workload.batch_size)

    def run(self, epochs):
        for _ in range(epochs):
            order = self.in_batches(self.next_order())
            self.state = self.epoch(self.state, self.features, self.targets, order)
        jax.block_until_ready(self.state)
