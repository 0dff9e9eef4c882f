"""PyTorch eager with all of bfloat16: parameters, optimizer state and data, too."""

import torch

from . import torch_eager


class Contestant(torch_eager.Contestant):
    """As in float32, with other tensors; it learns less well."""

    dtype = torch.bfloat16
