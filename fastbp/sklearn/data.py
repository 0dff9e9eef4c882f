"""Data: rows as an estimator has checked them, and those that are held out of them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import _check_sample_weight

from fastbp.sklearn.telling import warn


class Data(NamedTuple):
    """Checked rows.

    Attributes
    ----------
    X : (rows, features) ndarray or CSR
    y : ndarray
        As a scorer takes it.
    targets : ndarray
        As the network takes it.
    sample_weight : (rows,) ndarray or None
        Of the user.
    class_weight : (rows,) ndarray or None
        What the rows count by their classes.
    strata : ndarray or None
        What a part that is held out keeps the shares of.
    """

    X: Any
    y: NDArray[Any]
    targets: NDArray[Any]
    sample_weight: NDArray[Any] | None = None
    class_weight: NDArray[Any] | None = None
    strata: NDArray[Any] | None = None

    @property
    def weights(self) -> NDArray[Any] | None:
        """What the rows count in training."""
        if self.sample_weight is None:
            return self.class_weight
        if self.class_weight is None:
            return self.sample_weight
        return np.asarray(self.sample_weight * self.class_weight)

    def take(self, rows: NDArray[Any]) -> "Data":
        """Some of the rows."""
        X, y, targets, *more = self
        parts = (None if part is None else part[rows] for part in more)
        return Data(X[rows], y[rows], targets[rows], *parts)

    def split(self, fraction: float, draws: np.random.RandomState) -> "tuple[Data, Data]":
        """Rows to train on, and rows held out, drawn as scikit-learn draws them."""
        train, held_out = train_test_split(
            np.arange(self.X.shape[0]),
            random_state=draws,
            test_size=fraction,
            stratify=self.strata,
        )
        if len(held_out) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        return self.take(train), self.take(held_out)


def column(y: Any) -> Any:
    """A single column as one target a row, with scikit-learn's warning."""
    if y.ndim != 2 or y.shape[1] != 1 or hasattr(y, "toarray"):
        return y
    warn(
        "A column-vector y was passed when a 1d array was expected. Please change the shape of y "
        "to (n_samples, ), for example using ravel().",
        DataConversionWarning,
    )
    return y.ravel()


def checked_weights(sample_weight: Any, X: Any) -> NDArray[Any] | None:
    """Weights of rows as scikit-learn checks them; negative ones are an error."""
    if sample_weight is None:
        return None
    weights: NDArray[Any] = _check_sample_weight(sample_weight, X)
    if (weights < 0).any():
        raise ValueError("Negative values in data passed to `sample_weight`")
    return weights
