"""scikit-learn's MLPs, some of the networks, in joblib's processes."""

from joblib import Parallel, delayed

from . import sklearn_mlp
from .base import ManyContender


def _trained(contestant, orders):
    """Train one in whatever process; return its estimator."""
    for order in orders:
        contestant.estimator.partial_fit(
            contestant.X[order], contestant.y[order], **contestant.keywords
        )
    return contestant.estimator


class Contestant(ManyContender):
    """An estimator for each network, with its weights."""

    most = 40

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        self.members = []
        for weights in self.weights:
            member = sklearn_mlp.Contestant(workload, threads)
            for layer, (W, b) in enumerate(weights):
                member.estimator.coefs_[layer][:], member.estimator.intercepts_[layer][:] = W, b
            self.members.append(member)

    def run(self, epochs):
        orders = self.orders(epochs)
        jobs = (delayed(_trained)(*one) for one in zip(self.members, orders, strict=True))
        for member, estimator in zip(
            self.members, Parallel(n_jobs=self.threads)(jobs), strict=True
        ):
            member.estimator = estimator

    def parameters_of(self, number):
        return list(self.members[number].parameters())
