"""Many networks at once: their fits, predictions and evaluations, each on one core.

It stands on `Network` and the loop of a fit; nothing of them knows of it.
"""

from fastbp.many.arguments import Each, each
from fastbp.many.fitting import fit_many
from fastbp.many.predicting import evaluate_many, predict_many

__all__ = ["Each", "each", "evaluate_many", "fit_many", "predict_many"]
