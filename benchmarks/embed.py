"""What a call of `fastbp.embed` costs, from compiled code and from Python, beside PyTorch and JAX.

``taskset -c 0 python benchmarks/embed.py`` prints a table in Markdown: microseconds of a call, the
best of many, in float32 on one thread, by a network with tanh, the mean squared error and Adam. The
calls of compiled code are made by a loop under `@njit`. PyTorch and JAX, where they are installed,
are called from Python, since compiled code cannot call them: PyTorch in eager mode, JAX by
functions under `jax.jit` that have been compiled before, waiting for each result.
"""

import argparse
import importlib
import importlib.util
import itertools
import os
import platform
import time

import numba
import numpy as np
from numba import njit

import fastbp
from fastbp import embed
from fastbp.system import processor

NETWORKS = [4, 32, 16, 4], [8, 64, 64, 4]
ROWS, RATE = 32, 1e-3
SECONDS = 0.3  # of calls for each figure
NAMES = (
    "`predict`, one row",
    f"`predict`, {ROWS} rows",
    f"`train_step`, {ROWS} rows",
    f"`loss_and_gradients`, {ROWS} rows",
)
REPEATS = 200  # calls of a loop in compiled code


@njit(nogil=True)
def predicts(state, X, out):
    """Some predictions."""
    for _ in range(REPEATS):
        embed.predict(state, X, out)


@njit(nogil=True)
def steps(state, X, y):
    """Some steps."""
    for _ in range(REPEATS):
        embed.train_step(state, X, y)


@njit(nogil=True)
def gradients(state, X, y, to):
    """Some gradients."""
    for _ in range(REPEATS):
        embed.loss_and_gradients(state, X, y, to)


def best(function, calls=1):
    """Microseconds of a call, from the fastest of many turns of so many calls."""
    function()
    least, end = float("inf"), time.perf_counter() + SECONDS
    while (start := time.perf_counter()) < end:
        function()
        least = min(least, time.perf_counter() - start)
    return least / calls * 1e6


def arrays(widths):
    """Features and targets, and a single row."""
    rng = np.random.default_rng(0)
    X, y = (rng.standard_normal((ROWS, width), np.float32) for width in (widths[0], widths[-1]))
    return X, y, X[:1].copy()


def of_compiled_code(widths):
    """The calls of a loop under `@njit`."""
    X, y, row = arrays(widths)
    state = fastbp.Network(widths, activation="tanh", rng=0).state
    out, one, to = y.copy(), y[:1].copy(), np.empty(state.parameters, np.float32)
    return [
        best(lambda: predicts(state, row, one), REPEATS),
        best(lambda: predicts(state, X, out), REPEATS),
        best(lambda: steps(state, X, y), REPEATS),
        best(lambda: gradients(state, X, y, to), REPEATS),
    ]


def of_embed(widths):
    """The same functions called from Python."""
    X, y, row = arrays(widths)
    state = fastbp.Network(widths, activation="tanh", rng=0).state
    out, one, to = y.copy(), y[:1].copy(), np.empty(state.parameters, np.float32)
    return [
        best(lambda: embed.predict(state, row, one)),
        best(lambda: embed.predict(state, X, out)),
        best(lambda: embed.train_step(state, X, y)),
        best(lambda: embed.loss_and_gradients(state, X, y, to)),
    ]


def of_network(widths):
    """The methods of a network."""
    X, y, row = arrays(widths)
    net = fastbp.Network(widths, activation="tanh", rng=0, threads=1)
    return [
        best(lambda: net.predict(row)),
        best(lambda: net.predict(X)),
        best(lambda: net.train_step(X, y)),
        best(lambda: net.loss_and_gradients(X, y)),
    ]


def of_torch(widths):
    """PyTorch's eager mode."""
    import torch

    torch.set_num_threads(1)
    X, y, row = map(torch.from_numpy, arrays(widths))
    layers = [
        part
        for inputs, outputs in itertools.pairwise(widths)
        for part in (torch.nn.Linear(inputs, outputs), torch.nn.Tanh())
    ]
    net = torch.nn.Sequential(*layers[:-1])
    parameters = list(net.parameters())
    optimizer = torch.optim.Adam(parameters, RATE)

    def predict(rows):
        with torch.no_grad():
            net(rows)

    def step():
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(net(X), y).backward()
        optimizer.step()

    return [
        best(lambda: predict(row)),
        best(lambda: predict(X)),
        best(step),
        best(lambda: torch.autograd.grad(torch.nn.functional.mse_loss(net(X), y), parameters)),
    ]


def of_jax(widths):
    """JAX's functions, compiled for this network."""
    import jax
    from jax import numpy as jnp

    X, y, row = map(jnp.asarray, arrays(widths))
    rng = np.random.default_rng(0)
    shapes = [shape for pair in itertools.pairwise(widths) for shape in (pair, pair[1:])]
    parameters = [jnp.asarray(rng.standard_normal(shape, np.float32) / 8) for shape in shapes]

    def predict(parameters, x):
        for n in range(0, len(parameters), 2):
            x = (jnp.tanh(x) if n else x) @ parameters[n] + parameters[n + 1]
        return x

    gradient = jax.value_and_grad(lambda p, x, y: ((predict(p, x) - y) ** 2).mean())

    @jax.jit
    def step(parameters, first, second, count, x, y):
        loss, found = gradient(parameters, x, y)
        count += 1
        first = [0.9 * m + 0.1 * g for m, g in zip(first, found, strict=True)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, found, strict=True)]
        rate, root = RATE / (1 - 0.9**count), jnp.sqrt(1 - 0.999**count)
        parameters = [
            p - rate * m / (jnp.sqrt(v) / root + 1e-8)
            for p, m, v in zip(parameters, first, second, strict=True)
        ]
        return parameters, first, second, count, loss

    zeros = [jnp.zeros_like(p) for p in parameters]
    held = [(parameters, zeros, zeros, jnp.float32(0))]

    def train():
        held[0] = jax.block_until_ready(step(*held[0], X, y))[:4]

    predict, gradients = jax.jit(predict), jax.jit(gradient)
    return [
        best(lambda: predict(parameters, row).block_until_ready()),
        best(lambda: predict(parameters, X).block_until_ready()),
        best(train),
        best(lambda: jax.block_until_ready(gradients(parameters, X, y))),
    ]


def columns(widths):
    """{whose calls: microseconds of each}, for those that are installed."""
    found = {
        "fastbp, compiled code": of_compiled_code(widths),
        "fastbp.embed, Python": of_embed(widths),
        "fastbp.Network, Python": of_network(widths),
    }
    for name, function in (("torch", of_torch), ("jax", of_jax)):
        if importlib.util.find_spec(name) is not None:
            found[f"{name}, Python"] = function(widths)
    return found


def main():
    """Print a table for each network."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for widths in NETWORKS:
        found = columns(widths)
        print(f"| {'-'.join(map(str, widths))} |", " | ".join(found), "|")
        print("|---|" + "---|" * len(found))
        for number, name in enumerate(NAMES):
            print(f"| {name} |", " | ".join(f"{us[number]:.3g}" for us in found.values()), "|")
        print()
    versions = [f"fastbp {fastbp.__version__}", f"numba {numba.__version__}"]
    for name in ("torch", "jax"):
        if importlib.util.find_spec(name) is not None:
            versions.append(f"{name} {importlib.import_module(name).__version__}")
    print(
        f"{processor()}, {platform.system()}, Python {platform.python_version()}, "
        f"{', '.join(versions)}, {time.strftime('%Y-%m-%d')}"
    )


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    main()
