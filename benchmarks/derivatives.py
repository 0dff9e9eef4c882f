"""What derivatives cost, beside PyTorch's autograd and `torch.func` and JAX's `vmap`.

``taskset -c 0 python benchmarks/derivatives.py`` prints a table in Markdown: microseconds of a
call, the best of many, of a 3-64-5 tanh network on 128 rows of float32 (``--network``, ``--rows``).
All libraries that are installed take part, and must find the same numbers.
"""

import argparse
import importlib.util
import itertools
import platform
import time

import numpy as np

import fastbp
from fastbp.system import processor

SECONDS = 0.3  # of calls for each figure
TASKS = (
    "Jacobian of outputs by inputs",
    "gradient by inputs",
    "gradient by parameters",
    "gradients of samples",
    "Hessian times vector",
    "Gauss-Newton times vector",
    "outputs, then a step by their slopes",
)


def best(function):
    """Microseconds of the fastest of many calls."""
    function()
    least, end = float("inf"), time.perf_counter() + SECONDS
    while (start := time.perf_counter()) < end:
        function()
        least = min(least, time.perf_counter() - start)
    return least * 1e6


def problem(widths, rows):
    """A network, features, targets and a direction."""
    network = fastbp.Network(widths, "tanh", optimizer=fastbp.SGD(0.0), rng=0, threads=1)
    rng = np.random.default_rng(0)
    sizes = (rows, widths[0]), (rows, widths[-1]), network.flat.shape
    return network, *(rng.standard_normal(size, dtype=np.float32) for size in sizes)


def ours(network, X, y, v):
    """The calls of fastbp; a step has a rate of 0, so that all see the same network."""

    def step():
        network.step(network.forward(X) * np.float32(1e-3))

    def packed():
        gradients = network.loss_and_gradients(X, y)[1]
        pairs = zip(gradients.weights, gradients.biases, strict=True)
        return np.concatenate([array.ravel() for pair in pairs for array in pair])

    return {
        TASKS[0]: lambda: network.jacobian(X),
        TASKS[1]: lambda: network.input_gradient(X, y),
        TASKS[2]: packed,
        TASKS[3]: lambda: network.sample_gradients(X, y).weights[0],
        TASKS[4]: lambda: network.hessian_vector(X, y, v),
        TASKS[5]: lambda: network.gauss_newton_vector(X, y, v),
        TASKS[6]: step,
    }


def unpacked(flat, widths):
    """Weights and biases of the layers in one vector of fastbp's order."""
    at, found = 0, []
    for inputs, outputs in itertools.pairwise(widths):
        end = at + inputs * outputs
        found.append((flat[at:end].reshape(inputs, outputs), flat[end : end + outputs]))
        at = end + outputs
    return found


def of_torch(network, X, y, v):
    """PyTorch's: autograd where there is one number, torch.func elsewhere; none is compiled."""
    import torch

    torch.set_num_threads(1)
    X, y, v, flat = (torch.tensor(array) for array in (X, y, v, network.flat))
    widths = network.layers

    def outputs(flat, X):
        *hidden, (W, b) = unpacked(flat, widths)
        for weights, biases in hidden:
            X = torch.tanh(X @ weights + biases)
        return X @ W + b

    def loss(flat, X=X, y=y):
        return ((outputs(flat, X) - y) ** 2).mean()

    def by_inputs():
        at = X.clone().requires_grad_()
        return torch.autograd.grad(loss(flat, at), at)[0]

    def by_parameters():
        at = flat.clone().requires_grad_()
        return torch.autograd.grad(loss(at), at)[0]

    def gauss_newton():
        out, change = torch.func.jvp(lambda flat: outputs(flat, X), (flat,), (v,))
        back = torch.func.vjp(lambda flat: outputs(flat, X), flat)[1]
        return back(2 * change / out.numel())[0]

    def step():
        at = flat.clone().requires_grad_()
        out = outputs(at, X)
        out.backward(out.detach() * 1e-3)
        return at.grad

    rows = torch.func.vmap(torch.func.jacrev(outputs, argnums=1), in_dims=(None, 0))
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    first = widths[0] * widths[1]
    return {
        TASKS[0]: lambda: rows(flat, X),
        TASKS[1]: by_inputs,
        TASKS[2]: by_parameters,
        TASKS[3]: lambda: each(flat, X, y)[:, :first].reshape(len(X), *widths[:2]),
        TASKS[4]: lambda: torch.func.jvp(torch.func.grad(loss), (flat,), (v,))[1],
        TASKS[5]: gauss_newton,
        TASKS[6]: step,
    }


def of_jax(network, X, y, v):
    """JAX's, each compiled as a whole for these shapes."""
    import jax
    import jax.numpy as jnp

    X, y, v, flat = (jnp.asarray(array) for array in (X, y, v, network.flat))
    widths = network.layers

    def outputs(flat, X):
        *hidden, (W, b) = unpacked(flat, widths)
        for weights, biases in hidden:
            X = jnp.tanh(X @ weights + biases)
        return X @ W + b

    def loss(flat, X, y):
        return ((outputs(flat, X) - y) ** 2).mean()

    def gauss_newton(flat, X, v):
        out, change = jax.jvp(lambda flat: outputs(flat, X), (flat,), (v,))
        return jax.vjp(lambda flat: outputs(flat, X), flat)[1](2 * change / out.size)[0]

    def hessian(flat, X, y, v):
        return jax.jvp(lambda flat: jax.grad(loss)(flat, X, y), (flat,), (v,))[1]

    def step(flat, X):
        out, back = jax.vjp(lambda flat: outputs(flat, X), flat)
        return flat - 0.0 * back(out * 1e-3)[0]

    first = widths[0] * widths[1]

    def samples(flat, X, y):
        found = jax.vmap(jax.grad(loss), (None, 0, 0))(flat, X, y)
        return found, found[:, :first].reshape(len(X), *widths[:2])

    functions = {
        TASKS[0]: (jax.vmap(jax.jacrev(outputs, argnums=1), (None, 0)), (flat, X)),
        TASKS[1]: (jax.grad(loss, argnums=1), (flat, X, y)),
        TASKS[2]: (jax.grad(loss), (flat, X, y)),
        TASKS[3]: (samples, (flat, X, y)),
        TASKS[4]: (hessian, (flat, X, y, v)),
        TASKS[5]: (gauss_newton, (flat, X, v)),
        TASKS[6]: (step, (flat, X)),
    }

    def called(function, arguments):
        compiled = jax.jit(function)
        return lambda: jax.block_until_ready(compiled(*arguments))

    made = {name: called(*of) for name, of in functions.items()}
    both = made[TASKS[3]]
    return made | {TASKS[3]: lambda: both()[1]}


def table(widths, rows):
    """{library: {task: microseconds}}; AssertionError where two disagree."""
    given = problem(widths, rows)
    calls = {"fastbp": ours(*given)}
    for name, make in (("torch", of_torch), ("jax", of_jax)):
        if importlib.util.find_spec(name) is not None:
            calls[name] = make(*given)
    found = {}
    for library, functions in calls.items():
        for name in TASKS[:-1]:
            got, want = (np.asarray(one[name]()) for one in (functions, calls["fastbp"]))
            np.testing.assert_allclose(got, want, atol=1e-3 * np.abs(want).max(), err_msg=name)
        found[library] = {name: best(function) for name, function in functions.items()}
    return found


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="3-64-5")
    parser.add_argument("--rows", type=int, default=128)
    arguments = parser.parse_args()
    found = table([int(width) for width in arguments.network.split("-")], arguments.rows)
    print(f"| {arguments.network} tanh, {arguments.rows} rows |", " | ".join(found), "|")
    print("|---|" + "---|" * len(found))
    for name in TASKS:
        print(f"| {name} |", " | ".join(f"{of[name]:.1f}" for of in found.values()), "|")
    print()
    print(
        f"{processor()}, {platform.system()}, Python {platform.python_version()}, fastbp "
        f"{fastbp.__version__}, {time.strftime('%Y-%m-%d')}"
    )


if __name__ == "__main__":
    main()
