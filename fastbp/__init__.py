"""fastbp: dense neural networks trained on CPUs by backpropagation, fast.

`Network` is the place to begin.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastbp import activations, callbacks, initializers, losses, optimizers
from fastbp.activations import Activation
from fastbp.history import History
from fastbp.losses import Loss
from fastbp.network import Gradients, Network, load, minimize
from fastbp.optimizers import SGD, Adagrad, Adam, AdamW, Nadam, Optimizer, RMSprop
from fastbp.system import show_config
from fastbp.version import __version__

__all__ = [
    "SGD",
    "Activation",
    "Adagrad",
    "Adam",
    "AdamW",
    "Gradients",
    "History",
    "Loss",
    "Nadam",
    "Network",
    "Optimizer",
    "RMSprop",
    "__version__",
    "activations",
    "callbacks",
    "cross_validate",
    "each",
    "embed",
    "evaluate_many",
    "fit_many",
    "initializers",
    "interchange",
    "load",
    "losses",
    "many",
    "metrics",
    "minimize",
    "optimizers",
    "predict_many",
    "schedules",
    "selection",
    "show_config",
    "sweep",
]

if TYPE_CHECKING:
    from fastbp import embed, interchange, many, metrics, schedules, selection
    from fastbp.many import each, evaluate_many, fit_many, predict_many
    from fastbp.selection import cross_validate, sweep

_OF_MANY = frozenset({"each", "evaluate_many", "fit_many", "predict_many"})
_OF_SELECTION = frozenset({"cross_validate", "sweep"})


def __getattr__(name: str) -> Any:
    """Modules that a plain fit does not need are loaded when they are first asked for."""
    if name in ("embed", "interchange", "many", "metrics", "schedules", "selection"):
        return importlib.import_module(f"fastbp.{name}")
    if name in _OF_MANY:
        return getattr(importlib.import_module("fastbp.many"), name)
    if name in _OF_SELECTION:
        return getattr(importlib.import_module("fastbp.selection"), name)
    raise AttributeError(f"module 'fastbp' has no attribute {name!r}")
