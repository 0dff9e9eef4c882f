"""Training an ensemble: all its networks side by side, each on rows of its own."""

import operator
from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from fastbp.ensemble import bags
from fastbp.ensemble.bags import Bags
from fastbp.ensemble.members import HasMembers, Members
from fastbp.history import History
from fastbp.many import Each, each, fit_many
from fastbp.many.shared_rows import count
from fastbp.rows.rows import Targets
from fastbp.validation import flag, shown


def fit(
    ensemble: HasMembers,
    X: ArrayLike,
    y: Targets,
    epochs: int | Each = 1,
    batch_size: int | Each = 32,
    *,
    bootstrap: bool = False,
    max_samples: float = 1.0,
    shuffle: bool | Each = True,
    validation_data: tuple[Any, ...] | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Any = None,
    mask_nan: bool = False,
    schedule: Any = None,
    metrics: Any = None,
    tol: float | Each | None = None,
    callbacks: Any = (),
    progress: bool | None = None,
    threads: int | None = None,
    workers: Any = None,
) -> list[History]:
    """Train all networks by `fastbp.fit_many`, each on all rows or on rows of its own.

    Parameters
    ----------
    X, y, epochs, batch_size, shuffle, validation_data, sample_weight, class_weight, mask_nan, \
schedule, metrics, tol, callbacks, progress, threads, workers
        As of `fastbp.fit_many`; options of training may be `fastbp.each` of values. The weights
        are those of the losses: they do not change which rows are drawn.
    bootstrap : bool
        Whether each network has rows drawn with replacement (bagging, Breiman 1996), of which it
        misses more than a third. Networks that begin with different weights differ without it,
        and are then often the better ensemble (Lakshminarayanan et al. 2017); only rows that are
        left out can be judged by `oob_evaluate`.
    max_samples : float or int
        How many rows each network has: a share in (0, 1], or a number. Without `bootstrap` they
        are drawn without replacement (pasting, Breiman 1999).

    Returns
    -------
    list of History
        Of each network. Where one has failed, `History.failure` tells why, and a RuntimeWarning
        how many have; see `Ensemble.failed`.

    Raises
    ------
    TypeError, ValueError, RuntimeError, KeyboardInterrupt
        As `fastbp.fit_many`.

    Notes
    -----
    Another call with as many rows, and the same `bootstrap` and `max_samples`, goes on with the
    rows that each network has: so rows out of bag stay out of it. Other calls draw new ones, with
    the ensemble's `rng`; out of bag is then what the last call has left out, whatever a network
    has seen before.
    """
    members = ensemble._members
    for name, given in {"X": X, "y": y, "sample_weight": sample_weight}.items():
        if isinstance(given, Each):
            raise TypeError(f"{name} must be the same for all networks, got {shown(given)}")
    state = members.rng.bit_generator.state
    before = [network.history for network in members.networks]
    try:
        drawn = _bags(members, count(X), flag(bootstrap, "bootstrap"), max_samples)
        histories = fit_many(
            members.networks,
            X,
            y,
            epochs,
            batch_size,
            rows=None if drawn is None else each(map(drawn.of, range(len(members.networks)))),
            shuffle=shuffle,
            validation_data=validation_data,
            sample_weight=sample_weight,
            class_weight=class_weight,
            mask_nan=mask_nan,
            schedule=schedule,
            metrics=metrics,
            tol=tol,
            callbacks=callbacks,
            progress=progress,
            threads=threads,
            workers=workers,
        )
    except BaseException:
        now = [network.history for network in members.networks]
        if all(map(operator.is_, now, before)):  # none has begun
            members.rng.bit_generator.state = state
        else:  # a signal's, or of a warning that is an error
            members.bags, members.failed = drawn, _failed(now)
        raise
    members.bags, members.failed = drawn, _failed(histories)
    return histories


def _bags(members: Members, rows: int, bootstrap: bool, max_samples: Any) -> Bags | None:
    """The rows of each network, those that it has where they suit; None for all rows."""
    size, now = bags.size(max_samples, rows), members.bags
    if size == rows and not bootstrap:
        return None
    if now is not None and (now.rows, now.drawn, now.replace) == (rows, size, bootstrap):
        return now
    return bags.drawn(members.rng, len(members.networks), rows, size, bootstrap)


def _failed(histories: Sequence[History | None]) -> tuple[int, ...]:
    return tuple(
        number
        for number, history in enumerate(histories)
        if history is not None and history.failure is not None
    )
