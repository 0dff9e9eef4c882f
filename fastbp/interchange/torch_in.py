"""Networks from PyTorch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.activations import ACTIVATIONS, Activation
from fastbp.data.scaling import STANDARD, restored
from fastbp.interchange.contents import needed
from fastbp.losses import LOSSES, BaseLoss
from fastbp.network import Network
from fastbp.optimizers import BaseOptimizer
from fastbp.validation import shown

OPTIONS = (
    "scaling", "loss_weights", "outputs", "l1", "l2", "max_norm", "clip_value", "clip_norm",
    "alpha", "products",
)  # fmt: skip


def from_torch(
    source: Any,
    activation: str | Activation | Sequence[str | Activation] | None = None,
    loss: str | BaseLoss | Mapping[str, str | BaseLoss] | None = None,
    output_activation: str | Activation | Mapping[str, str | Activation] | None = None,
    optimizer: str | BaseOptimizer = "adam",
    rng: int | np.random.Generator | None = None,
    threads: int | None = None,
    *,
    dropout: float | Sequence[float] | None = None,
    **options: Any,
) -> Network:
    """The network that a PyTorch module is, or that its `state_dict` is the parameters of.

    Parameters
    ----------
    source : torch.nn.Sequential, torch.nn.Linear or mapping of str to tensor
        A module of Linear, activations, Dropout behind activations and Identity, with Flatten at
        the start (fastbp takes X as it would leave it); Sequentials may hold others. Or a
        `state_dict`: 2-D tensors called "weight" and 1-D tensors called "bias" under one name are a
        layer, in their order. All of float32 or all of float64, which becomes the network's
        dtype. They are copied. A layer without bias gets biases of zero, with which it computes the
        same, and which further training trains. Needs PyTorch (``pip install "fastbp[torch]"``).
    activation : str, Activation or a sequence of them
        Of a `state_dict` only, and needed there: of the hidden layers, as in `Network`.
    loss : str, BaseLoss or a dict of them
        As in `Network`. None for the one that goes with the output activation: "cross_entropy" with
        softmax, "binary_cross_entropy" with sigmoid, "poisson" with exponential, else "mse".
    output_activation : str, Activation or a dict of them
        As in `Network`. A module that ends with an activation has told it. One that ends with a
        Linear gets that of `loss`: with "cross_entropy", `predict` returns the softmax of what the
        module returns.
    optimizer, rng, threads
        As in `Network`; no initial weights are drawn from `rng`. The optimizer begins anew.
    dropout : float or sequence of float
        Of a `state_dict` only: as in `Network`, 0 by default.
    **options
        `scaling`, `loss_weights`, `outputs`, `l1`, `l2`, `max_norm`, `clip_value`, `clip_norm`,
        `alpha` and `products`, as in `Network`.

    Returns
    -------
    Network
        It predicts what the module computes in evaluation mode, to rounding.

    Raises
    ------
    TypeError, ValueError
        A module or a tensor that fastbp has nothing for, which the message names with its place:
        another kind, or another parameter of an activation than fastbp's. An argument that cannot
        be used.
    ModuleNotFoundError
        There is no PyTorch.

    Examples
    --------
    >>> from torch import nn  # doctest: +SKIP
    >>> module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))  # doctest: +SKIP
    >>> net = from_torch(module, loss="cross_entropy")  # doctest: +SKIP
    """
    if unknown := [name for name in options if name not in OPTIONS]:
        raise TypeError(
            f"from_torch takes what Network takes of {', '.join(OPTIONS)}; got {shown(unknown[0])}"
        )
    torch_chain = needed("fastbp.interchange.torch_chain", "PyTorch", "torch", "from_torch")
    if torch_chain.is_module(source):
        _expect_untold({"activation": activation, "dropout": dropout})
        chain = torch_chain.of_module(source)
        activation = [name or "identity" for name in chain.activations[:-1]]
        dropout = chain.dropout[:-1]
        output_activation = _told(chain.activations[-1], output_activation)
    elif isinstance(source, Mapping):
        chain = torch_chain.of_parameters(source)
        if activation is None and len(chain.places) > 1:
            raise ValueError(
                "activation must tell those of the hidden layers: a state_dict does not"
            )
        activation = [] if activation is None else activation
    else:
        raise TypeError(
            f"source must be a torch.nn.Sequential or a state_dict, got {shown(source)}"
        )
    if chain.scaling is not None:
        if options.get("scaling") is not None:
            raise ValueError("scaling must not be told where source has a Scaling")
        options["scaling"] = _scaling(*chain.scaling)
    if loss is None:
        loss = _natural(output_activation)
    network = Network(
        [len(chain.weights[0]), *(weights.shape[1] for weights in chain.weights)],
        activation,
        loss,
        output_activation,
        optimizer,
        "zeros",
        chain.weights[0].dtype,
        rng,
        threads,
        dropout=0.0 if dropout is None else dropout,
        **options,
    )
    for own, given in zip(
        (*network.weights, *network.biases), (*chain.weights, *chain.biases), strict=True
    ):
        own[:] = given
    if chain.scaling is not None and options["scaling"] == STANDARD:
        network._core.engine.scaling = restored(*(np.array(one) for one in chain.scaling))
    return network


def _expect_untold(arguments: Mapping[str, Any]) -> None:
    """Raise ValueError for what a module tells itself."""
    for name, given in arguments.items():
        if given is not None:
            raise ValueError(f"{name} is told by a module, so it must be None; got {shown(given)}")


def _told(last: str | None, given: Any) -> Any:
    """The output activation of a module that ends with the activation `last`, or with none."""
    if last is None:
        return given
    if given is not None and given != last and given is not ACTIVATIONS[last]:
        raise ValueError(
            f"output_activation must be {last!r} as source has it, or None; got {shown(given)}"
        )
    return last


def _natural(output_activation: Any) -> str:
    """The loss that goes with an output activation."""
    for name, loss in LOSSES.items():
        # By the object: one of the user's may be called as one of fastbp's.
        if output_activation in (loss.output_activation, ACTIVATIONS[loss.output_activation]):
            return name
    return "mse"


def _scaling(shift: NDArray[Any], factor: NDArray[Any]) -> float | str:
    """What `Network` takes as scaling for this one."""
    one = not shift.any() and (factor == factor[0]).all()
    return float(factor[0]) if one else STANDARD
