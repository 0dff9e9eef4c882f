"""A neural ODE: a network as the right-hand side, fitted to the populations of foxes and rabbits.

Observations of the Lotka-Volterra equations, with noise; nothing of the equations is given to the
network f(u) = du/dt. From every observation an ODE solver (Runge and Kutta's, of order 4) goes some
steps along f, and the loss is how far it comes off the observations that follow. Solver, adjoint
and update are one compiled loop.

The gradient goes back through the solver by hand, and meets the network at each stage, where it
must be multiplied by the network's derivatives:

- by the weights: `embed.step` makes an update by given slopes of the outputs.
- by the inputs: `embed.input_gradient`, of the mean squared error. That of n rows with 2 outputs
  has the gradient (f - y) / n by the outputs: with the targets y = f - n g it is the given g.

Run ``python examples/neural_ode.py``, with ``--plot fit.png`` for a picture of fit and loss.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

import fastbp
from fastbp import embed

COUNT, STEP, NOISE = 81, 0.1, 0.01  # observations, the time between two, relative noise
WEIGHTS = np.array([1, 2, 2, 1]) / 6  # of the stages
WAYS = np.array([0, 0.5, 0.5, 1])  # from one stage to the next, in steps

Array = NDArray[np.float64]


@njit
def add(to: Array, factor: float, values: Array, base: Array) -> None:
    """Overwrite `to` by base + factor * values, rows of two numbers each."""
    for i in range(to.shape[0]):
        for k in range(2):
            to[i, k] = base[i, k] + factor * values[i, k]


@njit
def forward(state: embed.State, u: Array, stages: Array, slopes: Array) -> None:
    """One step for each row of u, which is overwritten; leaves the inputs and outputs of f."""
    for s in range(4):
        add(stages[s], STEP * WAYS[s], slopes[max(s - 1, 0)], u)
        embed.predict(state, stages[s], slopes[s])
    for s in range(4):
        add(u, STEP * WEIGHTS[s], slopes[s], u)


@njit
def turned_back(
    state: embed.State, stages: Array, slopes: Array, by: Array, change: Array, room: Array
) -> None:
    """Make the gradient by u behind a step that before it; leaves that by the outputs of f."""
    rows, end, targets = by.shape[0], by.copy(), np.empty_like(by)
    for s in range(3, -1, -1):
        for i in range(rows):
            for k in range(2):
                change[s, i, k] = STEP * WEIGHTS[s] * end[i, k]
                if s < 3:
                    change[s, i, k] += STEP * WAYS[s + 1] * room[i, k]
        add(targets, -rows, change[s], slopes[s])
        embed.input_gradient(state, stages[s], targets, room)
        add(by, 1.0, room, by)


@njit
def fit(state: embed.State, seen: Array, length: int, losses: Array) -> None:
    """Make an update for each entry of `losses`; from every observation `length` steps ahead."""
    rows = len(seen) - length
    n = length * 4 * rows
    u, by, off = np.empty((rows, 2)), np.empty((rows, 2)), np.empty((length, rows, 2))
    stages, slopes = np.empty((length, 4, rows, 2)), np.zeros((length, 4, rows, 2))
    change, room = np.empty((length, 4, rows, 2)), np.empty((rows, 2))
    for number in range(len(losses)):
        u[:] = seen[:rows]
        losses[number] = 0
        for j in range(length):
            forward(state, u, stages[j], slopes[j])
            add(off[j], -1.0, seen[j + 1 :], u)
            for i in range(rows):
                losses[number] += (off[j, i, 0] ** 2 + off[j, i, 1] ** 2) / off.size
        by[:] = 0
        for j in range(length - 1, -1, -1):
            add(by, 2 / off.size, off[j], by)
            turned_back(state, stages[j], slopes[j], by, change[j], room)
        embed.step(state, stages.reshape(n, 2), change.reshape(n, 2))


@njit
def solution(state: embed.State, start: Array, count: int) -> Array:
    """What f makes of a start."""
    path, u = np.empty((count, 2)), start.copy().reshape(1, 2)
    stages, slopes = np.empty((4, 1, 2)), np.zeros((4, 1, 2))
    for k in range(count):
        path[k] = u[0]
        forward(state, u, stages, slopes)
    return path


def truth(count: int) -> Array:
    """The populations, in steps that are ten times as short."""

    def f(u: Array) -> Array:
        return np.array([1.5 * u[0] - u[0] * u[1], u[0] * u[1] - 3 * u[1]])

    u, h, path = np.ones(2), STEP / 10, []
    for number in range(10 * count):
        if number % 10 == 0:
            path.append(u)
        a = f(u)
        b = f(u + h / 2 * a)
        c = f(u + h / 2 * b)
        u = u + h / 6 * (a + 2 * b + 2 * c + f(u + h * c))
    return np.array(path)


def plot(seen: Array, real: Array, learned: Array, losses: Array, path: Path) -> None:
    """Draw the learning curve and the fit into the PNG file `path`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
    left.plot(losses)
    left.set(xlabel="update", ylabel="mean squared error", yscale="log")
    times = STEP * np.arange(len(real))
    for k, name in enumerate(("rabbits", "foxes")):
        right.plot(times[: len(seen)], seen[:, k], ".", color=f"C{k}", ms=4)
        right.plot(times, learned[:, k], color=f"C{k}", label=f"{name}, neural ODE")
        right.plot(times, real[:, k], ":", color="black", lw=1)
    right.axvline(times[len(seen) - 1], color="grey", lw=0.8)
    right.set(xlabel="time", ylabel="population")
    right.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Fit, tell, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a PNG file for the curves")
    arguments = parser.parse_args()
    real = truth(2 * COUNT)
    noise = np.random.default_rng(0).standard_normal((COUNT, 2))
    seen = real[:COUNT] * (1 + NOISE * noise)
    net = fastbp.Network(
        [2, 32, 32, 2], activation="tanh", optimizer=fastbp.Adam(3e-3), dtype="float64",
        scaling=0.3, rng=0,
    )  # fmt: skip
    lengths = 2, 10  # short ways first, on which f cannot go far astray
    state, losses = embed.state(net, rows=4 * COUNT * max(lengths)), []
    fit(state, seen, 1, np.empty(0))  # compiles it
    start = time.perf_counter()
    for length in lengths:
        losses.append(np.empty(arguments.updates // 2))
        fit(state, seen, length, losses[-1])
    seconds = time.perf_counter() - start
    learned = solution(state, real[0], len(real))
    off: Any = np.sqrt(((learned - real) ** 2).mean(axis=1))
    print(f"{net.steps} updates in {seconds:.2f} s, loss {losses[-1][-1]:.2e}")
    print(f"error of the populations, between 0.4 and 6.8: {off[:COUNT].mean():.3f} where observed")
    print(f"and {off[COUNT:].mean():.3f} in as much time after that")
    if arguments.plot:
        plot(seen, real, learned, np.concatenate(losses), arguments.plot)
        print(f"saved {arguments.plot}")


if __name__ == "__main__":
    main()
