"""Modules of PyTorch: which activations they are, and the two that PyTorch lacks.

Imports torch: functions import it when called.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import nn


class Exponential(nn.Module):
    """``exp(x)``, the output activation of Poisson's loss."""

    def forward(self, x: Any) -> Any:
        """``exp(x)``."""
        return torch.exp(x)


class Scaling(nn.Module):
    """What the inputs of a network go through: ``(x - shift) * factor``, rounded once.

    Parameters
    ----------
    shift, factor : (inputs,) array_like of float64
        Buffers of the module, not trained. They stay float64, so that inputs keep what they have of
        digits until their means are taken off, unless the whole module is converted.
    dtype : torch.dtype
        Of the layer behind it; follows where the module is converted.
    """

    def __init__(self, shift: Any, factor: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(shift))
        self.register_buffer("factor", torch.tensor(factor))
        self.register_buffer("kind", torch.empty(0, dtype=dtype), persistent=False)

    def forward(self, x: Any) -> Any:
        """``(x - shift) * factor`` in the dtype of the layers."""
        return ((x.to(self.shift.dtype) - self.shift) * self.factor).to(self.kind.dtype)


class Setting(NamedTuple):
    """A parameter of a module that fastbp has fixed."""

    name: str
    accepted: str
    accepts: Callable[[Any], bool]


def _exactly(name: str, value: float) -> Setting:
    return Setting(name, f"{value:g}", lambda given: bool(given == value))


# What each module is called in fastbp, and with which parameters. Subclasses are none of them.
ACTIVATIONS: dict[type, tuple[str, tuple[Setting, ...]]] = {
    nn.ReLU: ("relu", ()),
    nn.LeakyReLU: ("leaky_relu", (_exactly("negative_slope", 0.01),)),
    nn.ELU: ("elu", (_exactly("alpha", 1),)),
    nn.SELU: ("selu", ()),
    nn.GELU: ("gelu", ()),  # or "gelu_tanh"
    nn.SiLU: ("silu", ()),
    nn.Softplus: (
        "softplus",  # exact; linear above 20, as PyTorch's, it would differ by 2e-9 at most
        (_exactly("beta", 1), Setting("threshold", "20 or more", lambda given: bool(given >= 20))),
    ),
    nn.Softsign: ("softsign", ()),
    nn.Hardtanh: ("hard_tanh", (_exactly("min_val", -1), _exactly("max_val", 1))),
    nn.Sigmoid: ("sigmoid", ()),
    nn.Tanh: ("tanh", ()),
    nn.Softmax: ("softmax", (Setting("dim", "1 or -1", lambda given: given in (1, -1, None)),)),
    Exponential: ("exponential", ()),
}

# Activations as modules whose defaults are not the ones to take.
SPECIAL: dict[str, Callable[[], Any]] = {
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
    "softplus": lambda: nn.Softplus(threshold=40),  # where the exact one is linear too
    "softmax": lambda: nn.Softmax(dim=-1),
}
MODULES: dict[str, Callable[[], Any]] = {name: kind for kind, (name, _) in ACTIVATIONS.items()}
MODULES |= SPECIAL


def activation_name(module: Any, place: str) -> str | None:
    """What fastbp calls an activation; None for a module that is none of them.

    Raises
    ------
    ValueError
        It has parameters that fastbp's has not.
    """
    name, settings = ACTIVATIONS.get(type(module), (None, ()))
    for setting in settings:
        value = getattr(module, setting.name)
        if not setting.accepts(value):
            raise ValueError(
                f"{place} has {setting.name}={value!r}, fastbp's {name!r} {setting.accepted}"
            )
    return "gelu_tanh" if type(module) is nn.GELU and module.approximate == "tanh" else name


def sequential(
    layers: list[tuple[NDArray[Any], NDArray[Any]]],
    activations: list[str],
    dropout: list[float],
    scaling: tuple[NDArray[Any], NDArray[Any]] | None,
) -> nn.Sequential:
    """A module in evaluation mode.

    Parameters
    ----------
    layers : list of (ndarray, ndarray)
        (inputs, outputs) weights and (outputs,) biases of each, which are copied.
    activations : list of str
        One for each layer; "identity" is left out.
    dropout : list of float
        One rate for each layer; none where it is 0.
    scaling : (ndarray, ndarray) or None
        Shift and factor.
    """
    dtype = torch.from_numpy(layers[0][1]).dtype
    modules: list[Any] = [] if scaling is None else [Scaling(*scaling, dtype)]
    for (weights, biases), activation, rate in zip(layers, activations, dropout, strict=True):
        linear = nn.Linear(*weights.shape, device="meta", dtype=dtype)  # initializes nothing
        linear.weight = nn.Parameter(torch.tensor(weights.T))
        linear.bias = nn.Parameter(torch.tensor(biases))
        modules.append(linear)
        if activation != "identity":
            modules.append(MODULES[activation]())
        if rate:
            modules.append(nn.Dropout(rate))
    return nn.Sequential(*modules).eval()
