"""cross_validate: how good networks of one kind are on rows that they have not seen."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.callbacks import Callback
from fastbp.fit.evaluation import Metrics
from fastbp.history import History
from fastbp.many import each, predict_many
from fastbp.many.arguments import naming
from fastbp.many.shared_rows import count
from fastbp.network import Network
from fastbp.rows.rows import Targets
from fastbp.selection.folds import Fold, folds_of
from fastbp.selection.making import Make, Maker, Randomness
from fastbp.selection.trials import Running, Trials, deviation, failure_of
from fastbp.validation import outside

if TYPE_CHECKING:
    from fastbp.schedules import Schedule


@dataclass(frozen=True)
class CrossValidation:
    """What `cross_validate` found, fold by fold.

    Attributes
    ----------
    scores : dict of str to (folds,) ndarray
        "loss", "accuracy" where there are classes, and the metrics, of each fold's held-out rows;
        NaN where the network has failed.
    networks : tuple of Network
        Of each fold, trained on the rows that were not held out.
    histories : tuple of History
        Of their fits; `History.failure` where one has failed.
    folds : tuple of (train, test)
        The numbers of the rows, as named tuples.
    seeds : tuple of int
        What `make` was called with.
    predictions : (rows, outputs) ndarray, or dict of such by the name of the loss
        What networks predict for rows that they were not trained on; the mean for a row that was
        held out several times, NaN for one that never was or whose network has failed. None where
        all have failed.
    """

    scores: dict[str, NDArray[np.float64]]
    networks: tuple[Network, ...] = field(repr=False)
    histories: tuple[History, ...] = field(repr=False)
    folds: tuple[Fold, ...] = field(repr=False)
    seeds: tuple[int, ...] = field(repr=False)
    predictions: Any = field(repr=False)

    @property
    def mean(self) -> dict[str, float]:
        """The mean of each score over the folds; NaN where one has failed."""
        return {name: float(values.mean()) for name, values in self.scores.items()}

    @property
    def std(self) -> dict[str, float]:
        """The standard deviation of each score between the folds (by n - 1); NaN of one fold."""
        return {name: deviation(values.tolist()) for name, values in self.scores.items()}

    def to_frame(self) -> Any:
        """A pandas.DataFrame: a row for each fold, with scores, rows held out, epochs, failure.

        Raises
        ------
        ModuleNotFoundError
            There is no pandas.
        """
        import pandas  # noqa: ICN001 - its whole name reads well beside two uses

        columns = {
            **self.scores,
            "rows": [0 if fold.test is None else len(fold.test) for fold in self.folds],
            "epochs": [history.epochs for history in self.histories],
            "failure": [failure_of(history) for history in self.histories],
        }
        return pandas.DataFrame(columns, index=pandas.RangeIndex(len(self.folds), name="fold"))


def cross_validate(
    make: Make,
    X: ArrayLike,
    y: Targets,
    epochs: int = 1,
    batch_size: int = 32,
    *,
    cv: Any = 5,
    groups: Any = None,
    shuffle: bool = True,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, Any] | str | None = None,
    mask_nan: bool = False,
    schedule: "Schedule | Callable[[int], float] | None" = None,
    metrics: Metrics | Mapping[str, Metrics] | None = None,
    tol: float | None = None,
    callbacks: Sequence[Callback] = (),
    validate_epochs: bool | None = None,
    rng: int | np.random.Generator | None = None,
    progress: bool | None = None,
    threads: int | None = None,
    workers: Any = None,
) -> CrossValidation:
    """Train a new network for each fold, all at once, and judge it on the rows held out.

    Parameters
    ----------
    make : callable
        ``make(rng=seed)`` returns a new network, as ``lambda rng: fastbp.Network([4, 3], rng=rng)``
        does. It is called once for each fold, with an int that depends on `rng` and the fold alone.
    X, y, epochs, batch_size, shuffle, sample_weight, class_weight, mask_nan, schedule, metrics, \
tol, callbacks
        As of `Network.fit`; each network has copies of the callbacks.
    cv : int, splitter or iterable of (train, test)
        How many folds: of shuffled rows, sizes differ by one at most, and where `y` are integer
        classes (rows,), so do the numbers of each class. Or an object with
        ``split(X, y, groups)``, as scikit-learn's. Or numbers of rows, or masks.
    groups : (rows,) array_like, optional
        Passed to the splitter.
    validate_epochs : bool, optional
        Measure the held-out rows after each epoch, too, for "val_loss" and the like in the
        histories, and for callbacks and schedules that watch them. None does so where there are
        such; it costs a pass over these rows each epoch.
    rng : int, numpy.random.Generator or None
        Decides folds and seeds, of which everything else depends. For the same int the result has
        the same bits, whatever `threads` and `workers`.
    progress, threads, workers
        As of `fit_many`.

    Returns
    -------
    CrossValidation
        Scores, networks, and predictions for the rows held out. Where a network has failed, its
        scores are NaN, and a RuntimeWarning tells why.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        An argument that cannot be used; what concerns one fold names it. Nothing was trained.
    KeyboardInterrupt
        Ctrl-C, as in `fit_many`; the exception has the `networks` and `histories` of the folds.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> def make(rng):
    ...     return fastbp.Network([2, 16, 1], rng=rng)
    >>> found = fastbp.cross_validate(make, X, X.sum(axis=1), epochs=100, batch_size=8, rng=0)
    >>> len(found.networks), found.mean["loss"] < 0.01, found.predictions.shape
    (5, True, (200, 1))
    """
    maker, random = Maker(make), Randomness(rng)
    folds = folds_of(cv, X, y, groups, random.folds)
    options = {
        "epochs": epochs,
        "batch_size": batch_size,
        "shuffle": shuffle,
        "sample_weight": sample_weight,
        "class_weight": class_weight,
        "mask_nan": mask_nan,
        "schedule": schedule,
        "tol": tol,
        "callbacks": callbacks,
    }
    running = Running(progress, threads, workers)
    trials = Trials(X, y, folds, None, metrics, options, validate_epochs, running)
    seeds = random.seeds(len(folds))
    networks: list[Network] = []
    names: tuple[str, ...] = ()
    for number, (fold, seed) in enumerate(zip(folds, seeds, strict=True)):
        networks.append(maker.network(seed, {}, str(number), "fold"))
        with naming(number, "fold"):
            names = trials.quantities(networks[-1], fold, {})
    trials.forget()
    try:
        histories = trials.fit(networks, folds, [{}] * len(folds))
    except BaseException as error:
        error.networks = networks  # type: ignore[attr-defined]  # exceptions take any
        raise
    measured = trials.scores(networks, folds, histories, [names] * len(folds))
    scores = {
        name.removeprefix("val_"): np.array([of_fold[name] for of_fold in measured])
        for name in names
        if name.startswith("val_")
    }
    predictions = _predictions(networks, histories, folds, X, threads)
    _warn(histories)
    return CrossValidation(
        scores, tuple(networks), tuple(histories), tuple(folds), tuple(seeds), predictions
    )


def _predictions(
    networks: Sequence[Network],
    histories: Sequence[History],
    folds: Sequence[Fold],
    X: Any,
    threads: int | None,
) -> Any:
    """Means of what networks that are sound predict for rows held out."""
    sound = [k for k, history in enumerate(histories) if history.failure is None]
    if not sound:
        return None
    tests = [folds[k].test for k in sound]
    found = predict_many([networks[k] for k in sound], X, rows=each(tests), threads=threads)
    if not isinstance(found[0], dict):
        return _means(found, tests, count(X))
    return {name: _means([one[name] for one in found], tests, count(X)) for name in found[0]}


def _means(parts: Sequence[NDArray[Any]], tests: Sequence[Any], rows: int) -> NDArray[Any]:
    """For each row the mean of what there is for it, NaN where that is nothing."""
    total = np.zeros((rows, *parts[0].shape[1:]))
    counts = np.zeros((rows, *[1] * (parts[0].ndim - 1)))
    for part, test in zip(parts, tests, strict=True):
        np.add.at(total, test, part)
        np.add.at(counts, test, 1)
    with np.errstate(invalid="ignore"):
        means = total / counts  # in float64, so that a single one keeps its bits
    return means.astype(parts[0].dtype)


def _warn(histories: Sequence[History]) -> None:
    failed = [
        f"fold {number}: {failure_of(history)}"
        for number, history in enumerate(histories)
        if history.failure is not None
    ]
    if failed:
        warnings.warn(
            f"{len(failed)} of {len(histories)} folds failed, see History.failure: "
            f"{'; '.join(failed)}",
            RuntimeWarning,
            stacklevel=outside(),
        )
