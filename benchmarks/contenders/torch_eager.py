"""PyTorch eager: tensors on the CPU, no DataLoader, fused optimizer.

The fastest of what was tried: `torch.nn.functional` over a list of tensors and ``autograd.grad``
instead of modules and ``backward``; an epoch's rows gathered at once into memory that is kept,
where that fits in cache, else batch by batch; fused updates (RMSprop has none: foreach). On AMD
processors the products are MKL's, which does not use AVX-512 there.
"""

import torch
from torch.nn import functional

from .base import Contender, initial

ACTIVATIONS = {"relu": functional.relu, "tanh": torch.tanh}
LOSSES = {"cross_entropy": functional.cross_entropy, "mse": functional.mse_loss}
GATHERED = 1 << 20  # bytes


def loss_of(workload):
    """Return ``loss(parameters, X, y)``; parameters: W (outputs, inputs) and b of each layer."""
    activation, criterion = ACTIVATIONS[workload.activation], LOSSES[workload.loss]

    def loss(parameters, X, y):
        *hidden, weights, bias = parameters
        for W, b in zip(hidden[::2], hidden[1::2], strict=True):
            X = activation(functional.linear(X, W, b))
        return criterion(functional.linear(X, weights, bias), y)

    return loss


class TorchContender(Contender):
    """Holds data and parameters as tensors."""

    dtype = torch.float32

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        torch.set_num_threads(threads)
        self.tensors = [
            torch.from_numpy(array).to(self.dtype)
            for W, b in initial(workload.layers)
            for array in (W.T.copy(), b)
        ]
        self.features = torch.from_numpy(self.X).to(self.dtype)
        self.targets = torch.from_numpy(self.y)

    def next_rows(self):
        """Return the row numbers of each batch of the next epoch, None for all rows."""
        if self.workload.whole:
            return [None]
        return torch.from_numpy(self.next_order()).split(self.workload.batch_size)

    def parameters(self):
        arrays = [tensor.detach().float().numpy() for tensor in self.tensors]
        return [(W.T, b) for W, b in zip(arrays[::2], arrays[1::2], strict=True)]


class Contestant(TorchContender):
    """Loops over batches, with PyTorch's own optimizer."""

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        for tensor in self.tensors:
            tensor.requires_grad_()
        self.optimizer = optimizer_of(workload.optimizer, self.tensors, self.settings)
        self.objective = loss_of(workload)
        if self.features.nbytes <= GATHERED:
            self.buffers = torch.empty_like(self.features), torch.empty_like(self.targets)

    def batches(self):
        """Yield features and targets of each batch of the next epoch."""
        if self.workload.whole:
            yield self.features, self.targets
        elif self.features.nbytes <= GATHERED:
            order = torch.from_numpy(self.next_order())
            for buffer, data in zip(self.buffers, (self.features, self.targets), strict=True):
                torch.index_select(data, 0, order, out=buffer)
            size = self.workload.batch_size
            yield from zip(*(buffer.split(size) for buffer in self.buffers), strict=True)
        else:
            for rows in self.next_rows():
                yield self.features.index_select(0, rows), self.targets.index_select(0, rows)

    def run(self, epochs):
        for _ in range(epochs):
            for X, y in self.batches():
                gradients = torch.autograd.grad(self.objective(self.tensors, X, y), self.tensors)
                for tensor, gradient in zip(self.tensors, gradients, strict=True):
                    tensor.grad = gradient
                self.optimizer.step()


def optimizer_of(name, tensors, settings):
    """Return PyTorch's optimizer of that name."""
    lr, eps = settings["lr"], settings.get("eps")
    if name == "sgd":
        return torch.optim.SGD(tensors, lr=lr, fused=True)
    if name == "adam":
        betas = settings["beta1"], settings["beta2"]
        return torch.optim.Adam(tensors, lr=lr, betas=betas, eps=eps, fused=True)
    return torch.optim.RMSprop(tensors, lr=lr, alpha=settings["rho"], eps=eps, foreach=True)
