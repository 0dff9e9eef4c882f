"""Where the time of a training step goes, stage by stage and layer by layer.

``taskset -c 0 python benchmarks/stages.py mnist`` prints for each stage the microseconds of a step,
with ``--threads`` of each thread, and how fast a thread is while it is in the stage:

- forward, delta, gradient: operations a second of the product, and their share of the peak of one
  core, measured in the same run; with ``--products bfloat16`` of that of float32, too.
- all others: bytes a second, counting what the stage must read and write, once. gather: the batch's
  features, from X and to the activations. activation, loss: outputs read, outputs or deltas
  written. derivative: outputs and deltas read, deltas written. bias sums: deltas read. parts: the
  gradients of a long batch's parts read, their sum written. update: parameters, slots and gradient
  read, parameters and slots written. mirror: W read and written.
- barrier: from the last kernel of a phase to the first of the next one. It holds the waiting for
  other threads, and the sum of the row losses.
- between kernels: the rest of the steps, their own code and the reading of the counter.
- around steps: the rest of a fit of one epoch, or of 16 where an epoch is one step, a step's share
  of it: checks, the order of the rows, a copy of the state, the first mirrors, starting threads.

All are of the one fit whose steps were fastest. A stage without a layer is of all layers together.
"""

import argparse
import ctypes
import time
from collections import defaultdict

import numpy as np
from stopwatch import Stopwatch
from suite.workloads import WORKLOADS

from fastbp.kernels.machine.peak import fma_peak
from fastbp.kernels.machine.sizes import current
from fastbp.kernels.product import ahead
from fastbp.optimizers import OPTIMIZERS

# The stage of a kernel that all layers share, by the buffer that its telling argument lies in.
LOCATED = {
    ("gemm", "weights"): "forward",
    ("gemm", "mirror"): "delta",
    ("gemm", "delta"): "gradient",
    ("gemm", "below"): "gradient",  # with vectors along the inputs, for few outputs
    ("gemm", "copies"): "gradient",  # of deltas that lie far apart
    ("pack", "delta"): "gradient",  # rounded
    ("column_sums", "delta"): "bias sums",
    ("column_sums", "copies"): "bias sums",
    ("add_parts", "gradient"): "parts",
    ("update", "weights"): "update",
    ("transpose", "weights"): "mirror",
}
OTHERS = {
    "gather": "gather",
    "loss": "loss",
    "training_forward": "activation",
    "backward": "derivative",
}
PRODUCTS = ("forward", "delta", "gradient")
JOINING = ("parts", "update", "mirror")  # phase 2 of a batch in parts
UPDATING = ("gradient", "bias sums", *JOINING)  # of any other batch
ORDER = ["gather", "forward", "activation", "loss", "derivative", "delta", *UPDATING]
BARRIER, BETWEEN, AROUND = ((name, None) for name in ("barrier", "between kernels", "around steps"))


def buffers(program, layers):
    """(first address, address behind, buffer's name, layer) of what tells a call's layer."""
    size = int(program["itemsize"][0])
    rows = int(program["slab"][0]) * (int(program["team"][0]) if program["parts"][0] else 1)
    found = []
    for number, layer in enumerate(layers):
        lengths = {
            "weights": (layer["inputs"] + 1) * layer["ld_out"],
            "gradient": (layer["inputs"] + 1) * layer["ld_out"],
            "mirror": layer["outputs"] * layer["ld_in"],
            "delta": rows * layer["ld_out"],
            "below": rows * layer["ld_in"],
        }
        found += [
            (int(layer[name]), int(layer[name] + length * size), name, number)
            for name, length in lengths.items()
        ]
    words = np.frombuffer(
        (ctypes.c_int64 * (int(program["team"][0]) * ahead.WORDS)).from_address(
            int(program["queues"][0])
        ),
        np.int64,
    ).reshape(-1, ahead.WORDS)
    room = current().delta_bytes
    found += [(at, at + room, "copies", None) for at in words[:, ahead.DELTA].tolist() if at]
    return found


def stages_of(log, stopwatch):
    """The (stage, layer) of every call in a thread's log."""
    program, layers = stopwatch.program, stopwatch.layers
    places = buffers(program, layers)
    alone = program["parts"][0] > 0 and program["team"][0] == 1  # it updates all layers at once

    def stage(number, key):
        """None for a kernel that works on the scratch of the call before it."""
        name, layer = stopwatch.names[number]
        if name in OTHERS:
            return OTHERS[name], layer
        for first, behind, buffer, of_layer in places:
            if first <= key < behind and (name, buffer) in LOCATED:
                found = LOCATED[name, buffer]
                return found, None if alone and found in ("parts", "update") else of_layer
        return None

    calls = log[:, :2].tolist()
    known = {call: stage(*call) for call in set(map(tuple, calls))}
    stages = [known[tuple(calls[0])]]
    for call in calls[1:]:
        here, before = known[tuple(call)], stages[-1]
        # The gradient of few outputs ends with a transpose from scratch, and with an addition.
        same = here is None or (here[0] == "parts" and before[0] == "gradient")
        stages.append(before if same else here)
    for number in reversed(range(len(stages) - 1)):
        name, layer = stages[number]
        if name in ("gradient", "bias sums") and layer is None:  # of which the next call tells
            stages[number] = name, stages[number + 1][1]
    return stages


def divide(log, stopwatch):
    """{(stage, layer): ticks} from a thread's first gather to its last kernel."""
    stages, ticks = stages_of(log, stopwatch), defaultdict(int)
    begin = next(i for i, (name, _) in enumerate(stages) if name == "gather")
    updating = JOINING if stopwatch.program["parts"][0] else UPDATING
    before, free = stages[begin], int(log[begin, 2])
    for stage, (start, end) in zip(stages[begin:], log[begin:, 2:].tolist(), strict=True):
        changes = (stage[0] in updating) != (before[0] in updating)
        ticks[BARRIER if changes else BETWEEN] += start - free
        ticks[stage] += end - start
        before, free = stage, end
    return ticks


def measure(workload, threads, repeats, products):
    """Train with and without the stopwatch.

    Returns
    -------
    threads : list of {(stage, layer): seconds a step}
        Of the fit whose steps were fastest.
    parts : int
        How many a batch was worked on in, each by one thread.
    seconds : float
        Of a step without the stopwatch.
    """
    X, y = workload.data()
    network = workload.network(threads, products=products)

    few = 16 if workload.whole else 1

    def fit(epochs=few):
        start = time.perf_counter()
        network.fit(X, y, epochs=epochs, batch_size=workload.batch_size, progress=False)
        return (time.perf_counter() - start) / (epochs * workload.steps)

    fit()
    epochs = max(5 * few, round(0.2 / (fit() * workload.steps)))
    whole = min(fit(epochs) for _ in range(5))
    best, least = [], float("inf")
    with Stopwatch() as stopwatch:
        for _ in range(repeats):
            seconds = fit()
            scale = stopwatch.seconds_a_tick / (few * workload.steps)
            divided = [divide(log, stopwatch) for log in stopwatch.logs]
            total = scale * max(sum(ticks.values()) for ticks in divided)
            if total < least:
                least = total
                best = [{key: scale * n for key, n in ticks.items()} for ticks in divided]
                for thread in best:
                    thread[AROUND] = seconds - total
    return best, int(stopwatch.program["parts"][0]), whole


def work(workload, stage, layer, parts):
    """(operations, bytes) of a step's stage; None for what does not bound it."""
    batch, size = workload.batch_size, 4  # float32
    pairs = list(zip(workload.layers[:-1], workload.layers[1:], strict=True))
    inputs, outputs = pairs[{"gather": 0, "loss": -1}.get(stage, layer or 0)]
    if stage in PRODUCTS:
        return 2 * batch * inputs * outputs, None
    of = pairs if layer is None else [pairs[layer]]
    parameters = sum((inputs + 1) * outputs for inputs, outputs in of)
    held = 1 + OPTIMIZERS[workload.optimizer]().slots
    elements = {
        "gather": 2 * batch * inputs,
        "activation": 2 * batch * outputs,
        "loss": 2 * batch * outputs,
        "derivative": 3 * batch * outputs,
        "bias sums": batch * outputs,
        "parts": (parts + 1) * parameters,
        "update": (2 * held + 1) * parameters,
        "mirror": 2 * inputs * outputs,
    }
    return None, size * elements[stage]


def rates(operations, moved, seconds, peak):
    """The columns GFLOP/s, share of the peak, and GB/s."""
    if operations is not None:
        return f"{operations / seconds / 1e9:8.1f} {100 * operations / seconds / peak:6.1f}%"
    return f"{'':8} {'':7} {moved / seconds / 1e9:7.1f}"


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workload", choices=list(WORKLOADS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--products", choices=["bfloat16"], help="operands are rounded to that")
    arguments = parser.parse_args()
    workload = WORKLOADS[arguments.workload]
    threads, parts, whole = measure(
        workload, arguments.threads, arguments.repeats, arguments.products
    )
    peak = fma_peak() * 1e9

    def row(stage, seconds, columns=""):
        name, layer = stage
        layer = "" if layer is None else layer
        print(f"{name:15} {layer:>5}", *(f"{1e6 * s:9.2f}" for s in seconds), columns)

    headings = ["us"] if len(threads) == 1 else [f"us, {me}" for me in range(len(threads))]
    print(f"{'stage':15} {'layer':>5}", *(f"{heading:>9}" for heading in headings), end=" ")
    print(f"{'GFLOP/s':>8} {'of peak':>7} {'GB/s':>7}")
    stages = {stage for thread in threads for stage in thread} - {BARRIER, BETWEEN, AROUND}
    for stage in sorted(stages, key=lambda stage: (ORDER.index(stage[0]), stage[1] or 0)):
        seconds = [thread.get(stage, 0.0) for thread in threads]
        row(stage, seconds, rates(*work(workload, *stage, parts), sum(seconds), peak))
    for rest in (BARRIER, BETWEEN, AROUND):
        row(rest, [thread.get(rest, 0.0) for thread in threads])
    row(("all", None), [sum(thread.values()) for thread in threads])
    rate = workload.flops / whole / len(threads)
    print(
        f"Without the stopwatch and in fits of many epochs a step takes {whole * 1e6:.2f} us: "
        f"{100 * rate / peak:.1f}% of the peak, {peak / 1e9:.1f} GFLOP/s a core."
    )


if __name__ == "__main__":
    main()
