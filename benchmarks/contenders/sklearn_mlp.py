"""scikit-learn: an epoch by ``partial_fit`` of MLPClassifier or MLPRegressor.

It is given the rows in the order that all have, and does not shuffle them again: that is faster
than its own shuffling. Its squared error is half the sum over outputs instead of their mean, so
rate or eps make up for the factor in the gradient. Its Adam adds eps to the root of the second
moment before the correction of its bias, not after: a difference that the tolerance covers.
"""

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from .base import Contender, NotPossibleError, initial


class Contestant(Contender):
    """Keeps an estimator with the weights that all begin with."""

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        if workload.optimizer not in ("sgd", "adam"):
            raise NotPossibleError(f"its MLP has no {workload.optimizer}")
        outputs, classes = workload.layers[-1], workload.loss == "cross_entropy"
        if classes and outputs == 2:
            raise NotPossibleError("its MLP gives two classes one output, not two")
        factor = 1 if classes else outputs / 2  # of its gradient to the mean's
        settings = self.settings
        options = (
            {"momentum": 0, "learning_rate_init": settings["lr"] / factor}
            if workload.optimizer == "sgd"
            else {
                "learning_rate_init": settings["lr"],
                "beta_1": settings["beta1"],
                "beta_2": settings["beta2"],
                "epsilon": settings["eps"] * factor,
            }
        )
        self.estimator = (MLPClassifier if classes else MLPRegressor)(
            hidden_layer_sizes=workload.layers[1:-1],
            activation=workload.activation,
            solver=workload.optimizer,
            alpha=0,
            batch_size=workload.batch_size,
            shuffle=False,
            n_iter_no_change=np.inf,
            **options,
        )
        if not classes and outputs == 1:
            self.y = self.y.reshape(-1)
        self.keywords = {"classes": np.arange(outputs)} if classes else {}
        some = slice(workload.batch_size)
        self.estimator.partial_fit(self.X[some], self.y[some], **self.keywords)  # makes arrays
        for i, (W, b) in enumerate(initial(workload.layers)):
            self.estimator.coefs_[i][:], self.estimator.intercepts_[i][:] = W, b
        del self.estimator._optimizer  # the next call makes one that has no moments yet

    def run(self, epochs):
        for _ in range(epochs):
            order = ... if self.workload.whole else self.next_order()
            self.estimator.partial_fit(self.X[order], self.y[order], **self.keywords)

    def parameters(self):
        return zip(self.estimator.coefs_, self.estimator.intercepts_, strict=True)
