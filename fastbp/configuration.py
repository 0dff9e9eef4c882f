"""What a network is made of: from the constructor's arguments, to a model file and back."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastbp import activations, groups, initializers, losses, optimizers, regularization, tasks
from fastbp.activations import ACTIVATIONS, Activation, FixedActivation
from fastbp.choices import (
    activation_of,
    described_activation,
    expect_outputs,
    from_settings,
    loss_of,
    optimizer_of,
    output_activation_of,
)
from fastbp.data.scaling import STANDARD, check_scaling
from fastbp.groups import Groups
from fastbp.kernels.machine.sizes import of_rounded
from fastbp.layout.layout import Layout
from fastbp.losses import LOSSES, BaseLoss
from fastbp.optimizers import OPTIMIZERS, BaseOptimizer, Optimizer
from fastbp.regularization import Regularization
from fastbp.validation import real, shown, widths

# Keys of a model file that mean the default where they are missing.
OPTIONAL = {"scaling", "loss_weights", "regularization", "groups", "products"}
BFLOAT16 = "bfloat16"
SCALING_ARRAYS = ("scaling.shift", "scaling.factor")
HIDDEN = tuple(name for name, entry in ACTIVATIONS.items() if not entry.output_only)


@dataclass(frozen=True)
class Configuration:
    """The checked parts of a network."""

    layout: Layout
    activations: tuple[Activation | FixedActivation, ...]
    loss: BaseLoss
    optimizer: BaseOptimizer
    initializer: Any
    regularization: Regularization
    scaling: float | str | None
    groups: Groups
    loss_weights: tuple[float, ...] | None = None
    products: str | None = None  # what their operands are rounded to, BFLOAT16 or nothing


def make(
    layers: Any,
    activation: Any,
    loss: Any,
    output_activation: Any,
    optimizer: Any,
    initializer: Any,
    dtype: DTypeLike,
    scaling: Any = None,
    loss_weights: Any = None,
    outputs: Any = None,
    trainable: Any = True,
    rate_factors: Any = 1.0,
    products: Any = None,
    **regularizing: Any,
) -> Configuration:
    """Check the arguments of `fastbp.Network`; errors name the argument.

    regularizing: what `regularization.make` takes.
    """
    layout = _layout(layers, dtype, products)
    if isinstance(loss, Mapping):
        chosen: BaseLoss = tasks.make(
            loss, outputs, loss_weights, output_activation, layout.widths[-1]
        )
        loss_weights = output_activation = None  # of the tasks
    elif outputs is not None:
        raise ValueError("outputs tells the tasks of a loss that is a dict; this loss is none")
    else:
        chosen = loss_of(loss, "loss")
        expect_outputs(chosen, layout.widths[-1], "the last of layers")
    return Configuration(
        layout,
        (*_hidden(activation, layout.layers - 1), output_activation_of(output_activation, chosen)),
        chosen,
        optimizer_of(optimizer, "optimizer"),
        initializers.check(initializer),
        regularization.make(layout.layers - 1, **regularizing),
        check_scaling(scaling),
        groups.make(layout.layers, trainable, rate_factors),
        _loss_weights(loss_weights, chosen, layout.widths[-1]),
        products,
    )


def describe(parts: Configuration) -> dict[str, Any]:
    """What a model file says of the parts; raises ValueError for a lambda of the user's."""
    optimizer = parts.optimizer
    described = {
        "layers": list(parts.layout.widths),
        "dtype": parts.layout.dtype.name,
        "activations": [described_activation(one) for one in parts.activations],
        "loss": tasks.describe(parts.loss),
        "optimizer": (
            optimizer.described()
            if isinstance(optimizer, Optimizer)
            else {"name": optimizer.name, **asdict(optimizer)}
        ),
        "initializer": initializers.describe(parts.initializer),
        "scaling": parts.scaling,
        "loss_weights": parts.loss_weights and list(parts.loss_weights),
    }
    regularizing = parts.regularization.options()
    described |= {"regularization": regularizing} if regularizing else {}
    described |= {"products": parts.products} if parts.products else {}
    grouping = parts.groups.options()
    return described | ({"groups": grouping} if grouping else {})


def parse(described: Mapping[str, Any]) -> Configuration:
    """The parts that a model file describes; raises ValueError or TypeError."""
    expected = {"layers", "dtype", "activations", "loss", "optimizer", "initializer"}
    if set(described) - OPTIONAL != expected:
        raise ValueError(f"configuration must have the keys {sorted(expected)}")
    options: dict[str, Any] = {}
    for name in ("regularization", "groups"):
        found = described.get(name, {})
        if not isinstance(found, dict):
            raise ValueError(f"{name} must be an object, got {shown(found)}")
        options |= found
    names = described["activations"]
    if not isinstance(names, list) or not names:
        raise ValueError(f"activations must be a list of names, got {shown(names)}")
    *names, activation = map(activations.parsed, names)
    loss = described["loss"]
    weights, outputs = described.get("loss_weights"), None
    if isinstance(loss, dict) and loss.get("name") == tasks.Tasks.name:
        if activation != tasks.Tasks.output_activation or weights is not None:
            raise ValueError("tasks have their own output activations and loss weights")
        loss, outputs, weights, activation = tasks.parse(loss)
    else:
        loss = from_settings(loss, LOSSES, "loss", losses.parsed)
    return make(
        described["layers"],
        names,
        loss,
        activation,
        from_settings(described["optimizer"], OPTIMIZERS, "optimizer", optimizers.parsed),
        described["initializer"],
        described["dtype"],
        described.get("scaling"),
        weights,
        outputs,
        products=described.get("products"),
        **options,
    )


def expect_count(parts: Configuration, count: int) -> None:
    """Raise ValueError unless a model file of the parts has so many arrays.

    Before their names are made: the widths of a small file may ask for a million.
    """
    expected = 2 * parts.layout.layers * (1 + parts.optimizer.slots)
    if count != expected + (2 if has_scaling(parts, count) else 0):
        raise ValueError(f"the configuration wants {expected} arrays, the file holds {count}")


def has_scaling(parts: Configuration, count: int) -> bool:
    """Whether a model file of the parts with so many arrays holds a scaling that was learned."""
    parameters = 2 * parts.layout.layers * (1 + parts.optimizer.slots)
    return parts.scaling == STANDARD and count > parameters


def arrays(parts: Configuration, scaled: bool) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Name, shape and dtype of every array of a model file, from the widths alone."""
    inputs = parts.layout.widths[:1]
    expected = {name: (inputs, np.dtype(float)) for name in SCALING_ARRAYS} if scaled else {}
    for slot in range(1 + parts.optimizer.slots):
        prefix = f"slot{slot}." if slot else ""
        for layer in range(parts.layout.layers):
            shape = parts.layout.widths[layer : layer + 2]
            expected[f"{prefix}weights.{layer}"] = (shape, parts.layout.dtype)
            expected[f"{prefix}biases.{layer}"] = (shape[1:], parts.layout.dtype)
    return expected


def _layout(layers: Any, dtype: Any, products: Any) -> Layout:
    layout = Layout(widths(layers), _dtype(dtype))
    if products is None:
        return layout
    _check_products(products, layout.dtype)
    return replace(layout, sizes=of_rounded(layout.sizes))


def _dtype(value: Any) -> np.dtype[Any]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of names that are going out of use
            name = "None" if value is None else np.dtype(value).name
    except (TypeError, ValueError, OverflowError, KeyError):
        name = "unknown"
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype must be float32 or float64, got {shown(value)}")
    return np.dtype(name)


def _check_products(value: Any, dtype: np.dtype[Any]) -> None:
    if not isinstance(value, str) or value != BFLOAT16:
        raise ValueError(f"products must be {BFLOAT16!r} or None, got {shown(value)}")
    if dtype != np.float32:
        raise ValueError(f"products={BFLOAT16!r} is for networks of float32; dtype is {dtype}")


def _hidden(value: Any, count: int) -> list[Activation | FixedActivation]:
    if isinstance(value, str | Activation | FixedActivation):
        return [activation_of(value, "activation", HIDDEN)] * count
    if not isinstance(value, Sequence):
        raise TypeError(
            f"activation must be a name, an Activation or a sequence of them, got {shown(value)}"
        )
    if len(value) != count:
        raise ValueError(
            f"activation must be one for all hidden layers or one for each of the {count}; "
            f"got {len(value)}"
        )
    return [activation_of(one, f"activation[{i}]", HIDDEN) for i, one in enumerate(value)]


def _loss_weights(values: Any, loss: BaseLoss, outputs: int) -> tuple[float, ...] | None:
    if values is None:
        return None
    if not loss.elementwise:
        raise ValueError(
            f"loss_weights are for losses of single outputs; loss {loss.name!r} has one of all "
            "outputs of a row (class_weight of fit gives weights to classes)"
        )
    accepted = f"loss_weights must be a sequence of {outputs} weights, one an output"
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence | np.ndarray):
        raise TypeError(f"{accepted}; got {shown(values)}")
    if np.shape(values) != (outputs,):
        raise ValueError(f"{accepted}; got {shown(values)}")
    weights = tuple(real(value, f"loss_weights[{j}]", 0) for j, value in enumerate(values))
    if not any(weights):
        raise ValueError("loss_weights must not all be zero")
    return weights
