"""What both kinds of solvers make of checked data: the rows of a network, and their constants."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.fit.evaluation import mean_loss
from fastbp.losses import Poisson
from fastbp.network import Network
from fastbp.rows.rows import Rows
from fastbp.rows.weighting import expect_weight
from fastbp.sklearn.data import Data
from fastbp.sklearn.heads import Head, poisson_constants

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)  # scikit-learn's message


def checked_rows(estimator: Any, network: Network, data: Data, prefix: str = "") -> Rows:
    """Rows as the network takes them."""
    rows = network._core.rows(data.X, data.targets, prefix, data.weights, None, estimator.mask_nan)
    if rows.weights is not None:
        weights = data.sample_weight, data.class_weight
        expect_weight(rows, prefix, *weights, estimator.mask_nan)
    return rows


def constants(estimator: Any, head: Head, rows: Rows) -> NDArray[np.float64] | None:
    """What scikit-learn's loss of each row has beside fastbp's, where it has more."""
    if isinstance(head.loss, Poisson) and estimator.loss == "poisson":
        return poisson_constants(rows.targets)
    return None


def mean_constant(estimator: Any, head: Head, rows: Rows) -> float:
    """Their mean, as that of the losses."""
    terms = constants(estimator, head, rows)
    return 0.0 if terms is None else mean_loss(rows, terms)
