"""CartPole by policy gradient: environment, policy and learning in one compiled loop.

A pole stands on a cart, which a policy pushes to the left or to the right. The dynamics are those
of Barto, Sutton and Anderson (1983), as in Gymnasium's CartPole-v1, which counts as solved at a
mean return of 475. Nothing is installed for it, and nothing goes back to Python while it learns: a
step of the environment with its decision takes less than a microsecond.

The method is REINFORCE with a learned baseline (Williams 1992). Its gradient by the policy's logits
is A (p - onehot(a)), with the probabilities p, the action a that was taken, and its advantage A.
That of cross-entropy is p - y. So `train_step` with the targets y = p + A (onehot(a) - p) makes the
step of the policy gradient; the loss that it returns has no meaning here.

Run ``python examples/cartpole.py``, with ``--plot curve.png`` for a picture of the returns.
"""

# ruff: noqa: NPY002 - in compiled code these are Numba's own, which compile faster than a Generator

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

import fastbp
from fastbp import embed

LIMIT = 500  # steps of an episode
EPISODES = 8  # between two updates
SOLVED = 475.0
DISCOUNT, SCALE = 0.99, 0.01  # of returns, so that the baseline learns numbers near one

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
FURTHEST, STEEPEST = 2.4, math.radians(12)

Array = NDArray[np.float32]


@njit
def moved(s: Array, force: float, to: Array) -> None:
    """The state of cart and pole after a step of Euler's: position, speed, angle, its speed."""
    sine, cosine, mass = math.sin(s[2]), math.cos(s[2]), CART + POLE
    pushed = (force + POLE * HALF_LENGTH * s[3] ** 2 * sine) / mass
    turning = (GRAVITY * sine - cosine * pushed) / (HALF_LENGTH * (4 / 3 - POLE * cosine**2 / mass))
    rising = pushed - POLE * HALF_LENGTH * turning * cosine / mass
    to[0], to[1] = s[0] + SECONDS * s[1], s[1] + SECONDS * rising
    to[2], to[3] = s[2] + SECONDS * s[3], s[3] + SECONDS * turning


@njit
def episode(
    policy: embed.State,
    states: Array,
    odds: Array,
    actions: NDArray[np.int64],
) -> int:
    """Play until the pole falls: how long it stood. Overwrites states, probabilities, actions."""
    for i in range(4):
        states[0, i] = np.random.uniform(-0.05, 0.05)
    for t in range(LIMIT):
        embed.predict(policy, states[t : t + 1], odds[t : t + 1])
        actions[t] = int(np.random.random() >= odds[t, 0])
        moved(states[t], FORCE * (2 * actions[t] - 1), states[t + 1])
        if abs(states[t + 1, 0]) > FURTHEST or abs(states[t + 1, 2]) > STEEPEST:
            return t + 1
    return LIMIT


@njit
def learn(policy: embed.State, critic: embed.State, seed: int, returns: NDArray[Any]) -> int:
    """Play and learn until the last hundred episodes are good; how many there were of all."""
    np.random.seed(seed)
    room = EPISODES * LIMIT
    states, odds = np.empty((room + 1, 4), np.float32), np.empty((room, 2), np.float32)
    actions, ahead = np.empty(room, np.int64), np.empty((room, 1), np.float32)
    expected, targets = np.empty((room, 1), np.float32), np.empty((room, 2), np.float32)
    for done in range(0, len(returns), EPISODES):
        rows = 0
        for number in range(done, done + EPISODES):
            steps = episode(policy, states[rows:], odds[rows:], actions[rows:])
            returns[number] = steps
            total = 0.0
            for t in range(rows + steps - 1, rows - 1, -1):
                total = SCALE + DISCOUNT * total
                ahead[t, 0] = total
            rows += steps
        if done >= 100 and returns[done + EPISODES - 100 : done + EPISODES].mean() >= SOLVED:
            return done + EPISODES
        # Advantages: what came of a state beyond what the critic has expected of it.
        embed.predict(critic, states[:rows], expected[:rows])
        better = ahead[:rows, 0] - expected[:rows, 0]
        better = (better - better.mean()) / (better.std() + 1e-8)
        for t in range(rows):
            for k in range(2):
                taken = 1.0 if actions[t] == k else 0.0
                targets[t, k] = odds[t, k] + better[t] * (taken - odds[t, k])
        embed.train_step(policy, states[:rows], targets[:rows])
        order = np.arange(rows)
        np.random.shuffle(order)
        embed.train_epoch(critic, states[:rows], ahead[:rows], order, 64)
    return len(returns)


def plot(returns: NDArray[Any], path: Path) -> None:
    """Draw the learning curve into the PNG file `path`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot(returns, ".", ms=3, alpha=0.4, label="an episode")
    means = np.convolve(returns, np.ones(100) / 100, "valid")
    axes.plot(np.arange(len(means)) + 99, means, label="mean of the last 100")
    axes.axhline(SOLVED, color="grey", lw=0.8)
    axes.set(xlabel="episode", ylabel="return")
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Learn, tell, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=4000, help="at most (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a PNG file for the curve")
    arguments = parser.parse_args()
    policy = fastbp.Network(
        [4, 32, 2], activation="tanh", loss="cross_entropy", optimizer=fastbp.Adam(1e-2),
        rng=arguments.seed,
    )  # fmt: skip
    critic = fastbp.Network(
        [4, 32, 1], activation="tanh", optimizer=fastbp.Adam(3e-3), rng=arguments.seed
    )
    states = [embed.state(net, rows=EPISODES * LIMIT) for net in (policy, critic)]
    returns = np.zeros(arguments.episodes // EPISODES * EPISODES)
    learn(*states, 0, returns[:0])  # compiles it
    start = time.perf_counter()
    count = learn(*states, arguments.seed, returns)
    seconds = time.perf_counter() - start
    returns = returns[:count]
    for first in range(0, count, 100):
        part = returns[first : first + 100]
        print(f"episodes {first + 1:4d} to {first + len(part):4d}: mean return {part.mean():5.1f}")
    steps = int(returns.sum())
    print(f"{steps:,} steps and {policy.steps} updates of the policy in {seconds:.2f} s")
    print(f"mean return of the last 100 episodes: {returns[-100:].mean():.1f}")
    if arguments.plot:
        plot(returns, arguments.plot)
        print(f"saved {arguments.plot}")


if __name__ == "__main__":
    main()
