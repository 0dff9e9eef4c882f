"""BaseMLPEnsemble: what the ensembles of classifiers and of regressors share."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, RealNotInt
from sklearn.utils.validation import check_is_fitted, validate_data

from fastbp.engine.watch import Watch
from fastbp.ensemble import Ensemble
from fastbp.ensemble.bags import size
from fastbp.ensemble.outputs import mean_of_some, outputs_of
from fastbp.kernels.machine.cores import available_cores
from fastbp.many.crew import work_through
from fastbp.sklearn.base import BaseMLP
from fastbp.sklearn.data import Data
from fastbp.sklearn.telling import Told, keeping, warn
from fastbp.sklearn.threads import budget

MOST_SEEDS = np.iinfo(np.int32).max

CONSTRAINTS: dict[str, Any] = {
    "n_estimators": [Interval(Integral, 1, None, closed="left")],
    "bootstrap": ["boolean"],
    "max_samples": [
        Interval(Integral, 1, None, closed="left"),
        Interval(RealNotInt, 0, 1, closed="right"),
    ],
    "oob_score": ["boolean"],
    "random_state": ["random_state"],
    "progress": ["boolean"],
    "threads": [Interval(Integral, 1, None, closed="left"), None],
}


class Draws(NamedTuple):
    """What decides the rows of each estimator.

    Attributes
    ----------
    seeds : (estimators,) ndarray
        Of each estimator.
    rows, size : int
        How many rows there are, and how many of them each one gets.
    bootstrap : bool
        Whether with replacement.
    shares : (rows,) ndarray or None
        How probable each row is, where they are not alike.
    """

    seeds: NDArray[np.int64]
    rows: int
    size: int
    bootstrap: bool
    shares: NDArray[np.float64] | None

    def of(self, number: int) -> tuple[int, NDArray[np.int64] | None]:
        """The `random_state` of an estimator, by its number, and its rows; None for all."""
        draws = np.random.RandomState(self.seeds[number])
        state = int(draws.randint(MOST_SEEDS))  # as scikit-learn's ensembles
        if self.bootstrap:
            return state, draws.choice(self.rows, self.size, p=self.shares)
        return state, None if self.size == self.rows else draws.permutation(self.rows)[: self.size]

    def left_out(self, number: int) -> NDArray[np.int64]:
        """The rows that an estimator does not have."""
        without = np.ones(self.rows, bool)
        without[self.of(number)[1]] = False
        return np.flatnonzero(without)


class BaseMLPEnsemble(MetaEstimatorMixin, BaseEstimator):
    """An ensemble of estimators of one kind, trained side by side."""

    _kind: type[BaseMLP]  # of its estimators

    def __init__(
        self,
        estimator: Any = None,
        n_estimators: int = 10,
        *,
        bootstrap: bool = False,
        max_samples: Any = 1.0,
        oob_score: bool = False,
        random_state: Any = None,
        progress: bool = False,
        threads: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.bootstrap = bootstrap
        self.max_samples = max_samples
        self.oob_score = oob_score
        self.random_state = random_state
        self.progress = progress
        self.threads = threads

    @abstractmethod
    def _learn(self, template: Any) -> dict[str, Any]:
        """The attributes of a fit that tell of the targets, from who has checked the data."""

    @abstractmethod
    def _width(self) -> int:
        """How many columns the mean has."""

    @abstractmethod
    def _values(self, member: Any, outputs: NDArray[Any]) -> NDArray[Any]:
        """What an estimator makes of its network's outputs, in the columns of the mean."""

    @abstractmethod
    def _set_oob(self, mean: NDArray[Any], data: Data, known: NDArray[np.bool_]) -> None:
        """Set the attributes of out-of-bag estimates; known: the rows that there is one of."""

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> Any:
        """Train; the ensemble is as it was if nothing comes of it."""
        if self.oob_score and not self.bootstrap:
            raise ValueError("Out of bag estimation only available if bootstrap=True")
        template = self._template()
        template._validate_params()
        template._check_options(False)
        data, _ = template._checked(X, y, sample_weight, False, True)
        if hasattr(data.X, "tocsr"):
            data = data._replace(X=data.X.tocsr())  # of which rows can be taken
        draws = self._draws(data)
        members = self._trained(template, data, draws)
        before = dict(vars(self))
        for name in before:
            if name.endswith("_") and not name.endswith("__"):
                del self.__dict__[name]
        try:
            for name in ("n_features_in_", "feature_names_in_"):
                if hasattr(template, name):
                    setattr(self, name, getattr(template, name))
            self.__dict__ |= self._learn(template)
            self.estimator_, self.estimators_, self._drawn = self._template(), members, draws
            if self.oob_score:
                self._estimate(data)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    def _template(self) -> Any:
        """What the estimators are copies of."""
        return self._kind() if self.estimator is None else clone(self.estimator)

    def _draws(self, data: Data) -> Draws:
        rows, shares = data.X.shape[0], None
        if self.bootstrap and data.sample_weight is not None:
            total = data.sample_weight.sum()
            if not total > 0:
                raise ValueError("sample_weight must not be zero for all rows")
            shares = np.asarray(data.sample_weight, float) / total
        seeds = check_random_state(self.random_state).randint(MOST_SEEDS, size=self.n_estimators)
        return Draws(seeds, rows, size(self.max_samples, rows), bool(self.bootstrap), shares)

    def _trained(self, template: Any, data: Data, draws: Draws) -> list[Any]:
        """The estimators, each trained on one core, on rows of its own."""
        from tqdm.auto import tqdm  # takes longer to import than a small network to train

        members = [clone(template) for _ in draws.seeds]
        told: list[list[Told]] = [[] for _ in members]
        config, done = get_config(), []

        def job(number: int, watch: Watch) -> None:
            member = members[number]
            state, rows = draws.of(number)
            member.set_params(random_state=state)
            weight = None if draws.bootstrap else data.sample_weight
            own = data._replace(class_weight=None, strata=None, sample_weight=weight)
            if rows is not None:
                own = own.take(rows)
            try:
                with keeping(told[number]), config_context(**config):
                    member._fit(own.X, own.y, own.sample_weight, watch=watch)
            except Exception as error:
                error.add_note(f"of estimator {number}")
                raise
            member._network._core.engine.release()
            done.append(number)

        jobs = [partial(job, number) for number in range(len(members))]
        with tqdm(total=len(members), disable=not self.progress, unit="estimator") as bar:
            work_through(jobs, self._threads(), lambda: bar.update(len(done) - bar.n))
            bar.update(len(done) - bar.n)
        self._tell(told)
        return members

    def _threads(self) -> int:
        """How many estimators are at work at a time."""
        return budget(self.threads) or available_cores()

    @staticmethod
    def _tell(told: Sequence[Sequence[Told]]) -> None:
        """Warn, once of each, of what the estimators have warned of."""
        distinct = dict.fromkeys(one for of_member in told for one in of_member)
        for message, category in distinct:
            count = sum((message, category) in of_member for of_member in told)
            warn(f"{message} ({count} of {len(told)} estimators)", category)

    def _estimate(self, data: Data) -> None:
        """Set what is estimated of each row by the estimators that have not seen it."""
        left = [self._drawn.left_out(number) for number in range(len(self.estimators_))]
        numbers = [number for number, rows in enumerate(left) if len(rows)]
        rows, count = [left[number] for number in numbers], data.X.shape[0]
        known = np.zeros(count, bool)
        for some in rows:
            known[some] = True
        if not known.all():
            warn(
                f"{count - known.sum()} of {count} rows do not have OOB scores: all estimators "
                "were trained on them. More estimators leave out more rows."
            )
        self._set_oob(self._mean(data.X, numbers, rows), data, known)

    def _mean(self, X: Any, numbers: Sequence[int], rows: Sequence[Any]) -> NDArray[Any]:
        """The mean of what estimators tell of rows of X, each of its own; NaN where none does.

        numbers: of the estimators; rows: of each one.
        """
        outputs = self._outputs(X, numbers, rows) if numbers else iter(())
        values = (
            self._values(self.estimators_[number], found)
            for number, found in zip(numbers, outputs, strict=True)
        )
        mean = mean_of_some(values, rows, (X.shape[0], self._width()))
        return mean.astype(self.estimators_[0].coefs_[0].dtype)

    def _outputs(
        self, X: Any, numbers: Sequence[int], rows: Sequence[Any]
    ) -> Iterator[NDArray[Any]]:
        """The outputs of the networks of estimators, by their numbers; rows: those of each one."""
        networks = [self.estimators_[number].network_ for number in numbers]
        whole = all(isinstance(some, slice) for some in rows)
        return outputs_of(networks, X, None if whole else rows, self._threads())

    def _checked_rows(self, X: Any) -> Any:
        """Rows to predict, as scikit-learn checks them."""
        check_is_fitted(self)
        return validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)

    def _all(self) -> tuple[Sequence[int], Sequence[Any]]:
        """The numbers of all estimators, and all rows for each."""
        count = len(self.estimators_)
        return range(count), [slice(None)] * count

    def _average(self, X: Any) -> NDArray[Any]:
        """The mean of what all estimators tell of rows."""
        return self._mean(self._checked_rows(X), *self._all())

    @property
    def estimators_samples_(self) -> list[NDArray[np.int64]]:
        """The rows that each estimator was trained on, drawn anew at each call."""
        check_is_fitted(self)
        of_each = (self._drawn.of(number)[1] for number in range(len(self.estimators_)))
        return [np.arange(self._drawn.rows) if rows is None else rows for rows in of_each]

    @property
    def ensemble_(self) -> Ensemble:
        """The `fastbp.Ensemble` of the networks: its spread, its votes, its files.

        ValueError where an estimator has seen fewer classes than another, in rows of its own.
        """
        check_is_fitted(self)
        return Ensemble([member.network_ for member in self.estimators_])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
