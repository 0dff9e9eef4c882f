"""What the methods that fit have in common: their checks, and the run of a fit."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from fastbp.callbacks import EarlyStopping
from fastbp.callbacks.base import checked_callbacks
from fastbp.data import tables
from fastbp.fit import fitting
from fastbp.fit.evaluation import Evaluation
from fastbp.fit.row_fit import RowFit
from fastbp.fit.running import RunningFit
from fastbp.history import History
from fastbp.network.core import Core, HasCore
from fastbp.rows.rows import Rows, Targets
from fastbp.rows.weighting import expect_weight
from fastbp.validation import flag, positive_int, real, shown

if TYPE_CHECKING:
    from fastbp.schedules import Schedule


def prepared(
    network: HasCore,
    rows_of: Callable[..., Rows],
    X: ArrayLike,
    y: Targets,
    epochs: Any,
    batch_size: Any,
    *,
    shuffle: Any,
    validation_data: Any,
    validation_prefix: str = "validation_data ",
    sample_weight: Any,
    class_weight: Any,
    mask_nan: Any,
    metrics: Any,
    tol: Any,
    callbacks: Any,
) -> RowFit:
    """Check the arguments of a fit, in the network's turn; the other parameters are those of `fit`.

    Parameters
    ----------
    rows_of : callable
        `Core.rows` of the network, or what does the same.
    validation_prefix : str
        What comes before the names of the validation data in messages.
    """
    core = network._core
    rows = rows_of(X, y, "", sample_weight, class_weight, mask_nan)
    if rows.weights is not None:
        expect_weight(rows, "", sample_weight, class_weight, mask_nan)
    epochs = positive_int(epochs, "epochs")
    batch = tables.batch_size(batch_size, len(rows.features))
    flag(shuffle, "shuffle")
    validation = validation_of(core, validation_data, mask_nan, metrics, validation_prefix, rows_of)
    if validation is None and metrics is not None:
        validation = Evaluation(core.engine, core.loss, rows, "", metrics, usual=False)
    called = checked_callbacks(callbacks)
    if tol is not None:
        falling = real(tol, "tol", low=0)
        called += (EarlyStopping("loss", min_delta=falling, restore_best=False),)
    rng = core.rng if shuffle else None
    return RowFit(network, core, rows, epochs, batch, rng, validation, called)


def run(
    core: Core,
    fit: RunningFit,
    schedule: "Schedule | Callable[[int], float] | None",
    resume: bool,
    progress: bool | None,
) -> History:
    """Train, from the beginning or from where the fit that is resumed was."""
    if schedule is not None:
        fit.follow(schedule)
    if flag(resume, "resume"):
        if core.pending is None:
            raise ValueError(
                "resume=True needs a network that was loaded, without rng, from a file of "
                "fastbp.callbacks.Checkpoint and not trained since"
            )
        fit.restore(core.pending)
    core.interrupted = None
    return fitting.run(fit, progress)


def validation_of(
    core: Core,
    given: Sequence[Any] | None,
    mask_nan: bool,
    metrics: Any,
    prefix: str = "validation_data ",
    rows_of: Callable[..., Rows] | None = None,
) -> Evaluation | None:
    """What is measured of the `validation_data` that a user passed, if he did.

    rows_of: as `prepared` takes it.
    """
    if given is None:
        return None
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        raise TypeError(
            f"validation_data must be (X, y) or (X, y, sample_weight), got {shown(given)}"
        )
    X, y, *weight = given
    core.learn_names(X, f"{prefix}X")
    sample_weight = weight[0] if weight else None
    rows = (rows_of or core.rows)(X, y, prefix, sample_weight, None, mask_nan)
    expect_weight(rows, prefix, sample_weight, None, mask_nan)
    return Evaluation(core.engine, core.loss, rows, "val_", metrics)
