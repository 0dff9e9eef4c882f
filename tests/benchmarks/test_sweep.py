"""The sweep's own logic: neighbours, cliffs, random shapes, options; nothing here is timed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastbp import losses
from fastbp.optimizers import OPTIMIZERS

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
QUICK = ["--seconds", "0.001", "--cliff", "1e9"]


@pytest.fixture
def cliffs(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import cliffs

    return cliffs


@pytest.fixture
def sweep(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import sweep

    return sweep


@pytest.fixture
def cell(cliffs):
    """4-8-2, 10 rows: 2 * 10 * (2 * 32 + 3 * 16) = 2240 operations."""
    return cliffs.Cell((4, 8, 2), 10, 1)


def twice(cell):
    return replace(cell, batch_size=2 * cell.batch_size)


@pytest.mark.parametrize(
    ("larger_seconds", "expected"),
    [
        (1.0, 1),  # as long as the smaller one: what is around the operations costs all
        (2.0, 1),  # twice the operations, twice the time
        (3.0, 1.5),  # slower an operation
        (0.5, 2),  # the smaller one takes twice as long as the larger
    ],
)
def test_excess_is_what_operations_do_not_explain(cliffs, cell, larger_seconds, expected):
    times = {cell: 1.0, twice(cell): larger_seconds}
    assert cliffs.excess(times, cell, twice(cell)) == pytest.approx(expected)


def test_cliffs_are_the_pairs_from_the_factor_on_worst_first(cliffs, cell):
    a, b, c, d = cell, twice(cell), twice(twice(cell)), twice(twice(twice(cell)))
    times = {a: 1.0, b: 4.0, c: 8.0, d: 48.0}  # an operation becomes 2, 1 and 3 times as slow
    pairs = [(a, b), (b, c), (c, d)]
    assert cliffs.find_cliffs(times, pairs, 1.9) == [(c, d, 3.0), (a, b, 2.0)]
    assert cliffs.find_cliffs(times, pairs, 2.5) == [(c, d, 3.0)]
    assert cliffs.find_cliffs(times, pairs, 3.5) == []


def test_cells_that_were_left_out_make_no_cliff(cliffs, cell):
    assert cliffs.find_cliffs({cell: 1.0}, [(cell, twice(cell))], 1.5) == []


def test_neighbours_of_a_grid_are_next_to_each_other_along_one_axis(cliffs):
    cells = {(w, n): f"{w}x{n}" for w in (30, 2, 7) for n in (5, 1)}
    assert set(cliffs.grid_pairs(cells)) == {
        ("2x1", "2x5"), ("7x1", "7x5"), ("30x1", "30x5"),
        ("2x1", "7x1"), ("7x1", "30x1"), ("2x5", "7x5"), ("7x5", "30x5"),
    }  # fmt: skip


def test_larger_neighbours_have_one_row_or_one_unit_more(cliffs, cell):
    shapes = [(n.layers, n.batch_size) for n in cliffs.larger_neighbours(cell)]
    assert shapes == [
        ((4, 8, 2), 11), ((5, 8, 2), 10), ((4, 9, 2), 10), ((4, 8, 3), 10), ((5, 9, 3), 10)
    ]  # fmt: skip


def test_larger_neighbours_come_once_each(cliffs, cell):
    shapes = [n.layers for n in cliffs.larger_neighbours(replace(cell, layers=(9, 2)))]
    assert shapes == [(9, 2), (10, 2), (9, 3), (10, 3)]


def test_random_cells_keep_their_bounds(cliffs):
    rng = np.random.default_rng(0)
    cells = [cliffs.random_cell(rng, 1e8) for _ in range(300)]
    assert {len(cell.layers) for cell in cells} == set(range(3, 10))
    assert all(2 <= width <= 4096 for cell in cells for width in cell.layers)
    assert all(1 <= cell.batch_size <= 20_000 for cell in cells)
    assert max(cell.flops for cell in cells) <= 1e8
    assert {cell.loss for cell in cells} == set(cliffs.LOSSES)
    assert {cell.optimizer for cell in cells} == set(OPTIMIZERS)
    assert {cell.dtype for cell in cells} == {"float32", "float64"}


def test_random_cells_keep_what_is_given(cliffs):
    cell = cliffs.random_cell(np.random.default_rng(0), 1e9, depth=2, loss="huber")
    assert len(cell.layers) == 2
    assert cell.loss == "huber"


def test_state_bytes_count_parameters_and_slots(cliffs, cell):
    assert replace(cell, optimizer="sgd").state_bytes == (5 * 8 + 9 * 2) * 4
    assert replace(cell, optimizer="adam", dtype="float64").state_bytes == 3 * (5 * 8 + 9 * 2) * 8


@pytest.mark.parametrize("loss", [name for name in losses.LOSSES if name != "gaussian_nll"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cells_train_with_every_loss(cliffs, cell, loss, dtype):
    X, y = (cell := replace(cell, loss=loss, dtype=dtype, steps=3)).data()
    assert X.dtype == dtype
    assert len(X) == len(y) == 30
    history = cell.network().fit(X, y, batch_size=10, progress=False)
    assert np.isfinite(history["loss"]).all()


def test_without_options_a_plain_grid_is_swept(sweep):
    options = sweep.parse([])
    assert options.widths == sweep.WIDTHS
    assert options.batches == sweep.BATCHES
    assert options.common == sweep.PLAIN
    assert options.threads == 1


def test_grids_are_sorted_and_have_no_repeats(sweep):
    options = sweep.parse(["--widths", "9", "3", "9", "--batches", "2", "1"])
    assert (options.widths, options.batches) == ([3, 9], [1, 2])


def test_random_shapes_are_bound_to_what_is_given_alone(sweep):
    options = sweep.parse(["--random", "5", "--loss", "mae", "--threads", "auto"])
    assert options.common == {"loss": "mae"}
    assert options.threads is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--random", "2", "--widths", "3"], "--widths: not allowed with --random"),
        (["--threads", "0"], "--threads: 0 given, auto or 1 to"),
        (["--cliff", "1"], "--cliff: 1 given, a number above 1 needed"),
        (["--depth", "1"], "--depth: 1 given, at least 2 layers needed"),
        (["--widths", "0"], "--widths: 0 given, a whole number of at least 1 needed"),
        (["--loss", "cross_entropy", "--widths", "1"], "cross_entropy needs widths of at least 2"),
        (["--plot", "map.jpg"], "--plot: map.jpg given, a name ending in .png needed"),
        (["--plot", "none/map.png"], "--plot: none/map.png given, there is no such folder"),
    ],
)
def test_options_that_cannot_be_are_told(sweep, capsys, arguments, message):
    with pytest.raises(SystemExit):
        sweep.parse(arguments)
    assert message in capsys.readouterr().err


def test_peers_need_float32_and_a_number_of_threads(sweep, capsys, monkeypatch):
    monkeypatch.setattr(sweep.CONTENDERS["torch"].__class__, "absent", lambda entry: [])
    for more, message in [
        (["--dtype", "float64"], "--dtype: float64 given, --peers train float32"),
        (["--threads", "auto"], "--threads: auto given, --peers need a number"),
    ]:
        with pytest.raises(SystemExit):
            sweep.parse(["--peers", "torch", *more])
        assert message in capsys.readouterr().err


def test_a_small_sweep_prints_its_table_and_draws_it(sweep, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "pin", lambda threads: None)  # the tests' process stays as it is
    path = tmp_path / "map.png"
    arguments = ["--widths", "2", "5", "--batches", "1", "3", "--plot", str(path)]
    assert sweep.main([*arguments, *QUICK]) == 0
    printed = capsys.readouterr().out
    assert "fastbp, ps an operation" in printed
    assert "no cliff of 1e+09 or more" in printed
    assert path.read_bytes().startswith(b"\x89PNG")


def test_what_takes_too_long_is_left_out(sweep, capsys, monkeypatch):
    monkeypatch.setattr(sweep, "pin", lambda threads: None)
    assert sweep.main(["--widths", "3", "--batches", "2", "--longest", "1e-9", *QUICK]) == 0
    assert "-: a step takes more than 1e-09 s" in capsys.readouterr().out


def test_random_shapes_are_swept_with_their_neighbours(sweep, cell, capsys, monkeypatch):
    monkeypatch.setattr(sweep, "pin", lambda threads: None)
    monkeypatch.setattr(sweep, "random_cell", lambda rng, most, **given: cell)
    pairs = []
    monkeypatch.setattr(sweep, "find_cliffs", lambda times, found, by: pairs.append(found) or [])
    assert sweep.main(["--random", "1", *QUICK]) == 0
    assert pairs[0] == [(cell, neighbour) for neighbour in sweep.larger_neighbours(cell)]
    assert "4, 8, 2; batch 10; relu cross_entropy adam float32" in capsys.readouterr().out


def test_cliffs_are_measured_again_and_the_best_time_counts(sweep, cell):
    options = sweep.parse(QUICK)
    times = {cell: 1e9, twice(cell): 1e-9}  # an outlier, and a time that nothing can better
    assert sweep.confirmed(times, [(cell, twice(cell))], options) == []
    assert times[cell] < 1e9
    assert times[twice(cell)] == 1e-9
