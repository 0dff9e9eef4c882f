"""Networks inside your own compiled code: functions that Numba's nopython mode can call.

``state = net.state`` is what they take: a NamedTuple of arrays and integers. It reads and writes
the network's own parameters, so that what compiled code has learned, `net` has.

Examples
--------
>>> import numpy as np
>>> from numba import njit
>>> import fastbp
>>> from fastbp import embed
>>> @njit
... def train(state, X, y, steps):
...     for _ in range(steps):
...         loss = embed.train_step(state, X, y)
...     return loss
>>> X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
>>> net = fastbp.Network([1, 16, 1], activation="tanh", optimizer=fastbp.Adam(0.01), rng=0)
>>> bool(train(net.state, X, X * X, 500) < 1e-3)
True
>>> net.steps
500
"""

from fastbp.embed.calls import loss_and_gradients, predict, train_epoch, train_step
from fastbp.embed.slopes import backward, forward, input_gradient, step
from fastbp.embed.states import State, state

__all__ = [
    "State",
    "backward",
    "forward",
    "input_gradient",
    "loss_and_gradients",
    "predict",
    "state",
    "step",
    "train_epoch",
    "train_step",
]
