"""Model selection: how good a kind of network is, and which of many configurations is best.

It stands on `fit_many`; nothing below knows of it.
"""

from fastbp.selection.cross_validation import CrossValidation, cross_validate
from fastbp.selection.results import Sweep
from fastbp.selection.sweeping import sweep

__all__ = ["CrossValidation", "Sweep", "cross_validate", "sweep"]
