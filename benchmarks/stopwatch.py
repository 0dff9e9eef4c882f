"""A stopwatch inside the training step: times each call of a kernel, in every thread.

The step calls all its kernels by address. For each thread of a team the stopwatch copies the
program's records and puts wrappers in the place of these addresses. A wrapper reads the cycle
counter before and after the kernel and writes both into the thread's own log.
"""

import ctypes
import time

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from fastbp.kernels.machine import team
from fastbp.kernels.machine.jit import address
from fastbp.kernels.machine.vectors import X86
from fastbp.kernels.panels import panels, updates
from fastbp.kernels.product import sums, transpose
from fastbp.kernels.product.bfloat16 import pack
from fastbp.kernels.product.gemm import gemm
from fastbp.kernels.step import movement
from fastbp.kernels.step.program import LAYER, PROGRAM

ENTRIES = 1 << 20  # of a thread's log, a power of two
WORDS = 4  # of an entry: the kernel's number, the argument that tells its layer, start, end
I64 = ir.IntType(64)
OF_MEMBERS = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)

# Kernels of the program's record: how many arguments, and the one that tells the layer.
SHARED = {
    "gather": (len(movement.gather.signature), 0),
    "gemm": (len(gemm.signature), 3),
    "pack": (len(pack.signature), 0),
    "loss": (len(panels.LOSS), 0),
    "update": (len(panels.UPDATE), 0),
    "transpose": (len(transpose.transpose.signature), 0),
    "column_sums": (len(sums.column_sums.signature), 0),
    "add_parts": (len(updates.add_parts.signature), 0),
}
# Kernels of each layer's record.
OF_LAYERS = {
    "training_forward": (len(panels.FORWARD), 0),
    "backward": (len(panels.BACKWARD), 0),
}


def _counter(builder):
    """Code that reads the cycle counter, or on ARM, which keeps that one closed, the timer."""
    kind = ir.FunctionType(I64, [])
    if not X86:
        return builder.asm(kind, "mrs $0, cntvct_el0", "=r", [], True)
    name = "llvm.readcyclecounter"
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, [])


def _wrapper(module, name, number, kernel, arity, key, log):
    """A function that calls the kernel at an address and logs when; key: an argument's index.

    By Numba's convention: two addresses, of the result and of an exception, come before the
    arguments, and a status is returned.
    """
    kind = ir.FunctionType(ir.IntType(32), [I64] * (2 + arity))
    function = ir.Function(module, kind, name)
    builder = ir.IRBuilder(function.append_basic_block())
    words = builder.inttoptr(I64(log), I64.as_pointer())
    count = builder.load(words)
    entry = builder.mul(builder.and_(count, I64(ENTRIES - 1)), I64(WORDS))
    start = _counter(builder)
    status = builder.call(builder.inttoptr(I64(kernel), kind.as_pointer()), function.args)
    end = _counter(builder)
    for word, value in enumerate((I64(number), function.args[2 + key], start, end)):
        builder.store(value, builder.gep(words, [builder.add(entry, I64(1 + word))]))
    builder.store(builder.add(count, I64(1)), words)
    builder.ret(status)


def _compile(module):
    """The machine code of a module; it lives as long as the engine that is returned."""
    target = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(str(module)), target)
    engine.finalize_object()
    return engine


class _Redirected:
    """A kernel of which each member of a team reads a program of its own; like a `Kernel`."""

    def __init__(self, kernel, programs):
        call = kernel.call()

        def run(_, me):
            call(programs[me], me)

        self._call, self._kept = run, OF_MEMBERS(run)

    def call(self, release):
        return self._call

    def c_address(self):
        return ctypes.cast(self._kept, ctypes.c_void_p).value


class Stopwatch:
    """Times the kernels of all training within its ``with`` block.

    Attributes
    ----------
    logs : list of (entries, WORDS) int64 arrays
        Each thread's calls of the last training, in order.
    names : list of (str, int or None)
        The field of the record that each kernel's number came from, and its layer.
    seconds_a_tick : float
        Of the counter, by the last training.
    program, layers : record arrays
        The last training's, of thread 0.
    """

    def __init__(self):
        self._buffers, self._engines = [], {}
        module = ir.Module()
        now = ir.Function(module, ir.FunctionType(I64, []), "now")
        builder = ir.IRBuilder(now.append_basic_block())
        builder.ret(_counter(builder))
        self._now_code = _compile(module)
        self._now = ctypes.CFUNCTYPE(ctypes.c_int64)(self._now_code.get_function_address("now"))

    def __enter__(self):
        self._run_team = team.run_team
        team.run_team = self._timed_run
        return self

    def __exit__(self, *error):
        team.run_team = self._run_team

    def _timed_run(self, kernel, program, members, *others):
        while len(self._buffers) < members:
            self._buffers.append(np.zeros(1 + WORDS * ENTRIES, np.int64))
        records = [self._timed_records(program, me) for me in range(members)]
        for buffer in self._buffers:
            buffer[0] = 0
        timed = _Redirected(kernel, [address(record[0]) for record in records])
        start, ticks = time.perf_counter(), self._now()
        self._run_team(timed, program, members, *others)
        ticks, seconds = self._now() - ticks, time.perf_counter() - start
        self.seconds_a_tick = seconds / ticks
        self.program, self.layers = (record.copy() for record in records[0])
        self.logs = []
        for buffer in self._buffers[:members]:
            if not 0 < buffer[0] <= ENTRIES:
                raise RuntimeError(f"{buffer[0]} kernels were called; the log holds {ENTRIES}")
            self.logs.append(buffer[1 : 1 + WORDS * buffer[0]].reshape(-1, WORDS))

    def _timed_records(self, program, me):
        """Copies of the program's and the layers' records that call thread `me`'s wrappers."""
        program = _records_at(program, PROGRAM, 1)
        layers = _records_at(int(program["layers"][0]), LAYER, int(program["layer_count"][0]))
        program["layers"] = address(layers)
        places = [(program, 0, name, *kind) for name, kind in SHARED.items()]
        for layer in range(len(layers)):
            places += [(layers, layer, name, *kind) for name, kind in OF_LAYERS.items()]
        places = [place for place in places if place[0][place[1]][place[2]] != 0]
        self.names = [
            (name, row if record is layers else None) for record, row, name, _, _ in places
        ]
        kernels = tuple(int(record[row][name]) for record, row, name, _, _ in places)
        if (me, kernels) not in self._engines:
            module = ir.Module()
            for number, (*_, arity, key) in enumerate(places):
                log = address(self._buffers[me])
                _wrapper(module, f"timed{number}", number, kernels[number], arity, key, log)
            self._engines[me, kernels] = _compile(module)
        engine = self._engines[me, kernels]
        for number, (record, row, name, _, _) in enumerate(places):
            record[row][name] = engine.get_function_address(f"timed{number}")
        return program, layers


def _records_at(where, dtype, count):
    """A copy of the records at an address."""
    return np.frombuffer(ctypes.string_at(where, count * dtype.itemsize), dtype).copy()
