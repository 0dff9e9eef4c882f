"""The methods by which a network learns from rows, checked at their boundary."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from fastbp.callbacks import Callback
from fastbp.data import tables
from fastbp.data.scaling import STANDARD, Scaling
from fastbp.data.splitting import split
from fastbp.engine.row_losses import sloped
from fastbp.fit.evaluation import Metrics
from fastbp.fit.row_fit import RowFit
from fastbp.history import History
from fastbp.losses import RowLoss
from fastbp.network.core import HasCore
from fastbp.network.fits import prepared, run
from fastbp.network.learned import learning
from fastbp.rows.rows import Targets
from fastbp.validation import flag

if TYPE_CHECKING:
    from fastbp.schedules import Schedule


def fit(
    network: HasCore,
    X: ArrayLike,
    y: Targets,
    epochs: int = 1,
    batch_size: int = 32,
    *,
    shuffle: bool = True,
    validation_data: tuple[Any, ...] | None = None,
    validation_split: float = 0.0,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, Any] | str | None = None,
    mask_nan: bool = False,
    schedule: "Schedule | Callable[[int], float] | None" = None,
    metrics: Metrics | Mapping[str, Metrics] | None = None,
    tol: float | None = None,
    callbacks: Sequence[Callback] = (),
    resume: bool = False,
    progress: bool | None = None,
) -> History:
    """Train on mini-batches, going on from where the parameters and the optimizer stand.

    Parameters
    ----------
    X : (rows, inputs) array_like or sparse
        Features; finite. An array, nested lists, a frame or table of pandas, polars or
        PyArrow, a tensor of PyTorch or JAX; a file that is mapped into memory is read there.
        Converted once to the network's dtype, but for bytes (uint8) and what `scaling`
        changes, which are converted batch by batch. A sparse matrix or array of SciPy is
        read as CSR (other formats are converted by their ``tocsr()``) and never made dense:
        the numbers are those of dense rows, and a step costs what its entries cost. No
        `scaling` but a number goes with it. Columns that have names must have the same ones
        in every call, in one order: see `Network.feature_names`.
    y : (rows,) or (rows, outputs) array_like
        Targets. Cross-entropy: integer labels (rows,) or class probabilities. Other losses:
        values; (rows,) where there is one output. Of losses that have several outputs for each
        target one column a target. Of several losses a dict by name.
    epochs : int
        How often to go through all rows.
    batch_size : int
        Rows an update; the last batch of an epoch may be shorter and counts by its own mean.
        More than there are rows means all rows.
    shuffle : bool
        Draw a new order of the rows for every epoch, but where a batch holds all of them.
    validation_data : (X, y) or (X, y, sample_weight), optional
        Evaluated after each epoch.
    validation_split : float
        In [0, 1): instead, hold out the last rows, so many of them, before any shuffling.
    sample_weight : (rows,) array_like, optional
        What each row counts, at least 0. A loss is then the weighted mean over a batch,
        ``sum(w_i l_i) / sum(w_i)``, as PyTorch's, and an epoch's loss the mean of its batches'
        by their total weights. A batch of total weight 0, in any method, has loss 0 and
        gradient 0 and is an update like others: momentum, penalties and weight decay act.
        Only data of which no row counts at all are an error of `fit`.
    class_weight : dict or "balanced", optional
        What the rows of each class count, ``{class: weight}`` for all classes, besides their
        `sample_weight`; "balanced" for n / (k * count), with n rows in k classes. For
        cross-entropy, and for binary cross-entropy, focal and hinge with one output of two
        classes. Class probabilities weigh by ``-sum_c w_c y_c log p_c`` and ``sum_c w_c y_c``.
        For the loss alone: accuracy and metrics count rows by `sample_weight`, as in Keras, and
        validation data keep their own weights.
    mask_nan : bool
        Let NaN in `y` (of the validation data too) count for nothing: the mean is over the
        targets that are there, by the weights of their rows. A label that is NaN, or a row of
        class probabilities with one, leaves out the row. Where none is left, in a batch or of
        one of several losses, that counts as rows of weight 0 do.
    schedule : Schedule or callable, optional
        What the optimizer's `lr` is multiplied by in each step; see `fastbp.schedules`. A
        function takes the number of the step, from 0, and returns the factor.
    metrics : sequence of str or callable, optional
        What to compute after each epoch besides the loss; see `fastbp.metrics`. With several
        losses a dict of such by name. Of the validation data, or where there are none of the
        training data, which costs a forward pass over them.
    tol : float, optional
        End the fit when the loss has not fallen by more than this for 10 epochs. Each epoch is
        a call of the kernels of its own then.
    callbacks : sequence of Callback
        What to call between epochs or steps; see `fastbp.callbacks`.
    resume : bool
        Go on with the fit in whose midst a `fastbp.callbacks.Checkpoint` wrote the file from
        which the network was loaded, to the same bits as if it had never been interrupted.
        The other arguments must be those of that fit, with callbacks as they were then.
        `epochs` is the total, which may have grown where there is no schedule. A fit that was
        complete ends at once.
    progress : bool, optional
        Show a progress bar; None shows one where stderr is a terminal, or in a notebook.

    Returns
    -------
    History
        "loss" (mean over the epoch's batches, each before its update), with
        validation data "val_loss", and "val_accuracy" where there are classes; the `metrics`
        under their names, of validation data with "val_" before them; with a `schedule`
        "learning_rate", of the epoch's last step. `History.stopped` tells why the fit ended
        before its last epoch, if it did.

    Notes
    -----
    However a fit ends, parameters are finite, and so is the loss on the training rows with them,
    or they are those that it began with. The exception that ends it has the `history` of what was
    recorded, and so has `Network.history`.

    What was given as X and y is read where it lies, if it has the form that the kernels take:
    nobody, a callback or another thread, may change it before the fit has ended. Where it is a
    file mapped into memory, cutting that file short meanwhile ends the process: the system sends
    a signal (SIGBUS on Linux and macOS) that Python cannot catch.

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used; nothing has changed.
    FloatingPointError
        The loss became NaN or infinite, or would be with what the last update has made of the
        parameters. Parameters and optimizer are as they were at the end of the last good epoch.
    KeyboardInterrupt
        Ctrl-C: after a whole update, the network is usable.
    RuntimeError
        A callback tried to fit the network that is being fitted, or another thread fits it and
        calls code of its user meanwhile, which could be waiting for this thread.
    """
    core, given, held_out = network._core, X, False
    if validation_split != 0.0:
        if validation_data is not None:
            raise ValueError("validation_data and validation_split were both given")
        parts = split(X, y, sample_weight, validation_split, mask_nan)
        if parts is not None:
            (X, y, sample_weight), validation_data = parts
            held_out = True
    alone = isinstance(callbacks, tuple | list) and not callbacks
    calls_out = not alone or metrics is not None or schedule is not None
    calls_out = calls_out or isinstance(core.loss, RowLoss)
    turns = core.engine.turns
    with turns.fit_changing, turns.fitting(calls_out), learning(core, given, X, validation_data):
        fit = prepared(
            network,
            core.rows,
            X,
            y,
            epochs,
            batch_size,
            shuffle=shuffle,
            validation_data=validation_data,
            validation_prefix="validation part of " if held_out else "validation_data ",
            sample_weight=sample_weight,
            class_weight=class_weight,
            mask_nan=mask_nan,
            metrics=metrics,
            tol=tol,
            callbacks=callbacks,
        )
        if progress is not None:
            flag(progress, "progress")
        return run(core, fit, schedule, resume, progress)


def partial_fit(
    network: HasCore,
    X: ArrayLike,
    y: Targets,
    batch_size: int = 32,
    *,
    sample_weight: ArrayLike | None = None,
) -> History:
    """Go through these rows once, in their order, as scikit-learn's method of this name.

    Parameters
    ----------
    X, y, batch_size, sample_weight
        As in `fit`; the weights may all be 0.

    Returns
    -------
    History
        Of one epoch.

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As `fit`.
    """
    core = network._core
    turns = core.engine.turns
    with turns.fit_changing, turns.fitting(isinstance(core.loss, RowLoss)), learning(core, X, X):
        rows = core.rows(X, y, "", sample_weight)
        batch = tables.batch_size(batch_size, len(rows.features))
        return run(core, RowFit(network, core, rows, 1, batch, None), None, False, False)


def train_step(
    network: HasCore,
    X: ArrayLike,
    y: Targets,
    *,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, Any] | str | None = None,
    mask_nan: bool = False,
) -> float:
    """One update on these rows as one batch.

    Parameters
    ----------
    X, y : array_like
        As in `fit`.
    sample_weight, class_weight, mask_nan
        As in `fit`.

    Returns
    -------
    float
        The mean loss before the update.

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used; nothing has changed.
    FloatingPointError
        The loss is NaN or infinite; nothing has changed.
    """
    core = network._core
    turns = core.engine.turns
    with turns.changing:
        rows = core.rows(X, y, "", sample_weight, class_weight, mask_nan)
        rows = sloped(core.engine, rows, core.loss, True)
        with turns.lock:
            loss = core.engine.train_step(rows)
        if core.names is None and math.isfinite(loss):
            core.learn_names(X, "X")
    if not math.isfinite(loss):
        raise FloatingPointError("the loss is not finite; no update was made")
    return loss


def learn_scaling(network: HasCore, X: ArrayLike) -> Scaling:
    """Learn the means and deviations of ``scaling="standard"``, again where they are known.

    `fit` does this by itself where they are not; it is for those who train by `train_step`.

    Parameters
    ----------
    X : (rows, inputs) array_like
        Features; finite.

    Returns
    -------
    Scaling
        What inputs go through from now on.

    Raises
    ------
    TypeError, ValueError
        An `X` that cannot be used, or a network that was made with another `scaling`.
    """
    core = network._core
    with core.engine.turns.changing:
        parts = core.configuration
        if parts.scaling != STANDARD:
            raise ValueError(
                'learn_scaling is for networks with scaling="standard", this one has '
                f"scaling={parts.scaling!r}"
            )
        core.expect_names(X, "X")
        scaling = core.learn_scaling(X)
        core.learn_names(X, "X")
        return scaling
