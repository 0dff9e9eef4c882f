"""Network: a dense network, checked at its boundary."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastbp import configuration, initializers
from fastbp.activations import Activation
from fastbp.data.scaling import Scaling
from fastbp.history import History
from fastbp.losses import BaseLoss, RowFunction
from fastbp.network import (
    batch_training,
    derivatives,
    from_scikit_learn,
    inference,
    learned,
    model_files,
    outer_loops,
    parts,
    summary,
    to_scikit_learn,
    training,
    vector,
)
from fastbp.network.core import Core
from fastbp.optimizers import BaseOptimizer
from fastbp.regularization import Regularization
from fastbp.validation import generator, positive_int

if TYPE_CHECKING:
    from fastbp.embed import State


class Network:
    """A dense neural network and its trainer.

    Parameters
    ----------
    layers : sequence of int
        Layer widths, input first: at least two, each at least 1.
    activation : str, Activation or a sequence of them
        Of the hidden layers: one for all, or one for each. See `fastbp.activations`.
    loss : str, BaseLoss or callable
        A name of `fastbp.losses.LOSSES`, as "mse", "huber", "cross_entropy" or "quantile", or an
        object of `fastbp.losses`, also one of your own (`fastbp.Loss`). It decides the output
        activation unless one is given. A dict of them by name makes several tasks of the outputs.
        A function of outputs and targets is a `fastbp.losses.RowLoss`.
    output_activation : str or Activation, optional
        Of the output layer, where the loss's own is not wanted. Of tasks, a dict by name.
    optimizer : str or BaseOptimizer
        "sgd", "adam", "adamw", "rmsprop", "adagrad", "nadam", or an object with settings, also
        one of your own (`fastbp.Optimizer`).
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
    alpha : float
        scikit-learn's penalty, at least 0: ``alpha / 2 * sum(w**2)`` over all weights, divided by
        the rows of each batch, or their total weight (see `fit`); with tasks always by the rows.
        Unlike `l2` it is part of the losses that training reports, but for those of tasks and of
        sparse rows.
    trainable : bool or sequence of bool
        Whether each layer is trained: a layer that is not keeps its bits. It can be assigned later.
    rate_factors : float or sequence of float
        What the learning rate, and a decoupled decay with it, is multiplied by in each layer, at
        least 0. It can be assigned later.
    products : "bfloat16", optional
        What operands of the matrix products are rounded to, to nearest even, in training as in
        prediction and derivatives; of networks of float32. Weights, optimizer state, sums and all
        else stay float32, and so does the product of sparse rows with the first layer's weights. On
        processors with AVX512_BF16 products of wide layers take about half the time, and those of a
        few units longer; on others the numbers are the same, to the last bit, and products take
        many times as long (``python -m fastbp`` tells).

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
        loss: str | BaseLoss | RowFunction | Mapping[str, str | BaseLoss] = "mse",
        output_activation: str | Activation | Mapping[str, str | Activation] | None = None,
        optimizer: str | BaseOptimizer = "adam",
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
        alpha: float = 0.0,
        trainable: bool | Sequence[bool] = True,
        rate_factors: float | Sequence[float] = 1.0,
        products: str | None = None,
    ) -> None:
        self._core = Core(
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
                trainable,
                rate_factors,
                products,
                dropout=dropout,
                l1=l1,
                l2=l2,
                max_norm=max_norm,
                clip_value=clip_value,
                clip_norm=clip_norm,
                alpha=alpha,
            ),
            None if threads is None else positive_int(threads, "threads"),
            generator(rng),
        )
        for weights, activation_name in zip(self.weights, self.activations, strict=True):
            weights[:] = initializers.initialize(
                self._core.configuration.initializer,
                weights.shape[0],
                weights.shape[1],
                self._core.rng,
                weights.dtype,
                activation_name,
            )
        if self.regularization.drops:
            self._core.engine.dropout_seed = int(self._core.rng.integers(model_files.MOST_COUNT))

    # Learning: training.py, batch_training.py
    fit = training.fit
    partial_fit = training.partial_fit
    fit_batches = batch_training.fit_batches
    train_step = training.train_step
    learn_scaling = training.learn_scaling
    # Using what was learned: inference.py
    predict = inference.predict
    evaluate = inference.evaluate
    loss_and_gradients = inference.loss_and_gradients
    # Other libraries: from_scikit_learn.py, to_scikit_learn.py
    from_sklearn: "classmethod[Network, ..., Network]" = classmethod(from_scikit_learn.from_sklearn)
    to_sklearn = to_scikit_learn.to_sklearn

    # Derivatives: derivatives.py
    input_gradient = derivatives.input_gradient
    jacobian = derivatives.jacobian
    sample_gradients = derivatives.sample_gradients
    hessian_vector = derivatives.hessian_vector
    gauss_newton_vector = derivatives.gauss_newton_vector
    # Losses that the caller computes: outer_loops.py
    forward = outer_loops.forward
    backward = outer_loops.backward
    step = outer_loops.step
    apply = outer_loops.apply
    # What can be replaced: parts.py
    optimizer = property(parts.get_optimizer, parts.set_optimizer)
    trainable = property(parts.get_trainable, parts.set_trainable)
    rate_factors = property(parts.get_rate_factors, parts.set_rate_factors)
    # All parameters as one vector: vector.py
    flat = property(vector.get_flat, vector.set_flat)

    # What is learned beside the parameters: learned.py
    feature_names = property(learned.feature_names)

    @property
    def layers(self) -> tuple[int, ...]:
        """Layer widths, input first."""
        return self._core.configuration.layout.widths

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of parameters, data and arithmetic."""
        return self._core.configuration.layout.dtype

    @property
    def products(self) -> str | None:
        """What operands of the matrix products are rounded to, "bfloat16"; None for nothing."""
        return self._core.configuration.products

    @property
    def loss(self) -> BaseLoss:
        """The loss."""
        return self._core.configuration.loss

    @property
    def regularization(self) -> Regularization:
        """The settings of dropout, penalties and clipping."""
        return self._core.configuration.regularization

    @property
    def activations(self) -> tuple[str, ...]:
        """The name of each layer's activation, the output layer's last."""
        return tuple(activation.name for activation in self._core.configuration.activations)

    @property
    def scaling(self) -> Scaling | None:
        """What inputs go through, ``(x - shift) * factor``; None for nothing, or nothing yet."""
        return self._core.engine.scaling

    @property
    def steps(self) -> int:
        """How many updates the parameters have had."""
        return self._core.engine.step

    @property
    def state(self) -> "State":
        """The network for Numba's compiled code, which shares its parameters: see `fastbp.embed`.

        Made anew each time, which takes some milliseconds; `embed.state` makes one for larger
        batches than 1024 rows.
        """
        from fastbp import embed  # which most programs do without

        return embed.state(self)

    @property
    def history(self) -> History | None:
        """What the last fit recorded, also one that an exception has ended; None before any.

        It is kept neither in files nor in copies.
        """
        return self._core.history

    @property
    def weights(self) -> tuple[NDArray[Any], ...]:
        """One (inputs, outputs) array a layer: writable views, edits count."""
        return self._core.parameters[0]

    @property
    def biases(self) -> tuple[NDArray[Any], ...]:
        """One (outputs,) array a layer: writable views, edits count."""
        return self._core.parameters[1]

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
            The network has a function of your own without an import path, as a lambda.
        OSError
            The file cannot be written; an old one is still whole.
        """
        self._core.write(path, self._core.pending)

    def summary(self) -> str:
        """A table of the layers, to be printed: shapes, activations, parameters, memory, work.

        Operations are the floating-point operations of the matrix products.
        """
        return summary.summary(self._core.configuration, self._core.engine.nbytes)

    def __repr__(self) -> str:
        return summary.line(self._core.configuration, self.steps, self._core.engine.nbytes)

    def __getstate__(self) -> dict[str, Any]:
        return self._core.state()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._core = Core.restored(state)
