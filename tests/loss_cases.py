"""The losses that came later, each with plain NumPy for the loss of every row, from logits.

Formulas as in textbooks and in PyTorch's documentation, without what keeps them finite.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from reference import softmax

from fastbp import losses

ROWS, COLUMNS = 37, 4
_rng = np.random.default_rng(0)
REAL = _rng.standard_normal((ROWS, COLUMNS))
BITS = (_rng.random((ROWS, COLUMNS)) < 0.5).astype(float)
SHARES = _rng.dirichlet(np.ones(COLUMNS), ROWS)
SHARES[0] = np.eye(COLUMNS)[0]


def pinball(z, y, q):
    return np.maximum(q * (y - z), (q - 1) * (y - z))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def focal(z, y, gamma):
    a = sigmoid(z)
    return -y * (1 - a) ** gamma * np.log(a) - (1 - y) * a**gamma * np.log(1 - a)


def gaussian(z, y):
    mean, s = z[:, :2], z[:, 2:]
    return 0.5 * (s + (y - mean) ** 2 / np.exp(s))


def divergence(z, y):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(y > 0, y * np.log(y / softmax(z)), 0).sum(axis=1, keepdims=True)


def cosine(z, y):
    lengths = np.linalg.norm(z, axis=1) * np.linalg.norm(y, axis=1)
    return 1 - ((z * y).sum(axis=1) / lengths)[:, None]


@dataclass(frozen=True)
class LossCase:
    """`each` gives the losses (rows, k) whose mean over k is that of a row; y: what a user has."""

    loss: losses.BaseLoss
    y: np.ndarray
    each: Any
    name: str

    def __str__(self):
        return self.name

    @property
    def elementwise(self):
        return self.loss.elementwise


LATER = [
    LossCase(losses.Quantile(0.3), REAL, lambda z, y: pinball(z, y, 0.3), "quantile"),
    LossCase(
        losses.Quantile((0.2, 0.9)),
        REAL[:, :2],
        lambda z, y: pinball(z, np.repeat(y, 2, axis=1), np.array([0.2, 0.9, 0.2, 0.9])),
        "quantiles",
    ),
    LossCase(losses.LogCosh(), REAL, lambda z, y: np.log(np.cosh(z - y)), "log_cosh"),
    LossCase(losses.Hinge(), 2 * BITS - 1, lambda z, y: np.maximum(1 - y * z, 0), "hinge of signs"),
    LossCase(
        losses.Hinge(), BITS, lambda z, y: np.maximum(1 - (2 * y - 1) * z, 0), "hinge of bits"
    ),
    LossCase(losses.Focal(), BITS, lambda z, y: focal(z, y, 2), "focal"),
    LossCase(losses.Focal(0.5), abs(REAL) % 1, lambda z, y: focal(z, y, 0.5), "focal of fractions"),
    LossCase(losses.GaussianNLL(), REAL[:, :2], gaussian, "gaussian_nll"),
    LossCase(losses.KLDivergence(), SHARES, divergence, "kl_divergence"),
    LossCase(losses.Cosine(), REAL, cosine, "cosine"),
]
