"""Tests of products rounded to bfloat16: each bit against the definition, written in NumPy."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from guarded import Guarded, bits, canaries, empty_queue
from process import TESTS

from fastbp.kernels.machine.bfloat16 import native
from fastbp.kernels.machine.jit import address
from fastbp.kernels.machine.sizes import current
from fastbp.kernels.panels.slopes import outer_rounded
from fastbp.kernels.product import ahead
from fastbp.kernels.product.bfloat16 import gemm, pack
from fastbp.kernels.product.bfloat16_pack import K_BLOCK, KEPT_BYTES, M_BLOCK, PACKED, ROOM

GAP = 3  # elements between what a row may use and the next row
SPECIAL = np.array(
    [0, 1, 1 + 2**-8, 1 + 2**-9, 1 + 3 * 2**-9, 3.3895e38, 3.4e38, 2.0**-126, 2.0**-127, 1e-45,
     2.0**-75, 2.0**-76, 2.0**-63, 2.0**64, np.inf, np.nan, np.pi],
    np.float32,
)  # fmt: skip
SPECIAL = np.concatenate([SPECIAL, -SPECIAL])


def flushed(x):
    """float32 with zeros of their sign for denormal numbers."""
    return np.where(np.abs(x) < np.float32(2.0**-126), np.copysign(np.float32(0), x), x)


def rounded(x):
    """float32 rounded to bfloat16, to nearest even, as float32; denormal numbers are zeros."""
    words = flushed(x).view(np.uint32).astype(np.uint64)
    nearest = (words + 0x7FFF + (words >> 16 & 1)) & 0xFFFF0000
    return np.where(np.isnan(x), np.float32(np.nan), nearest.astype(np.uint32).view(np.float32))


def product(A, B, start):
    """Start + A @ B by the definition: pairs along the sum, of each the second element first."""
    A, B = rounded(A).astype(np.float64), rounded(B).astype(np.float64)
    odd = A.shape[1] % 2
    A, B = np.pad(A, ((0, 0), (0, odd))), np.pad(B, ((0, odd), (0, 0)))
    sums = flushed(np.broadcast_to(start, (len(A), B.shape[1])).astype(np.float32))
    with np.errstate(all="ignore"):
        for k in range(0, A.shape[1], 2):
            for half in (k + 1, k):
                # In float64 neither product nor sum is rounded, but where one hides the other.
                exact = sums.astype(np.float64) + A[:, half, None] * B[half]
                small = np.abs(exact) < 2.0**-126 * (1 - 2.0**-25)
                sums = np.where(small, np.copysign(0, exact), exact).astype(np.float32)
    return sums


def room(sizes=None):
    """A queue with a thread's memory, and that."""
    queue, memory = empty_queue(sizes), Guarded(canaries((ROOM,), np.uint8))
    queue[ahead.PANEL] = memory.at
    return queue, memory


def multiply(A, B, start, turned=False, kept=False, stream=0, sizes=None):
    """What the kernel makes of start + A @ B; turned: A lies transposed; kept: B by `pack`."""
    (rows, depth), columns = A.shape, B.shape[1]
    width = -(-columns // 16) * 16
    a = canaries((depth, rows + GAP) if turned else (rows, depth + GAP), np.float32)
    a[:, : rows if turned else depth] = A.T if turned else A
    b, c = (canaries((n, width + GAP), np.float32) for n in (depth, rows))
    s = canaries((len(start), width + GAP), np.float32)
    b[:, :columns], s[:, :columns] = B, start
    a, b, c, s = map(Guarded, (a, b, c, s))
    queue, memory = room(sizes)
    strides = (1, rows + GAP) if turned else (depth + GAP, 1)
    if kept:
        pack.call()(b.at, width + GAP, depth, columns, address(queue))
    gemm.call()(
        a.at, *strides, b.at, width + GAP, s.at, width + GAP if len(start) > 1 else 0,
        c.at, width + GAP, rows, columns, depth, 4, address(queue), PACKED if kept else stream,
    )  # fmt: skip
    assert c.intact()
    assert memory.intact()
    assert (bits(c.array[:, width:]) == bits(canaries((rows, GAP), np.float32))).all()
    return c.array[:, :columns].copy()


def same(got, want):
    """Whether bits are equal, but for those of NaN."""
    return (bits(got) == bits(want)) | (np.isnan(got) & np.isnan(want))


def normal(seed, *shape):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("kept", [False, True], ids=["packed-by-panels", "packed-once"])
@pytest.mark.parametrize("turned", [False, True], ids=["rows", "turned"])
def test_products_are_those_of_the_definition(turned, kept):
    shapes = [(rows, 5, columns) for rows in (1, 2, 3, 7, 8, 9, 17) for columns in (1, 16, 33, 70)]
    shapes += [(9, depth, 49) for depth in (1, 2, 31, 32, 33, 63)]
    shapes += [(M_BLOCK + 9, 6, 20), (9, K_BLOCK + 35, 20), (2, 2 * K_BLOCK + 1, 17)]
    for rows, depth, columns in shapes:
        A, B = normal(0, rows, depth), normal(1, depth, columns)
        for start in (normal(2, 1, columns), normal(3, rows, columns)):
            got = multiply(A, B, start, turned, kept)
            assert got.tobytes() == product(A, B, start).tobytes(), (rows, depth, columns)


def special_numbers():
    """Operands and starts of every kind: random bits, special values, sums that cancel."""
    rng = np.random.default_rng(4)

    def any_bits(*shape):
        return rng.integers(0, 1 << 32, shape, np.uint32).view(np.float32)

    def tiny(*shape):
        return np.ldexp(rng.standard_normal(shape), rng.integers(-75, -50, shape))

    def special(*shape):
        return rng.choice(SPECIAL, shape)

    for operand in (any_bits, tiny, special):
        for start in (any_bits, tiny, special):
            A, B, C = operand(40, 2), operand(2, 48), start(40, 48)
            yield tuple(x.astype(np.float32) for x in (A, B, C))
    with np.errstate(all="ignore"):
        for scale in (1, 2.0**-62, 2.0**62):
            A, B = (
                normal(n, *shape) * np.float32(scale) for n, shape in ((5, (40, 2)), (6, (2, 48)))
            )
            yield A, B, -(rounded(A) @ rounded(B))
    # Sums just below the least float32 that is not denormal: some are rounded up to it.
    A = np.full((8, 2), -(2.0**-75), np.float32)
    B = np.float32(2.0**-75) * np.array([[1, 0.5, 0.75, 1.5], [0, 0, 0, 0]], np.float32)
    yield A, B, np.full((8, 4), 2.0**-126, np.float32)


def test_special_numbers_are_those_of_the_definition():
    for A, B, C in special_numbers():
        assert same(multiply(A, B, C), product(A, B, C)).all()


def test_sizes_of_blocks_and_prefetching_change_no_bit():
    A, B, start = normal(0, 40, 333), normal(1, 333, 130), normal(2, 1, 130)
    want = multiply(A, B, start)
    for k_block in (1, 32, 100, 256, 1 << 20):
        sizes = current()._replace(k_block=k_block)
        for turned in (False, True):
            assert multiply(A, B, start, turned, stream=1, sizes=sizes).tobytes() == want.tobytes()


def test_operands_can_change_places():
    A, B, zero = normal(0, 37, 41), normal(1, 41, 21), np.zeros((1, 1), np.float32)
    swapped = multiply(B.T.copy(), A.T.copy(), np.broadcast_to(zero, (1, 37)))
    assert swapped.T.tobytes() == multiply(A, B, np.broadcast_to(zero, (1, 21))).tobytes()


def test_b_that_is_kept_fills_its_memory():
    depth, columns = 512, KEPT_BYTES // 1024
    A, B, start = normal(0, 8, depth), normal(1, depth, columns), np.zeros((1, columns), np.float32)
    assert multiply(A, B, start, kept=True).tobytes() == multiply(A, B, start).tobytes()


def test_outer_products_round_alike():
    rng = np.random.default_rng(5)
    every = rng.integers(0, 1 << 32, 3000, np.uint32).view(np.float32)
    x = np.concatenate([SPECIAL, every])[None]
    one, products, biases = np.ones((1, 1), np.float32), np.empty_like(x), np.empty((1, 1), "f4")
    outer_rounded.call()(
        address(x), x.size, address(one), 1, address(products), address(biases), 1, x.size, 1
    )
    assert same(products, rounded(x)).all()


# ---- other processors ---------------------------------------------------------------------------


def digest():
    """The hash of products of all kinds."""
    found = hashlib.sha256()
    for A, B, C in special_numbers():
        got = multiply(A, B, C)
        found.update(np.where(np.isnan(got), np.float32(np.nan), got).tobytes())
    for turned in (False, True):
        found.update(
            multiply(normal(0, 21, 77), normal(1, 77, 50), normal(2, 21, 50), turned).tobytes()
        )
    return found.hexdigest()


@pytest.mark.slow
@pytest.mark.skipif(not native(), reason="needs a processor with AVX512_BF16")
@pytest.mark.parametrize(
    "processor", [("haswell", "+avx2,+fma,+avx,+f16c"), ("nehalem", "+sse4.2")]
)
def test_without_the_instruction_the_bits_are_the_same(processor):
    name, features = processor
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    environment = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, __file__],
        env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"native": False, "digest": digest()}


if __name__ == "__main__":
    json.dump({"native": native(), "digest": digest()}, sys.stdout)
