"""The kernels of networks side by side: each lane is one network's numbers, and nothing else."""

import numpy as np
import pytest
from cases import both_dtypes, every_optimizer
from guarded import Guarded, bits, canaries, empty_queue
from numba import carray

from fastbp import losses
from fastbp.kernels.lanes import movement
from fastbp.kernels.lanes.product import product
from fastbp.kernels.lanes.step import spread_coefficients
from fastbp.kernels.machine.jit import INT, Kernel, address
from fastbp.kernels.machine.simd import row_sum
from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.panels.lane_labels import cross_entropy
from fastbp.kernels.panels.lane_losses import FLOAT64S, LANE_BLOCK
from fastbp.kernels.product import gemm, sums


def lanes(dtype):
    return LINE // np.dtype(dtype).itemsize


def normal(shape, dtype, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def alone(a, b, start, dtype):
    """What `gemm` makes of start + a @ b."""
    (rows, depth), columns = a.shape, b.shape[1]
    ld = -(-columns // lanes(dtype)) * lanes(dtype)
    wide, initial, c = (np.zeros((n, ld), dtype) for n in (depth, rows, rows))
    wide[:, :columns], initial[:, :columns] = b, start
    a, queue = np.ascontiguousarray(a), empty_queue()
    gemm.gemm.call(dtype)(
        address(a), depth, 1, address(wide), ld, address(initial), ld, address(c), ld,
        rows, columns, depth, c.itemsize, address(queue), 0,
    )  # fmt: skip
    return c[:, :columns]


@both_dtypes
@pytest.mark.parametrize("turned", [(), ("a",), ("b",), ("a", "b")])
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (2, 3, 1), (16, 8, 2), (5, 7, 9), (9, 17, 33), (31, 2, 5), (8, 4, 1)]
)
def test_products_are_those_of_each(shape, turned, dtype):
    rows, columns, depth = shape
    n, gap = lanes(dtype), 2
    a, b = normal((rows, depth, n), dtype), normal((depth, columns, n), dtype, 1)
    start = normal((rows, columns, n), dtype, 2)
    held_a, held_b = a, b
    if "a" in turned:
        held_a = np.ascontiguousarray(a.transpose(1, 0, 2))
    if "b" in turned:
        held_b = np.ascontiguousarray(b.transpose(1, 0, 2))
    ga, gb, gs = Guarded(held_a, 1), Guarded(held_b, 1), Guarded(start, 1)
    gc = Guarded(canaries((rows, columns + gap, n), dtype), 1)
    strides = [(n, rows * n) if "a" in turned else (depth * n, n)]
    strides.append((n, depth * n) if "b" in turned else (columns * n, n))
    product.call(dtype)(
        ga.at, *strides[0], gb.at, *strides[1], gs.at, columns * n, n, gc.at, (columns + gap) * n,
        rows, columns, depth, a.itemsize,
    )  # fmt: skip
    assert all(one.intact() for one in (ga, gb, gs, gc))
    for lane in range(n):
        want = alone(a[..., lane], b[..., lane], start[..., lane], dtype)
        assert (bits(gc.array[:, :columns, lane]) == bits(want)).all()
    behind = gc.array[:, columns:]
    assert (bits(behind) == bits(canaries(behind.shape, dtype))).all()


@both_dtypes
def test_products_start_from_one_row_or_from_themselves(dtype):
    n = lanes(dtype)
    a, b, bias = normal((5, 3, n), dtype), normal((3, 6, n), dtype), normal((6, n), dtype)
    c = np.zeros((5, 6, n), dtype)
    here = address(c), 6 * n
    given = address(a), 3 * n, n, address(b), 6 * n, n
    product.call(dtype)(*given, address(bias), 0, n, *here, 5, 6, 3, a.itemsize)
    once = c.copy()
    product.call(dtype)(*given, address(c), 6 * n, n, *here, 5, 6, 3, a.itemsize)
    for lane in range(n):
        own = a[..., lane], b[..., lane]
        assert (once[..., lane] == alone(*own, bias[..., lane], dtype)).all()
        assert (c[..., lane] == alone(*own, once[..., lane], dtype)).all()


def folded(x, rows, width):
    sums.fold(x, rows, width, 1.0)


def total(x, n, to):
    carray(to, (1,))[0] = row_sum(x, n)


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100])
def test_columns_are_added_up_as_a_row_is(rows):
    fold = Kernel(folded, (FLOAT64S, INT, INT), "folded", cached=False)
    add_up = Kernel(total, (FLOAT64S, INT, FLOAT64S), "total", cached=False)
    x = Guarded(normal((rows, 16), "float64"))
    given, want = x.array.copy(), np.zeros(16)
    fold.call()(x.at, rows, 16)
    assert x.intact()
    for column in range(16):
        own, found = np.ascontiguousarray(given[:, column]), np.zeros(1)
        add_up.call()(address(own), rows, address(found))
        want[column] = found[0]
    assert (bits(x.array[0]) == bits(want)).all()


@both_dtypes
@pytest.mark.parametrize(("rows", "width"), [(1, 1), (5, 3), (9, 4), (70, 2)])
def test_rows_of_each_order(rows, width, dtype):
    n = lanes(dtype)
    X = [normal((100, width), dtype, lane) for lane in range(n)]
    labels = [np.random.default_rng(lane).integers(0, 9, 100) for lane in range(n)]
    orders = [np.random.default_rng(lane).permutation(100) for lane in range(n)]
    to, of = Guarded(canaries((rows, width + 1, n), dtype)), Guarded(np.zeros((rows, n), np.int64))
    at = np.array([[address(x) for x in array] for array in (X, labels, orders)])
    sources, of_labels, numbers = (address(row) for row in at)
    movement.gather_lanes.call(dtype)(sources, numbers, 20, rows, width, width + 1, n, to.at)
    movement.gather_labels.call()(of_labels, numbers, 20, rows, 1, 1, n, of.at)
    assert to.intact()
    assert of.intact()
    for lane in range(n):
        rows_of = orders[lane][20 : 20 + rows]
        assert (to.array[:, :width, lane] == X[lane][rows_of]).all()
        assert (of.array[:, lane] == labels[lane][rows_of]).all()
    assert (bits(to.array[:, width]) == bits(canaries((rows, n), dtype))).all()


@both_dtypes
def test_states_and_rows_go_in_and_out(dtype):
    n, slots, held, lines = lanes(dtype), 3, 40, 11
    offsets, places = np.array([1, 2, 5, 33, 39]), np.array([0, 1, 2, 7, 10])
    own = Guarded(normal((slots, held), dtype))
    group = Guarded(canaries((slots, lines, n), dtype))
    shape = address(offsets), address(places), 5, slots, held, lines * n, n
    at = group.at + 2 * own.array.itemsize
    movement.load_state.call(dtype)(own.at, at, *shape)
    assert (group.array[:, places, 2] == own.array[:, offsets]).all()
    rest = np.ones((slots, lines, n), bool)
    rest[:, places, 2] = False
    assert (bits(group.array) == bits(canaries(group.array.shape, dtype)))[rest].all()
    before = own.array.copy()
    own.array[:, offsets] = 0
    movement.store_state.call(dtype)(own.at, at, *shape)
    assert (own.array == before).all()
    rows = Guarded(canaries((6, 8), dtype))
    x = Guarded(normal((6, 5, n), dtype))
    movement.to_rows.call(dtype)(x.at + own.array.itemsize, n, 6, 5, rows.at, 8)
    assert (rows.array[:, :5] == x.array[..., 1]).all()
    assert (rows.array[:, 5:] == 0).all()
    rows.array[:] *= 2
    want = x.array.copy()
    want[..., 1] *= 2
    movement.from_rows.call(dtype)(x.at + own.array.itemsize, n, 6, 5, rows.at, 8)
    assert (x.array == want).all()
    assert all(one.intact() for one in (own, group, rows, x))


@both_dtypes
@every_optimizer
def test_updates_are_those_of_each(optimizer, dtype):
    made, n, count = optimizer.optimizer(), lanes(dtype), 3 * LANE_BLOCK
    tables = [made.coefficients(np.arange(1.0, 4.0), 0.01 * (1 + lane)) for lane in range(n)]
    width = tables[0].shape[1]
    at, spread = np.array([address(table) for table in tables]), np.zeros((width, LANE_BLOCK))
    spread, g = Guarded(spread.astype(dtype)), Guarded(normal((count // n, n), dtype, 3))
    state = Guarded(normal((1 + made.slots, count // n, n), dtype))
    np.abs(state.array[1:], out=state.array[1:])
    own = [np.ascontiguousarray(state.array[..., lane]) for lane in range(n)]
    for step in range(3):
        spread_coefficients.call(dtype)(address(at), n, step * width, width, spread.at)
        made.panel.in_lanes.call(dtype)(state.at, g.at, count * g.array.itemsize, count, spread.at)
        for lane, (alone, table) in enumerate(zip(own, tables, strict=True)):
            slope = np.ascontiguousarray(g.array[:, lane])
            made.panel.call(dtype)(
                address(alone), address(slope), alone[0].nbytes, count // n, address(table[step])
            )
            assert (bits(state.array[..., lane]) == bits(alone)).all()
    assert all(one.intact() for one in (spread, g, state))


LOSSES = [
    losses.MSE(),
    losses.MAE(),
    losses.Huber(0.5),
    losses.Quantile(0.3),
    losses.LogCosh(),
    losses.Poisson(),
    losses.BinaryCrossEntropy(),
    losses.Focal(),
    losses.Hinge(),
    losses.CrossEntropy(),
]


@both_dtypes
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize(("rows", "outputs"), [(1, 1), (3, 2), (8, 5), (20, 1), (17, 19), (5, 40)])
def test_losses_are_those_of_each(rows, outputs, loss, dtype):
    n, labels = lanes(dtype), isinstance(loss, losses.CrossEntropy)
    kernel = cross_entropy if labels else loss.panel().in_lanes
    room = rows * outputs * n + 2 * LANE_BLOCK * n
    z, delta, worth, wanted = (Guarded(np.zeros(room, dtype)) for _ in range(4))
    inside = slice(0, rows * outputs * n)
    logits = normal((rows, outputs, n), dtype) * 3
    rng = np.random.default_rng(rows)
    targets = rng.integers(0, 2, (rows, outputs, n)).astype(dtype)
    of = rng.integers(0, outputs, (rows, n))
    z.array[inside], wanted.array[inside] = logits.ravel(), targets.ravel()
    values = Guarded(np.zeros((rows, n)))
    own = np.array([loss.parameter(), *[1.0] * outputs])
    kernel.call(dtype)(
        z.at, delta.at, worth.at, address(of) if labels else wanted.at, values.at, address(own),
        rows, outputs, n, 50,
    )  # fmt: skip
    assert all(one.intact() for one in (z, delta, worth, wanted, values))
    ld, order = -(-outputs // n) * n, np.arange(rows)
    for lane in range(n):
        mine, slopes, found = (np.zeros((rows, ld), dtype) for _ in range(3))
        mine[:, :outputs], found = logits[..., lane], np.zeros(rows)
        y = np.ascontiguousarray(of[:, lane] if labels else targets[..., lane])
        loss.panel(labels).call(dtype)(
            address(mine), address(slopes), address(y), address(order), address(found),
            address(own), rows, outputs, ld, 50, 0,
        )  # fmt: skip
        got = delta.array[inside].reshape(rows, outputs, n)[..., lane]
        assert (bits(got) == bits(slopes[:, :outputs])).all()
        assert (bits(values.array[:, lane]) == bits(found)).all()


@pytest.mark.parametrize("label", [-1, 3, 1 << 60])
def test_a_label_of_no_class_has_no_loss(label):
    n, values = 16, np.zeros((2, 16))
    z, delta, worth = (Guarded(np.zeros(64 * n, np.float32)) for _ in range(3))
    of = np.zeros((2, n), np.int64)
    of[1, 4] = label
    cross_entropy.call("float32")(
        z.at, delta.at, worth.at, address(of), address(values), address(np.zeros(4)), 2, 3, n, 2
    )
    assert np.isnan(values).sum() == 1
    assert np.isnan(values[1, 4])
    assert all(one.intact() for one in (z, delta, worth))
