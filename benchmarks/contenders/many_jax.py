"""JAX: ``vmap`` of an epoch that ``lax.scan`` makes one compiled call of.

So many networks go together, and the maps nest, as is fastest, which is found out before.
"""

import itertools
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from .base import ManyContender
from .jax_common import loss_of, rows_of, rule_of

TOGETHER, OUTER = (1000, 200, 50, 10), ("scan", "vmap")


class Contestant(ManyContender):
    """Holds the states of the networks as stacked arrays, in groups."""

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        self.features, self.targets = jnp.asarray(self.X), jnp.asarray(self.y)
        best, orders = float("inf"), self.in_batches(self.orders(1)[:, 0])
        for together, outer in itertools.product(TOGETHER, OUTER):
            together = min(together, self.count)
            epoch, group = self.compiled(outer), self.stacked(0, together)
            for _ in range(2):  # the first compiles
                start = time.perf_counter()
                group = jax.block_until_ready(
                    epoch(group, self.features, self.targets, orders[:together])
                )
            seconds = (time.perf_counter() - start) / together
            if seconds < best:
                best, self.together, self.epoch = seconds, together, epoch
        self.groups = [
            self.stacked(first, self.together) for first in range(0, self.count, self.together)
        ]

    def in_batches(self, orders):
        """Return row numbers as (networks, steps, batch) int32."""
        return orders.astype(np.int32).reshape(len(orders), -1, self.workload.batch_size)

    def stacked(self, first, together):
        """Return the states of some networks: the step, parameters, the optimizer's slots."""
        members = self.weights[first : first + together]
        leaves = [
            jnp.stack([jnp.asarray(member[layer][part]) for member in members])
            for layer in range(len(members[0]))
            for part in (0, 1)
        ]
        slots = rule_of(self.workload.optimizer, self.settings)[1]
        zeros = [[jnp.zeros_like(leaf) for leaf in leaves] for _ in range(slots)]
        return jnp.zeros(len(members), jnp.int32), leaves, *zeros

    def compiled(self, outer):
        """Return the epoch of a group: a scan over steps of all, or a map of scans."""
        gradient = jax.grad(loss_of(self.workload))
        rule, _ = rule_of(self.workload.optimizer, self.settings)
        tree = jax.tree.structure(self.weights[0])

        def step(state, X, y, rows):
            number, parameters, *slots = state
            wanted = jax.tree.unflatten(tree, parameters)
            gradients = jax.tree.leaves(gradient(wanted, rows_of(X, rows), rows_of(y, rows)))
            number += 1
            new = [rule(number, *each) for each in zip(parameters, gradients, *slots, strict=True)]
            return number, *map(list, zip(*new, strict=True))

        def epoch(state, X, y, orders):
            def body(state, rows):
                return step(state, X, y, rows), None

            return jax.lax.scan(body, state, orders)[0]

        def steps_of_all(state, X, y, orders):
            every = jax.vmap(step, (0, None, None, 0))

            def body(state, rows):
                return every(state, X, y, rows), None

            return jax.lax.scan(body, state, orders.swapaxes(0, 1))[0]

        whole = steps_of_all if outer == "scan" else jax.vmap(epoch, (0, None, None, 0))
        return partial(jax.jit, donate_argnums=0)(whole)

    def run(self, epochs):
        orders = self.orders(epochs)
        for number, state in enumerate(self.groups):
            first = number * self.together
            for epoch in range(epochs):
                part = self.in_batches(orders[first : first + self.together, epoch])
                state = self.epoch(state, self.features, self.targets, part)
            self.groups[number] = state
        jax.block_until_ready(self.groups)

    def parameters_of(self, number):
        group, member = divmod(number, self.together)
        leaves = [leaf[member] for leaf in self.groups[group][1]]
        return list(zip(leaves[::2], leaves[1::2], strict=True))
