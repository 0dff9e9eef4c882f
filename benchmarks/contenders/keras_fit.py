"""Keras on its JAX backend: ``Model.fit`` for each epoch, many steps an execution.

The fastest of what was tried: the JAX backend (the PyTorch one takes 4 to 20 times as long); 32
steps an execution (1 takes twice as long on small networks); rows given in the order that all have
instead of Keras' own shuffling. Its RMSprop takes the root of the second moment plus eps, where
the others add eps to the root: so it is given the square of eps. Its Adam differs as
scikit-learn's does.
"""

import keras

from .base import Contender, initial

STEPS = 32  # an execution


class Contestant(Contender):
    """Keeps a compiled `Sequential`."""

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        *hidden, outputs = workload.layers[1:]
        self.model = keras.Sequential(
            [keras.Input((workload.layers[0],))]
            + [keras.layers.Dense(width, workload.activation) for width in hidden]
            + [keras.layers.Dense(outputs)]
        )
        self.model.set_weights([array for pair in initial(workload.layers) for array in pair])
        self.model.compile(
            optimizer=optimizer_of(workload.optimizer, self.settings),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            if workload.loss == "cross_entropy"
            else keras.losses.MeanSquaredError(),
            steps_per_execution=min(STEPS, workload.steps),
        )

    def run(self, epochs):
        for _ in range(epochs):
            order = ... if self.workload.whole else self.next_order()
            self.model.fit(
                self.X[order],
                self.y[order],
                batch_size=self.workload.batch_size,
                shuffle=False,
                verbose=0,
            )

    def parameters(self):
        arrays = self.model.get_weights()
        return zip(arrays[::2], arrays[1::2], strict=True)


def optimizer_of(name, settings):
    """Return Keras' optimizer of that name."""
    rate, eps = settings["lr"], settings.get("eps")
    if name == "sgd":
        return keras.optimizers.SGD(rate)
    if name == "adam":
        return keras.optimizers.Adam(rate, settings["beta1"], settings["beta2"], epsilon=eps)
    return keras.optimizers.RMSprop(rate, rho=settings["rho"], epsilon=eps**2)
