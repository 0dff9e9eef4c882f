"""Callbacks: what `Network.fit` calls between epochs and steps. `Callback` is the protocol.

They know a fit by what `Fit` shows of it; nothing of what stands behind that.
"""

from fastbp.callbacks.base import Callback
from fastbp.callbacks.checkpoint import Checkpoint
from fastbp.callbacks.early_stopping import EarlyStopping
from fastbp.callbacks.fit import Fit
from fastbp.callbacks.logs import CSVLog, TensorBoard
from fastbp.callbacks.optuna_pruning import OptunaPruning
from fastbp.callbacks.rate_finder import LearningRateFinder

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "Fit",
    "LearningRateFinder",
    "OptunaPruning",
    "TensorBoard",
]
