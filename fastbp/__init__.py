"""fastbp: dense neural networks trained on CPUs by backpropagation, fast.

`Network` is the place to begin.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastbp import activations, callbacks, initializers, losses, optimizers
from fastbp.activations import Activation
from fastbp.history import History
from fastbp.loading import load
from fastbp.losses import Loss
from fastbp.network import Gradients, Network, minimize
from fastbp.optimizers import SGD, Adagrad, Adam, AdamW, Nadam, Optimizer, RMSprop
from fastbp.system import show_config
from fastbp.version import __version__

__all__ = [
    "SGD",
    "Activation",
    "Adagrad",
    "Adam",
    "AdamW",
    "Ensemble",
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
    "ensemble",
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
    from fastbp import embed, ensemble, interchange, many, metrics, schedules, selection
    from fastbp.ensemble import Ensemble
    from fastbp.many import each, evaluate_many, fit_many, predict_many
    from fastbp.selection import cross_validate, sweep

_LATER = ("embed", "ensemble", "interchange", "many", "metrics", "schedules", "selection")
_IN = {
    "Ensemble": "ensemble",
    "cross_validate": "selection",
    "each": "many",
    "evaluate_many": "many",
    "fit_many": "many",
    "predict_many": "many",
    "sweep": "selection",
}


def __getattr__(name: str) -> Any:
    """Modules that a plain fit does not need are loaded when they are first asked for."""
    if name in _LATER:
        return importlib.import_module(f"fastbp.{name}")
    if name in _IN:
        return getattr(importlib.import_module(f"fastbp.{_IN[name]}"), name)
    raise AttributeError(f"module 'fastbp' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What is there, with what is loaded later."""
    return sorted({*globals(), *__all__})
