"""Networks to PyTorch."""

from typing import Any

from fastbp.interchange.contents import contents, needed
from fastbp.network import Network
from fastbp.tasks import Tasks


def to_torch(network: Network) -> Any:
    """The network as a ``torch.nn.Sequential``, which computes what `predict` does, to rounding.

    Parameters
    ----------
    network : Network
        Its parameters are copied. Needs PyTorch (``pip install "fastbp[torch]"``).

    Returns
    -------
    torch.nn.Sequential
        Of the network's dtype, in evaluation mode; ``module.train()`` makes its Dropout layers
        drop, by other random numbers than fastbp's. The output activation is its last module: a
        loss that takes logits, as ``torch.nn.CrossEntropyLoss`` does, wants ``module[:-1]``.
        Penalties, norms and clipping belong to training and are left behind. Two modules are
        fastbp's own: ``Exponential``, and ``Scaling`` at the start, which scales inputs of any
        dtype in float64 as the network does. A pickle with one of them needs fastbp to be read.

    Raises
    ------
    TypeError
        `network` is no network.
    ValueError
        It has an activation of your own, or tasks.
    RuntimeError
        Its scaling is not learned yet.
    ModuleNotFoundError
        There is no PyTorch.

    Examples
    --------
    >>> import fastbp
    >>> from fastbp.interchange import to_torch
    >>> net = fastbp.Network([4, 8, 3], loss="cross_entropy", dropout=0.1, rng=0)
    >>> to_torch(net)  # doctest: +SKIP
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
      (2): Dropout(p=0.1, inplace=False)
      (3): Linear(in_features=8, out_features=3, bias=True)
      (4): Softmax(dim=-1)
    )
    """
    held = contents(network, "PyTorch")
    if isinstance(held.parts.loss, Tasks):
        raise ValueError(
            "network must have one loss: a Sequential returns one tensor, not the outputs of "
            f"{len(held.parts.loss.groups)} tasks by name (to_onnx can)"
        )
    torch_modules = needed("fastbp.interchange.torch_modules", "PyTorch", "torch", "to_torch")
    return torch_modules.sequential(
        list(zip(held.weights, held.biases, strict=True)),
        [activation.name for activation in held.parts.activations],
        [*held.parts.regularization.dropout, 0.0],
        held.scaling,
    )
