"""HeldOut: the rows on which an estimator is measured after each epoch."""

import copy
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.fit.evaluation import mean_loss
from fastbp.network.core import Core
from fastbp.rows.rows import Rows
from fastbp.sklearn.data import Data


class HeldOut:
    """Validation rows, and their loss and score.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Which can predict by now.
    core : Core
        Of its network.
    rows : Rows
        As the network takes them.
    data : Data
        As a scorer takes them.
    scorer : callable or None
        As `sklearn.metrics.check_scoring` returns them; None for accuracy or R2.
    reported, constant : float
        What makes the estimator's loss of the network's: a factor, and what is added.
    """

    prefix = "val_"
    names: tuple[str, ...] = ("val_loss", "val_score")

    def __init__(
        self,
        estimator: Any,
        core: Core,
        rows: Rows,
        data: Data,
        scorer: Any,
        reported: float,
        constant: float,
    ) -> None:
        self._core, self.rows, self._data = core, rows, data
        self._reported, self._constant, self._scorer = reported, constant, scorer
        self._estimator = estimator
        if scorer is not None and estimator.mask_nan:
            known = np.isfinite(data.targets).all(axis=1)
            if not known.any():
                raise ValueError("scoring needs rows none of whose targets is NaN; y_val has none")
            self._data = data.take(np.flatnonzero(known))

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
            if math.isnan(score) and self._estimator.early_stopping:
                raise ValueError(
                    "the score of the validation rows is NaN, by which early_stopping cannot tell "
                    "the best epoch: another scoring, or more rows"
                )
        return {"val_loss": loss, "val_score": score}

    def _score(self, outputs: NDArray[Any]) -> float:
        if self._scorer is None:
            return float(self._estimator._score_of(outputs, self._data))
        given = self._data.sample_weight
        weight = {} if given is None else {"sample_weight": given}
        judged = self._estimator
        if hasattr(judged, "feature_names_in_"):
            # X has lost the names of its columns, which would be a warning of each prediction.
            judged = copy.copy(judged)
            del judged.feature_names_in_
        return float(self._scorer(judged, self._data.X, self._data.y, **weight))
