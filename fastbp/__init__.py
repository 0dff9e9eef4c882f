"""fastbp: dense neural networks trained on CPUs by backpropagation, fast.

`Network` is the place to begin.
"""

from fastbp import activations, callbacks, initializers, losses, optimizers
from fastbp.activations import Activation
from fastbp.history import History
from fastbp.network import Gradients, Network, load
from fastbp.optimizers import SGD, Adagrad, Adam, AdamW, Nadam, Optimizer, RMSprop
from fastbp.system import show_config

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Activation",
    "Adagrad",
    "Adam",
    "AdamW",
    "Gradients",
    "History",
    "Nadam",
    "Network",
    "Optimizer",
    "RMSprop",
    "activations",
    "callbacks",
    "initializers",
    "load",
    "losses",
    "optimizers",
    "show_config",
]
