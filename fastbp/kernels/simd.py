"""SIMD primitives: what LLVM can do and Numba has no word for. The only user of llvmlite.

First the width of the processor's vectors, then scalar helpers (bits, fma, prefetch), pointers,
calls by address, atomics, and last reductions over a row in a fixed order of 16 lanes.
"""

import functools
import platform

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

I8, I32, I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
X86 = platform.machine().lower() in ("x86_64", "amd64", "i686", "x86")
LINE = 64  # bytes of a cache line and of the widest vector
REDUCTION_LANES = 16  # the same on every processor, so that sums have the same bits everywhere


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
        kind = ir.FunctionType(I8.as_pointer(), [I8.as_pointer()])
        function = cgutils.get_or_insert_function(
            self.builder.module, kind, "llvm.launder.invariant.group.p0"
        )
        as_bytes = self.builder.bitcast(pointer, I8.as_pointer())
        return self.builder.bitcast(self.builder.call(function, [as_bytes]), pointer.type)

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


@intrinsic
def fma(typingctx, x, y, z):
    """x * y + z, rounded once where the processor can."""

    def lower(context, builder, signature, arguments):
        kind = arguments[0].type
        suffix = "f32" if signature.return_type == types.float32 else "f64"
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fmuladd.{suffix}"
        )
        return builder.call(function, arguments)

    return x(x, x, x), lower


@intrinsic
def multiply_high(typingctx, x, y):
    """The upper 64 of the 128 bits of the product of two uint64."""

    def lower(context, builder, signature, arguments):
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), I64)

    return types.uint64(types.uint64, types.uint64), lower


def _bitcast(pairs):
    @intrinsic
    def cast(typingctx, x):
        to = pairs[x]

        def lower(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], context.get_value_type(to))

        return to(x), lower

    return cast


bits_of = _bitcast({types.float32: types.int32, types.float64: types.int64})
from_bits = _bitcast({types.int32: types.float32, types.int64: types.float64})


def _veiled(builder, value, name, no_alias):
    """The value through a call that LLVM does not see through."""
    function = builder.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(value.type, [value.type])
        function = ir.Function(builder.module, kind, name)
        function.linkage = "internal"
        if no_alias:
            function.return_value.add_attribute("noalias")
        for attribute in ("noinline", "optnone", "nounwind"):
            function.attributes.add(attribute)
        ir.IRBuilder(function.append_basic_block()).ret(function.args[0])
    return builder.call(function, [value])


@intrinsic
def restrict(typingctx, pointer):
    """The same pointer, which LLVM may take to reach memory that no other pointer reaches.

    Without it a loop over five arrays gets no vectors: LLVM gives up on checking all pairs for
    overlap. A call whose result is `noalias` says so.
    """

    def lower(context, builder, signature, arguments):
        name = f"fastbp.restrict.{signature.args[0].dtype}"
        return _veiled(builder, arguments[0], name, no_alias=True)

    return pointer(pointer), lower


@intrinsic
def run_time(typingctx, number):
    """The same number, unknown to LLVM: it unrolls a loop of known length before it looks for
    vectors, and then finds none.
    """

    def lower(context, builder, signature, arguments):
        return _veiled(builder, arguments[0], "fastbp.run_time", no_alias=False)

    return types.int64(types.int64), lower


@intrinsic
def stream_line(typingctx, source, to):
    """Copy the cache line at address `source` to that at `to`, which is not read into the cache."""

    def lower(context, builder, signature, arguments):
        kind = ir.VectorType(I64, 8).as_pointer()
        source, to = (builder.inttoptr(address, kind) for address in arguments)
        store = builder.store(builder.load(source, align=64), to, align=64)
        store.set_metadata("nontemporal", builder.module.add_metadata([I32(1)]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), lower


@intrinsic
def advance(typingctx, pointer, elements):
    """pointer + elements."""

    def lower(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), lower


@intrinsic
def pointer_to(typingctx, address, like):
    """An integer address as a pointer of the type of `like`."""

    def lower(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], arguments[1].type)

    return like(types.int64, like), lower


def pointer_maker(kind):
    """A function for kernels: an integer address as a pointer to elements of a Numba type."""

    @intrinsic
    def pointer_at(typingctx, address):
        pointer = types.CPointer(kind)

        def lower(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(pointer))

        return pointer(types.int64), lower

    return pointer_at


@intrinsic
def address_of(typingctx, pointer):
    """A pointer as an integer."""

    def lower(context, builder, signature, arguments):
        return builder.ptrtoint(arguments[0], I64)

    return types.int64(pointer), lower


@intrinsic
def call(typingctx, address, arguments):
    """Call the kernel at `address` (`Kernel.address`) with a tuple of integers."""
    kinds = (types.int64,) * len(arguments)

    def lower(context, builder, signature, values):
        # By Numba's own convention: the wrapper for C's would take as long as a small kernel.
        numba = context.call_conv
        kernel = numba.get_function_type(types.none, kinds).as_pointer()
        integers = cgutils.unpack_tuple(builder, values[1])
        function = builder.inttoptr(values[0], kernel)
        numba.call_function(builder, function, types.none, kinds, integers)
        return context.get_dummy_value()

    return types.void(types.int64, types.UniTuple(types.int64, len(arguments))), lower


@intrinsic
def call_c(typingctx, address):
    """Call the C function without arguments at `address`."""

    def lower(context, builder, signature, values):
        kind = ir.FunctionType(ir.VoidType(), [])
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), [])
        return context.get_dummy_value()

    return types.void(types.int64), lower


def prefetch(builder, address):
    """Code that asks for the cache line at an integer address, into L2; it never faults."""
    kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    pointer = builder.inttoptr(address, I8.as_pointer())
    builder.call(function, [pointer, I32(0), I32(2), I32(1)])


@intrinsic
def copy_padded(typingctx, source, to, n):
    """to[:n] = source[:n], and zeros behind up to a whole cache line; the two do not overlap."""

    def lower(context, builder, signature, arguments):
        source, to, n = arguments
        v = Vector(builder, signature.args[0], LINE // element(signature.args[0])[2])
        whole = builder.and_(n, I64(-v.lanes))
        with cgutils.for_range_slice(builder, I64(0), whole, I64(v.lanes)) as (i, _):
            v.store(v.load(builder.gep(source, [i])), builder.gep(to, [i]))
        with builder.if_then(builder.icmp_signed("<", whole, n)):
            last = v.load_first(builder.gep(source, [whole]), builder.sub(n, whole), 0.0)
            v.store(last, builder.gep(to, [whole]))
        return context.get_dummy_value()

    return types.void(source, source, types.int64), lower


@intrinsic
def add_scaled(typingctx, to, x, scale, n):
    """to[:n] += scale * x[:n], counted up to whole cache lines; the two do not overlap."""

    def lower(context, builder, signature, arguments):
        to, x, scale, n = arguments
        v = Vector(builder, signature.args[0], LINE // element(signature.args[0])[2])
        factor = v.broadcast(scale)
        with cgutils.for_range_slice(builder, I64(0), n, I64(v.lanes)) as (i, _):
            at = builder.gep(to, [i])
            v.store(v.fma(factor, v.load(builder.gep(x, [i])), v.load(at)), at)
        return context.get_dummy_value()

    return types.void(to, to, to.dtype, types.int64), lower


@intrinsic
def ask_for(typingctx, pointer):
    """Prefetch the cache line that a pointer points into."""

    def lower(context, builder, signature, arguments):
        prefetch(builder, builder.ptrtoint(arguments[0], I64))
        return context.get_dummy_value()

    return types.void(pointer), lower


def stack_array(elements):
    """A function for kernels: memory for so many elements of a pointer's type, while it runs.

    What it holds at first is not defined.
    """

    @intrinsic
    def memory(typingctx, like):
        def lower(context, builder, signature, arguments):
            kind = ir.ArrayType(arguments[0].type.pointee, elements)
            with builder.goto_entry_block():  # Numba's own alloca_once fills it with zeros
                block = builder.alloca(kind)
            block.align = 64
            return builder.bitcast(block, arguments[0].type)

        return like(like), lower

    return memory


def _word(builder, address):
    return builder.inttoptr(address, I64.as_pointer())


@intrinsic
def fetch_add(typingctx, address, value):
    """Add to the int64 at `address`, atomically; returns what was there before."""

    def lower(context, builder, signature, arguments):
        return builder.atomic_rmw("add", _word(builder, arguments[0]), arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), lower


@intrinsic
def load_acquire(typingctx, address):
    """The int64 at `address`; nothing after it is read earlier."""

    def lower(context, builder, signature, arguments):
        return builder.load_atomic(_word(builder, arguments[0]), "acquire", 8)

    return types.int64(types.int64), lower


@intrinsic
def store_release(typingctx, address, value):
    """Write the int64 at `address`; nothing before it is written later."""

    def lower(context, builder, signature, arguments):
        builder.store_atomic(arguments[1], _word(builder, arguments[0]), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), lower


@intrinsic
def spin_pause(typingctx):
    """A hint that this is a waiting loop, where the processor has one."""
    name = "llvm.x86.sse2.pause" if X86 else None

    def lower(context, builder, signature, arguments):
        if name:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(), lower


def _reduction(combine, start, lanes=REDUCTION_LANES, kind=None, term=lambda v, a: a):
    """A function for kernels: p[0:n] combined lane by lane, then lanes pairwise.

    kind: Numba type of the result, by default that of the elements; term: what is combined.
    """

    @intrinsic
    def reduce(typingctx, p, n):
        def lower(context, builder, signature, arguments):
            p, n = arguments
            elements = Vector(builder, signature.args[0], lanes)
            result = types.CPointer(signature.return_type)
            v = Vector(builder, result, lanes)
            total = cgutils.alloca_once_value(builder, v.constant(start))
            whole = builder.and_(n, I64(-lanes))

            def join(loaded):
                builder.store(combine(v, builder.load(total), term(v, loaded)), total)

            with cgutils.for_range_slice(builder, I64(0), whole, I64(lanes)) as (i, _):
                join(elements.load(builder.gep(p, [i])))
            with builder.if_then(builder.icmp_signed("<", whole, n)):
                rest = builder.sub(n, whole)
                join(elements.load_first(builder.gep(p, [whole]), rest, start))
            value, count = builder.load(total), lanes
            while count > 1:
                half = count // 2
                low = v.shuffle(value, value, list(range(half)))
                high = v.shuffle(value, value, list(range(half, count)))
                narrow = Vector(builder, result, half)
                value, count = combine(narrow, low, high), half
            return builder.extract_element(value, I32(0))

        return (kind or p.dtype)(p, types.int64), lower

    return reduce


def _square(v, a):
    wide = v.builder.fpext(a, v.type)
    return v.builder.fmul(wide, wide)


row_sum = _reduction(lambda v, a, b: v.builder.fadd(a, b), 0.0)
row_max = _reduction(lambda v, a, b: v.maximum(a, b), float("-inf"))
# 0 where all elements are finite, else NaN. Four chains of 16 lanes keep up with the memory.
run_check = _reduction(lambda v, a, b: v.fma(b, v.constant(0.0), a), 0.0, 4 * REDUCTION_LANES)
# The sum of squares, in float64 whatever the elements are.
square_sum = _reduction(
    lambda v, a, b: v.builder.fadd(a, b), 0.0, 4 * REDUCTION_LANES, types.float64, _square
)
