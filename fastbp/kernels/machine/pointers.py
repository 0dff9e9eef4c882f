"""Pointers, calls by address, memory on the stack, and what threads share: atomic words."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastbp.kernels.machine.vectors import ARM64, I32, I64, X86


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
def call_c(typingctx, address, arguments):
    """Call the C function at `address` with a tuple of integers; returns its int, if it has one."""

    def lower(context, builder, signature, values):
        kind = ir.FunctionType(I32, [I64] * len(arguments))
        integers = cgutils.unpack_tuple(builder, values[1])
        return builder.call(builder.inttoptr(values[0], kind.as_pointer()), integers)

    return types.int32(types.int64, arguments), lower


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
def exchange(typingctx, address, value):
    """Write the int64 at `address`, atomically; returns what was there before.

    All threads see these in one order: `exchange`, `fetch_add`, `compare_exchange` and
    `load_ordered`.
    """

    def lower(context, builder, signature, arguments):
        return builder.atomic_rmw("xchg", _word(builder, arguments[0]), arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), lower


@intrinsic
def compare_exchange(typingctx, address, expected, value):
    """Write the int64 at `address` if it is `expected`, atomically; returns what was there."""

    def lower(context, builder, signature, arguments):
        word, *both = arguments
        found = builder.cmpxchg(_word(builder, word), *both, "seq_cst", "seq_cst")
        return builder.extract_value(found, 0)

    return types.int64(types.int64, types.int64, types.int64), lower


@intrinsic
def load_ordered(typingctx, address):
    """The int64 at `address`, read in the one order of all `exchange` and the like."""

    def lower(context, builder, signature, arguments):
        return builder.load_atomic(_word(builder, arguments[0]), "seq_cst", 8)

    return types.int64(types.int64), lower


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
    name, operands = None, []
    if X86:
        name = "llvm.x86.sse2.pause"
    elif ARM64:  # an `isb` lasts about as long; `yield` does nothing on most of these
        name, operands = "llvm.aarch64.isb", [I32(15)]

    def lower(context, builder, signature, arguments):
        if name:
            kind = ir.FunctionType(ir.VoidType(), [operand.type for operand in operands])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), operands)
        return context.get_dummy_value()

    return types.void(), lower
