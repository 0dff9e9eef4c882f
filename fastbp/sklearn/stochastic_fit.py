"""StochasticFit: a fit that goes on, reports and ends as scikit-learn's, to the same numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.data.sparse import SparseRows
from fastbp.engine.course import Course
from fastbp.fit.row_fit import RowFit
from fastbp.network import Network
from fastbp.rows.rows import Rows, batch_totals
from fastbp.sklearn.held_out import HeldOut
from fastbp.sklearn.solvers import Rate

PIECES = 32  # of an epoch of sparse rows, between which the penalty is computed


class StochasticFit(RowFit):
    """A fit of an estimator's network.

    As many epochs go in one call of the kernels as there are before the earliest at which training
    could be found to improve no longer.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Whose fitted attributes are kept up to date.
    network : Network
        Its network.
    rows : Rows
        What it is trained on.
    epochs, batch : int
        How many epochs at the most, and rows a step.
    draws : numpy.random.RandomState or None
        What shuffles the rows.
    rate : Rate
        The learning rate.
    held_out : HeldOut or None
        What it is measured on.
    reported : float
        What makes the estimator's loss of the network's.
    constants : (rows,) ndarray or None
        What the estimator's loss of each row has besides.
    """

    def __init__(
        self,
        estimator: Any,
        network: Network,
        rows: Rows,
        epochs: int,
        batch: int,
        draws: np.random.RandomState | None,
        rate: Rate,
        held_out: HeldOut | None,
        reported: float,
        constants: NDArray[np.float64] | None,
    ) -> None:
        core = network._core
        super().__init__(network, core, rows, epochs, batch, None, held_out)
        self._estimator, self._draws, self._rate = estimator, draws, rate
        self._reported, self._constants = reported, constants
        self._numbers = np.arange(len(rows.features))
        self._before_steps = np.empty(0)  # the squares of the weights, before each step
        self.best: NDArray[Any] | None = None  # parameters of the best validation score

    # What a call of the kernels is to do.

    def _together(self) -> int:
        most, estimator = super()._together(), self._estimator
        if estimator.verbose or self._rate.kind == "invscaling" or self._estimates_penalty:
            return 1
        left = estimator.n_iter_no_change + 1 - estimator._no_improvement_count
        return int(max(1, min(most, left)))

    def _rates_of(self, steps: int) -> NDArray[np.float64] | None:
        if self.rates is not None:
            return super()._rates_of(steps)
        now = self._rate.learning_rate
        return None if now == self.core.configuration.optimizer.lr else np.full(steps, now)

    def _orders(self, epochs: int) -> NDArray[np.int64]:
        if self._draws is None:
            return super()._orders(epochs)
        orders = np.empty((epochs, len(self._numbers)), np.int64)
        for order in orders:
            drawn = np.arange(len(self._numbers))
            self._draws.shuffle(drawn)  # as `sklearn.utils.shuffle`
            self._numbers = self._numbers[drawn]
            order[:] = self._numbers
        return orders

    def _course(self, order: NDArray[np.int64], rates: NDArray[np.float64] | None) -> Course:
        return Course(self._rows, order, self.batch_size, rates, by_rows=True)

    # What has come of it.

    def _losses(self, course: Course) -> list[dict[str, float]]:
        """The losses of whole epochs as scikit-learn counts them, penalties included."""
        penalties = course.penalties
        if self._estimates_penalty:
            penalties = np.array([self._penalty(course.order[0])][: len(penalties)])
        losses = (course.losses - course.penalties) * self._reported + penalties
        if self._constants is not None:
            losses += [
                self._constant(self._constants, order) for order in course.order[: len(losses)]
            ]
        return [{"loss": loss} for loss in losses.tolist()]

    def _constant(self, constants: NDArray[np.float64], order: NDArray[np.int64]) -> float:
        """What they are in an epoch: the mean of the batches' means, by their rows."""
        weights = self._rows.weights
        if weights is None:
            return float(constants.mean())
        rows, totals = self._batches(order)
        starts = np.arange(0, len(order), self.batch_size)
        sums = np.add.reduceat((weights * constants)[order], starts)
        means = np.divide(sums, totals, out=np.zeros(len(starts)), where=totals > 0)
        return float(means @ rows / len(order))

    def _batches(self, order: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The rows of each batch of an epoch, and their total weights."""
        rows = np.diff([*range(0, len(order), self.batch_size), len(order)]).astype(float)
        totals = batch_totals(self._rows, order[None], self.batch_size)
        return rows, rows if totals is None else totals

    # Rows of weights that meet zeros alone are brought up to date later on: with sparse rows the
    # kernels do not know the penalty of a step. It is known where a call of theirs ends, and taken
    # to change evenly in between.

    @property
    def _estimates_penalty(self) -> bool:
        alpha = self.core.configuration.regularization.alpha
        return isinstance(self._rows.features, SparseRows) and alpha > 0

    def _train(self, course: Course) -> None:
        if not self._estimates_penalty:
            super()._train(course)
            return
        ends = np.linspace(0, course.steps, min(course.steps, PIECES) + 1).astype(int)
        squares = [self._squares()]
        for end in ends[1:]:
            self.engine.train(course, until=int(end))
            squares.append(self._squares())
        self._before_steps = np.interp(np.arange(course.steps), ends, squares)

    def _squares(self) -> float:
        """The sum of the squares of all weights."""
        layout, state = self.engine.layout, self.engine.state
        weights = (layout.weights(state, layer) for layer in range(layout.layers))
        return sum(float(np.square(of_layer, dtype=float).sum()) for of_layer in weights)

    def _penalty(self, order: NDArray[np.int64]) -> float:
        """The mean of the penalties of an epoch's batches, by their rows."""
        rows, totals = self._batches(order)
        decays = np.divide(0.5 * rows, totals, out=np.zeros(len(rows)), where=totals > 0)
        alpha = self.core.configuration.regularization.alpha / self._rows.unit
        return float(alpha * (decays @ self._before_steps) / len(order))

    def _take_down(self, losses: list[dict[str, float]]) -> None:
        self._take_down_each(losses)

    def record(self, quantities: dict[str, float]) -> None:
        """Take down an epoch, as the estimator's attributes have it too, and judge it."""
        loss, estimator = quantities["loss"], self._estimator
        before = estimator.n_iter_, vars(estimator).get("loss_"), estimator.t_
        estimator.n_iter_ += 1
        estimator.loss_ = loss
        estimator.t_ += len(self._numbers)
        estimator.loss_curve_.append(loss)
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")  # noqa: T201 - as asked
        try:
            super().record(quantities)  # a scorer sees the attributes as they are now
        except BaseException:
            estimator.n_iter_, estimator.loss_, estimator.t_ = before
            estimator.loss_curve_.pop()
            raise
        if self.validation is not None:
            estimator.validation_loss_curve_.append(self.history.last("val_loss"))
            score = self.history.last("val_score")
            estimator.validation_scores_.append(score)
            if estimator.verbose:
                print(f"Validation score: {score:f}")  # noqa: T201
            self._keep_best(score)
        if not estimator.early_stopping:
            self._judge_loss(loss)
        self._change_rate(self._rate.epoch_ended, estimator.t_)
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            self._improve_or_stop()

    def _keep_best(self, score: float) -> None:
        estimator = self._estimator
        if estimator.early_stopping:
            if score < estimator.best_validation_score_ + estimator.tol:
                estimator._no_improvement_count += 1
            else:
                estimator._no_improvement_count = 0
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            if estimator.early_stopping:
                self.best = self.engine.slot(0).copy()

    def _judge_loss(self, loss: float) -> None:
        estimator = self._estimator
        if loss > estimator.best_loss_ - estimator.tol:
            estimator._no_improvement_count += 1
        else:
            estimator._no_improvement_count = 0
        estimator.best_loss_ = min(loss, estimator.best_loss_)

    def _improve_or_stop(self) -> None:
        """Lower the learning rate, or stop."""
        estimator = self._estimator
        what = "Validation score" if estimator.early_stopping else "Training loss"
        message = (
            f"{what} did not improve more than tol={estimator.tol:f} for "
            f"{estimator.n_iter_no_change} consecutive epochs."
        )
        if self._change_rate(self._rate.lowered):
            message += f" Setting learning rate to {self._rate.learning_rate:f}"
            estimator._no_improvement_count = 0
        else:
            message += f"{' Learning rate too small.' if self._rate.too_small else ''} Stopping."
            self.stop(message)
        if estimator.verbose:
            print(message)  # noqa: T201

    def _change_rate(self, change: Any, *arguments: Any) -> Any:
        """Change the learning rate; velocities contain it in scikit-learn, but not in fastbp."""
        before = self._rate.learning_rate
        result = change(*arguments)
        now = self._rate.learning_rate
        if now != before and self._rate.momentum:
            self.engine.slot(1)[:] *= before / now
        return result

    def begin(self) -> None:
        """Before the first step; what the network is now is the best as yet."""
        if self._estimator.early_stopping:
            self.best = self.engine.slot(0).copy()

    def diverged(self) -> None:
        """Record the epoch whose loss is not finite."""
        estimator, nan = self._estimator, float("nan")
        estimator.n_iter_ += 1
        estimator.t_ += len(self._numbers)
        for curve in ("loss_curve_", "validation_scores_", "validation_loss_curve_"):
            getattr(estimator, curve).append(nan)

    def restore_best(self) -> None:
        """Put back the parameters of the best validation score."""
        if self.best is not None:
            state = self.engine.state.copy()
            state[: self.best.size] = self.best
            self.engine.put_back(state, self.engine.step)
