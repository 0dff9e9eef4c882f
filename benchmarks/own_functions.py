"""Functions of a user's own beside the built-in ones of the same formula: compilation and speed.

Derivatives are made from the functions' source where none is given. Panels run over 256 rows of 128
elements, own and built-in ones in turn, and the best of all rounds counts; the time of compilation
is this process's own (`time.process_time`) and that of all panels that training needs.
"""

import argparse
import math
import time

import numpy as np

import fastbp
from fastbp import losses
from fastbp.activations import ACTIVATIONS
from fastbp.kernels.machine.jit import address

ROWS, COLUMNS = 256, 128
SHAPE = ROWS, COLUMNS, COLUMNS


def silu(z):
    return z / (1 + math.exp(-z))


def gelu(z):
    return 0.5 * z * (1 + math.erf(z / math.sqrt(2)))


def softplus(z):
    return max(z, 0) + math.log1p(math.exp(-abs(z)))


def tanh(z):
    return np.tanh(z)


def tanh_slope(a):
    return 1 - a * a


def elu(z):
    return z if z > 0 else math.expm1(z)


def elu_slope(a):
    return 1 if a > 0 else a + 1


def mse(a, y):
    return (a - y) ** 2


def huber(a, y):
    distance = abs(a - y)
    return 0.5 * distance**2 if distance <= 1 else distance - 0.5


def sgd(w, g, lr, t):
    return w - lr * g


def momentum(w, g, v, lr, t):
    v = 0.9 * v + g
    return w - lr * v, v


def adam(w, g, m, v, lr, t):
    m = m + 0.1 * (g - m)
    v = 0.999 * v + 0.001 * g * g
    rate, scale = lr / (1 - 0.9**t), 1 / math.sqrt(1 - 0.999**t)
    return w - rate * m / (math.sqrt(v) * scale + 1e-8), m, v


def pairs():
    """Yield (name, own, built-in) of each."""
    for f in (silu, gelu, softplus):
        yield f.__name__, fastbp.Activation(f), ACTIVATIONS[f.__name__]
    for f, df in ((tanh, tanh_slope), (elu, elu_slope)):
        yield (
            f"{f.__name__}, df given",
            fastbp.Activation(f, df, from_output=True),
            ACTIVATIONS[f.__name__],
        )
    yield "mse", fastbp.Loss(mse), losses.MSE()
    yield "huber", fastbp.Loss(huber), losses.Huber()
    yield "sgd", fastbp.Optimizer(sgd, lr=1e-3), fastbp.SGD(1e-3)
    yield "momentum", fastbp.Optimizer(momentum, slots=1, lr=1e-3), fastbp.SGD(1e-3, momentum=0.9)
    yield "adam", fastbp.Optimizer(adam, slots=2, lr=1e-3), fastbp.Adam(1e-3)


def calls(one, dtype):
    """Return a function that runs the panels once on data of its own."""
    rng = np.random.default_rng(0)
    z, other, spare = (rng.normal(size=(ROWS, COLUMNS)).astype(dtype) for _ in range(3))
    if hasattr(one, "training_forward"):
        forward, backward = one.training_forward.call(dtype), one.backward.call(dtype)

        def both():
            z[:] = other
            forward(address(z), address(spare), *SHAPE)
            backward(address(spare), address(z if one.from_output else spare), *SHAPE)

        return both
    if hasattr(one, "coefficients"):
        state = np.zeros((1 + one.slots, z.size), dtype)
        update, numbers = one.panel.call(dtype), one.coefficients(np.array([5.0]), one.lr)
        sizes = state[0].nbytes, z.size
        return lambda: update(address(state), address(z), *sizes, address(numbers))
    loss, order, values = one.panel().call(dtype), np.arange(ROWS), np.zeros(ROWS)
    parameters = np.array([one.parameter(), *[1.0] * COLUMNS])
    arrays = z, spare, other, order, values, parameters
    return lambda: loss(*map(address, arrays), *SHAPE, ROWS, 0)


def seconds(call, times):
    """Return the mean time of some calls."""
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def measure(own, built_in, dtype, rounds, times):
    """Return the seconds of compilation, and those of a call of each."""
    theirs = calls(built_in, dtype)
    start = time.process_time()
    mine = calls(own, dtype)
    compilation = time.process_time() - start
    found = [(seconds(mine, times), seconds(theirs, times)) for _ in range(rounds)]
    return compilation, *map(min, zip(*found, strict=True))


def main(arguments=None):
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="15")
    parser.add_argument("--calls", type=int, default=50, help="of a round; 50")
    options = parser.parse_args(arguments)
    # What the first compilation of a process pays, whatever it compiles.
    fastbp.Activation(lambda z: z + math.exp(z)).forward.call("float32")
    print("| function | dtype | compilation, s | own, us | built in, us | ratio |")
    print("|---|---|---|---|---|---|")
    for dtype in ("float32", "float64"):
        for name, own, built_in in pairs():
            spent, mine, theirs = measure(own, built_in, dtype, options.rounds, options.calls)
            print(
                f"| {name} | {dtype} | {spent:.2f} | {1e6 * mine:.1f} | {1e6 * theirs:.1f} | "
                f"{mine / theirs:.2f} |"
            )


if __name__ == "__main__":
    main()
