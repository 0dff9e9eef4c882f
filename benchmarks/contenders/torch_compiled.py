"""torch.compile: gather, forward, backward and update compiled as one graph.

The fastest of what was tried: compiling the module alone or the loss alone, with PyTorch's fused
optimizer after it, takes twice as long on small networks; so the update is written out here.
``cpp_wrapper`` takes a further tenth off; ``max_autotune`` changes nothing.
"""

import os
import shutil

import torch

from .base import NotPossibleError
from .torch_eager import TorchContender, loss_of


def step_of(workload, settings):
    """Return ``step(parameters, slots, number, X, y, rows)``, which updates its first three."""
    gradient = torch.func.grad(loss_of(workload))
    lr, eps = settings["lr"], settings.get("eps")

    def sgd(number, p, g):
        p.sub_(lr * g)

    def rmsprop(number, p, g, v):
        v.mul_(settings["rho"]).addcmul_(g, g, value=1 - settings["rho"])
        p.sub_(lr * g / (v.sqrt() + eps))

    def adam(number, p, g, m, v):
        beta1, beta2 = settings["beta1"], settings["beta2"]
        m.lerp_(g, 1 - beta1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        rate, root = lr / (1 - beta1**number), (1 - beta2**number).sqrt()
        p.sub_(rate * m / (v.sqrt() / root + eps))

    rule = {"sgd": sgd, "rmsprop": rmsprop, "adam": adam}[workload.optimizer]

    def step(parameters, slots, number, X, y, rows):
        if rows is not None:
            X, y = X.index_select(0, rows), y.index_select(0, rows)
        gradients = gradient(parameters, X, y)
        number.add_(1)
        for arrays in zip(parameters, gradients, *slots, strict=True):
            rule(number, *arrays)

    return step


SLOTS = {"sgd": 0, "rmsprop": 1, "adam": 2}


class Contestant(TorchContender):
    """Calls the compiled step for each batch."""

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        compiler = os.environ.get("CXX", "cl" if os.name == "nt" else "g++")
        if not (shutil.which(compiler) or shutil.which("clang++")):
            raise NotPossibleError("torch.compile needs a C++ compiler, and there is none")
        torch._dynamo.reset()  # of another workload's shapes: else they become dynamic
        self.slots = [
            [torch.zeros_like(tensor) for tensor in self.tensors]
            for _ in range(SLOTS[workload.optimizer])
        ]
        self.number = torch.zeros(())
        self.step = torch.compile(
            step_of(workload, self.settings),
            fullgraph=True,
            dynamic=False,
            options={"cpp_wrapper": True},
        )

    def run(self, epochs):
        for _ in range(epochs):
            for rows in self.next_rows():
                self.step(self.tensors, self.slots, self.number, self.features, self.targets, rows)
