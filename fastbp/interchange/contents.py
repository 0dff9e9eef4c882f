"""What of a network is carried elsewhere, taken out of it at one moment; packages that may lack."""

import importlib
from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastbp.activations import ACTIVATIONS
from fastbp.configuration import Configuration
from fastbp.data.names import Names
from fastbp.data.scaling import Scaling
from fastbp.network import Network
from fastbp.tasks import Tasks
from fastbp.validation import shown


class Contents(NamedTuple):
    """What of a network is carried elsewhere.

    Attributes
    ----------
    parts : Configuration
        What it is made of; all activations are fastbp's own.
    weights, biases : tuple of ndarray
        Copies, one (inputs, outputs) and one (outputs,) array a layer.
    scaling : Scaling or None
        What inputs go through.
    names : tuple of str or None
        Of the features.
    """

    parts: Configuration
    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]
    scaling: Scaling | None
    names: Names


def contents(network: Any, elsewhere: str) -> Contents:
    """What of a network is carried elsewhere, also while another thread fits it.

    Parameters
    ----------
    network : Network
        As a user passed it.
    elsewhere : str
        Where to, for messages.

    Raises
    ------
    TypeError
        It is no network.
    ValueError
        It has an activation of the user's own.
    RuntimeError
        It has not learned the scaling of its inputs.
    """
    if not isinstance(network, Network):
        raise TypeError(f"network must be a fastbp.Network, got {shown(network)}")
    core = network._core
    parts = core.configuration
    groups = parts.loss.groups if isinstance(parts.loss, Tasks) else ()
    used = {f"of layer {i}": one for i, one in enumerate(parts.activations, 1)}
    used |= {f"of outputs {task.name!r}": task.activation for task in groups}
    for where, activation in used.items():
        # By the object: one of the user's may be called as one of fastbp's.
        if ACTIVATIONS.get(activation.name) is not activation:
            raise ValueError(
                f"activation {activation.name!r} {where} is not one of fastbp's own, and "
                f"{elsewhere} cannot run its code"
            )
    core.known_scaling()
    state = core.state()
    weights, biases = core.views(state["state"])
    return Contents(parts, weights, biases, state["scaling"], state["names"])


def needed(module: str, package: str, extra: str, user: str) -> Any:
    """Import a module of an optional package, or of ours that imports it.

    Raises
    ------
    ModuleNotFoundError
        The package is not there; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'{user} needs {package}: pip install "fastbp[{extra}]"', name=error.name
        ) from error
