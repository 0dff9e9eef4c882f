"""torch.func: the gradients of stacked networks by ``vmap(grad(loss))``, PyTorch's fused optimizer.

So many networks go together as are fastest, which is found out before.
"""

import time

import torch
from torch.func import grad, vmap

from .base import ManyContender
from .torch_eager import loss_of, optimizer_of

TOGETHER = (1000, 200, 50, 10)


class Contestant(ManyContender):
    """Holds the parameters of the networks as stacked tensors, in groups."""

    most = 1000

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        torch.set_num_threads(threads)
        self.features, self.targets = torch.from_numpy(self.X), torch.from_numpy(self.y)
        self.gradients = vmap(grad(loss_of(workload)))
        orders, best = self.orders(1), float("inf")
        for together in TOGETHER:
            self.group(min(together, self.count))
            tensors, optimizer = self.groups[0]
            part = orders[: len(tensors[0])]
            self.train(tensors, optimizer, part[:, :, : 2 * workload.batch_size])
            start = time.perf_counter()
            self.train(tensors, optimizer, part)
            seconds = (time.perf_counter() - start) / len(tensors[0])
            if seconds < best:
                best, fastest = seconds, min(together, self.count)
        self.group(fastest)

    def group(self, together):
        """Stack so many networks at a time, anew."""
        self.together, self.groups = together, []
        for first in range(0, self.count, together):
            members = self.weights[first : first + together]
            tensors = []
            for layer in range(len(members[0])):
                tensors.append(torch.stack([torch.tensor(m[layer][0].T) for m in members]))
                tensors.append(torch.stack([torch.tensor(m[layer][1]) for m in members]))
            tensors = [tensor.contiguous() for tensor in tensors]
            optimizer = optimizer_of(self.workload.optimizer, tensors, self.settings)
            self.groups.append((tensors, optimizer))

    def train(self, tensors, optimizer, orders):
        """Go through (networks, epochs, rows) row numbers, batch by batch."""
        size = self.workload.batch_size
        for epoch in torch.from_numpy(orders).unbind(1):
            for rows in epoch.split(size, 1):
                gradients = self.gradients(tensors, self.features[rows], self.targets[rows])
                for tensor, gradient in zip(tensors, gradients, strict=True):
                    tensor.grad = gradient
                optimizer.step()

    def run(self, epochs):
        orders = self.orders(epochs)
        for number, (tensors, optimizer) in enumerate(self.groups):
            first = number * self.together
            self.train(tensors, optimizer, orders[first : first + self.together])

    def parameters_of(self, number):
        group, member = divmod(number, self.together)
        arrays = [tensor[member].numpy() for tensor in self.groups[group][0]]
        return [(W.T, b) for W, b in zip(arrays[::2], arrays[1::2], strict=True)]
