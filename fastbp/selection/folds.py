"""Which rows are held out: k folds of fastbp's own, a splitter's, the user's, or one share."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.data.arrays import numeric
from fastbp.many.shared_rows import Which, checked_which, count
from fastbp.validation import positive_int, real, shown

ACCEPTED = (
    "cv must be a number of folds, an object with split(X, y, groups), or pairs of row numbers "
    "(train, test)"
)


class Fold(NamedTuple):
    """Rows to train on and rows held out; None for all, and for none."""

    train: Which | None = None
    test: Which | None = None


def folds_of(cv: Any, X: Any, y: Any, groups: Any, rng: np.random.Generator) -> list[Fold]:
    """The folds that a user asked for.

    Parameters
    ----------
    cv, X, y, groups
        As of `cross_validate`.
    rng : numpy.random.Generator
        What shuffles the rows for folds of fastbp's own.

    Raises
    ------
    TypeError, ValueError
        Something that gives no folds of these rows.
    """
    splitter = hasattr(cv, "split") and not isinstance(cv, str | type)
    if groups is not None and not splitter:
        raise ValueError(f"groups is for a cv with split(X, y, groups); cv is {shown(cv)}")
    rows = count(X)
    if splitter:
        pairs = cv.split(X, None if isinstance(y, Mapping) else y, groups)
    elif isinstance(cv, Iterable) and not isinstance(cv, str | Mapping):
        pairs = cv
    else:
        try:
            parts = positive_int(cv, "cv")
        except TypeError:
            raise TypeError(f"{ACCEPTED}; got {shown(cv)}") from None
        return _of_equal_size(parts, rows, y, rng)
    found = []
    for number, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"{ACCEPTED}; its fold {number} is {shown(pair)}")
        train, test = (
            checked_which(which, rows, f"{part} rows of fold {number} of cv")
            for which, part in zip(pair, ("train", "test"), strict=True)
        )
        found.append(Fold(train, test))
    if not found:
        raise ValueError(f"{ACCEPTED}; it has no folds")
    return found


def one_share(share: Any, X: Any, y: Any, rng: np.random.Generator) -> list[Fold]:
    """One fold, of which the held-out rows are a share of all, rounded up."""
    share = real(share, "validation_split", low=0, high=1, low_open=True, high_open=True)
    rows = count(X)
    held_out = rows - int(rows * (1 - share))
    if held_out >= rows:
        raise ValueError(f"validation_split={share:g} of {rows} rows leaves none for training")
    places = ((np.arange(held_out) + 0.5) * rows / held_out).astype(np.int64)
    return [_without(np.sort(_by_class(rows, y, rng)[places]), rows)]


def _of_equal_size(parts: int, rows: int, y: Any, rng: np.random.Generator) -> list[Fold]:
    if not 2 <= parts <= rows:
        raise ValueError(
            f"cv must be a number of folds from 2 to {rows}, as many as there are rows; got {parts}"
        )
    order = _by_class(rows, y, rng)
    return [_without(np.sort(order[part::parts]), rows) for part in range(parts)]


def _by_class(rows: int, y: Any, rng: np.random.Generator) -> NDArray[np.int64]:
    """The rows in a new order, one class after another where they have integer classes.

    Dealt out like cards, each part gets its share of every class.
    """
    order = rng.permutation(rows)
    if isinstance(y, Mapping):
        return order
    classes = numeric(y, "y", nulls=True)
    if classes.shape != (rows,) or classes.dtype.kind not in "biu":
        return order
    return order[np.argsort(classes[order], kind="stable")]


def _without(test: Which, rows: int) -> Fold:
    """The fold that is trained on all other rows."""
    others = np.ones(rows, bool)
    others[test] = False
    return Fold(np.flatnonzero(others), test)
