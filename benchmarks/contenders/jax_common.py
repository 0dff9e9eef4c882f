"""What both JAX contenders compute: loss, gradient, and PyTorch's update rules."""

import jax
import jax.numpy as jnp

from .base import Contender, initial

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh}


def loss_of(workload, product=jnp.matmul):
    """Return ``loss(parameters, X, y)`` as a function for JAX."""
    activation = ACTIVATIONS[workload.activation]

    def loss(parameters, X, y):
        *hidden, (weights, bias) = parameters
        for W, b in hidden:
            X = activation(product(X, W) + b)
        outputs = product(X, weights) + bias
        if workload.loss == "mse":
            return jnp.mean((outputs - y) ** 2)
        chosen = jnp.sum(jax.nn.one_hot(y, outputs.shape[1]) * outputs, axis=1)
        return jnp.mean(jax.nn.logsumexp(outputs, axis=1) - chosen)

    return loss


def rule_of(name, settings):
    """Return ``rule(number, p, g, *slots)``, which gives p and slots after it, and their number."""
    lr, eps = settings["lr"], settings.get("eps")

    def sgd(number, p, g):
        return (p - lr * g,)

    def rmsprop(number, p, g, v):
        v = settings["rho"] * v + (1 - settings["rho"]) * g * g
        return p - lr * g / (jnp.sqrt(v) + eps), v

    def adam(number, p, g, m, v):
        beta1, beta2 = settings["beta1"], settings["beta2"]
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        steps = number.astype(jnp.float32)
        rate, root = lr / (1 - beta1**steps), jnp.sqrt(1 - beta2**steps)
        return p - rate * m / (jnp.sqrt(v) / root + eps), m, v

    return {"sgd": (sgd, 0), "rmsprop": (rmsprop, 1), "adam": (adam, 2)}[name]


class JaxContender(Contender):
    """Holds data and state as JAX's arrays, and the function of one step."""

    product = staticmethod(jnp.matmul)

    def __init__(self, workload, threads):
        super().__init__(workload, threads)
        self.features, self.targets = jnp.asarray(self.X), jnp.asarray(self.y)
        leaves, tree = jax.tree.flatten(initial(workload.layers))
        rule, slots = rule_of(workload.optimizer, self.settings)
        zeros = [[jnp.zeros_like(leaf) for leaf in leaves] for _ in range(slots)]
        # (number of steps made, parameters, for each slot as many arrays)
        self.state = jnp.int32(0), [jnp.array(leaf) for leaf in leaves], *zeros
        gradient = jax.grad(loss_of(workload, self.product))

        def step(state, X, y):
            number, parameters, *slots = state
            gradients = jax.tree.leaves(gradient(jax.tree.unflatten(tree, parameters), X, y))
            number += 1
            new = [
                rule(number, *arrays) for arrays in zip(parameters, gradients, *slots, strict=True)
            ]
            return number, *map(list, zip(*new, strict=True))

        self.tree, self.step = tree, step

    def parameters(self):
        return jax.tree.unflatten(self.tree, self.state[1])


def rows_of(array, rows):
    """Return those rows of an array, without the check of bounds that indexing makes."""
    return array.at[rows].get(mode="promise_in_bounds", unique_indices=True)
