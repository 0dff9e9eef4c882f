"""Optimizers: immutable settings, one update each; they know nothing of networks or data.

Every update is PyTorch's, term for term.
"""

from fastbp.optimizers.adagrad import Adagrad
from fastbp.optimizers.adam import Adam, AdamW
from fastbp.optimizers.base import Optimizer
from fastbp.optimizers.nadam import Nadam
from fastbp.optimizers.rmsprop import RMSprop
from fastbp.optimizers.sgd import SGD

__all__ = ["OPTIMIZERS", "SGD", "Adagrad", "Adam", "AdamW", "Nadam", "Optimizer", "RMSprop"]

OPTIMIZERS: dict[str, type[Optimizer]] = {
    optimizer.name: optimizer for optimizer in (SGD, Adam, AdamW, RMSprop, Adagrad, Nadam)
}
