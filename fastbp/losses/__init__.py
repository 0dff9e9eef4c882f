"""Losses: what each computes from a network's outputs and the targets, and its slope.

All are means, computed as PyTorch's defaults are. A loss `on_logits` takes the outputs before the
output activation and holds the derivative of both together, which is exact and stays finite
where the two apart would not.
"""

from typing import Any

from fastbp.losses import own, rows
from fastbp.losses.base import BaseLoss
from fastbp.losses.classes import BinaryCrossEntropy, CrossEntropy, Focal, Hinge, KLDivergence
from fastbp.losses.own import Loss
from fastbp.losses.rows import RowFunction, RowLoss
from fastbp.losses.values import MAE, MSE, Cosine, GaussianNLL, Huber, LogCosh, Poisson, Quantile

__all__ = [
    "LOSSES",
    "MAE",
    "MSE",
    "BaseLoss",
    "BinaryCrossEntropy",
    "Cosine",
    "CrossEntropy",
    "Focal",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "Poisson",
    "Quantile",
    "RowFunction",
    "RowLoss",
    "parsed",
]

LOSSES: dict[str, type[BaseLoss]] = {
    loss.name: loss
    for loss in (
        *(MSE, MAE, Huber, CrossEntropy, BinaryCrossEntropy, Poisson, Quantile, LogCosh, Hinge),
        *(Focal, GaussianNLL, KLDivergence, Cosine),
    )
}


def parsed(described: dict[str, Any]) -> BaseLoss:
    """The loss of a user's own that a model file describes."""
    return rows.parsed(described) if "rows" in described else own.parsed(described)
