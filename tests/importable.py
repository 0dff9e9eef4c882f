"""Functions of a user's own, at the top level of a module, as files name them."""

import math

import numpy as np

import fastbp


def swish(z):
    return z / (1 + np.exp(-1.5 * z))


def swish_slope(z):
    s = 1 / (1 + np.exp(-1.5 * z))
    return s + 1.5 * z * s * (1 - s)


def cauchy(a, y):
    return np.log1p((a - y) ** 2)


def cauchy_slope(a, y):
    return 2 * (a - y) / (1 + (a - y) ** 2)


def plain(w, g, lr, t):
    return w - lr * g


def heavy_ball(w, g, v, lr, t):
    v = 0.9 * v + g
    return w - lr * v, v


def adam(w, g, m, v, lr, t):
    m = m + 0.1 * (g - m)
    v = 0.999 * v + 0.001 * g * g
    step = m / (1 - 0.9**t) / (math.sqrt(v) / math.sqrt(1 - 0.999**t) + 1e-8)
    return w - lr * step, m, v


@fastbp.Activation
def decorated(z):
    return z * abs(z)
