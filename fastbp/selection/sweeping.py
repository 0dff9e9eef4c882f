"""sweep: many configurations of a network, and the best of them."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.callbacks import Callback
from fastbp.fit.evaluation import Metrics
from fastbp.history.monitoring import Monitor
from fastbp.rows.rows import Targets
from fastbp.selection.folds import Fold, folds_of, one_share
from fastbp.selection.halving import Rung, rungs
from fastbp.selection.making import Make, Maker, Randomness
from fastbp.selection.results import Sweep
from fastbp.selection.search import Search
from fastbp.selection.space import (
    OF_FIT,
    Parameters,
    checked_spaces,
    combinations,
    draws,
)
from fastbp.selection.trials import Running, Trials
from fastbp.validation import choice, flag, outside, positive_int, shown

if TYPE_CHECKING:
    from fastbp.schedules import Schedule

METHODS = ("grid", "random", "halving")
SOME = 3  # failures that a warning tells


def sweep(
    make: Make,
    space: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    X: ArrayLike,
    y: Targets,
    epochs: int = 1,
    batch_size: int = 32,
    *,
    method: str = "grid",
    n: int | None = None,
    factor: int | None = None,
    min_epochs: int | None = None,
    cv: Any = None,
    groups: Any = None,
    validation_data: tuple[Any, ...] | None = None,
    validation_split: float = 0.0,
    monitor: str = "val_loss",
    mode: str = "auto",
    repeats: int = 1,
    shuffle: bool = True,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, Any] | str | None = None,
    mask_nan: bool = False,
    schedule: "Schedule | Callable[[int], float] | None" = None,
    metrics: Metrics | Mapping[str, Metrics] | None = None,
    tol: float | None = None,
    callbacks: Sequence[Callback] = (),
    validate_epochs: bool | None = None,
    refit: bool = True,
    rng: int | np.random.Generator | None = None,
    progress: bool | None = None,
    threads: int | None = None,
    workers: Any = None,
) -> Sweep:
    """Train networks of many configurations, rank them, and fit the best one to all rows.

    Parameters
    ----------
    make : callable
        ``make(**params, rng=seed)`` returns a new network. It is called for each configuration
        before anything is trained, to check it, and again for each network that is trained.
    space : dict or sequence of dict
        Names of parameters and the values of each: a sequence, or for "random" and "halving" also
        a distribution: an object with ``rvs(random_state=generator)``, as SciPy's, or a function of
        a `numpy.random.Generator`. Of several dicts each has its own configurations. A name that
        begins with "fit__" is no parameter of `make` but an option of the fit: "fit__batch_size",
        "fit__class_weight", "fit__epochs", "fit__schedule", "fit__shuffle", "fit__tol".
    X, y, epochs, batch_size, shuffle, sample_weight, class_weight, mask_nan, schedule, metrics, \
tol, callbacks
        As of `Network.fit`; each network has copies of the callbacks.
    method : str
        "grid": all combinations. "random": `n` draws; values are as likely as each other, and their
        combinations come only once. "halving": successive halving (Jamieson and Talwalkar 2016) of
        `n` draws, or of all combinations: all begin with few epochs, the best go on from where
        they are, to the bits of one fit, and the others are stopped. It takes no `tol`,
        `callbacks` or schedules that watch what is recorded.
    n : int, optional
        How many configurations are drawn.
    factor : int, optional
        For "halving": one in `factor` goes on each time, and up to about `factor` times as many
        epochs. 3 by default.
    min_epochs : int, optional
        For "halving": the least epochs of any configuration. 1 by default.
    cv, groups
        Folds, as of `cross_validate`: each configuration has a network for each.
    validation_data : (X, y) or (X, y, sample_weight), optional
        What networks are judged by instead.
    validation_split : float
        In [0, 1): hold out this share of the rows instead, drawn at random; where `y` are integer
        classes (rows,), of each.
    monitor, mode : str
        By what configurations are ranked: a quantity of the held-out rows, "val_loss",
        "val_accuracy" or a metric with "val_" before it, or one that the fit records; and whether
        "min" or "max" is best, which "auto" tells by the name.
    repeats : int
        Networks of each configuration and fold, with a seed each.
    validate_epochs : bool, optional
        As of `cross_validate`.
    refit : bool
        Fit the best configuration to all rows of X, with the seed of its first network, for as many
        epochs as its networks were trained (the mean, where `callbacks` or `tol` have ended some
        fits), without `callbacks` and `tol`.
    rng : int, numpy.random.Generator or None
        Decides folds, draws and seeds, each independent of the others. Seeds are the same for all
        configurations, so that a larger space changes none of them. For the same int the result
        has the same bits, whatever `threads` and `workers`.
    progress, threads, workers
        As of `fit_many`. "halving" has a progress bar for each rung.

    Returns
    -------
    Sweep
        A table of all configurations, best first, and the best network. Where networks have failed,
        a RuntimeWarning tells how, and their configurations rank last; another one tells that no
        score is finite.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        An argument that cannot be used, or a configuration, which the message names. Nothing was
        trained.
    KeyboardInterrupt
        Ctrl-C. The exception, like any other in the midst of it, has as `sweep` what was finished.

    Notes
    -----
    Networks of configurations that were stopped are forgotten, and of many only some are there
    at a time.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> def make(width, lr, rng):
    ...     return fastbp.Network([2, width, 1], optimizer=fastbp.Adam(lr), rng=rng)
    >>> space = {"width": [2, 16], "lr": [1e-5, 1e-2]}
    >>> found = fastbp.sweep(make, space, X, X.sum(axis=1), epochs=50, cv=3, rng=0)
    >>> found.best_params, len(found.rows), found.best.layers
    ({'width': 16, 'lr': 0.01}, 4, (2, 16, 1))
    """
    choice(method, METHODS, "method")
    watched = Monitor(monitor, mode)
    maker, random = Maker(make), Randomness(rng)
    refit = flag(refit, "refit")
    _expect_only_for_halving(method, factor=factor, min_epochs=min_epochs)
    parameters = _configurations(space, method, n, random.draws)
    plan = [Rung(len(parameters), 0)]
    if method == "halving":
        _expect_halvable(tol, callbacks, parameters)
        times = 3 if factor is None else positive_int(factor, "factor")
        if times < 2:
            raise ValueError(f"factor must be an integer of at least 2, got {times}")
        least = 1 if min_epochs is None else positive_int(min_epochs, "min_epochs")
        epochs = positive_int(epochs, "epochs")
        if least > epochs:
            raise ValueError(f"min_epochs must be at most epochs={epochs}, got {least}")
        plan = rungs(len(parameters), epochs, times, least)
    folds = _folds(cv, groups, validation_data, validation_split, X, y, random.folds)
    options = {
        "epochs": epochs,
        "batch_size": batch_size,
        "shuffle": shuffle,
        "class_weight": class_weight,
        "schedule": schedule,
        "tol": tol,
    }
    common = {"sample_weight": sample_weight, "mask_nan": mask_nan, "callbacks": callbacks}
    running = Running(progress, threads, workers)
    trials = Trials(
        X, y, folds, validation_data, metrics, {**options, **common}, validate_epochs, running
    )
    seeds = random.seeds(len(folds) * positive_int(repeats, "repeats"))
    search = Search(trials, maker, seeds, parameters, plan, options, watched, refit)
    try:
        search.run()
        best = search.refitted(progress) if refit else None
    except BaseException as error:
        error.sweep = search.result()  # type: ignore[attr-defined]  # exceptions take any
        raise
    failures = search.failures()
    if failures:
        more = f"; and {len(failures) - SOME} more" if len(failures) > SOME else ""
        warnings.warn(
            f"{len(failures)} of {len(parameters)} configurations failed, and rank last: "
            f"{'; '.join(failures[:SOME])}{more}",
            RuntimeWarning,
            stacklevel=outside(),
        )
    found = search.result(best)
    if found.best_params is None and not failures:
        warnings.warn(
            f"{monitor} is finite for none of the {len(parameters)} configurations: none is best",
            RuntimeWarning,
            stacklevel=outside(),
        )
    return found


def _expect_only_for_halving(method: str, **options: Any) -> None:
    for name, value in options.items():
        if value is not None and method != "halving":
            raise ValueError(f"{name} is for method='halving'; method is {method!r}")


def _configurations(
    space: Any, method: str, n: Any, rng: np.random.Generator
) -> Sequence[Parameters]:
    """All combinations, or draws."""
    spaces = checked_spaces(space)
    if method == "grid" and n is not None:
        raise ValueError("n is for method='random' and 'halving': a grid has all combinations")
    if method == "random" and n is None:
        raise ValueError("n is missing: how many configurations method='random' draws")
    return list(combinations(spaces)) if n is None else draws(spaces, n, rng)


def _expect_halvable(tol: Any, callbacks: Any, parameters: Sequence[Parameters]) -> None:
    """Raise ValueError for what does not go with a fit in parts."""
    why = "method='halving' ends fits by rank, and goes on with them in parts"
    if tol is not None:
        raise ValueError(f"tol must be None: {why}; got {shown(tol)}")
    if not isinstance(callbacks, tuple | list) or callbacks:
        raise ValueError(f"callbacks must be (): {why}; got {shown(callbacks)}")
    for one in parameters:
        for name in ("epochs", "tol"):
            if OF_FIT + name in one:
                raise ValueError(f"space must not have {OF_FIT + name!r}: {why}")


def _folds(
    cv: Any,
    groups: Any,
    validation_data: Any,
    validation_split: Any,
    X: Any,
    y: Any,
    rng: np.random.Generator,
) -> list[Fold]:
    """Which rows are held out, if any are."""
    given = [
        name
        for name, is_given in (
            ("cv", cv is not None),
            ("validation_data", validation_data is not None),
            ("validation_split", validation_split != 0.0),
        )
        if is_given
    ]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} were given: only one can be")
    if groups is not None and cv is None:
        raise ValueError("groups is for a cv with split(X, y, groups); cv is None")
    if cv is not None:
        return folds_of(cv, X, y, groups, rng)
    return one_share(validation_split, X, y, rng) if given == ["validation_split"] else [Fold()]
