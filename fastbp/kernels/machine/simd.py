"""Primitives that Numba has no word for: bits, fma, whole cache lines, sums in a fixed order."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastbp.kernels.machine.vectors import I32, I64, LINE, Vector, element, prefetch

REDUCTION_LANES = 16  # the same on every processor, so that sums have the same bits everywhere


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


@intrinsic
def copy_lines(typingctx, source, to, lines):
    """Copy so many cache lines from one integer address to another; the two do not overlap."""

    def lower(context, builder, signature, arguments):
        source, to, lines = arguments
        line = ir.VectorType(I64, LINE // 8).as_pointer()
        with cgutils.for_range_slice(builder, I64(0), lines, I64(1)) as (number, _):
            offset = builder.mul(number, I64(LINE))
            here, there = (builder.inttoptr(builder.add(x, offset), line) for x in (source, to))
            builder.store(builder.load(here, align=8), there, align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), lower


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


def _line(operation):
    """A function for kernels: to = operation(a, b) of one cache line of each."""

    @intrinsic
    def line(typingctx, a, b, to):
        def lower(context, builder, signature, arguments):
            a, b, to = arguments
            v = Vector(builder, signature.args[0], LINE // element(signature.args[0])[2])
            v.store(operation(v, v.load(a), v.load(b)), to)
            return context.get_dummy_value()

        return types.void(a, a, a), lower

    return line


# Without flags that would let a product and a sum be fused.
add_lines = _line(lambda v, a, b: v.builder.fadd(a, b))
subtract_lines = _line(lambda v, a, b: v.builder.fsub(a, b))
multiply_lines = _line(lambda v, a, b: v.builder.fmul(a, b))
maximum_of_lines = _line(lambda v, a, b: v.maximum(a, b))


@intrinsic
def ask_for(typingctx, pointer):
    """Prefetch the cache line that a pointer points into."""

    def lower(context, builder, signature, arguments):
        prefetch(builder, builder.ptrtoint(arguments[0], I64))
        return context.get_dummy_value()

    return types.void(pointer), lower


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
