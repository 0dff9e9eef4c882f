"""Tests of the matrix product: tile remainders, strides, starts, K blocks, prefetching."""

import numba
import numpy as np
import pytest
from cases import both_dtypes
from guarded import CANARY, Guarded, bits, canaries, empty_queue

from fastbp.kernels.machine.sizes import NEVER, current
from fastbp.kernels.machine.vectors import X86, vector_bytes
from fastbp.kernels.product import ahead
from fastbp.kernels.product.gemm import ROWS, VECTORS, WIDE, gemm, panel_bytes
from fastbp.kernels.product.tile import tile_shape

K_BLOCK = current().k_block
GAP = 3  # elements between what a row may use and the next row


def lanes(dtype):
    return vector_bytes() // np.dtype(dtype).itemsize


def padded(columns, dtype):
    return -(-columns // lanes(dtype)) * lanes(dtype)


def whole_numbers(shape, dtype, seed=0):
    """Small whole numbers, whose products add up exactly: the order of summation is free."""
    return np.random.default_rng([seed, *shape]).integers(-4, 5, shape).astype(dtype)


@numba.njit
def list_rows(words, at, address, row_bytes):
    ahead.list_rows(words, at, address, row_bytes)


def multiply(
    A, B, start="zeros", dtype="float32", queue=None, stream=0, columns=None, shift=0, panel=None
):
    """The kernel's start + A @ B, for A of any strides; rows of B and of the result are GAP apart.

    start: "zeros", "bias" (one row for all), "matrix" or "C" (what lies in the result); panel:
    memory for a packed one, as `Guarded`.
    Returns what the product started from, and the result.
    """
    (rows, depth), width = A.shape, B.shape[1]
    columns = width if columns is None else columns
    size = np.dtype(dtype).itemsize
    b, c = (canaries((n, width + GAP), dtype) for n in (depth, rows))
    b[:, :width] = B
    s = {
        "zeros": np.zeros((1, width), dtype),
        "bias": whole_numbers((1, width), dtype, 1),
        "matrix": whole_numbers((rows, width + GAP), dtype, 2),
        "C": whole_numbers((rows, width), dtype, 3),
    }[start]
    if start == "C":
        c[:, :width] = s
    b, c, initial = Guarded(b, shift), Guarded(c, shift), Guarded(s, shift)
    inputs = [x.copy() for x in (A, b.array, s)]
    a_row, a_k = (stride // size for stride in A.strides)
    at, row = (c.at, width + GAP) if start == "C" else (initial.at, s.shape[1] if len(s) > 1 else 0)
    words = Guarded(empty_queue() if queue is None else queue)
    words.array[ahead.PANEL] = 0 if panel is None else panel.at
    gemm.call(dtype)(
        A.__array_interface__["data"][0], a_row, a_k, b.at, width + GAP, at, row,
        c.at, width + GAP, rows, columns, depth, size, words.at, stream,
    )  # fmt: skip
    assert c.intact()
    assert words.intact()
    assert panel is None or panel.intact()
    assert (bits(c.array[:, width:]) == bits(canaries((rows, GAP), dtype))).all()
    for before, after in zip(inputs, (A, b.array, initial.array), strict=True):
        assert (bits(before) == bits(after)).all()  # overwrites the result alone
    if queue is not None:
        queue[:] = words.array
    return s[:, :width], c.array[:, :width].copy()


def assert_exact(A, B, dtype, **how):
    start, got = multiply(A, B, dtype=dtype, **how)
    assert np.array_equal(got, start + A @ B)


@both_dtypes
@pytest.mark.parametrize("rows", [*range(1, 2 * max(ROWS, 4) + 2)])
def test_every_remainder_of_rows_and_vectors(rows, dtype):
    for vectors in range(1, 2 * WIDE + 2):
        A, B = (whole_numbers(shape, dtype) for shape in ((rows, 5), (5, vectors * lanes(dtype))))
        assert_exact(A, B, dtype, start="bias")


@both_dtypes
@pytest.mark.parametrize("rows", [1, ROWS, ROWS + 3])
def test_columns_count_up_to_whole_vectors(rows, dtype):
    for columns in range(1, WIDE * lanes(dtype) + 2, 3):
        A, B = whole_numbers((rows, 7), dtype), whole_numbers((7, padded(columns, dtype)), dtype)
        assert_exact(A, B, dtype, start="matrix", columns=columns)


@both_dtypes
def test_no_rows_and_no_columns_write_nothing(dtype):
    A, B = whole_numbers((3, 4), dtype), whole_numbers((4, lanes(dtype)), dtype)
    _, got = multiply(A, B, dtype=dtype, columns=0)
    assert (bits(got) == bits(canaries(got.shape, dtype))).all()
    assert multiply(A[:0], B, dtype=dtype)[1].size == 0


@both_dtypes
@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda x: x[:9, :11], id="rows-apart"),
        pytest.param(lambda x: x[:11, :9].T, id="transposed"),
        pytest.param(lambda x: x[:18:2, 1:34:3], id="steps"),
        pytest.param(lambda x: x[8::-1, 10::-1], id="backwards"),
        pytest.param(lambda x: np.broadcast_to(x[5, 7], (9, 11)), id="zero-strides"),
        pytest.param(lambda x: np.broadcast_to(x[5, :11], (9, 11)), id="one-row"),
    ],
)
def test_a_of_any_strides(view, dtype):
    A, B = view(whole_numbers((40, 41), dtype)), whole_numbers((11, 4 * lanes(dtype)), dtype)
    assert_exact(A, B, dtype, start="matrix")


@both_dtypes
@pytest.mark.parametrize("rows", [1, 2 * ROWS + 1])
@pytest.mark.parametrize("start", ["zeros", "bias", "matrix", "C"])
@pytest.mark.parametrize(
    "depth",
    [0, 1, K_BLOCK - 1, K_BLOCK + 1, K_BLOCK * 3 // 2 - 1, K_BLOCK * 3 // 2, 3 * K_BLOCK + 5],
)
def test_starts_and_k_blocks(depth, start, rows, dtype):
    for vectors in (1, VECTORS, WIDE + 1):
        B = whole_numbers((depth, vectors * lanes(dtype)), dtype)
        assert_exact(whole_numbers((rows, depth), dtype), B, dtype, start=start)


@both_dtypes
def test_unaligned_operands(dtype):
    A, B = whole_numbers((ROWS + 1, 9), dtype), whole_numbers((9, 5 * lanes(dtype)), dtype)
    for shift in (1, 3):
        assert_exact(A, B, dtype, start="C", shift=shift)


@both_dtypes
def test_the_choice_of_tiles_changes_no_bit(dtype):
    rng, n, depth = np.random.default_rng(0), 8 * lanes(dtype), K_BLOCK * 3 // 2
    A, B = (
        rng.standard_normal(shape).astype(dtype) for shape in ((2 * ROWS + 7, depth), (depth, n))
    )
    _, whole = multiply(A, B, dtype=dtype)
    np.testing.assert_allclose(whole, A @ B, rtol=0, atol=3e3 * np.finfo(dtype).eps)
    for i in range(len(A)):
        assert (bits(multiply(A[i : i + 1], B, dtype=dtype)[1]) == bits(whole[i])).all()
    for j in range(0, n, lanes(dtype)):
        part = slice(j, j + lanes(dtype))
        assert (bits(multiply(A, B[:, part], dtype=dtype)[1]) == bits(whole[:, part])).all()


@both_dtypes
def test_not_a_number_and_infinity_stay_in_their_rows_and_columns(dtype):
    A, B = np.ones((ROWS + 2, 6), dtype), np.ones((6, 3 * lanes(dtype)), dtype)
    A[3, 2], B[1, 5] = np.nan, np.inf
    _, got = multiply(A, B, dtype=dtype)
    assert np.isnan(got[3]).all()
    assert np.isposinf(np.delete(got[:, 5], 3)).all()
    assert (np.delete(np.delete(got, 3, 0), 5, 1) == 6).all()


# ---- packing: only copies -----------------------------------------------------------------------

PACKING = current()._replace(far=0, pack_rows=16, pack_depth=8, turned_depth=5)


def packed(A, B, sizes=PACKING, **how):
    """The kernel's product by a queue with a panel, and whether that was written to."""
    panel = Guarded(canaries((panel_bytes(sizes),), np.uint8))
    _, got = multiply(A, B, queue=empty_queue(sizes), panel=panel, **how)
    return got, bool((panel.array != CANARY).any())


@both_dtypes
@pytest.mark.parametrize("rows", sorted({16, 17, 19, 3 * ROWS - 1}))
@pytest.mark.parametrize("turned", [False, True])
def test_packing_changes_no_bit(turned, rows, dtype):
    rng = np.random.default_rng(rows)
    for depth in (1, 7, 8, 11, 12, 13, 30):  # 11: the deepest panel; 12: two blocks
        for vectors in range(1, 2 * VECTORS + 2):
            A = rng.standard_normal((depth, rows) if turned else (rows, depth)).astype(dtype)
            A = A.T if turned else A
            B = rng.standard_normal((depth, vectors * lanes(dtype))).astype(dtype)
            how = {"start": ("bias", "C")[vectors % 2], "dtype": dtype, "shift": depth % 2}
            got, written = packed(A, B, **how)
            assert (bits(got) == bits(multiply(A, B, **how)[1])).all()
            assert written == (vectors > 1)


@both_dtypes
@pytest.mark.parametrize(
    ("rows", "far", "packs"),
    [(16, 0, True), (16, NEVER, False), (15, 0, False), (1, 0, False), (0, 0, False)],
)
def test_packing_where_rows_are_far_apart_and_many(rows, far, packs, dtype):
    A, B = (whole_numbers(s, dtype) for s in ((rows, 9), (9, (WIDE + 1) * lanes(dtype))))
    got, written = packed(A, B, PACKING._replace(far=far), dtype=dtype, stream=1)
    assert np.array_equal(got, A @ B)
    assert written == packs
    apart = (B.shape[1] + GAP) * B.itemsize
    if packs:
        assert [
            packed(A, B, PACKING._replace(far=f), dtype=dtype)[1] for f in (apart, apart + 1)
        ] == [
            True,
            False,
        ]


@both_dtypes
def test_without_a_panel_nothing_is_packed(dtype):
    A, B = whole_numbers((20, 9), dtype), whole_numbers((9, 4 * lanes(dtype)), dtype)
    assert_exact(A, B, dtype, queue=empty_queue(PACKING))


# ---- prefetching: it reads no memory and changes no number --------------------------------------


def prefetch_queue(tables, rows, slow=0):
    """Words that ask for lines at addresses where nothing may lie."""
    numbers = np.arange(5, dtype=np.int64)
    words = empty_queue()
    words[ahead.TABLES], words[ahead.SLOW] = tables, slow
    for table in range(tables):
        at = ahead.START + ahead.FIELDS * (ahead.ROW_TABLES + table)
        width = 0 if table == 1 else 4
        words[at : at + ahead.FIELDS] = (
            (1 << 50) + table, width, -(-(1 << 32) // width) if width else 0, 1 << 20, 0,
            100 + table,
        )  # fmt: skip
    listed = ((ahead.FEATURES, (1 << 61) + 1, 192), (ahead.TARGETS, 1 << 60, 8))
    for at, address, stride in listed:
        list_rows(words, at, address, stride)
        words[at + ahead.NUMBERS] = numbers.__array_interface__["data"][0]
        words[at + ahead.LINES] = rows * words[at + ahead.WIDTH]
    words[ahead.NEXT + ahead.TABLES] = ahead.ROW_TABLES if rows else 0
    return words, numbers


@both_dtypes
@pytest.mark.parametrize("stream", [0, 1])
@pytest.mark.parametrize(("tables", "rows"), [(0, 0), (ahead.MOST_TABLES, 0), (1, 5), (0, 5)])
def test_prefetching_changes_no_bit(tables, rows, stream, dtype):
    rng, n = np.random.default_rng(0), (2 * WIDE + 1) * lanes(dtype)
    for count, depth in ((1, 40), (3 * ROWS + 3, 200), (ROWS, 2 * K_BLOCK)):
        A, B = (rng.standard_normal(s).astype(dtype) for s in ((count, depth), (depth, n)))
        _, want = multiply(A, B, "bias", dtype)
        for slow in (0, 3, 40):
            queue, numbers = prefetch_queue(tables, rows, slow)
            _, got = multiply(A, B, "bias", dtype, queue, stream)
            assert (bits(got) == bits(want)).all()
        assert (numbers == np.arange(5)).all()


def test_a_queue_is_consumed_table_by_table_and_then_the_next_batch():
    queue, _numbers = prefetch_queue(2, 5)  # of 100 and 101 lines; then 5 rows of 4 lines, 5 of 1
    A = np.ones((ROWS, 60), np.float32)
    B = np.ones((60, VECTORS * lanes("float32")), np.float32)
    words = [of + word for of in (0, ahead.NEXT) for word in (ahead.TABLE, ahead.FIRST)]
    seen = []
    for _ in range(7):
        multiply(A, B, queue=queue)
        seen.append(tuple(queue[words].tolist()))
    assert seen == [
        (0, 60, 0, 0), (1, 0, 0, 0), (1, 60, 0, 0), (2, 0, 0, 0),
        (2, 0, 1, 0), (2, 0, 2, 0), (2, 0, 2, 0),
    ]  # fmt: skip


def test_a_tile_of_one_vector_asks_for_nothing():
    queue, _numbers = prefetch_queue(1, 5)
    before = queue.copy()
    ones = np.ones((ROWS, ROWS), np.float32)
    multiply(ones, np.ones((ROWS, lanes("float32")), np.float32), queue=queue)
    assert (queue == before).all()


@pytest.mark.parametrize(
    ("address", "stride", "lines"),
    [(64, 256, 4), (16, 256, 5), (64, 40, 2), (0, 8, 1), (8, 8, 1), (0, 4, 1), (64, 3136, 49)],
)
def test_listed_rows_are_asked_for_whole(address, stride, lines):
    words = empty_queue()
    list_rows(words, ahead.TARGETS, address, stride)
    width, inverse = (int(words[ahead.TARGETS + i]) for i in (ahead.WIDTH, ahead.INVERSE))
    assert width == lines
    numbers = np.arange(20_000) if lines > 1 else np.arange(5)
    assert (numbers * inverse >> 32 == numbers // width).all()


def test_tile_fits_the_registers():
    rows, vectors = tile_shape()
    registers = 16 if X86 and vector_bytes() < 64 else 32
    assert rows * vectors + vectors + 1 <= registers
    assert (rows, vectors) == (ROWS, VECTORS)
