"""What a PyTorch module, or its parameters alone, holds of a network; refused by name otherwise.

Imports torch: functions import it when called.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fastbp.configuration import HIDDEN
from fastbp.interchange import torch_modules
from fastbp.interchange.torch_modules import Scaling
from fastbp.validation import shown

KNOWN = (
    "Linear, Dropout, Identity, Flatten at the start, and "
    + ", ".join(kind.__name__ for kind in torch_modules.ACTIVATIONS)
)  # fmt: skip


class Chain:
    """Linear layers one after the other, and what stands behind each.

    Attributes
    ----------
    places : list of str
        What each layer is called in messages.
    weights, biases : list of ndarray
        (inputs, outputs) and (outputs,): views of the tensors where those lie in memory.
    activations : list of (str or None)
        The names; None where there is none.
    dropout : list of float
        A rate for each.
    scaling : (ndarray, ndarray) or None
        Shift and factor of the inputs.
    """

    def __init__(self) -> None:
        self.places: list[str] = []
        self.weights: list[NDArray[Any]] = []
        self.biases: list[NDArray[Any]] = []
        self.activations: list[str | None] = []
        self.dropout: list[float] = []
        self.scaling: tuple[NDArray[Any], NDArray[Any]] | None = None
        self._tensors: dict[int, str] = {}

    def add_linear(self, place: str, weight: Any, bias: Any) -> None:
        """One more layer, of tensors; without a bias its biases are zeros."""
        for tensor in (weight, bias):
            if tensor is not None:
                taken = self._tensors.setdefault(id(tensor), place)
                if taken != place:
                    raise ValueError(
                        f"{place} shares parameters with {taken}: fastbp would train them apart"
                    )
        W = _array(weight, f"weight of {place}").T
        b = np.zeros(W.shape[1], W.dtype) if bias is None else _array(bias, f"bias of {place}")
        if b.shape != W.shape[1:]:
            raise ValueError(
                f"bias of {place} must have the shape {W.shape[1:]} to go with its weight, "
                f"got {b.shape}"
            )
        if self.weights and W.shape[0] != self.weights[-1].shape[1]:
            raise ValueError(
                f"{place} takes {W.shape[0]} inputs, and {self.places[-1]} before it has "
                f"{self.weights[-1].shape[1]} outputs"
            )
        for what, dtype in (("weight", W.dtype), ("bias", b.dtype)):
            if dtype != (self.weights or [W])[0].dtype:
                raise ValueError(
                    f"{what} of {place} is of {dtype}, and those of {(self.places or [place])[0]} "
                    f"of {(self.weights or [W])[0].dtype}: all must be of one dtype"
                )
        self.places.append(place)
        self.weights.append(W)
        self.biases.append(b)
        self.activations.append(None)
        self.dropout.append(0.0)

    def add_module(self, place: str, module: Any) -> None:
        """What stands next in a module."""
        if type(module) is nn.Linear:
            self._expect_hidden()
            self.add_linear(place, module.weight, module.bias)
        elif type(module) is nn.Dropout:
            self._add_dropout(place, module.p)
        elif type(module) is nn.Flatten:
            if self.places or self.scaling or (module.start_dim, module.end_dim) != (1, -1):
                raise ValueError(
                    f"{place} must stand at the start and flatten all but rows: "
                    f"fastbp takes (rows, inputs)"
                )
        elif type(module) is Scaling:
            if self.places or self.scaling:
                raise ValueError(f"{place} must stand at the start: fastbp scales inputs alone")
            self.scaling = _array(module.shift, place, True), _array(module.factor, place, True)
            if not (self.scaling[1] > 0).all():
                raise ValueError(f"{place} must have factors above 0")
        elif type(module) is not nn.Identity:
            self._add_activation(place, module)

    def _add_dropout(self, place: str, rate: float) -> None:
        if rate == 0:
            return
        if not self.places:
            raise ValueError(f"{place} drops inputs: fastbp drops outputs of hidden layers alone")
        if self.dropout[-1]:
            raise ValueError(f"{place} is the second Dropout behind {self.places[-1]}")
        if not rate < 1:
            raise ValueError(f"{place} has p={rate:g}, fastbp takes less than 1")
        self.dropout[-1] = rate

    def _add_activation(self, place: str, module: Any) -> None:
        name = torch_modules.activation_name(module, place)
        if name is None:
            hint = "; pass a module with a forward of its own as its state_dict"
            raise ValueError(
                f"{place} is nothing that fastbp has; it has {KNOWN}"
                f"{hint if any(True for _ in module.children()) else ''}"
            )
        if not self.places:
            raise ValueError(f"{place} stands before the first Linear, where fastbp has nothing")
        if self.activations[-1] is not None:
            raise ValueError(
                f"{place} is the second activation behind {self.places[-1]}: fastbp has one a layer"
            )
        if self.dropout[-1]:
            raise ValueError(f"{place} stands behind a Dropout: fastbp drops behind activations")
        self.activations[-1] = name

    def _expect_hidden(self) -> None:
        """Raise ValueError unless another layer may follow the last one."""
        if self.activations and self.activations[-1] not in (None, *HIDDEN):
            kind = torch_modules.MODULES[str(self.activations[-1])]().__class__.__name__
            raise ValueError(f"{kind} behind {self.places[-1]} must stand at the end")

    def expect_whole(self, source: str) -> None:
        """Raise ValueError unless this makes a network."""
        if not self.places:
            raise ValueError(f"{source} must hold a Linear at least")
        if self.dropout[-1]:
            raise ValueError(
                f"Dropout behind {self.places[-1]} drops outputs of the last layer: fastbp drops "
                "those of hidden layers alone"
            )
        if self.scaling and self.scaling[0].shape != self.weights[0].shape[:1]:
            raise ValueError(
                f"Scaling is for {len(self.scaling[0])} inputs, and {self.places[0]} takes "
                f"{len(self.weights[0])}"
            )


def is_module(source: Any) -> bool:
    """Whether it is a module of PyTorch."""
    return isinstance(source, nn.Module)


def of_module(module: Any) -> Chain:
    """The layers of a module."""
    chain = Chain()
    for place, one in _flat(module, ""):
        chain.add_module(place, one)
    chain.expect_whole("source")
    return chain


def _flat(module: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The modules of a Sequential and of those in it, each with what it is called in messages."""
    place = f"source{path} ({type(module).__name__})"
    hooks = (module._forward_hooks, module._forward_pre_hooks)
    if any(hooks):
        raise ValueError(f"{place} has hooks, which fastbp cannot run")
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        # Not named_children(), which leaves out a module that stands there again.
        for name, child in module._modules.items():
            yield from _flat(child, f"{path}.{name}")
    else:
        yield place, module


def of_parameters(parameters: Mapping[Any, Any]) -> Chain:
    """The layers of a `state_dict`: weights with their biases, in its order."""
    chain = Chain()
    waiting: dict[str, Any] = {}
    pairs: dict[str, list[Any]] = {}
    for key, tensor in parameters.items():
        if not isinstance(key, str) or not isinstance(tensor, torch.Tensor):
            raise TypeError(
                "source must be a Sequential, or a state_dict of tensors by name; got "
                f"{shown(key)}: {shown(tensor)} in it"
            )
        path, _, kind = key.rpartition(".")
        if kind == "weight" and tensor.ndim == 2:
            pairs[path] = [tensor, waiting.pop(path, None)]
        elif kind == "bias" and tensor.ndim == 1 and path in pairs:
            pairs[path][1] = tensor
        elif kind == "bias" and tensor.ndim == 1:
            waiting[path] = tensor
        else:
            _refuse(key, tensor)
    for path, tensor in waiting.items():
        _refuse(f"{path}.bias" if path else "bias", tensor)
    for path, (weight, bias) in pairs.items():
        chain.add_linear(repr(path) if path else "the layer", weight, bias)
    chain.expect_whole("source")
    return chain


def _refuse(key: str, tensor: Any) -> NoReturn:
    raise ValueError(
        f"source[{key!r}], of shape {tuple(tensor.shape)}, belongs to no Linear, which has a 2-D "
        "'weight' and a 1-D 'bias' under one name: fastbp has nothing else with parameters"
    )


def _array(tensor: Any, what: str, scaling: bool = False) -> NDArray[Any]:
    """The values of a tensor, on whatever device: finite, of float32 or float64."""
    if tensor.dtype not in (torch.float32, torch.float64) and not scaling:
        raise ValueError(f"{what} must be of float32 or float64, got {tensor.dtype}")
    if tensor.layout is not torch.strided or tensor.is_meta:
        kind = "meta" if tensor.is_meta else tensor.layout
        raise ValueError(f"{what} must be a plain tensor that holds its values, got {kind}")
    values: NDArray[Any] = (
        tensor.detach().cpu().to(torch.float64 if scaling else tensor.dtype).numpy()
    )
    if not np.isfinite(values).all():
        raise ValueError(f"{what} must be finite, and holds NaN or infinity")
    return values
