"""Scalar rules of the element-wise losses: value and slope in z, given the target y.

p is the loss's parameter. A loss on logits holds the output activation's derivative too.
"""

from fastbp.kernels.machine.jit import inline
from fastbp.kernels.machine.simd import fma
from fastbp.kernels.machine.vecmath import exp, expm1, like, log1p, sigmoid, softplus, tanh

RATE_LIMIT = 60.0  # of a Poisson log rate: float32 has room for 1e4 such losses in a sum
COSH_LIMIT = 20.0  # beyond it log(cosh(d)) is abs(d) - log(2), to the last bit of float64


@inline
def mse(z, y, p):
    return (z - y) * (z - y)


@inline
def mse_slope(z, y, p):
    return like(z, 2.0) * (z - y)


@inline
def mae(z, y, p):
    return abs(z - y)


@inline
def mae_slope(z, y, p):
    above = like(z, 1.0) if z > y else like(z, 0.0)
    return like(z, -1.0) if z < y else above


@inline
def huber(z, y, p):
    distance = abs(z - y)
    half = like(z, 0.5)
    if distance <= p:
        return half * distance * distance
    return p * (distance - half * p)


@inline
def huber_slope(z, y, p):
    low = -p if z - y < -p else z - y
    return p if low > p else low


@inline
def binary_cross_entropy(z, y, p):
    # -y log(s) - (1 - y) log(1 - s) with s = sigmoid(z), without ever forming s
    positive = z if z > 0 else like(z, 0.0)
    return fma(-z, y, positive) + softplus(-abs(z))


@inline
def binary_cross_entropy_slope(z, y, p):
    return sigmoid(z) - y


@inline
def poisson(z, y, p):
    # Beyond the limit along the tangent, so that a log rate of 1e4 has a finite loss and slope.
    inside = z if z < RATE_LIMIT else like(z, RATE_LIMIT)
    rate = exp(inside)
    return fma(-y, z, fma(rate, z - inside, rate))


@inline
def poisson_slope(z, y, p):
    return exp(z if z < RATE_LIMIT else like(z, RATE_LIMIT)) - y


@inline
def quantile(z, y, p):
    below = p * (y - z)
    return below if y > z else below - (y - z)


@inline
def quantile_slope(z, y, p):
    above = like(z, 1.0) - p if z > y else like(z, 0.0)
    return -p if z < y else above


@inline
def log_cosh(z, y, p):
    # cosh(d) = 1 + t^2 / (2 (1 + t)) with t = exp(d) - 1: all digits of a small loss too
    distance = abs(z - y)
    inside = like(z, COSH_LIMIT) if distance > COSH_LIMIT else distance
    t = expm1(inside)
    return log1p(like(z, 0.5) * t * (t / (like(z, 1.0) + t))) + (distance - inside)


@inline
def log_cosh_slope(z, y, p):
    return tanh(z - y)


@inline
def hinge(z, y, p):
    short = fma(-y, z, like(z, 1.0))
    return like(z, 0.0) if short < 0 else short  # NaN goes on


@inline
def hinge_slope(z, y, p):
    return -y if y * z < 1 else like(z, 0.0)


@inline
def focal(z, y, p):
    # With s = sigmoid(z): -log(s) = below, -log(1 - s) = above, and a power of either is an exp.
    even = softplus(-abs(z))
    above = even + (z if z > 0 else like(z, 0.0))
    below = even - (z if z < 0 else like(z, 0.0))
    zeros = (like(z, 1.0) - y) * exp(-p * below) * above
    return fma(y * exp(-p * above), below, zeros)


@inline
def focal_slope(z, y, p):
    even = softplus(-abs(z))
    above = even + (z if z > 0 else like(z, 0.0))
    below = even - (z if z < 0 else like(z, 0.0))
    one, s, rest = like(z, 1.0), sigmoid(z), sigmoid(-z)
    ones = exp(-p * above) * fma(p * s, below, rest)
    return fma((one - y) * exp(-p * below), fma(p * rest, above, s), -y * ones)
