"""The update rule of every optimizer in plain NumPy, PyTorch's term for term.

A rule takes a parameter array ``w``, its gradient ``g``, the ``state`` of this array (changed in
place) and the step count ``t`` (1 at the first step), and returns the new parameters.
"""

import math

import numpy as np

SLOTS = {
    "sgd": ("velocity",),
    "adam": ("m", "v", "v_max"),
    "adamw": ("m", "v", "v_max"),
    "rmsprop": ("square", "mean", "velocity"),
    "adagrad": ("total",),
    "nadam": ("m", "v"),
}


def initial_state(name, w):
    """All slots start at zero."""
    return {slot: np.zeros_like(w) for slot in SLOTS[name]}


def decayed(w, g, lr, weight_decay, decoupled):
    """Weights and gradient after either kind of decay (Loshchilov and Hutter, arXiv:1711.05101)."""
    return (w * (1 - lr * weight_decay), g) if decoupled else (w, g + weight_decay * w)


def sgd(w, g, state, t, lr=1e-2, momentum=0.0, nesterov=False, weight_decay=0.0, decoupled=False):
    """Gradient descent with heavy-ball or Nesterov momentum.

    Sutskever et al., ICML (2013), in the form of torch.optim.SGD: the rate multiplies the
    velocity, no dampening.
    """
    w, g = decayed(w, g, lr, weight_decay, decoupled)
    state["velocity"] = momentum * state["velocity"] + g
    return w - lr * (g + momentum * state["velocity"] if nesterov else state["velocity"])


def adam(
    w, g, state, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, amsgrad=False,
    epsilon_hat=False,
):  # fmt: skip
    """Kingma and Ba, arXiv:1412.6980, algorithm 1; eps outside the root, after the correction.

    AMSGrad: Reddi, Kale and Kumar, arXiv:1904.09237; the maximum is over the uncorrected v, as in
    torch.optim.Adam. weight_decay is an L2 penalty, added to the gradient. epsilon_hat: the form
    at the end of section 2, with eps inside the correction.
    """
    g = g + weight_decay * w
    state["m"] = beta1 * state["m"] + (1 - beta1) * g
    state["v"] = beta2 * state["v"] + (1 - beta2) * g * g
    state["v_max"] = np.maximum(state["v_max"], state["v"])
    m_hat = state["m"] / (1 - beta1**t)
    square = state["v_max" if amsgrad else "v"]
    if epsilon_hat:
        rate = lr * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        return w - rate * state["m"] / (np.sqrt(square) + eps)
    v_hat = square / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps)


def adamw(w, g, state, t, lr=1e-3, weight_decay=1e-2, **options):
    """Loshchilov and Hutter, arXiv:1711.05101: weights decay by lr * weight_decay, then Adam."""
    return adam(w * (1 - lr * weight_decay), g, state, t, lr=lr, **options)


def rmsprop(
    w, g, state, t, lr=1e-3, rho=0.9, eps=1e-8, momentum=0.0, centered=False, weight_decay=0.0
):
    """Tieleman and Hinton, Coursera lecture 6.5 (2012); centered: Graves, arXiv:1308.0850, eq. 40.

    torch.optim.RMSprop (rho is its alpha): eps outside the root, the rate multiplies the velocity.
    Rounding can leave a variance a little below zero, which counts as zero.
    """
    g = g + weight_decay * w
    state["square"] = rho * state["square"] + (1 - rho) * g * g
    state["mean"] = rho * state["mean"] + (1 - rho) * g
    variance = state["square"] - state["mean"] ** 2 if centered else state["square"]
    state["velocity"] = momentum * state["velocity"] + g / (np.sqrt(np.maximum(variance, 0)) + eps)
    return w - lr * state["velocity"]


def adagrad(w, g, state, t, lr=1e-2, eps=1e-10, weight_decay=0.0):
    """Duchi, Hazan and Singer, JMLR 12 (2011)."""
    g = g + weight_decay * w
    state["total"] = state["total"] + g * g
    return w - lr * g / (np.sqrt(state["total"]) + eps)


def nadam_mu(t, beta1, momentum_decay):
    """Dozat (2016): the momentum of step t, growing from beta1 / 2 towards beta1."""
    return beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))


def nadam(
    w, g, state, t, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, momentum_decay=4e-3,
    weight_decay=0.0, decoupled=False,
):  # fmt: skip
    """Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop (2016); torch.optim.NAdam.

    mu_t enters the bias corrections only; the running mean m decays with beta1.
    """
    w, g = decayed(w, g, lr, weight_decay, decoupled)
    mu, mu_next = (nadam_mu(step, beta1, momentum_decay) for step in (t, t + 1))
    product = math.prod(nadam_mu(step, beta1, momentum_decay) for step in range(1, t + 1))
    state["m"] = beta1 * state["m"] + (1 - beta1) * g
    state["v"] = beta2 * state["v"] + (1 - beta2) * g * g
    m_hat = mu_next * state["m"] / (1 - product * mu_next) + (1 - mu) * g / (1 - product)
    return w - lr * m_hat / (np.sqrt(state["v"] / (1 - beta2**t)) + eps)


OPTIMIZERS = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adamw,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
    "nadam": nadam,
}
