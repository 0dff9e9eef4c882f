"""Vectors of the processor, for intrinsics being lowered: their width, `Vector`, `Words`."""

import functools
import platform

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils, config

I8, I16, I32, I64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
X86 = platform.machine().lower() in ("x86_64", "amd64", "i686", "x86")
ARM64 = platform.machine().lower() in ("arm64", "aarch64")
LINE = 64  # bytes of a cache line and of the widest vector


def processor_target() -> tuple[str, str]:
    """LLVM's name of the processor that Numba compiles for, and its features.

    NUMBA_CPU_NAME and NUMBA_CPU_FEATURES count. A named processor has only its own features.
    """
    if config.CPU_NAME is None:
        name, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    else:
        name, features = config.CPU_NAME, ""
    return name, features if config.CPU_FEATURES is None else config.CPU_FEATURES


@functools.cache
def vector_bytes() -> int:
    """Bytes of the widest vector register of the processor that Numba compiles for.

    LLVM is asked by compiling one vector addition and reading the register's name.
    """
    if not X86:
        return 16
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    v = "<16 x float>"
    text = f"define {v} @f({v} %a, {v} %b) {{ %c = fadd {v} %a, %b\n ret {v} %c }}"
    machine = llvm.Target.from_default_triple().create_target_machine(*processor_target())
    assembly = machine.emit_assembly(llvm.parse_assembly(text))
    return 64 if "zmm" in assembly else 32 if "ymm" in assembly else 16


def element(pointer_type):
    """(LLVM type, suffix of LLVM's intrinsics, bytes) of what a Numba pointer points to."""
    return {
        types.float32: (ir.FloatType(), "f32", 4),
        types.float64: (ir.DoubleType(), "f64", 8),
    }[pointer_type.dtype]


class Vector:
    """Code for vectors of `lanes` elements, to be used while an intrinsic is being lowered."""

    def __init__(self, builder, pointer_type, lanes):
        self.builder, self.lanes = builder, lanes
        self.scalar, suffix, self.itemsize = element(pointer_type)
        self.suffix = f"v{lanes}{suffix}"
        self.type = ir.VectorType(self.scalar, lanes)

    def constant(self, value):
        return ir.Constant(self.type, [value] * self.lanes)

    def load(self, pointer):
        at = self.builder.bitcast(pointer, self.type.as_pointer())
        return self.builder.load(at, align=self.itemsize)

    def store(self, value, pointer):
        at = self.builder.bitcast(pointer, self.type.as_pointer())
        self.builder.store(value, at, align=self.itemsize)

    def bits(self, value):
        """The lanes as integers of the same width."""
        kind = ir.VectorType(ir.IntType(8 * self.itemsize), self.lanes)
        return self.builder.bitcast(value, kind)

    def of_bits(self, words):
        """The integers of `bits` as lanes."""
        return self.builder.bitcast(words, self.type)

    def load_first(self, pointer, count, other):
        """The first `count` elements, and the constant `other` in the lanes behind them."""
        numbers = ir.Constant(ir.VectorType(I64, self.lanes), list(range(self.lanes)))
        undefined = ir.Constant(numbers.type, ir.Undefined)
        limit = self.builder.insert_element(undefined, count, I32(0))
        limit = self.shuffle(limit, undefined, [0] * self.lanes)
        inside = self.builder.icmp_signed("<", numbers, limit)
        kind = ir.FunctionType(
            self.type, [self.type.as_pointer(), I32, inside.type, self.type]
        )  # fmt: skip
        load = cgutils.get_or_insert_function(
            self.builder.module, kind, f"llvm.masked.load.{self.suffix}.p0"
        )
        at = self.builder.bitcast(pointer, self.type.as_pointer())
        return self.builder.call(load, [at, I32(self.itemsize), inside, self.constant(other)])

    def broadcast(self, scalar):
        undefined = ir.Constant(self.type, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, I32(0))
        return self.shuffle(first, undefined, [0] * self.lanes)

    def shuffle(self, a, b, mask):
        mask = ir.Constant(ir.VectorType(I32, len(mask)), mask)
        return self.builder.shuffle_vector(a, b, mask)

    def fma(self, a, b, c):
        """a * b + c, rounded once where the processor can, and never a call of a library."""
        return self._intrinsic("fmuladd", a, b, c)

    def opaque(self, pointer):
        """The same pointer, whose origin the optimizer does not see."""
        # On ARM a launder alone hides nothing from the addressing of loops; clearing bits that are
        # clear does (elements lie at multiples of their size), but on x86 costs up to an eighth of
        # small products.
        name, more = "llvm.launder.invariant.group.p0", []
        if ARM64:
            name, more = "llvm.ptrmask.p0.i64", [I64(-self.itemsize)]
        operands = [self.builder.bitcast(pointer, I8.as_pointer()), *more]
        kind = ir.FunctionType(I8.as_pointer(), [operand.type for operand in operands])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.bitcast(self.builder.call(function, operands), pointer.type)

    def maximum(self, a, b):
        """The larger lane, or NaN where one is NaN."""
        larger = self.builder.fcmp_unordered(">", a, b)  # true when either is NaN: keep a ...
        b_is_nan = self.builder.fcmp_unordered("uno", b, b)
        return self.builder.select(b_is_nan, b, self.builder.select(larger, a, b))

    def _intrinsic(self, name, *arguments):
        signature = ir.FunctionType(self.type, [self.type] * len(arguments))
        function = cgutils.get_or_insert_function(
            self.builder.module, signature, f"llvm.{name}.{self.suffix}"
        )
        return self.builder.call(function, arguments)


class Words:
    """Code for vectors of 32-bit unsigned integers, to be used while an intrinsic is lowered."""

    def __init__(self, builder, lanes):
        self.builder, self.lanes = builder, lanes
        self.type = ir.VectorType(I32, lanes)

    def numbers(self):
        return ir.Constant(self.type, list(range(self.lanes)))

    def constant(self, value):
        return ir.Constant(self.type, [value] * self.lanes)

    def broadcast(self, word):
        """The lower half of a 64-bit integer in every lane."""
        undefined = ir.Constant(self.type, ir.Undefined)
        first = self.builder.insert_element(undefined, self.builder.trunc(word, I32), I32(0))
        mask = ir.Constant(self.type, [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, mask)

    def shifted_xor(self, words, bits):
        """words ^ words >> bits."""
        return self.builder.xor(words, self.builder.lshr(words, self.constant(bits)))


def prefetch(builder, address):
    """Code that asks for the cache line at an integer address, into L2; it never faults."""
    kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    pointer = builder.inttoptr(address, I8.as_pointer())
    builder.call(function, [pointer, I32(0), I32(2), I32(1)])
