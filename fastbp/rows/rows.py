"""The rows that a network is trained or measured on: checked features, targets and weights."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.configuration import Configuration
from fastbp.data import tables
from fastbp.data.arrays import located
from fastbp.data.scaling import Scaling
from fastbp.data.sparse import SparseRows, is_sparse, reject_standard, sparse_rows
from fastbp.kernels.machine.jit import address
from fastbp.kernels.step.shuffle import shuffled
from fastbp.losses import BaseLoss
from fastbp.tasks import Tasks

Targets = Any  # array_like, or with tasks a dict of such by name

# The least and the greatest target of losses that have such.
BOUNDS: dict[str, tuple[float | None, float | None]] = {"fractions": (0, 1), "counts": (0, None)}

_numbers = np.arange(1024, dtype=np.int64)  # the order of a batch that is taken as it is
_numbers_at = address(_numbers)

BRIEF = 1 << 16  # row numbers that are shuffled in a tenth of a millisecond

Features = NDArray[Any] | SparseRows


class Slopes:
    """What the outputs of a batch were, whose slopes stand in the place of its targets.

    Parameters
    ----------
    dropping : bool
        Whether with dropout, if the network has it.

    Attributes
    ----------
    dropping : bool
        That of the parameters.
    values : (rows,) ndarray of float64 or None
        By row of the data, the losses of rows that the slopes are of; None where the slopes are
        those of one number.
    """

    __slots__ = ("dropping", "values")

    def __init__(self, dropping: bool) -> None:
        self.dropping = dropping
        self.values: NDArray[np.float64] | None = None


class Rows(NamedTuple):
    """Checked data: (rows, features), and targets as the loss's panel reads them.

    Where there are weights, both (rows,): `weights` multiply the losses of rows, and `totals` are
    what the rows add to the total weight by which the losses' sum is divided. They differ where
    targets are NaN (`masked`): a total is the weight times the share of targets that are not.
    `plain` are the rows as they are without weights of classes, where there are such. A weight of 1
    here is one of `unit` as the user gave it.

    Of a network with tasks, `tasks` are the rows as each task has them, and `targets` those of the
    first; all have weights or none. `losses` (rows,) is where training and evaluation leave the
    losses of a task's rows.

    With `slopes` the targets are slopes of the outputs, (rows, outputs), as `slopes` says.
    """

    features: Features
    targets: NDArray[Any]
    weights: NDArray[np.float64] | None = None
    totals: NDArray[np.float64] | None = None
    masked: bool = False
    plain: "Rows | None" = None
    tasks: "tuple[Rows, ...]" = ()
    losses: NDArray[np.float64] | None = None
    unit: float = 1.0
    slopes: Slopes | None = None

    @property
    def labels(self) -> bool:
        """Whether the targets are integer class labels."""
        return self.targets.ndim == 1

    @property
    def judged(self) -> "Rows":
        """The rows as metrics count them: weights of classes are for the loss alone."""
        return self if self.plain is None else self.plain

    @property
    def given(self) -> "Rows":
        """The data alone, without where losses are left, and each array once."""
        tasks = tuple(task.given for task in self.tasks)
        return self._replace(losses=None, plain=None, tasks=tasks)


def checked_features(
    parts: Configuration, scaling: Scaling | None, X: ArrayLike, name: str
) -> Features:
    """Check what a user passed as X; `scaling`: the network's, where it is known already."""
    layout = parts.layout
    if is_sparse(X):
        reject_standard(parts.scaling, name)
        return sparse_rows(X, layout.widths[0], layout.dtype, name, scaling)
    features = tables.features(X, layout.widths[0], layout.dtype, name, parts.scaling is not None)
    if scaling is not None:
        scaling.check_range(features, layout.dtype, name, given=X)
    return features


def with_targets(
    parts: Configuration,
    scaling: Scaling | None,
    X: ArrayLike,
    y: ArrayLike,
    prefix: str = "",
) -> Rows:
    """Check what a user passed as X and y; errors call them by `prefix` and these letters.

    scaling: the network's, where it is known already.
    """
    layout = parts.layout
    features = checked_features(parts, scaling, X, f"{prefix}X")
    targets = checked_targets(
        parts.loss, layout.widths[-1], layout.dtype, y, len(features), f"{prefix}y"
    )
    return Rows(features, targets)


def checked_targets(
    loss: BaseLoss, outputs: int, dtype: np.dtype[Any], y: ArrayLike, count: int, name: str
) -> NDArray[Any]:
    """Check the targets alone, of `count` rows."""
    if loss.targets == "rows":
        return tables.row_targets(y, count, dtype, name)
    if loss.targets == "labels":
        return tables.class_targets(y, count, outputs, dtype, name)
    if loss.targets == "distributions":
        return tables.probabilities(y, count, outputs, dtype, name)
    low, high = BOUNDS.get(loss.targets, (None, None))
    columns = loss.target_columns(outputs)
    targets = tables.targets(y, count, columns, dtype, name, low, high)
    if loss.targets == "signs":
        return _signs(targets, name)
    return targets if columns == loss.held_columns(outputs) else repeated(targets, loss)


def repeated(columns: NDArray[Any], loss: BaseLoss) -> NDArray[Any]:
    """What is there for each target, for each of the outputs that answer it."""
    return np.repeat(columns, loss.outputs_of_target(), axis=1)


def _signs(targets: NDArray[Any], name: str) -> NDArray[Any]:
    """Targets of -1 and 1, from such or from 0 and 1."""
    zeros = targets == 0
    wrong = ~(zeros | (np.abs(targets) == 1))
    if not wrong.any() and zeros.any():
        wrong = targets == -1
    if wrong.any():
        found = located(targets, int(wrong.argmax()))
        raise ValueError(f"{name} holds {found}; its values must be -1 and 1, or 0 and 1")
    return np.where(zeros, targets.dtype.type(-1), targets) if zeros.any() else targets


def row_orders(
    count: int, epochs: int, batch: int, generator: np.random.Generator | None
) -> NDArray[np.int64]:
    """Return (epochs, count): row numbers, each epoch's in a random order where there is one.

    Without a generator several epochs are the same memory, and behind it the numbers of the first
    batch stand once more: a step looks ahead to the next one's rows.
    """
    if generator is None:
        if epochs == 1:
            return np.arange(count, dtype=np.int64)[None]
        numbers = np.arange(count + batch, dtype=np.int64)
        numbers[count:] -= count
        return np.broadcast_to(numbers[:count], (epochs, count))
    orders = np.empty((epochs, count), np.int64)
    # Compiled before anything is drawn. What is soon done keeps the GIL: who gives it away waits
    # for it, where others train, too.
    shuffle = shuffled.call(release=orders.size > BRIEF)
    keys = drawn_keys(generator, epochs)
    shuffle(address(orders), epochs, count, address(keys))
    return orders


def drawn_keys(generator: np.random.Generator, epochs: int) -> NDArray[np.int64]:
    """What decides the orders of so many epochs: numbers of 64 bits."""
    low, high = -(1 << 63), 1 << 63
    if epochs == 1:  # the same numbers, in a quarter of the time
        return np.array([int(generator.integers(low, high))])
    keys: NDArray[np.int64] = generator.integers(low, high, epochs)
    return keys


def plain_order(rows: int) -> tuple[int, NDArray[np.int64]]:
    """The address of the numbers from 0 to rows - 1, and the memory they lie in."""
    if rows <= _numbers.size:
        return _numbers_at, _numbers
    numbers = np.arange(rows, dtype=np.int64)
    return address(numbers), numbers


def batch_totals(rows: Rows, order: NDArray[np.int64], batch: int) -> NDArray[np.float64] | None:
    """The total weights of each batch of (epochs, rows) row numbers, epoch after epoch.

    None without weights; (batches,), or with tasks (batches, tasks).
    """
    if rows.totals is None:
        return None
    starts = np.arange(0, order.shape[1], batch)
    found = [
        np.add.reduceat(part.totals[order], starts, axis=1).reshape(-1)
        for part in rows.tasks or (rows,)
        if part.totals is not None
    ]
    return np.stack(found, axis=1) if rows.tasks else found[0]


def whole_total(data: Rows) -> NDArray[np.float64] | None:
    """The total weights of all rows as one batch, to the bits that it has in an epoch."""
    if data.totals is None:
        return None
    rows = len(data.features)
    return batch_totals(data, np.arange(rows)[None], rows)


def expect_unchanged(
    rows: Rows, loss: BaseLoss, widths: tuple[int, ...], then: str = "", name: str = ""
) -> None:
    """Raise ValueError where labels or columns are no longer those that were checked.

    then: what the message says of the network; name: what comes before X and y in it.
    """
    counts = [task.outputs for task in loss.groups] if isinstance(loss, Tasks) else [widths[-1]]
    fault = None
    for part, classes in zip(rows.tasks or (rows,), counts, strict=True):
        if part.labels and (part.targets.view(np.uint64) >= classes).any():
            fault = f"{name}y was changed during the call: it holds labels of no class"
    if isinstance(rows.features, SparseRows):
        indices = rows.features.indices
        if ((indices < 0) | (indices >= widths[0])).any():
            fault = f"{name}X was changed during the call: it has entries in columns of none"
    if fault is not None:
        raise ValueError(f"{fault}; {then}" if then else fault)


def has_classes(rows: Rows, loss: BaseLoss) -> bool:
    """Whether the targets are classes: labels, signs, or zeros and ones where they are fractions.

    Targets that are NaN do not matter.
    """
    if loss.targets != "fractions":
        return rows.labels or loss.targets == "signs"
    targets = rows.targets
    return bool(np.isin(targets[~np.isnan(targets)] if rows.masked else targets, (0, 1)).all())


def counting(
    rows: Rows, outputs: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64] | None]:
    """The targets, outputs and weights of the rows that count for something."""
    if rows.totals is None or rows.weights is None:
        return rows.targets, outputs, None
    counts = rows.totals > 0
    if counts.all():
        return rows.targets, outputs, rows.weights
    return rows.targets[counts], outputs[counts], rows.weights[counts]


def accuracy(rows: Rows, outputs: NDArray[Any], threshold: float) -> float:
    """The share of right classes by weight, where the targets are classes.

    NaN where no row counts, or an output is not finite. threshold: `BaseLoss.threshold`.
    """
    targets, outputs, of_rows = counting(rows, outputs)
    if not len(targets) or not np.isfinite(outputs).all():
        return float("nan")
    if rows.labels:
        right = outputs.argmax(axis=1) == targets
    else:
        right = (outputs > threshold) == (targets == 1)
    if of_rows is None:
        return float(right.mean())
    weights = of_rows.reshape(-1, *[1] * (right.ndim - 1)) * np.ones(right.shape)
    if rows.masked:
        weights[np.isnan(targets)] = 0
    return float((weights * right).sum() / weights.sum())
