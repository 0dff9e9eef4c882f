"""Network: a dense network, checked at its boundary."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastbp import configuration, data, initializers, model_files, prediction
from fastbp.activations import Activation
from fastbp.evaluation import Evaluation, Metrics
from fastbp.losses import Loss
from fastbp.optimizers import Optimizer
from fastbp.rows import Targets, checked_features
from fastbp.sparse import is_sparse
from fastbp.tasks import Tasks
from fastbp.training import Training
from fastbp.validation import generator, positive_int


class Gradients(NamedTuple):
    """The gradient of a loss: one (inputs, outputs) and one (outputs,) array a layer."""

    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]


class Network(Training):
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
        metrics: Metrics | Mapping[str, Metrics] | None = None,
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
