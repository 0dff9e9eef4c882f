"""Update panels: one step of each optimizer over a run of parameters.

The contract stands in panels.py; what the coefficients are, in optimizers.py. Divisions and
square roots are exact, so that a float64 network follows other implementations to rounding.
Slots decay where the gradient stays zero, as that of an idle unit does, so they skip the denormal
numbers on the way: a few of them double the time of an update.

Where a product and a sum are rounded once the rules say so, by `fma`.

An update is a rule(w, g, *slots, *coefficients) for one parameter, which returns w, and the slots
behind it. Two kernels are made of it: the panel, and as its `in_lanes` the update of networks side
by side, each of which has coefficients of its own.
"""

import math
from collections.abc import Callable
from typing import Any

from numba import carray

from fastbp.kernels.machine.jit import INT, REAL, Kernel, inline, inline_early, kernel
from fastbp.kernels.machine.pointers import address_of, advance, pointer_to, restrict, run_time
from fastbp.kernels.machine.simd import fma
from fastbp.kernels.machine.vecmath import flushed, like
from fastbp.kernels.panels.lane_losses import LANE_BLOCK
from fastbp.kernels.panels.panels import UPDATE, Check, run, slot

LANE_UPDATE = (*UPDATE[:-1], REAL)


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


@inline_early
def _lane_block(pointer, first):
    return carray(advance(pointer, first), (LANE_BLOCK,))


def _update(
    name: str,
    rule: Callable[..., Any],
    slots: int,
    coefficients: int,
    cached: bool = True,
    check: Check = None,
) -> Kernel:
    """The panel of a rule, and its `in_lanes`: (p, g, slot_bytes, n, coefficients), where
    coefficient k of element i is that of element i % LANE_BLOCK of the k-th LANE_BLOCK.

    Written out, since a compiled function has a fixed number of arguments.
    """
    places = "".join(f", slot_{k}[i]" for k in range(slots))
    numbers = range(coefficients)
    lines = [
        "def panel(p, g, slot_bytes, n, coefficients):",
        *(f" c_{k} = coefficient(p, coefficients, {k})" for k in numbers),
        " weights, gradient = run(p, n), run(g, n)",
        *(f" slot_{k} = slot(p, slot_bytes, {k}, n)" for k in range(slots)),
        " for i in range(n):",
        f"  weights[i]{places} = rule(weights[i], gradient[i]{places}"
        + "".join(f", c_{k})" if k == coefficients - 1 else f", c_{k}" for k in numbers),
        "def lanes(p, g, slot_bytes, n, coefficients):",
        *(
            f" p_{k} = restrict(pointer_to(address_of(p) + {k + 1} * slot_bytes, p))"
            for k in range(slots)
        ),
        " p, g, coefficients = restrict(p), restrict(g), restrict(coefficients)",
        *(f" c_{k} = _lane_block(coefficients, {k} * LANE_BLOCK)" for k in numbers),
        " count = run_time(LANE_BLOCK)",
        " for first in range(0, n, LANE_BLOCK):",
        "  weights, gradient = _lane_block(p, first), _lane_block(g, first)",
        *(f"  slot_{k} = _lane_block(p_{k}, first)" for k in range(slots)),
        "  for i in range(count):",
        f"   weights[i]{places} = rule(weights[i], gradient[i]{places}"
        + "".join(f", c_{k}[i])" if k == coefficients - 1 else f", c_{k}[i]" for k in numbers),
    ]
    known = [
        coefficient, run, slot, restrict, run_time, address_of, pointer_to, _lane_block
    ]  # fmt: skip
    names = {one.__name__: one for one in known}
    names |= {"rule": rule, "LANE_BLOCK": LANE_BLOCK, "__name__": __name__}
    exec("\n".join(lines), names)
    made = Kernel(names["panel"], UPDATE, name, cached, check)
    made.in_lanes = Kernel(names["lanes"], LANE_UPDATE, f"{name}.in_lanes", cached, check)
    return made


@inline
def _sgd(w, g, rate, decay):
    return fma(-rate, fma(decay, w, g), w)


# p -= rate * (g + decay * p); coefficients: rate, decay.
sgd = _update("updates.sgd", _sgd, 0, 2)


def _momentum(nesterov: bool) -> Kernel:
    @inline
    def rule(w, g, velocity, rate, decay, keep, shrink):
        slope = fma(decay, w, g)
        v = flushed(fma(keep, velocity, slope))
        if nesterov:
            return fma(shrink, w, -rate * fma(keep, v, slope)), v
        return fma(shrink, w, -rate * v), v

    return _update(f"updates.momentum.{nesterov}", rule, 1, 4)


# v = momentum * v + g; p -= rate * v, or rate * (g + momentum * v) with Nesterov's look ahead.
# Coefficients: rate, L2 decay, momentum, 1 - rate * decoupled decay. Slot: v.
momentum, nesterov = _momentum(False), _momentum(True)


def _adam(amsgrad: bool) -> Kernel:
    @inline
    def rule(w, g, mean, square, *others):
        shrink, decay, new_mean, keep_square, new_square, rate, root_scale, eps = others[-8:]
        slope = fma(decay, w, g)
        m = flushed(fma(new_mean, slope - mean, mean))
        v = flushed(fma(new_square * slope, slope, keep_square * square))
        if amsgrad:
            most = others[0] if others[0] > v else v
            return fma(shrink, w, -rate * m / fma(math.sqrt(most), root_scale, eps)), m, v, most
        return fma(shrink, w, -rate * m / fma(math.sqrt(v), root_scale, eps)), m, v

    return _update(f"updates.adam.{amsgrad}", rule, 2 + amsgrad, 8)


# Coefficients: 1 - rate * decoupled decay, L2 decay, 1 - beta1, beta2, 1 - beta2,
# rate / (1 - beta1**t), 1 / sqrt(1 - beta2**t), eps. Slots: m, v, and the largest v for AMSGrad.
adam, amsgrad = _adam(False), _adam(True)


def _rmsprop(centered: bool, momentum: bool) -> Kernel:
    both = centered and momentum

    @inline
    def rule(w, g, square, *others):
        rate, keep, new, eps, keep_velocity, decay = others[-6:]
        slope = fma(decay, w, g)
        v = flushed(fma(keep, square, new * slope * slope))
        spread = v
        if centered:
            m = flushed(fma(new, slope - others[0], others[0]))
            spread = fma(-m, m, v)
            spread = like(v, 0.0) if spread < 0 else spread  # below zero by rounding alone
        step = slope / (math.sqrt(spread) + eps)
        if momentum:
            step = flushed(fma(keep_velocity, others[-7], step))
        w = fma(-rate, step, w)
        if both:
            return w, v, m, step
        if centered:
            return w, v, m
        if momentum:
            return w, v, step
        return w, v

    return _update(f"updates.rmsprop.{centered}.{momentum}", rule, 1 + centered + momentum, 6)


# Coefficients: rate, rho, 1 - rho, eps, momentum, L2 decay. Slots: mean of squares, then the mean
# if centered, then the velocity if there is momentum. Key: (centered, momentum).
rmsprop = {
    (centered, momentum): _rmsprop(centered, momentum)
    for centered in (False, True)
    for momentum in (False, True)
}


@inline
def _adagrad(w, g, total, rate, eps, decay):
    slope = fma(decay, w, g)
    s = fma(slope, slope, total)
    return w - rate * slope / (math.sqrt(s) + eps), s


# s += g * g; p -= rate * g / (sqrt(s) + eps); slot: s. Coefficients: rate, eps, L2 decay.
adagrad = _update("updates.adagrad", _adagrad, 1, 3)


@inline
def _nadam(w, g, mean, square, *coefficients):
    shrink, decay, new_mean, keep_square, new_square, rate_g, rate_m, root_scale, eps = coefficients
    slope = fma(decay, w, g)
    m = flushed(fma(new_mean, slope - mean, mean))
    v = flushed(fma(new_square * slope, slope, keep_square * square))
    step = fma(rate_g, slope, rate_m * m) / fma(math.sqrt(v), root_scale, eps)
    return fma(shrink, w, -step), m, v


# Adam with Nesterov's look ahead; slots: m, v. Coefficients: 1 - rate * decoupled decay, L2 decay,
# 1 - beta1, beta2, 1 - beta2, the rate of g, the rate of m, 1 / sqrt(1 - beta2**t), eps.
nadam = _update("updates.nadam", _nadam, 2, 9)


def own_update(name: str, rule: Callable[..., Any], slots: int, check: Check) -> Kernel:
    """The panel of a user's rule(w, g, *slots, lr, t), which returns w, and slots behind it.

    Coefficients: lr, t.
    """
    if slots == 0:
        return _update(f"{name}.update", rule, 0, 2, False, check)
    names = [f"slot_{k}" for k in range(slots)]
    kept = "".join(f", flushed(like(lr, 1.0) * made[{k + 1}])" for k in range(slots))
    lines = [
        f"def keeping(w, g, {', '.join(names)}, lr, t):",
        f" made = rule(w, g, {', '.join(names)}, lr, t)",
        f" return made[0]{kept}",
    ]
    scope = {"rule": rule, "flushed": flushed, "like": like, "__name__": __name__}
    exec("\n".join(lines), scope)
    return _update(f"{name}.update", inline(scope["keeping"]), slots, 2, False, check)
