"""Scalar rules of the element-wise losses: value and slope in z, given the target y.

p is the loss's parameter. A loss on logits holds the output activation's derivative too.
"""

from fastbp.kernels.machine.jit import inline
from fastbp.kernels.machine.simd import fma
from fastbp.kernels.machine.vecmath import exp, like, sigmoid, softplus

RATE_LIMIT = 60.0  # of a Poisson log rate: float32 has room for 1e4 such losses in a sum


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
    return positive - z * y + softplus(-abs(z))


@inline
def binary_cross_entropy_slope(z, y, p):
    return sigmoid(z) - y


@inline
def poisson(z, y, p):
    # Beyond the limit along the tangent, so that a log rate of 1e4 has a finite loss and slope.
    inside = z if z < RATE_LIMIT else like(z, RATE_LIMIT)
    rate = exp(inside)
    return fma(rate, z - inside, rate) - y * z


@inline
def poisson_slope(z, y, p):
    return exp(z if z < RATE_LIMIT else like(z, RATE_LIMIT)) - y
