"""Update panels: one step of each optimizer over a run of parameters.

The contract stands in panels.py; what the coefficients are, in optimizers.py. Divisions and
square roots are exact, so that a float64 network follows other implementations to rounding.
Slots decay where the gradient stays zero, as that of an idle unit does, so they skip the denormal
numbers on the way: a few of them double the time of an update.
"""

import math
from collections.abc import Callable
from typing import Any

from numba import carray

from fastbp.kernels.machine.jit import INT, REAL, Kernel, inline_early, kernel
from fastbp.kernels.machine.pointers import address_of, pointer_to
from fastbp.kernels.machine.vecmath import flushed, like
from fastbp.kernels.panels.panels import UPDATE, Check, run, slot


@inline_early
def coefficient(p, coefficients, k):
    """Coefficient k in the element type."""
    return like(carray(p, (1,))[0], carray(coefficients, (k + 1,))[k])


@kernel(REAL, INT, INT, INT)
def add_parts(g, part_bytes, parts, n):
    """g[:n] += the same elements of the parts behind it, part_bytes apart, in their order."""
    total = run(g, n)
    for part in range(1, parts):
        gradient = run(pointer_to(address_of(g) + part * part_bytes, g), n)
        for i in range(n):
            total[i] += gradient[i]


@kernel(*UPDATE)
def sgd(p, g, slot_bytes, n, coefficients):
    """p -= rate * (g + decay * p); coefficients: rate, decay."""
    rate, decay = coefficient(p, coefficients, 0), coefficient(p, coefficients, 1)
    weights, gradient = run(p, n), run(g, n)
    for i in range(n):
        weights[i] -= rate * (gradient[i] + decay * weights[i])


def _momentum(nesterov):
    def momentum(p, g, slot_bytes, n, coefficients):
        rate, decay = coefficient(p, coefficients, 0), coefficient(p, coefficients, 1)
        keep, shrink = coefficient(p, coefficients, 2), coefficient(p, coefficients, 3)
        weights, gradient, velocity = run(p, n), run(g, n), slot(p, slot_bytes, 0, n)
        for i in range(n):
            w = weights[i]
            slope = gradient[i] + decay * w
            v = flushed(keep * velocity[i] + slope)
            velocity[i] = v
            if nesterov:
                weights[i] = shrink * w - rate * (slope + keep * v)
            else:
                weights[i] = shrink * w - rate * v

    return Kernel(momentum, UPDATE, f"updates.momentum.{nesterov}")


# v = momentum * v + g; p -= rate * v, or rate * (g + momentum * v) with Nesterov's look ahead.
# Coefficients: rate, L2 decay, momentum, 1 - rate * decoupled decay. Slot: v.
momentum, nesterov = _momentum(False), _momentum(True)


def _adam(amsgrad):
    def adam(p, g, slot_bytes, n, coefficients):
        shrink, decay = coefficient(p, coefficients, 0), coefficient(p, coefficients, 1)
        new_mean, keep_square = coefficient(p, coefficients, 2), coefficient(p, coefficients, 3)
        new_square, rate = coefficient(p, coefficients, 4), coefficient(p, coefficients, 5)
        root_scale, eps = coefficient(p, coefficients, 6), coefficient(p, coefficients, 7)
        weights, gradient = run(p, n), run(g, n)
        mean, square = slot(p, slot_bytes, 0, n), slot(p, slot_bytes, 1, n)
        if amsgrad:
            largest = slot(p, slot_bytes, 2, n)
        for i in range(n):
            w = weights[i]
            slope = gradient[i] + decay * w
            m = flushed(mean[i] + new_mean * (slope - mean[i]))
            v = flushed(keep_square * square[i] + new_square * slope * slope)
            mean[i] = m
            square[i] = v
            if amsgrad:
                v = largest[i] if largest[i] > v else v
                largest[i] = v
            weights[i] = shrink * w - rate * m / (math.sqrt(v) * root_scale + eps)

    return Kernel(adam, UPDATE, f"updates.adam.{amsgrad}")


# Coefficients: 1 - rate * decoupled decay, L2 decay, 1 - beta1, beta2, 1 - beta2,
# rate / (1 - beta1**t), 1 / sqrt(1 - beta2**t), eps. Slots: m, v, and the largest v for AMSGrad.
adam, amsgrad = _adam(False), _adam(True)


def _rmsprop(centered, momentum):
    def rmsprop(p, g, slot_bytes, n, coefficients):
        rate, keep = coefficient(p, coefficients, 0), coefficient(p, coefficients, 1)
        new, eps = coefficient(p, coefficients, 2), coefficient(p, coefficients, 3)
        keep_velocity, decay = coefficient(p, coefficients, 4), coefficient(p, coefficients, 5)
        weights, gradient, square = run(p, n), run(g, n), slot(p, slot_bytes, 0, n)
        if centered:
            mean = slot(p, slot_bytes, 1, n)
        if momentum:
            velocity = slot(p, slot_bytes, 1 + centered, n)
        for i in range(n):
            w = weights[i]
            slope = gradient[i] + decay * w
            v = flushed(keep * square[i] + new * slope * slope)
            square[i] = v
            if centered:
                m = flushed(mean[i] + new * (slope - mean[i]))
                mean[i] = m
                v = v - m * m
                v = like(v, 0.0) if v < 0 else v  # below zero by rounding alone
            step = slope / (math.sqrt(v) + eps)
            if momentum:
                step = flushed(keep_velocity * velocity[i] + step)
                velocity[i] = step
            weights[i] = w - rate * step

    return Kernel(rmsprop, UPDATE, f"updates.rmsprop.{centered}.{momentum}")


# Coefficients: rate, rho, 1 - rho, eps, momentum, L2 decay. Slots: mean of squares, then the mean
# if centered, then the velocity if there is momentum. Key: (centered, momentum).
rmsprop = {
    (centered, momentum): _rmsprop(centered, momentum)
    for centered in (False, True)
    for momentum in (False, True)
}


@kernel(*UPDATE)
def adagrad(p, g, slot_bytes, n, coefficients):
    """s += g * g; p -= rate * g / (sqrt(s) + eps); slot: s.

    Coefficients: rate, eps, L2 decay.
    """
    rate, eps = coefficient(p, coefficients, 0), coefficient(p, coefficients, 1)
    decay = coefficient(p, coefficients, 2)
    weights, gradient, total = run(p, n), run(g, n), slot(p, slot_bytes, 0, n)
    for i in range(n):
        w = weights[i]
        slope = gradient[i] + decay * w
        s = total[i] + slope * slope
        total[i] = s
        weights[i] = w - rate * slope / (math.sqrt(s) + eps)


@kernel(*UPDATE)
def nadam(p, g, slot_bytes, n, coefficients):
    """Adam with Nesterov's look ahead; slots: m, v.

    Coefficients: 1 - rate * decoupled decay, L2 decay, 1 - beta1, beta2, 1 - beta2, the rate of g,
    the rate of m, 1 / sqrt(1 - beta2**t), eps.
    """
    shrink, decay = coefficient(p, coefficients, 0), coefficient(p, coefficients, 1)
    new_mean, keep_square = coefficient(p, coefficients, 2), coefficient(p, coefficients, 3)
    new_square, rate_g = coefficient(p, coefficients, 4), coefficient(p, coefficients, 5)
    rate_m, root_scale = coefficient(p, coefficients, 6), coefficient(p, coefficients, 7)
    eps = coefficient(p, coefficients, 8)
    weights, gradient = run(p, n), run(g, n)
    mean, square = slot(p, slot_bytes, 0, n), slot(p, slot_bytes, 1, n)
    for i in range(n):
        w = weights[i]
        slope = gradient[i] + decay * w
        m = flushed(mean[i] + new_mean * (slope - mean[i]))
        v = flushed(keep_square * square[i] + new_square * slope * slope)
        mean[i] = m
        square[i] = v
        step = (rate_g * slope + rate_m * m) / (math.sqrt(v) * root_scale + eps)
        weights[i] = shrink * w - step


def own_update(name: str, rule: Callable[..., Any], slots: int, check: Check) -> Kernel:
    """The panel of a user's rule(w, g, *slots, lr, t), which returns w, and slots behind it.

    Coefficients: lr, t. Written out for its slots, since a compiled function has a fixed number of
    arguments.
    """
    numbers = range(slots)
    places = "".join(f", slot_{k}[i]" for k in numbers)
    lines = [
        "def panel(p, g, slot_bytes, n, coefficients):",
        " lr, t = coefficient(p, coefficients, 0), coefficient(p, coefficients, 1)",
        " weights, gradient = run(p, n), run(g, n)",
        *(f" slot_{k} = slot(p, slot_bytes, {k}, n)" for k in numbers),
        " for i in range(n):",
        f"  made = rule(weights[i], gradient[i]{places}, lr, t)",
        f"  weights[i] = made{'[0]' if slots else ''}",
        *(f"  slot_{k}[i] = flushed(like(lr, 1.0) * made[{k + 1}])" for k in numbers),
    ]
    names = {**globals(), "rule": rule}
    exec("\n".join(lines), names)
    return Kernel(names["panel"], UPDATE, f"{name}.update", False, check)
