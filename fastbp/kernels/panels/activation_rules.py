"""Scalar rules of the activations: f(z), and f' of z or of f(z).

Each is compiled into the panels of one activation; which argument a slope takes stands in
activations.py.
"""

from fastbp.kernels.machine import vecmath
from fastbp.kernels.machine.jit import inline
from fastbp.kernels.machine.simd import fma
from fastbp.kernels.machine.vecmath import expm1, like, normal_cdf, normal_pdf

SELU_SCALE = 1.0507009873554805  # Klambauer et al. 2017, section 2
SELU_ALPHA = 1.6732632423543772
GELU_TANH = 0.7978845608028654  # sqrt(2 / pi), Hendrycks & Gimpel 2016
GELU_CUBE = 0.044715


@inline
def relu(z):
    return z if not z <= 0 else like(z, 0.0)  # NaN stays NaN


@inline
def relu_slope(a):
    return like(a, 1.0) if a > 0 else like(a, 0.0)


@inline
def leaky_relu(z):
    return z if z > 0 else like(z, 0.01) * z


@inline
def leaky_relu_slope(a):
    return like(a, 1.0) if a > 0 else like(a, 0.01)


@inline
def elu(z):
    return z if z > 0 else expm1(z)


@inline
def elu_slope(a):
    return like(a, 1.0) if a > 0 else a + like(a, 1.0)


@inline
def selu(z):
    return like(z, SELU_SCALE) * z if z > 0 else like(z, SELU_SCALE * SELU_ALPHA) * expm1(z)


@inline
def selu_slope(a):
    return like(a, SELU_SCALE) if a > 0 else a + like(a, SELU_SCALE * SELU_ALPHA)


@inline
def gelu(z):
    return z * normal_cdf(z)


@inline
def gelu_slope(z):
    return fma(z, normal_pdf(z), normal_cdf(z))


@inline
def gelu_tanh_gate(z):
    # (1 + tanh(u)) / 2 = sigmoid(2 u)
    return vecmath.sigmoid(like(z, 2 * GELU_TANH) * fma(like(z, GELU_CUBE) * z * z, z, z))


@inline
def gelu_tanh(z):
    return z * gelu_tanh_gate(z)


@inline
def gelu_tanh_slope(z):
    gate = gelu_tanh_gate(z)
    inner = like(z, 2 * GELU_TANH) * fma(like(z, 3 * GELU_CUBE) * z, z, like(z, 1.0))
    # Where the gate is shut or open for good, inner may overflow: 0 * inf would be NaN.
    steep = gate * (like(z, 1.0) - gate)
    inner = inner if steep > 0 else like(z, 0.0)
    return fma(z * steep, inner, gate)


@inline
def silu(z):
    return z * vecmath.sigmoid(z)


@inline
def silu_slope(z):
    s = vecmath.sigmoid(z)
    return fma(z * s, like(z, 1.0) - s, s)


@inline
def softplus(z):
    return vecmath.softplus(z)


@inline
def softplus_slope(a):
    return -expm1(-a)  # sigmoid(z) where a = log(1 + exp(z))


@inline
def softsign(z):
    return z / (like(z, 1.0) + abs(z))


@inline
def softsign_slope(a):
    rest = like(a, 1.0) - abs(a)
    return rest * rest


@inline
def hard_tanh(z):
    low = like(z, -1.0) if z < -1 else z
    return like(z, 1.0) if low > 1 else low


@inline
def hard_tanh_slope(a):
    return like(a, 1.0) if abs(a) < 1 else like(a, 0.0)


@inline
def sigmoid(z):
    return vecmath.sigmoid(z)


@inline
def sigmoid_slope(a):
    return a * (like(a, 1.0) - a)


@inline
def tanh(z):
    return vecmath.tanh(z)


@inline
def tanh_slope(a):
    return fma(-a, a, like(a, 1.0))
