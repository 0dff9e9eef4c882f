"""A team that shares a step by rows and columns has the bits of one thread, whatever the grid."""

import _thread
import os
import threading

import numpy as np
import pytest
from cases import data
from hypothesis import given
from hypothesis import strategies as st
from test_bits import EVERYTHING, LOSSES, Run, same_bits

import fastbp
from fastbp.engine import engine
from fastbp.kernels.machine.sizes import current, using
from fastbp.kernels.machine.vectors import LINE
from fastbp.layout.grid import Grid, by_rows, choose, step_cost
from fastbp.layout.layout import Layout

FEW_GRIDS = [(1, 2), (2, 2)]  # groups and their members
GRIDS = [*FEW_GRIDS, (2, 1), (3, 2), (1, 3), (2, 4)]


def force(monkeypatch, columns, split=None):
    """Have every team cut all layers that can be by columns, in groups of so many threads."""

    def forced(layout, rows, team, whole_rows=True, sparse=False, turned=False):
        lines = [-(-width * layout.dtype.itemsize // LINE) for width in layout.widths[1:]]
        layers = layout.layers
        forward = [True] * layers
        forward[0] = not sparse
        forward[-1] = forward[-1] and not whole_rows
        weights = [split or columns if (split or columns) <= n else 1 for n in lines]
        if team % columns != 0:  # of a call with few rows
            return by_rows(layers)
        seen.append(team)
        return Grid(columns, tuple(forward), (True,) * layers, tuple(weights))

    seen = []
    monkeypatch.setattr(engine, "choose", forced)
    return seen


RUNS = {
    "plain": Run("relu", layers=(20, 70, 50, 40), rows=59, batch=58),  # the last batch is one row
    "own-slopes": Run("gelu", layers=(40, 33, 65, 34), rows=80, batch=40),
    "softmax": Run(loss=LOSSES[2], output_activation="softmax", layers=(18, 60, 33), rows=50),
    "labels": Run(loss=LOSSES[4], layers=(30, 60, 40, 5), rows=100, batch=50),
    "everything": Run("silu", layers=(33, 70, 50, 40), weighted=True, regularization=EVERYTHING),
    "penalties": Run(
        layers=(33, 70, 50, 3), regularization={"l1": 0.01, "l2": 0.1, "clip_value": 0.03}
    ),
    "slabs": Run(layers=(20, 260, 260, 3), rows=600, batch=550, epochs=1),
    "blocks": Run(layers=(30, 1100, 20), rows=40, batch=40, epochs=1),
    "sparse": Run(layers=(61, 40, 33), sparse=True, rows=80, batch=40),
    "bytes": Run(layers=(33, 60, 20), scaling="standard"),
}


def check(run, dtype, grids, monkeypatch):
    """Whether a run has the bits of one thread with each grid."""
    want = run.results(dtype, 1)
    for groups, columns in grids:
        seen = force(monkeypatch, columns)
        same_bits(run.results(dtype, groups * columns), want)
        assert groups * columns in seen


@pytest.mark.parametrize("name", RUNS)
def test_the_grid_changes_no_bit(name, monkeypatch):
    check(RUNS[name], "float32", FEW_GRIDS, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RUNS)
def test_every_grid_changes_no_bit(name, dtype, monkeypatch):
    check(RUNS[name], dtype, GRIDS, monkeypatch)


SMALL = {"rng": 0, "dtype": "float32"}
TASKS = {
    "loss": {"a": "mse", "b": "cross_entropy"}, "outputs": {"a": 17, "b": 20},
    "output_activation": {"a": "tanh"},
}  # fmt: skip


def fitted(threads, options, layers=(18, 40, 33, 37), rows=56, batch=28, **of_sizes):
    """All numbers of a network after some steps, and its step by given slopes."""
    with using(current()._replace(**of_sizes)):
        assert bool(Layout(layers, np.dtype("float32")).turned_layers) == bool(of_sizes)
        net = fastbp.Network(list(layers), "tanh", threads=threads, **SMALL, **options)
    X, y = data(rows, layers[0], layers[-1])
    if "outputs" in options:
        y = {"a": y[:, :17], "b": np.arange(rows) % 20}
    net.fit(X, y, epochs=2, batch_size=batch, progress=False)
    if "outputs" not in options:
        net.step(np.sin(net.forward(X[:batch], training=True)))
    loss, gradients = net.loss_and_gradients(X, y)
    arrays = [np.array(loss), net.flat, *gradients.weights, *gradients.biases]
    return dict(enumerate(arrays))


@pytest.mark.parametrize(
    ("options", "more"),
    [
        (TASKS, {}),
        ({"trainable": [False, True, False], "rate_factors": [1, 2, 1]}, {}),
        ({"alpha": 0.1, "dropout": 0.2}, {}),
        ({}, {"layers": (20, 256, 250, 37), "turned_bytes": 0}),
    ],
    ids=["tasks", "trainable", "alpha", "turned"],
)
def test_special_networks_have_the_bits_of_one_thread(options, more, monkeypatch):
    want = fitted(1, options, **more)
    for groups, columns in FEW_GRIDS:
        seen = force(monkeypatch, columns)
        same_bits(fitted(groups * columns, options, **more), want)
        assert groups * columns in seen


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize(
    ("threads", "layers", "delays"),
    [(4, [30, 70, 200, 40], (0.02, 0.023, 0.041)), (2, [30, 256, 250, 40], (0.02, 0.03))],
    ids=["mirrors", "turned"],
)
def test_an_interrupt_ends_groups_of_threads_behind_a_whole_step(
    threads, layers, delays, monkeypatch
):
    """Whoever sees STOP first meets those who have not, at every place in the step."""
    X, y = data(48, 30, 40)

    def network(threads):
        return fastbp.Network(layers, "tanh", threads=threads, **SMALL)

    force(monkeypatch, 2)
    for delay in delays:
        with using(current()._replace(turned_bytes=0)):
            net, twin = network(threads), network(1)
        net.fit(X, y, epochs=2, batch_size=48, shuffle=False, progress=False)
        timer = threading.Timer(delay, _thread.interrupt_main)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, y, epochs=10**8, batch_size=48, shuffle=False, progress=False)
        timer.join()
        twin.fit(X, y, epochs=net.steps, batch_size=48, shuffle=False, progress=False)
        np.testing.assert_array_equal(net.flat, twin.flat)
        net.fit(X, y, epochs=2, batch_size=48, shuffle=False, progress=False)  # of use all the same


# ---- the rule -----------------------------------------------------------------------------------


@given(
    widths=st.lists(st.integers(1, 3000), min_size=2, max_size=6).map(tuple),
    dtype=st.sampled_from(["float32", "float64"]),
    rows=st.integers(1, 2000),
    team=st.integers(1, 64),
    whole_rows=st.booleans(),
    sparse=st.booleans(),
)
def test_the_rule_gives_what_the_kernels_take(widths, dtype, rows, team, whole_rows, sparse):
    layout = Layout(widths, np.dtype(dtype))
    grid = choose(layout, rows, team, whole_rows, sparse)
    assert team % grid.columns == 0
    assert len(grid.forward) == len(grid.back) == len(grid.weights) == layout.layers
    assert not (sparse and grid.forward[0])
    assert not (whole_rows and grid.forward[-1])
    assert not grid.back[0]
    if grid.columns == 1:
        assert not any(grid.forward + grid.back)
    for width, columns in zip(widths[1:], grid.weights, strict=True):
        assert team % columns == 0
        assert 1 <= columns <= -(-width * layout.dtype.itemsize // LINE)
    assert step_cost(layout, rows, team, grid).operations > 0


def test_many_threads_share_rows_where_each_would_have_few():
    single = np.dtype("float32")
    wide, small = Layout((784, 512, 512, 10), single), Layout((8, 64, 64, 4), single)
    assert choose(wide, 128, 1).columns == choose(small, 64, 4).columns == 1
    assert choose(wide, 128, 16).columns > 1
    cost, by_row = (
        step_cost(wide, 128, 16, grid) for grid in (choose(wide, 128, 16), by_rows(wide.layers))
    )
    assert cost.weight_bytes < by_row.weight_bytes / 3
    assert cost.barriers <= 6
