"""Solvers: the optimizer that a name stands for, and scikit-learn's learning rates."""

from typing import Any

from fastbp.optimizers import SGD, Adagrad, Adam, AdamW, BaseOptimizer, Nadam, RMSprop

SOLVERS = ("lbfgs", "sgd", "adam", "adamw", "rmsprop", "adagrad", "nadam")
LEAST_RATE = 1e-6  # at which learning_rate="adaptive" ends the fit


def optimizer(estimator: Any) -> BaseOptimizer:
    """The optimizer of a stochastic solver, with the settings of the estimator."""
    solver, rate, eps = estimator.solver, float(estimator.learning_rate_init), estimator.epsilon
    if isinstance(solver, BaseOptimizer):
        return solver
    if solver == "sgd":
        momentum = float(estimator.momentum)
        return SGD(rate, momentum, bool(estimator.nesterovs_momentum) and momentum > 0)
    if solver == "rmsprop":
        return RMSprop(rate, eps=eps)
    if solver == "adagrad":
        return Adagrad(rate, eps=eps)
    betas = float(estimator.beta_1), float(estimator.beta_2)
    if solver == "nadam":
        return Nadam(rate, *betas, eps=eps)
    kind = AdamW if solver == "adamw" else Adam
    return kind(rate, *betas, eps=eps, epsilon_hat=True)


class Rate:
    """The learning rate of a fit, and of the calls of ``partial_fit`` that follow.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Whose parameters they are.
    chosen : BaseOptimizer
        The optimizer with these.

    Attributes
    ----------
    learning_rate : float
        Of the next step.
    """

    def __init__(self, estimator: Any, chosen: BaseOptimizer) -> None:
        self.initial = self.learning_rate = chosen.lr
        self.momentum = chosen.momentum if isinstance(chosen, SGD) else 0.0
        # scikit-learn's schedules are for sgd alone.
        self.kind = estimator.learning_rate if isinstance(chosen, SGD) else "constant"
        self.power = float(estimator.power_t)

    def begins_as(self, other: "Rate") -> bool:
        """Whether the other one has the same course ahead."""
        return (self.initial, self.kind, self.power) == (other.initial, other.kind, other.power)

    def epoch_ended(self, samples: int) -> None:
        """What `invscaling` makes of it after so many rows."""
        if self.kind == "invscaling":
            self.learning_rate = self.initial / (samples + 1) ** self.power

    def lowered(self) -> bool:
        """Whether training goes on with a lower rate where it no longer improves."""
        if self.kind != "adaptive" or self.learning_rate <= LEAST_RATE:
            return False
        self.learning_rate /= 5.0
        return True

    @property
    def too_small(self) -> bool:
        """Whether that is why it does not."""
        return self.kind == "adaptive"
