"""Validation split: the last rows of the training data are held out, as in Keras."""

from collections.abc import Mapping
from typing import Any

from fastbp.data.arrays import numeric
from fastbp.data.csr import checked_csr
from fastbp.data.sparse import is_sparse
from fastbp.validation import real

Part = tuple[Any, Any, Any]


def split(X: Any, y: Any, sample_weight: Any, share: Any, nulls: bool) -> tuple[Part, Part] | None:
    """Cut features, targets and weights in two.

    Parameters
    ----------
    X, y, sample_weight
        As a user passed them to `Network.fit`; the weights may be None.
    share : float
        In [0, 1): which share of the rows, rounded up, goes to the second part.
    nulls : bool
        Whether `y` may lack values.

    Returns
    -------
    two tuples (X, y, sample_weight), or None
        None where these are not rows, or not as many of each: whoever checks them says so.

    Raises
    ------
    TypeError, ValueError
        A share that cannot be used, or one that leaves no row for training.
    """
    share = real(share, "validation_split", low=0, high=1, high_open=True)
    if is_sparse(X):
        if len(X.shape) != 2:
            return None
        X = checked_csr(X, "X")
    else:
        X = numeric(X, "X")
    if isinstance(y, Mapping):
        targets = {name: numeric(one, f"y[{name!r}]", nulls=nulls) for name, one in y.items()}
    else:
        targets = {"y": numeric(y, "y", nulls=nulls)}
    given = [X, *targets.values()]
    if sample_weight is not None:
        given.append(numeric(sample_weight, "sample_weight"))
    if any(array.ndim == 0 or array.shape[0] != X.shape[0] for array in given):
        return None
    rows = X.shape[0]
    at = int(rows * (1 - share))
    if at == 0 and rows:
        raise ValueError(f"validation_split={share:g} of {rows} rows leaves none for training")
    first, second = ([array[part] for array in given] for part in (slice(at), slice(at, None)))
    count = len(targets)

    def part(arrays: list[Any]) -> Part:
        own = dict(zip(targets, arrays[1 : 1 + count], strict=True))
        if not isinstance(y, Mapping):
            own = own["y"]
        return arrays[0], own, arrays[-1] if len(arrays) > 1 + count else None

    return part(first), part(second)
