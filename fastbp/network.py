"""Network: a dense network, checked at its boundary."""

import copy
import functools
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastbp import configuration, data, initializers, model_files, prediction, weighting
from fastbp.activations import Activation
from fastbp.batches import Batches, BatchFit, parts_of
from fastbp.callbacks import Callback, EarlyStopping
from fastbp.callbacks.base import checked_callbacks
from fastbp.configuration import SCALING_ARRAYS, Configuration
from fastbp.engine import Engine
from fastbp.evaluation import Evaluation
from fastbp.fit_state import FitState
from fastbp.fitting import Fit
from fastbp.history import History
from fastbp.losses import Loss
from fastbp.model_files import Model
from fastbp.optimizers import Optimizer
from fastbp.regularization import Regularization
from fastbp.rows import Rows, Targets, checked_features, with_targets
from fastbp.scaling import STANDARD, Scaling, standard
from fastbp.sparse import SparseRows, is_sparse, reject_standard
from fastbp.splitting import split
from fastbp.summary import bytes_text, summary
from fastbp.tasks import Tasks
from fastbp.validation import flag, generator, positive_int, real, shown

if TYPE_CHECKING:
    Metrics = Sequence[str | Callable[[Any, Any], float]]
    from fastbp.schedules import Schedule

NOTHING_TO_LEARN = nullcontext()


class Gradients(NamedTuple):
    """The gradient of a loss: one (inputs, outputs) and one (outputs,) array a layer."""

    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]


class Network:
    """A dense neural network and its trainer.

    Parameters
    ----------
    layers : sequence of int
        Layer widths, input first: at least two, each at least 1.
    activation : str, Activation or a sequence of them
        Of the hidden layers: one for all, or one for each. See `fastbp.activations`.
    loss : str or Loss
        "mse", "mae", "huber", "cross_entropy", "binary_cross_entropy", "poisson", or a
        `fastbp.losses` object. It decides the output activation unless one is given. A dict of
        them by name makes several tasks of the outputs.
    output_activation : str or Activation, optional
        Of the output layer, where the loss's own is not wanted. Of tasks, a dict by name.
    optimizer : str or Optimizer
        "sgd", "adam", "adamw", "rmsprop", "adagrad", "nadam", or an object with settings.
    initializer : str, float or callable
        Of the weights; see `fastbp.initializers`. Biases begin at zero.
    dtype : dtype
        float32 or float64: of parameters, data and arithmetic.
    rng : int, numpy.random.Generator or None
        Seeds the initial weights and the shuffling, as ``numpy.random.default_rng`` takes it.
    threads : int, optional
        Threads to train with, and to predict with where there are rows enough; None for as many
        as help this shape, and never more than the cores that the process may use. The numbers do
        not depend on it.
    scaling : float, "standard" or None
        What inputs go through before the first layer. A number above 0 multiplies each of them
        (1 / 255 for images of bytes). "standard" takes off the mean of each column and divides by
        its standard deviation, both of the X of the first `fit`, kept with the network and used
        by every call since; a constant column is shifted alone. Computed in float64 and rounded
        once, batch by batch: X is neither copied nor converted, and its bytes stay bytes.
    loss_weights : sequence of float, optional
        For a loss of single outputs (all but cross-entropy): what the loss of each output is
        multiplied by, at least 0. The mean is still over all outputs, ``mean(v_j l_ij)``, so that
        twice the weights is twice the loss, as in Keras. Of tasks, a dict by name: the loss is
        the sum of the tasks' losses times their weights, 1 for those it does not name.
    outputs : dict, optional
        Of tasks: how many outputs each has, in their order; together the last of `layers`. `y` is
        then a dict of targets by name, and so is what `predict` returns. Each task has a mean loss
        of its own, and masked targets and weights count within it. `class_weight` is a dict of
        such by name.
    dropout : float or sequence of float
        Rate in [0, 1) at which outputs of hidden layers are set to zero in training (Srivastava et
        al. 2014), for all hidden layers or one for each. The others are divided by 1 - dropout, so
        that `predict`, `evaluate` and `loss_and_gradients` use all units as they are. Rates are
        rounded to multiples of 2**-32. What is dropped depends on a seed, which is drawn from
        `rng` after the initial weights, and on the number of the step.
    l1, l2 : float
        Penalties ``l1 * sum(abs(w)) + l2 / 2 * sum(w**2)`` over all weights, not the biases, at
        least 0: they enter each update, but no loss that is reported. The optimizers'
        `weight_decay` counts for biases too, and comes after the clipping.
    max_norm : float, optional
        Above 0. After each update, the weights that lead into a unit are scaled down where their
        Euclidean norm is above it, as by ``torch.renorm``; units of all layers, biases left alone.
    clip_value : float, optional
        Above 0. Elements of the gradient, penalties included, are cut to this absolute value
        before the update, as by ``torch.nn.utils.clip_grad_value_``.
    clip_norm : float, optional
        Above 0. The whole gradient, penalties included, is scaled down to this Euclidean norm
        before the update, as by ``torch.nn.utils.clip_grad_norm_``; after `clip_value`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> y = np.array([[0], [1], [1], [0]])
    >>> net = fastbp.Network([2, 8, 1], activation="tanh", loss="mse", rng=0)
    >>> history = net.fit(X, y, epochs=2000, batch_size=4)
    >>> net.predict(X).round(1).ravel().tolist()
    [0.0, 1.0, 1.0, 0.0]
    """

    def __init__(
        self,
        layers: Sequence[int],
        activation: str | Activation | Sequence[str | Activation] = "relu",
        loss: str | Loss | Mapping[str, str | Loss] = "mse",
        output_activation: str | Activation | Mapping[str, str | Activation] | None = None,
        optimizer: str | Optimizer = "adam",
        initializer: initializers.Initializer = "auto",
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
        threads: int | None = None,
        *,
        scaling: float | str | None = None,
        loss_weights: Sequence[float] | Mapping[str, float] | None = None,
        outputs: Mapping[str, int] | None = None,
        dropout: float | Sequence[float] = 0.0,
        l1: float = 0.0,
        l2: float = 0.0,
        max_norm: float | None = None,
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        self._build(
            configuration.make(
                layers,
                activation,
                loss,
                output_activation,
                optimizer,
                initializer,
                dtype,
                scaling,
                loss_weights,
                outputs,
                dropout=dropout,
                l1=l1,
                l2=l2,
                max_norm=max_norm,
                clip_value=clip_value,
                clip_norm=clip_norm,
            ),
            None if threads is None else positive_int(threads, "threads"),
        )
        self._rng = generator(rng)
        for weights, activation_name in zip(self.weights, self.activations, strict=True):
            weights[:] = initializers.initialize(
                self._configuration.initializer,
                weights.shape[0],
                weights.shape[1],
                self._rng,
                weights.dtype,
                activation_name,
            )
        if self.regularization.drops:
            self._engine.dropout_seed = int(self._rng.integers(model_files.MOST_COUNT))

    def _build(self, parts: Configuration, threads: int | None) -> None:
        self._configuration = parts
        self._lock: Any = threading.RLock()
        self._guests: Any = None  # while a callback of `fit` runs, the lock that its calls hold
        self._engine = Engine(parts, threads)
        self._interrupted: tuple[int, FitState] | None = None  # after how many steps, and the fit

    @property
    def _turn(self) -> Any:
        """The lock that every call holds; for other threads to wait, not for its own to use."""
        if self._lock._is_owned():
            guests = self._guests
            if guests is None or guests._is_owned():
                raise RuntimeError(
                    "the network is at work: a signal handler or an initializer cannot use it in "
                    "the midst of a call of the same thread"
                )
            return guests
        return self._lock

    @property
    def _whole_turn(self) -> Any:
        """The lock of a fit, which cannot be one within another."""
        turn = self._turn
        if turn is not self._lock:
            raise RuntimeError("a callback cannot fit the network that is being fitted")
        return turn

    @contextmanager
    def _between_steps(self) -> Iterator[None]:
        """Within a fit, let the callbacks that run here use the network."""
        self._guests = threading.RLock()
        try:
            yield
        finally:
            self._guests = None

    @property
    def layers(self) -> tuple[int, ...]:
        """Layer widths, input first."""
        return self._configuration.layout.widths

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of parameters, data and arithmetic."""
        return self._configuration.layout.dtype

    @property
    def loss(self) -> Loss:
        """The loss."""
        return self._configuration.loss

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer's settings."""
        return self._configuration.optimizer

    @property
    def regularization(self) -> Regularization:
        """The settings of dropout, penalties and clipping."""
        return self._configuration.regularization

    @property
    def activations(self) -> tuple[str, ...]:
        """The name of each layer's activation, the output layer's last."""
        return tuple(activation.name for activation in self._configuration.activations)

    @property
    def scaling(self) -> Scaling | None:
        """What inputs go through, ``(x - shift) * factor``; None for nothing, or nothing yet."""
        return self._engine.scaling

    @property
    def steps(self) -> int:
        """How many updates the parameters have had."""
        return self._engine.step

    @property
    def weights(self) -> tuple[NDArray[Any], ...]:
        """One (inputs, outputs) array a layer: writable views, edits count."""
        return self._views(self._engine.state)[0]

    @property
    def biases(self) -> tuple[NDArray[Any], ...]:
        """One (outputs,) array a layer: writable views, edits count."""
        return self._views(self._engine.state)[1]

    def learn_scaling(self, X: ArrayLike) -> Scaling:
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
        with self._turn:
            parts = self._configuration
            if parts.scaling != STANDARD:
                raise ValueError(
                    'learn_scaling is for networks with scaling="standard", this one has '
                    f"scaling={parts.scaling!r}"
                )
            return self._learn_scaling(X)

    def fit(
        self,
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
        metrics: "Metrics | Mapping[str, Metrics] | None" = None,
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
            `scaling` but a number goes with it.
        y : (rows,) or (rows, outputs) array_like
            Targets. Cross-entropy: integer labels (rows,) or class probabilities. Other losses:
            values; (rows,) where there is one output. Of several losses a dict by name.
        epochs : int
            How often to go through all rows.
        batch_size : int
            Rows an update; the last batch of an epoch may be shorter and counts by its own mean.
            More than there are rows means all rows.
        shuffle : bool
            Draw a new order of the rows for every epoch.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Evaluated after each epoch.
        validation_split : float
            In [0, 1): instead, hold out the last rows, so many of them, before any shuffling.
        sample_weight : (rows,) array_like, optional
            What each row counts, at least 0. A loss is then the weighted mean over a batch,
            ``sum(w_i l_i) / sum(w_i)``, as PyTorch's; a batch of total weight 0 has loss 0 and
            gradient 0, and an epoch's loss is the mean of its batches' by their total weights.
        class_weight : dict or "balanced", optional
            What the rows of each class count, ``{class: weight}`` for all classes, besides their
            `sample_weight`; "balanced" for n / (k * count), with n rows in k classes. For
            cross-entropy, and for binary cross-entropy with one output of targets 0 and 1. Class
            probabilities weigh by ``-sum_c w_c y_c log p_c`` and ``sum_c w_c y_c``. The validation
            data keep their own weights.
        mask_nan : bool
            Let NaN in `y` (of the validation data too) count for nothing: the mean is over the
            targets that are there, by the weights of their rows. A label that is NaN, or a row of
            class probabilities with one, leaves out the row.
        schedule : Schedule or callable, optional
            What the optimizer's `lr` is multiplied by in each step; see `fastbp.schedules`. A
            function takes the number of the step, from 0, and returns the factor.
        metrics : sequence of str or callable, optional
            What to compute after each epoch besides the loss; see `fastbp.metrics`. With several
            losses a dict of such by name. Of the validation data, or where there are none of the
            training data, which costs a forward pass over them: a third to half of an epoch.
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

        Raises
        ------
        TypeError, ValueError
            An argument that cannot be used; nothing has changed.
        FloatingPointError
            The loss became NaN or infinite. Parameters and optimizer are as they were at the end
            of the last good epoch.
        KeyboardInterrupt
            Ctrl-C: after a whole update, the network is usable.
        RuntimeError
            A callback tried to fit the network that is being fitted.
        """
        held_out = False
        if validation_split != 0.0:
            if validation_data is not None:
                raise ValueError("validation_data and validation_split were both given")
            parts = split(X, y, sample_weight, validation_split, mask_nan)
            if parts is not None:
                (X, y, sample_weight), validation_data = parts
                held_out = True
        with self._whole_turn, self._scaling_of(X):
            rows = self._rows(X, y, "", sample_weight, class_weight, mask_nan)
            epochs = positive_int(epochs, "epochs")
            batch = data.batch_size(batch_size, len(rows.features))
            flag(shuffle, "shuffle")
            prefix = "validation part of " if held_out else "validation_data "
            validation = self._validation(validation_data, mask_nan, metrics, prefix)
            if validation is None and metrics is not None:
                validation = Evaluation(self._engine, self.loss, rows, "", metrics, usual=False)
            if progress is not None:
                flag(progress, "progress")
            called = checked_callbacks(callbacks)
            if tol is not None:
                falling = real(tol, "tol", low=0)
                called += (EarlyStopping("loss", min_delta=falling, restore_best=False),)
            rng = self._rng if shuffle else None
            fit = Fit(self, self._engine, rows, epochs, batch, rng, validation, called)
            return self._run(fit, schedule, resume, progress)

    def _run(
        self,
        fit: Fit,
        schedule: "Schedule | Callable[[int], float] | None",
        resume: bool,
        progress: bool | None,
    ) -> History:
        """Train, from the beginning or from where the fit that is resumed was."""
        if schedule is not None:
            fit.follow(schedule)
        if flag(resume, "resume"):
            if self._pending is None:
                raise ValueError(
                    "resume=True needs a network that was loaded, without rng, from a file of "
                    "fastbp.callbacks.Checkpoint and not trained since"
                )
            fit.restore(self._pending)
        self._interrupted = None
        return fit.run(progress)

    def partial_fit(
        self,
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
            As in `fit`.

        Returns
        -------
        History
            Of one epoch.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `fit`.
        """
        return self.fit(
            X,
            y,
            batch_size=batch_size,
            shuffle=False,
            sample_weight=sample_weight,
            progress=False,
        )

    def fit_batches(
        self,
        batches: Iterable[Any] | Callable[[], Iterable[Any]],
        epochs: int = 1,
        steps_per_epoch: int | None = None,
        *,
        validation_data: tuple[Any, ...] | None = None,
        mask_nan: bool = False,
        schedule: "Schedule | Callable[[int], float] | None" = None,
        metrics: "Metrics | Mapping[str, Metrics] | None" = None,
        callbacks: Sequence[Callback] = (),
        resume: bool = False,
        progress: bool | None = None,
    ) -> History:
        """Train on batches as somebody else makes them: each is one update.

        Parameters
        ----------
        batches : iterable, or callable that returns one
            Of (X, y) or (X, y, sample_weight) as `fit` takes them: a list, a generator, a
            DataLoader of PyTorch. Several epochs need what can be gone through again, or a
            function that is called for each of them. What makes the batches may use the network
            meanwhile, but not fit it.
        epochs : int
            How many to train.
        steps_per_epoch : int, optional
            Batches of an epoch: of an iterator, each epoch takes the next so many; of anything
            else, the first. None for all that there are.
        validation_data, mask_nan, schedule, metrics, callbacks, progress
            As in `fit`. A schedule needs batches with a length, or `steps_per_epoch`; metrics are
            those of the validation data.
        resume : bool
            As in `fit`; `batches` must give what they would have given to the epochs that are left.

        Returns
        -------
        History
            As of `fit`. In the mean loss of an epoch a batch counts by its rows, or by their total
            weight.

        Raises
        ------
        TypeError, ValueError
            An argument that cannot be used, before anything has changed; batches that end before
            `steps_per_epoch`, or a batch that cannot be used. The message tells its number, and
            the network is as it was after the update before.
        FloatingPointError
            The loss of a batch is NaN or infinite; the network is as it was before it.
        RuntimeError
            A callback tried to fit the network that is being fitted, or the network is one with
            ``scaling="standard"`` that has not learned it: see `learn_scaling`.
        """
        with self._whole_turn:
            self._known_scaling()
            epochs = positive_int(epochs, "epochs")
            if steps_per_epoch is not None:
                steps_per_epoch = positive_int(steps_per_epoch, "steps_per_epoch")
            source = Batches(batches, epochs, steps_per_epoch)
            validation = self._validation(validation_data, flag(mask_nan, "mask_nan"), metrics)
            if validation is None and metrics is not None:
                raise ValueError("metrics of batches need validation_data")
            if progress is not None:
                flag(progress, "progress")
            called = checked_callbacks(callbacks)
            read = functools.partial(self._read_batch, mask_nan=mask_nan)
            fit = BatchFit(self, self._engine, source, read, epochs, validation, called)
            return self._run(fit, schedule, resume, progress)

    def _read_batch(self, batch: Any, mask_nan: bool) -> tuple[Rows, float]:
        """Check a batch: its rows, and what it counts in the mean of an epoch."""
        X, y, weights = parts_of(batch)
        rows = self._rows(X, y, "", weights, mask_nan=mask_nan)
        return rows, weighting.total_weight(rows, weights)

    def predict(self, X: ArrayLike) -> Any:
        """The network's outputs, after the output activation.

        Parameters
        ----------
        X : (rows, inputs) array_like or sparse
            Features, as in `fit`; finite.

        Returns
        -------
        (rows, outputs) ndarray
            Of the network's dtype. With several losses a dict of such, by name.

        Raises
        ------
        TypeError, ValueError
            An `X` that cannot be used.
        """
        with self._turn:
            self._known_scaling()
            if is_sparse(X):
                features = checked_features(self._configuration, self.scaling, X, "X")
                outputs = prediction.predict_checked(self._engine, features)
            else:
                source = data.table(X, self._configuration.layout.widths[0])
                outputs = prediction.predict(self._engine, source, "X", X)
            return self.loss.split(outputs) if isinstance(self.loss, Tasks) else outputs

    def evaluate(
        self,
        X: ArrayLike,
        y: Targets,
        *,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[Any, Any] | str | None = None,
        mask_nan: bool = False,
        metrics: "Metrics | Mapping[str, Metrics] | None" = None,
    ) -> dict[str, float]:
        """The mean loss, the accuracy where the targets are classes, and metrics.

        Parameters
        ----------
        X, y : array_like
            As in `fit`.
        sample_weight, class_weight, mask_nan
            As in `fit`.
        metrics : sequence of str or callable, optional
            See `fastbp.metrics`.

        Returns
        -------
        dict
            "loss"; "accuracy" in [0, 1] for integer labels, and for binary cross-entropy with
            targets of 0 and 1 alone (over rows and outputs, cut at 0.5); the metrics.

        Raises
        ------
        TypeError, ValueError
            An argument that cannot be used.
        """
        with self._turn:
            rows = self._rows(X, y, "", sample_weight, class_weight, mask_nan)
            return Evaluation(self._engine, self.loss, rows, "", metrics).measure()

    def train_step(
        self,
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
        with self._turn:
            rows = self._rows(X, y, "", sample_weight, class_weight, mask_nan)
            loss = self._engine.train_step(rows)
        if not math.isfinite(loss):
            raise FloatingPointError("the loss is not finite; no update was made")
        return loss

    def loss_and_gradients(
        self,
        X: ArrayLike,
        y: Targets,
        *,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[Any, Any] | str | None = None,
        mask_nan: bool = False,
    ) -> tuple[float, Gradients]:
        """The mean loss of these rows and its gradient; the network stays as it is.

        Parameters
        ----------
        X, y : array_like
            As in `fit`.
        sample_weight, class_weight, mask_nan
            As in `fit`.

        Returns
        -------
        loss : float
        gradients : Gradients
            ``gradients.weights[l]`` (inputs, outputs) and ``gradients.biases[l]`` (outputs,), of
            the network's dtype. Weight decay is the optimizer's and not part of it.

        Raises
        ------
        TypeError, ValueError
            An argument that cannot be used.
        FloatingPointError
            The loss is NaN or infinite.
        """
        with self._turn:
            rows = self._rows(X, y, "", sample_weight, class_weight, mask_nan)
            loss, flat = self._engine.differentiate(rows)
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss is not finite ({loss}); it has no gradient")
            weights, biases = self._views(flat)
            return loss, Gradients(
                tuple(view.copy() for view in weights), tuple(view.copy() for view in biases)
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights, optimizer state, settings, step count and random state to a file.

        It is a safetensors file, which is replaced as a whole or not at all. A random generator
        whose bit generator is not one of NumPy's own is left out. A fit that could be resumed still
        can be from the new file.

        Parameters
        ----------
        path : str or path-like
            Where to; an existing file is replaced.

        Raises
        ------
        ValueError
            The network has an activation of your own, which a file cannot hold.
        OSError
            The file cannot be written; an old one is still whole.
        """
        with self._turn:
            model_files.write(path, self._model(self._pending))

    @property
    def _pending(self) -> FitState | None:
        """The fit in whose midst the network is, to be resumed."""
        steps, fit = self._interrupted or (0, None)
        return fit if steps == self.steps else None

    def _model(self, fit: FitState | None) -> Model:
        """What a file is to hold, uncopied."""
        seed = self._engine.dropout_seed if self.regularization.drops else None
        return Model(self._configuration, self._arrays(), self.steps, self._rng, fit, seed)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Views of all parameters and optimizer slots under the names of a model file."""
        named = {}
        for slot in range(1 + self.optimizer.slots):
            prefix = f"slot{slot}." if slot else ""
            weights, biases = self._views(self._engine.slot(slot))
            for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                named[f"{prefix}weights.{layer}"] = weight
                named[f"{prefix}biases.{layer}"] = bias
        if self._configuration.scaling == STANDARD and self.scaling is not None:
            named |= zip(SCALING_ARRAYS, self.scaling, strict=True)
        return named

    def _views(
        self, flat: NDArray[Any]
    ) -> tuple[tuple[NDArray[Any], ...], tuple[NDArray[Any], ...]]:
        layout = self._configuration.layout
        numbers = range(layout.layers)
        return (
            tuple(layout.weights(flat, number) for number in numbers),
            tuple(layout.biases(flat, number) for number in numbers),
        )

    def _rows(
        self,
        X: ArrayLike,
        y: Targets,
        prefix: str = "",
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[Any, Any] | str | None = None,
        mask_nan: bool = False,
    ) -> Rows:
        plain = sample_weight is None and class_weight is None and mask_nan is False
        if plain and not isinstance(self.loss, Tasks):
            rows = with_targets(self._configuration, self._known_scaling(), X, y, prefix)
        else:
            rows = weighting.weighted_rows(
                self._configuration,
                self._known_scaling(),
                X,
                y,
                prefix,
                sample_weight,
                class_weight,
                mask_nan,
            )
        state, features = self._engine.state, rows.features
        values = features.values if isinstance(features, SparseRows) else features
        own = np.may_share_memory(values, state) or np.may_share_memory(rows.targets, state)
        if own or any(np.may_share_memory(task.targets, state) for task in rows.tasks):
            # The network's own weights as data: training must not change what it reads.
            return copy.deepcopy(rows)
        return rows

    def _known_scaling(self) -> Scaling | None:
        scaling = self._engine.scaling
        if scaling is None and self._configuration.scaling == STANDARD:
            raise RuntimeError(
                "the network has not learned the scaling of its inputs; call fit, or "
                "learn_scaling(X), first"
            )
        return scaling

    def _scaling_of(self, X: ArrayLike) -> AbstractContextManager[None]:
        """Learn the scaling where there is none yet; forget it if no step is made with it."""
        if self._engine.scaling is not None or self._configuration.scaling != STANDARD:
            return NOTHING_TO_LEARN
        return self._learned_scaling(X)

    @contextmanager
    def _learned_scaling(self, X: ArrayLike) -> Iterator[None]:
        before = self.steps
        try:
            self._learn_scaling(X)
            yield
        finally:
            if self.steps == before:
                self._engine.scaling = None

    def _learn_scaling(self, X: ArrayLike) -> Scaling:
        layout = self._configuration.layout
        if is_sparse(X):
            reject_standard(STANDARD, "X")
        features = data.features(X, layout.widths[0], layout.dtype, "X", True)
        self._engine.scaling = scaling = standard(features, "X")
        return scaling

    def _validation(
        self,
        given: Sequence[Any] | None,
        mask_nan: bool,
        metrics: Any,
        prefix: str = "validation_data ",
    ) -> Evaluation | None:
        if given is None:
            return None
        if not isinstance(given, tuple | list) or len(given) not in (2, 3):
            raise TypeError(
                f"validation_data must be (X, y) or (X, y, sample_weight), got {shown(given)}"
            )
        X, y, *weight = given
        rows = self._rows(X, y, prefix, weight[0] if weight else None, None, mask_nan)
        return Evaluation(self._engine, self.loss, rows, "val_", metrics)

    def summary(self) -> str:
        """A table of the layers, to be printed: shapes, activations, parameters, memory, work.

        Operations are the floating-point operations of the matrix products.
        """
        return summary(self._configuration, self._engine.nbytes)

    def __repr__(self) -> str:
        layout = self._configuration.layout
        widths = [str(width) for width in layout.widths]
        steps = [
            f"-> {width} {name}" for width, name in zip(widths[1:], self.activations, strict=True)
        ]
        regularizing = "".join(f"{k}={v}, " for k, v in self.regularization.options().items())
        return (
            f"Network({widths[0]} {' '.join(steps)}; {self.loss}, {self.optimizer}, {regularizing}"
            f"{self.dtype}, {layout.parameter_count:,} parameters, {self.steps:,} steps, "
            f"{bytes_text(self._engine.nbytes)})"
        )

    def __getstate__(self) -> dict[str, Any]:
        with self._turn:
            return {
                "configuration": self._configuration,
                "threads": self._engine.threads,
                "rng": copy.deepcopy(self._rng),
                "state": self._engine.state.copy(),
                "steps": self.steps,
                "dropout_seed": self._engine.dropout_seed,
                "scaling": self.scaling,
                "fit": copy.deepcopy(self._pending),
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._build(state["configuration"], state["threads"])
        self._rng = state["rng"]
        self._engine.state[:] = state["state"]
        self._engine.step = state["steps"]
        self._engine.dropout_seed = state["dropout_seed"]
        self._engine.scaling = state["scaling"]
        if state["fit"] is not None:
            self._interrupted = state["steps"], state["fit"]


def load(
    path: str | os.PathLike[str],
    *,
    rng: int | np.random.Generator | None = None,
    threads: int | None = None,
) -> Network:
    """The network that `Network.save` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.
    rng : int, numpy.random.Generator or None
        What shuffles in further training; None goes on with the state in the file, or with a seed
        of the system's where the file has none. With another one no fit can be resumed.
    threads : int, optional
        As in `Network`.

    Raises
    ------
    ValueError
        The file is truncated, damaged or not a model of fastbp. Nothing large is allocated before
        the file's own size bears it out, and no code of a file is ever run.
    OSError
        The file is missing or cannot be read.
    """
    threads = None if threads is None else positive_int(threads, "threads")
    given = None if rng is None else generator(rng)
    model = model_files.read(path)
    network = Network.__new__(Network)
    network._build(model.parts, threads)
    network._rng = given or model.rng or generator(None)
    network._engine.step = model.steps
    network._engine.dropout_seed = model.dropout_seed or 0
    if rng is None and model.fit is not None:
        network._interrupted = model.steps, model.fit
    for name, view in network._arrays().items():
        view[:] = model.arrays[name]
    if model.scaling is not None:
        network._engine.scaling = model.scaling
    return network
