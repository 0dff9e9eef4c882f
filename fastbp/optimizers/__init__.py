"""Optimizers: immutable settings, one update each; they know nothing of networks or data.

Every update is PyTorch's, term for term; but for those of a user's own.
"""

from fastbp.optimizers.adagrad import Adagrad
from fastbp.optimizers.adam import Adam, AdamW
from fastbp.optimizers.base import BaseOptimizer
from fastbp.optimizers.nadam import Nadam
from fastbp.optimizers.own import Optimizer, parsed
from fastbp.optimizers.rmsprop import RMSprop
from fastbp.optimizers.sgd import SGD

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "BaseOptimizer",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "parsed",
]

OPTIMIZERS: dict[str, type[BaseOptimizer]] = {
    optimizer.name: optimizer for optimizer in (SGD, Adam, AdamW, RMSprop, Adagrad, Nadam)
}
