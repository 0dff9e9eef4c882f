"""A team that shares a step by rows and columns has the bits of one thread, whatever the grid."""

import pytest
from test_bits import EVERYTHING, LOSSES, Run, same_bits

from fastbp.engine import engine
from fastbp.kernels.machine.vectors import LINE
from fastbp.layout.grid import Grid, by_rows

GRIDS = [(2, 1), (1, 2), (2, 2), (3, 2), (1, 3)]


def force(monkeypatch, columns, split=None):
    """Have every team cut all layers that can be by columns, in groups of so many threads."""

    def choose(layout, rows, team, whole_rows=True, sparse=False, turned=False):
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
    monkeypatch.setattr(engine, "choose", choose)
    return seen


RUNS = {
    "plain": Run("relu", layers=(20, 70, 50, 40), rows=59, batch=58),  # the last batch is one row
    "own-slopes": Run("gelu", layers=(40, 33, 65, 34), rows=80, batch=40),
    "softmax": Run(loss=LOSSES[2], output_activation="softmax", layers=(18, 40, 33), rows=50),
    "labels": Run(loss=LOSSES[4], layers=(30, 50, 40, 5), rows=100, batch=50),
    "everything": Run("silu", layers=(33, 70, 50, 40), weighted=True, regularization=EVERYTHING),
    "penalties": Run(
        layers=(33, 70, 50, 3), regularization={"l1": 0.01, "l2": 0.1, "clip_value": 0.03}
    ),
    "slabs": Run(layers=(20, 260, 260, 3), rows=600, batch=550, epochs=1),
    "blocks": Run(layers=(30, 1100, 20), rows=40, batch=40, epochs=1),
    "sparse": Run(layers=(61, 40, 33), sparse=True, rows=80, batch=40),
    "bytes": Run(layers=(33, 40, 20), scaling="standard"),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RUNS)
def test_the_grid_changes_no_bit(name, dtype, monkeypatch):
    want = RUNS[name].results(dtype, 1)
    for groups, columns in GRIDS:
        seen = force(monkeypatch, columns)
        same_bits(RUNS[name].results(dtype, groups * columns), want)
        assert groups * columns in seen
