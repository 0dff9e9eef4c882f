"""Scalar rules of second derivatives: f''(z) of activations, and of losses in their outputs."""

from fastbp.kernels.machine import vecmath
from fastbp.kernels.machine.jit import inline
from fastbp.kernels.machine.simd import fma
from fastbp.kernels.machine.vecmath import exp, like, normal_pdf
from fastbp.kernels.panels import activation_rules
from fastbp.kernels.panels.loss_rules import RATE_LIMIT


@inline
def elu(z):
    return like(z, 0.0) if z > 0 else exp(z)


@inline
def selu(z):
    scale = like(z, activation_rules.SELU_SCALE * activation_rules.SELU_ALPHA)
    return like(z, 0.0) if z > 0 else scale * exp(z)


@inline
def gelu(z):
    density = normal_pdf(z)
    # Far out z * z may overflow where the density is 0.
    return density * fma(-z, z, like(z, 2.0)) if density > 0 else like(z, 0.0)


@inline
def gelu_tanh(z):
    gate = activation_rules.gelu_tanh_gate(z)
    steep = gate * (like(z, 1.0) - gate)
    rate = like(z, 2 * activation_rules.GELU_TANH)
    cube = like(z, 3 * activation_rules.GELU_CUBE)
    inner = rate * fma(cube * z, z, like(z, 1.0))
    bend = fma((like(z, 1.0) - gate - gate) * inner, inner, rate * (cube + cube) * z)
    return steep * fma(z, bend, inner + inner) if steep > 0 else like(z, 0.0)


@inline
def silu(z):
    s = vecmath.sigmoid(z)
    steep = s * (like(z, 1.0) - s)
    return steep * fma(z, like(z, 1.0) - s - s, like(z, 2.0))


@inline
def softplus(z):
    s = vecmath.sigmoid(z)
    return s * (like(z, 1.0) - s)


@inline
def softsign(z):
    rest = like(z, 1.0) / (like(z, 1.0) + abs(z))
    bend = like(z, 2.0) * rest * rest * rest
    return bend if z < 0 else -bend


@inline
def sigmoid(z):
    s = vecmath.sigmoid(z)
    return s * (like(z, 1.0) - s) * (like(z, 1.0) - s - s)


@inline
def tanh(z):
    a = vecmath.tanh(z)
    return like(z, -2.0) * a * fma(-a, a, like(z, 1.0))


ACTIVATIONS = (elu, selu, gelu, gelu_tanh, silu, softplus, softsign, sigmoid, tanh)


@inline
def none_of_loss(z, y, p):
    return like(z, 0.0)


@inline
def mse(z, y, p):
    return like(z, 2.0)


@inline
def huber(z, y, p):
    return like(z, 1.0) if abs(z - y) <= p else like(z, 0.0)


@inline
def binary_cross_entropy(z, y, p):
    s = vecmath.sigmoid(z)
    return s * (like(z, 1.0) - s)


@inline
def poisson(z, y, p):
    return exp(z) if z < RATE_LIMIT else like(z, 0.0)
