"""Activations of the plain NumPy network: f(z) and f'(z), element by element, in the dtype of z.

Derivatives at a kink are PyTorch's. No formula overflows where its value is representable.
"""

import math

import numpy as np

SELU_ALPHA = 1.6732632423543772848170429916717  # Klambauer et al., arXiv:1706.02515, appendix
SELU_SCALE = 1.0507009873554804934193349852946
GELU_TANH = math.sqrt(2 / math.pi)


def identity(z):
    return z


def d_identity(z):
    return np.ones_like(z)


def relu(z):
    return np.maximum(z, 0)


def d_relu(z):
    return np.where(z > 0, 1, 0).astype(z.dtype)


def leaky_relu(z, slope=0.01):
    """Maas, Hannun and Ng, ICML workshop (2013)."""
    return np.where(z > 0, z, slope * z)


def d_leaky_relu(z, slope=0.01):
    return np.where(z > 0, 1, slope).astype(z.dtype)


def elu(z, alpha=1.0):
    """Clevert, Unterthiner and Hochreiter, arXiv:1511.07289."""
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def d_elu(z, alpha=1.0):
    return np.where(z > 0, 1, alpha * np.exp(np.minimum(z, 0))).astype(z.dtype)


def selu(z):
    """Klambauer et al., arXiv:1706.02515."""
    return SELU_SCALE * elu(z, SELU_ALPHA)


def d_selu(z):
    return SELU_SCALE * d_elu(z, SELU_ALPHA)


def normal_cdf(z):
    """Distribution function of the standard normal; erfc keeps the lower tail exact."""
    return np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in z.flat], z.dtype).reshape(z.shape)


def gelu(z):
    """Hendrycks and Gimpel, arXiv:1606.08415: z times the normal distribution function."""
    return z * normal_cdf(z)


def d_gelu(z):
    return normal_cdf(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def gelu_tanh(z):
    """Hendrycks and Gimpel, arXiv:1606.08415, the tanh approximation."""
    return z / 2 * (1 + np.tanh(GELU_TANH * (z + 0.044715 * z**3)))


def d_gelu_tanh(z):
    t = np.tanh(GELU_TANH * (z + 0.044715 * z**3))
    return (1 + t) / 2 + z / 2 * (1 - t * t) * GELU_TANH * (1 + 3 * 0.044715 * z**2)


def sigmoid(z):
    """1 / (1 + exp(-z)), written with exp(-|z|), which cannot overflow."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def d_sigmoid(z):
    return sigmoid(z) * sigmoid(-z)


def silu(z):
    """Elfwing, Uchibe and Doya, arXiv:1702.03118."""
    return z * sigmoid(z)


def d_silu(z):
    return sigmoid(z) * (1 + z * sigmoid(-z))


def softplus(z):
    """log(1 + exp(z)), Dugas et al., NIPS (2000). PyTorch's turns linear above z = 20."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def d_softplus(z):
    return sigmoid(z)


def softsign(z):
    """Bergstra et al., technical report 1337, Université de Montréal (2009)."""
    return z / (1 + np.abs(z))


def d_softsign(z):
    return 1 / (1 + np.abs(z)) ** 2


def hard_tanh(z):
    """Collobert (2004), PhD thesis, Université Paris 6."""
    return np.clip(z, -1, 1)


def d_hard_tanh(z):
    return np.where(np.abs(z) < 1, 1, 0).astype(z.dtype)


def tanh(z):
    return np.tanh(z)


def d_tanh(z):
    return 1 - np.tanh(z) ** 2


ACTIVATIONS = {
    "identity": (identity, d_identity),
    "relu": (relu, d_relu),
    "leaky_relu": (leaky_relu, d_leaky_relu),
    "elu": (elu, d_elu),
    "selu": (selu, d_selu),
    "gelu": (gelu, d_gelu),
    "gelu_tanh": (gelu_tanh, d_gelu_tanh),
    "silu": (silu, d_silu),
    "softplus": (softplus, d_softplus),
    "softsign": (softsign, d_softsign),
    "hard_tanh": (hard_tanh, d_hard_tanh),
    "sigmoid": (sigmoid, d_sigmoid),
    "tanh": (tanh, d_tanh),
}
