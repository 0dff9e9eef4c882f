"""Second derivatives: f'' of activations, as functions of z, and of losses in their outputs.

Panels of activations are as those of `forward`, a = f''(a). Those of element-wise losses are as
those of `loss`, with delta = the diagonal; cross-entropy's changes delta from a direction to the
product.
"""

from typing import Any

import numpy as np
from numba import carray

from fastbp.kernels.machine.jit import Kernel, inline, kernel
from fastbp.kernels.machine.pointers import advance, pointer_to
from fastbp.kernels.machine.simd import fma, row_max
from fastbp.kernels.machine.vecmath import exp, like
from fastbp.kernels.panels import curve_rules, loss_rules
from fastbp.kernels.panels.output_panels import exponential
from fastbp.kernels.panels.panels import LOSS, elementwise_loss_panel, forward_panel


def _of_activation(name: str, rule: Any) -> Kernel:
    return forward_panel(f"{name}.curve", rule)


def _of_loss(name: str, value: Any, rule: Any) -> tuple[Kernel, ...]:
    """That of an element-wise loss, and for masked targets."""
    called = f"{name}.curve"
    return tuple(elementwise_loss_panel(called, value, rule, masked) for masked in (False, True))


# By name; None where it is zero wherever there is one.
ACTIVATIONS: dict[str, Kernel | None] = {
    **dict.fromkeys(("identity", "relu", "leaky_relu", "hard_tanh")),
    "exponential": exponential,
    **{rule.__name__: _of_activation(rule.__name__, rule) for rule in curve_rules.ACTIVATIONS},
}
LOSSES: dict[str, tuple[Kernel, ...]] = {
    "mse": _of_loss("mse", loss_rules.mse, curve_rules.mse),
    "mae": _of_loss("mae", loss_rules.mae, curve_rules.none_of_loss),
    "huber": _of_loss("huber", loss_rules.huber, curve_rules.huber),
    "binary_cross_entropy": _of_loss(
        "binary_cross_entropy", loss_rules.binary_cross_entropy, curve_rules.binary_cross_entropy
    ),
    "poisson": _of_loss("poisson", loss_rules.poisson, curve_rules.poisson),
}


@inline
def _through(z, delta, mass, scale, n, ld):
    """delta = scale * mass * p * (delta - sum(p * delta)) with p = softmax(z), of one row."""
    logits, change = carray(z, (n,)), carray(delta, (ld,))
    top = row_max(z, n)
    total, mean = like(top, 0.0), like(top, 0.0)
    for j in range(n):
        odds = exp(logits[j] - top)
        total += odds
        mean = fma(odds, change[j], mean)
    mean /= total
    share = scale * mass / total
    for j in range(n):
        change[j] = share * exp(logits[j] - top) * (change[j] - mean)
    for j in range(n, ld):
        change[j] = 0


@kernel(*LOSS)
def cross_entropy_labels(z, delta, targets, order, values, parameters, rows, n, ld, batch, totals):
    """The second derivative does not depend on the labels: their shares add up to 1."""
    losses = carray(values, (rows,))
    scale = like(carray(z, (1,))[0], 1.0 / batch)
    for r in range(rows):
        _through(advance(z, r * ld), advance(delta, r * ld), like(scale, 1.0), scale, n, ld)
        losses[r] = 0.0


@kernel(*LOSS)
def cross_entropy_probabilities(
    z, delta, targets, order, values, parameters, rows, n, ld, batch, totals
):
    """Of a row's probabilities that do not quite add up to 1, their sum counts."""
    index, losses = carray(order, (rows,)), carray(values, (rows,))
    scale, smoothing = like(carray(z, (1,))[0], 1.0 / batch), carray(parameters, (1,))[0]
    for r in range(rows):
        y = carray(advance(pointer_to(targets, z), index[r] * n), (n,))
        mass = 0.0
        for j in range(n):
            mass += fma(1 - smoothing, np.float64(y[j]), smoothing / n)
        _through(advance(z, r * ld), advance(delta, r * ld), like(scale, mass), scale, n, ld)
        losses[r] = 0.0
