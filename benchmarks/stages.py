"""Where the time of a training step goes, stage by stage.

``taskset -c 0 python benchmarks/stages.py mnist`` trains on one thread and prints for each stage
the time a step, operations a second and their share of the peak. The step calls all its kernels
by address; here each address is that of a wrapper that reads the cycle counter around the call.
"""

import argparse
import time
from collections import defaultdict

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic
from peak import fma_peak
from suite.workloads import WORKLOADS

from fastbp.engine import Engine
from fastbp.kernels import movement, panels, transpose
from fastbp.kernels.gemm import gemm
from fastbp.kernels.jit import INT, Kernel, address
from fastbp.kernels.simd import call, pointer_maker

WORDS = 4  # of an entry of the log: which kernel, its first and third argument's address, cycles
_words_at = pointer_maker(types.int64)


@intrinsic
def cycles(typingctx):
    """The processor's cycle counter."""

    def lower(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.IntType(64), [])
        name = "llvm.readcyclecounter"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])

    return types.int64(), lower


def wrapper(number, real, arity, log):
    """A kernel that calls the one at address `real` and logs how long that took."""
    names = ", ".join(f"a{i}" for i in range(arity))
    source = f"""
def timed({names}):
    before = cycles()
    call(real, ({names},))
    after = cycles()
    words = carray(_words_at(log), (1 << 40,))
    at = 1 + WORDS * words[0]
    words[at], words[at + 1], words[at + 2] = number, a0, {"a3" if arity > 6 else "0"}
    words[at + 3] = after - before
    words[0] += 1
"""
    scope = {
        "cycles": cycles, "call": call, "carray": carray, "_words_at": _words_at,
        "WORDS": WORDS, "number": number, "real": real, "log": log, "__name__": __name__,
    }  # fmt: skip
    exec(source, scope)
    return Kernel(scope["timed"], (INT,) * arity, cached=False).address()


class Stopwatch:
    """Puts wrappers into the records of an engine's program and names what they log."""

    def __init__(self, entries):
        self.log = np.zeros(1 + WORDS * entries, np.int64)
        self.kernels = {}  # real address: (number, wrapper)
        self.layers = None

    def wrap(self, real, arity):
        """The wrapper of a kernel, made once."""
        if real and real not in self.kernels:
            number = len(self.kernels)
            self.kernels[real] = number, wrapper(number, real, arity, address(self.log))
        return self.kernels[real][1] if real else 0

    def install(self, program, layers):
        """Replace all addresses of kernels."""
        self.layers = layers.copy()
        self.roles = {int(program[name][0]): name for name in ("gemm", "gather", "loss", "update")}
        self.roles[int(program["transpose"][0])] = "mirror"
        arities = {
            "gemm": len(gemm.signature),
            "gather": len(movement.gather.signature),
            "transpose": len(transpose.transpose.signature),
            "loss": len(panels.LOSS),
            "update": len(panels.UPDATE),
        }
        for name, arity in arities.items():
            program[name] = self.wrap(int(program[name][0]), arity)
        for layer in layers:
            for name in ("training_forward", "backward"):
                self.roles.setdefault(int(layer[name]), name)
                layer[name] = self.wrap(int(layer[name]), len(panels.FORWARD))

    def stages(self):
        """(stage, layer) and cycles of every entry."""
        roles = {number: self.roles[real] for real, (number, _) in self.kernels.items()}
        entries = self.log[1 : 1 + WORDS * self.log[0]].reshape(-1, WORDS)
        for number, first, third, spent in entries.tolist():
            yield *self._stage(roles[number], first, third), spent

    def _stage(self, role, first, third):
        for i, layer in enumerate(self.layers.tolist()):
            fields = dict(zip(self.layers.dtype.names, layer, strict=True))
            parameters = range(
                fields["weights"],
                fields["weights"] + (fields["inputs"] + 1) * fields["ld_out"] * 4,
            )
            if role == "gemm":
                if third in parameters:
                    return "forward", i
                if third == fields["mirror"]:
                    return "delta", i
                if third in range(fields["delta"], fields["delta"] + fields["ld_out"] * 4):
                    return "gradient", i
            elif role in ("update", "mirror") and first in parameters:
                return role, i
            elif role == "training_forward" and first == fields["output"]:
                return "activation", i
            elif role == "backward" and first == fields["delta"]:
                return "derivative", i
        return role, 0 if role == "gather" else len(self.layers) - 1


def measure(workload, repeats):
    """({(stage, layer): seconds a step}, seconds of a step without wrappers)."""
    X, y = workload.data()
    network = workload.network()

    def fit(epochs=1):
        start = time.perf_counter()
        network.fit(X, y, epochs=epochs, batch_size=workload.batch_size, progress=False)
        return (time.perf_counter() - start) / (epochs * workload.steps)

    fit()
    epochs = max(5, round(0.2 / (fit() * workload.steps)))
    whole = min(fit(epochs) for _ in range(5))
    calls = 40 + 2000 * sum(-(-width // 256) for width in workload.layers)
    stopwatch = Stopwatch(calls * workload.steps)
    build = Engine._program

    def timed_program(engine, *arguments, **keywords):
        program = build(engine, *arguments, **keywords)
        stopwatch.install(program, engine._records)
        return program

    best = defaultdict(lambda: float("inf"))
    Engine._program = timed_program
    try:
        for _ in range(repeats):
            stopwatch.log[0] = 0
            start, first = time.perf_counter(), _cycles_now()
            fit()
            per_second = (_cycles_now() - first) / (time.perf_counter() - start)
            total = defaultdict(float)
            for stage, layer, spent in stopwatch.stages():
                total[stage, layer] += spent / per_second / workload.steps
            for key, seconds in total.items():
                best[key] = min(best[key], seconds)
    finally:
        Engine._program = build
    return dict(best), whole


_now = np.zeros(1, np.int64)


def _read(to):
    carray(_words_at(to), (1,))[0] = cycles()


_read_kernel = Kernel(_read, (INT,), cached=False)


def _cycles_now():
    _read_kernel.call()(address(_now))
    return int(_now[0])


ORDER = [
    "gather", "forward", "activation", "loss", "derivative", "delta", "gradient", "update", "mirror"
]  # fmt: skip


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workload", choices=list(WORKLOADS))
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    workload = WORKLOADS[arguments.workload]
    stages, whole = measure(workload, arguments.repeats)
    peak = fma_peak() * 1e9
    print(f"{'stage':12} {'layer':>5} {'us':>9} {'GFLOP/s':>8} {'of peak':>8}")
    for stage, layer in sorted(stages, key=lambda key: (ORDER.index(key[0]), key[1])):
        seconds = stages[stage, layer]
        line = f"{stage:12} {layer:5d} {seconds * 1e6:9.2f}"
        if stage in ("forward", "delta", "gradient"):
            inputs, outputs = workload.layers[layer : layer + 2]
            rate = 2 * workload.batch_size * inputs * outputs / seconds
            line += f" {rate / 1e9:8.1f} {100 * rate / peak:7.1f}%"
        print(line)
    print(f"{'all stages':12} {'':5} {sum(stages.values()) * 1e6:9.2f}")
    rate = workload.flops / whole
    print(
        f"{'a step':12} {'':5} {whole * 1e6:9.2f} {rate / 1e9:8.1f} {100 * rate / peak:7.1f}%"
        "   (without the cycle counter)"
    )


if __name__ == "__main__":
    main()
