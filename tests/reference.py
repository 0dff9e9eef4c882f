"""The plain NumPy network: textbook backpropagation that the compiled kernels are tested against.

Written to be read, not to be fast: whole arrays, one formula a line, nothing shared with fastbp.
Works in the float dtype of the weights it is given.

Conventions: ``z`` are pre-activations (logits at the output), ``a`` activations, ``delta`` the
gradient of the loss with respect to ``z``; weights are (in, out), so a layer is
``z = a @ W + b``. Backpropagation: Rumelhart, Hinton and Williams, Nature 323 (1986); in this
notation Goodfellow, Bengio and Courville, Deep Learning (2016), algorithm 6.4.
"""

import numpy as np
from reference_activations import ACTIVATIONS, sigmoid, softplus
from reference_dropout import mask
from reference_optimizers import OPTIMIZERS, initial_state

# ---- output activations: f(z), and the gradient with respect to z from the one with respect to a


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def output(name, z):
    """The network's prediction, (rows, outputs), from its logits z."""
    if name == "softmax":
        return softmax(z)
    if name == "exponential":
        return np.exp(z)
    return ACTIVATIONS[name][0](z)


def through_output(name, z, gradient):
    """dL/dz from ``gradient`` = dL/da at a = output(name, z)."""
    if name == "softmax":  # da_j/dz_k = a_j ([j = k] - a_k)
        a = softmax(z)
        return a * (gradient - (gradient * a).sum(axis=1, keepdims=True))
    if name == "exponential":
        return gradient * np.exp(z)
    return gradient * ACTIVATIONS[name][1](z)


# ---- losses: (value, dL/dz) from the logits z and targets y of the same shape -------------------


def mse(z, y, output_activation="identity"):
    """Mean of the squared errors over rows and outputs (no factor 1/2)."""
    e = output(output_activation, z) - y
    return np.mean(e * e), through_output(output_activation, z, 2 * e / e.size)


def mae(z, y, output_activation="identity"):
    """Mean of the absolute errors over rows and outputs; slope 0 where the error is 0."""
    e = output(output_activation, z) - y
    return np.mean(np.abs(e)), through_output(output_activation, z, np.sign(e) / e.size)


def huber(z, y, output_activation="identity", delta=1.0):
    """Huber, Ann. Math. Statist. 35 (1964): mean of e^2 / 2 inside +-delta, linear outside."""
    e = output(output_activation, z) - y
    inside, outside = e * e / 2, delta * (np.abs(e) - delta / 2)
    value = np.mean(np.where(np.abs(e) < delta, inside, outside))
    return value, through_output(output_activation, z, np.clip(e, -delta, delta) / e.size)


def cross_entropy(z, y, output_activation="softmax", label_smoothing=0.0):
    """Mean over rows of -sum_k t_k log softmax(z)_k, with t = y smoothed towards 1 / outputs.

    Label smoothing: Szegedy et al., arXiv:1512.00567, section 7.
    """
    t = (1 - label_smoothing) * y + label_smoothing / z.shape[1]
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -(t * log_p).sum() / len(z), (softmax(z) - t) / len(z)


def binary_cross_entropy(z, y, output_activation="sigmoid"):
    """Mean over rows and outputs of -y log s - (1 - y) log(1 - s), with s = sigmoid(z)."""
    return np.mean(softplus(z) - y * z), (sigmoid(z) - y) / z.size


def poisson(z, y, output_activation="exponential"):
    """Mean over rows and outputs of exp(z) - y z: the negative log likelihood less log(y!).

    Above z = 60 the exponential goes on along its tangent.
    """
    inside = np.minimum(z, 60)
    rate = np.exp(inside)
    return np.mean(rate * (1 + z - inside) - y * z), (rate - y) / z.size


def weighted(loss, z, y, weights, output_activation, **options):
    """sum(w l) / sum(w) of the losses l of rows, or of single outputs where w is (rows, outputs).

    Where all weights are zero the loss and its gradient are zero.
    """
    cells = [slice(None)] if weights.ndim == 1 else [slice(j, j + 1) for j in range(z.shape[1])]
    value, delta = 0.0, np.zeros_like(z)
    for row in range(len(z)):
        for cell, weight in zip(cells, np.atleast_1d(weights[row]), strict=True):
            if weight > 0:
                at = slice(row, row + 1), cell
                one, slope = loss(z[at], y[at], output_activation, **options)
                value, delta[at] = value + weight * one, weight * slope
    total = weights.sum() or 1.0
    return value / total, delta / total


LOSSES = {  # name: (loss, output activation it goes with)
    "mse": (mse, "identity"),
    "mae": (mae, "identity"),
    "huber": (huber, "identity"),
    "cross_entropy": (cross_entropy, "softmax"),
    "binary_cross_entropy": (binary_cross_entropy, "sigmoid"),
    "poisson": (poisson, "exponential"),
}


# ---- the network --------------------------------------------------------------------------------


class Reference:
    """A dense network given by its weights (in, out) and biases (out,), which it copies.

    ``activation`` is one name or one a hidden layer; ``loss`` and ``optimizer`` are names, their
    options go into ``loss_options`` and ``optimizer_options``. ``regularization`` holds any of
    dropout (one rate a hidden layer), dropout_seed, l1, l2, clip_value, clip_norm, max_norm and
    alpha.
    """

    def __init__(
        self,
        weights,
        biases,
        activation="relu",
        loss="mse",
        output_activation=None,
        optimizer="sgd",
        loss_options=None,
        optimizer_options=None,
        regularization=None,
    ):
        self.weights = [np.array(w) for w in weights]
        self.biases = [np.array(b) for b in biases]
        self.dtype = self.weights[0].dtype
        hidden = len(self.weights) - 1
        self.activations = [activation] * hidden if isinstance(activation, str) else activation
        assert len(self.activations) == hidden
        self.loss, default = LOSSES[loss]
        self.output_activation = output_activation or default
        self.loss_options = loss_options or {}
        self.optimizer, self.optimizer_options = optimizer, optimizer_options or {}
        self.regularization = regularization or {}
        self.states = [initial_state(optimizer, p) for p in self.weights + self.biases]
        self.steps = 0

    def targets(self, y):
        """Targets as (rows, outputs): integer labels become one-hot rows."""
        y, outputs = np.asarray(y), len(self.biases[-1])
        if self.loss is cross_entropy and y.ndim == 1:
            return np.eye(outputs, dtype=self.dtype)[y]
        return y.reshape(len(y), outputs).astype(self.dtype)

    def masks(self, rows):
        """The masks of dropout in the step that comes next, one a hidden layer."""
        seed, widths = self.regularization.get("dropout_seed"), map(len, self.biases)
        rates = self.regularization.get("dropout", [0] * len(self.activations))
        return [
            mask(rate, seed, layer, self.steps, rows, width) if rate else np.ones((rows, width))
            for layer, (rate, width) in enumerate(zip(rates, widths, strict=False))
        ]

    def forward(self, X, masks=None):
        """Pre-activations of every layer and inputs of every layer, for rows X."""
        z, a = [], [np.asarray(X, self.dtype)]
        for layer, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            z.append(a[-1] @ W + b)
            if layer < len(self.activations):
                a.append(ACTIVATIONS[self.activations[layer]][0](z[-1]))
                if masks is not None:
                    a[-1] = a[-1] * masks[layer].astype(self.dtype)
        return z, a

    def predict(self, X):
        return output(self.output_activation, self.forward(X)[0][-1])

    def loss_and_gradients(self, X, y, weights=None, masks=None):
        """Loss, gradients of the weights, gradients of the biases: one list entry a layer.

        ``weights`` are (rows,), or (rows, outputs) with an element-wise output activation.
        """
        z, a = self.forward(X, masks)
        arguments = z[-1], self.targets(y)
        if weights is None:
            value, delta = self.loss(*arguments, self.output_activation, **self.loss_options)
        else:
            value, delta = weighted(
                self.loss, *arguments, weights, self.output_activation, **self.loss_options
            )
        dW, db = [], []
        for layer in reversed(range(len(self.weights))):
            dW.insert(0, a[layer].T @ delta)
            db.insert(0, delta.sum(axis=0))
            if layer > 0:
                df = ACTIVATIONS[self.activations[layer - 1]][1]
                delta = delta @ self.weights[layer].T
                if masks is not None:
                    delta = delta * masks[layer - 1].astype(self.dtype)
                delta = delta * df(z[layer - 1])
        return float(value), dW, db

    def train_step(self, X, y, weights=None):
        """One update of every parameter; the loss before it."""
        value, dW, db = self.loss_and_gradients(X, y, weights, self.masks(len(X)))
        mass = len(X) if weights is None else weights.sum()
        decay = self.regularization.get("alpha", 0.0) / mass if mass else 0.0
        value += decay / 2 * sum((W.astype(float) ** 2).sum() for W in self.weights)
        dW, db = self.regularized(dW, db, decay)
        self.steps += 1
        rule = OPTIMIZERS[self.optimizer]
        for p, g, state in zip(self.weights + self.biases, dW + db, self.states, strict=True):
            p[:] = rule(p, g, state, self.steps, **self.optimizer_options)
        if "max_norm" in self.regularization:
            for W in self.weights:
                norms, bound = np.sqrt((W * W).sum(axis=0)), self.regularization["max_norm"]
                W[:] = np.where(norms > bound, W * (bound / (norms + 1e-7)), W)
        return value

    def regularized(self, dW, db, decay):
        """The gradients with penalties, clipped by value, then by their norm together."""
        has = self.regularization
        l1, l2 = has.get("l1", 0.0), has.get("l2", 0.0) + decay
        dW = [g + l1 * np.sign(W) + l2 * W for g, W in zip(dW, self.weights, strict=True)]
        if "clip_value" in has:
            bound = has["clip_value"]
            dW, db = ([np.clip(g, -bound, bound) for g in d] for d in (dW, db))
        if "clip_norm" in has:
            norm = np.sqrt(sum((g.astype(float) ** 2).sum() for g in dW + db))
            factor = min(1.0, has["clip_norm"] / (norm + 1e-6))
            dW, db = ([g * factor for g in d] for d in (dW, db))
        return dW, db

    def fit(self, X, y, epochs=1, batch_size=32, order=None, weights=None):
        """Train on batches of rows in the given order, a last partial one with its own mean.

        Returns the mean loss over the rows of each epoch by their weights, each batch before its
        update.
        """
        order, losses = np.arange(len(X)) if order is None else np.asarray(order), []
        masses = np.ones(len(X)) if weights is None else weights
        for _ in range(epochs):
            total = 0.0
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                own = None if weights is None else weights[rows]
                total += self.train_step(X[rows], y[rows], own) * masses[rows].sum()
            losses.append(total / masses[order].sum())
        return losses
