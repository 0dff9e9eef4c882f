"""The floating-point peak of one core, measured: fused multiply-adds in registers alone."""

import time

import numpy as np
from numba import types
from numba.extending import intrinsic

from fastbp.kernels.machine.jit import INT, REAL, address, kernel
from fastbp.kernels.machine.vectors import I64, Vector, vector_bytes

CHAINS = 12  # independent sums: more than latency times throughput, fewer than registers
TURNS = 200_000


@intrinsic
def multiply_add(typingctx, data, turns):
    """`turns` fused multiply-adds on each of CHAINS vectors; data: two, the first overwritten."""

    def lower(context, builder, signature, arguments):
        data, turns = arguments
        lanes = vector_bytes() // (4 if signature.args[0].dtype == types.float32 else 8)
        v = Vector(builder, signature.args[0], lanes)
        factor, term = v.load(data), v.load(builder.gep(data, [I64(lanes)]))
        entry, loop, done = builder.block, *map(builder.append_basic_block, ("loop", "done"))
        builder.branch(loop)
        builder.position_at_end(loop)
        turn, sums = builder.phi(I64), [builder.phi(v.type) for _ in range(CHAINS)]
        longer = [v.fma(chain, factor, term) for chain in sums]
        following = builder.add(turn, I64(1))
        for phi, first, later in [(turn, I64(0), following)] + [
            (chain, v.constant(float(i)), new)
            for i, (chain, new) in enumerate(zip(sums, longer, strict=True))
        ]:
            phi.add_incoming(first, entry)
            phi.add_incoming(later, loop)
        builder.cbranch(builder.icmp_signed("<", following, turns), loop, done)
        builder.position_at_end(done)
        total = longer[0]
        for chain in longer[1:]:
            total = builder.fadd(total, chain)
        v.store(total, data)
        return context.get_dummy_value()

    return types.void(data, types.int64), lower


@kernel(REAL, INT)
def multiply_adds(data, turns):
    """`turns` fused multiply-adds on each of CHAINS vectors; data as `multiply_add` takes it."""
    multiply_add(data, turns)


def fma_peak(dtype: str = "float32", repeats: int = 15) -> float:
    """GFLOP/s of one core, the best of `repeats` runs of a millisecond at most."""
    data = np.full(256, 0.5, dtype)
    lanes = vector_bytes() // data.itemsize
    best = float("inf")
    for _ in range(repeats):
        data[:] = 0.5
        start = time.perf_counter()
        multiply_adds.call(dtype)(address(data), TURNS)
        best = min(best, time.perf_counter() - start)
    return 2 * CHAINS * lanes * TURNS / best / 1e9
