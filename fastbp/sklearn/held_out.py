"""HeldOut: the rows on which an estimator is measured after each epoch."""

import copy
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.fit.evaluation import mean_loss
from fastbp.network.core import Core
from fastbp.rows.rows import Rows


class HeldOut:
    """Validation rows; what a fit asks of an `Evaluation`, it can ask of these.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Which can predict by now.
    core : Core
        Of its network.
    rows : Rows
        As the network takes them.
    X, y, sample_weight : object
        As a scorer takes them.
    scorer : callable or None
        As `sklearn.metrics.check_scoring` returns them; None for accuracy or R2.
    reported, constant : float
        What makes the estimator's loss of the network's: a factor, and what is added.
    """

    prefix = "val_"
    names = ("val_loss", "val_score")

    def __init__(
        self,
        estimator: Any,
        core: Core,
        rows: Rows,
        X: Any,
        y: Any,
        sample_weight: Any,
        scorer: Any,
        reported: float,
        constant: float,
    ) -> None:
        self._core, self.rows, self._y, self._weight = core, rows, y, sample_weight
        self._reported, self._constant, self._scorer = reported, constant, scorer
        self._X, self._judged = X, estimator
        if scorer is not None:
            # X has lost the names of its columns, which would be a warning of each prediction.
            self._judged = copy.copy(estimator)
            vars(self._judged).pop("feature_names_in_", None)

    def measure(self) -> dict[str, float]:
        """Loss and score; NaN where outputs are not finite."""
        engine = self._core.engine
        with engine.turns.reading, engine.turns.lock:
            engine.turns.served()
            outputs, losses = engine.evaluate(self.rows)
        with np.errstate(all="ignore"):
            loss = mean_loss(self.rows, losses) * self._reported + self._constant
        score = float("nan")
        if np.isfinite(outputs).all():
            score = self._score(outputs)
            if math.isnan(score) and self._judged.early_stopping:
                raise ValueError(
                    "the score of the validation rows is NaN, by which early_stopping cannot tell "
                    "the best epoch: another scoring, or more rows"
                )
        return {"val_loss": loss, "val_score": score}

    def _score(self, outputs: NDArray[Any]) -> float:
        if self._scorer is None:
            return float(self._judged._score_of(outputs, self._y, self._weight))
        weight = {} if self._weight is None else {"sample_weight": self._weight}
        return float(self._scorer(self._judged, self._X, self._y, **weight))
