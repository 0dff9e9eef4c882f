"""PyTorch eager with autocast to bfloat16: parameters and updates are float32."""

import torch

from . import torch_eager


class Contestant(torch_eager.Contestant):
    """As in float32, but for the products of the way forward and back."""

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        plain = self.objective

        def objective(parameters, X, y):
            with torch.autocast("cpu", torch.bfloat16):
                return plain(parameters, X, y)

        self.objective = objective
