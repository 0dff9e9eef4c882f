"""Tests of the asv suite, each benchmark with its first parameters, and of single scripts."""

import importlib
import importlib.util
import inspect
import math
import pkgutil
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
KINDS = "time_", "timeraw_", "peakmem_", "track_"


def discovered():
    """Return (object, method name) of every benchmark, found by name as asv does."""
    suite = importlib.import_module("suite")
    found = []
    for entry in pkgutil.iter_modules(suite.__path__, "suite."):
        module = importlib.import_module(entry.name)
        holders = [
            holder
            for _, holder in inspect.getmembers(module, inspect.isclass)
            if holder.__module__ == entry.name
        ]
        for holder in [module, *holders]:
            names = [n for n in dir(holder) if n.startswith(KINDS)]
            found += [(holder() if inspect.isclass(holder) else holder, name) for name in names]
    return found


def run(holder, name):
    """What a benchmark returns between its setup and its teardown."""
    first = [values[0] for values in getattr(holder, "params", ())]
    assert len(first) == len(getattr(holder, "param_names", ()))
    if hasattr(holder, "setup"):
        holder.setup(*first)
    try:
        return getattr(holder, name)(*first)
    finally:
        if hasattr(holder, "teardown"):
            holder.teardown(*first)


def test_every_benchmark_of_the_suite_runs(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    kinds = set()
    for holder, name in discovered():
        result = run(holder, name)
        kind = name.partition("_")[0]
        kinds.add(kind)
        if kind == "track":
            assert math.isfinite(result), name
            assert isinstance(getattr(holder, name).unit, str), name
        elif kind == "timeraw":
            statements = (result,) if isinstance(result, str) else result
            for statement in statements:
                compile(statement, name, "exec")
            exec(statements[0], {})
        else:
            assert result is None, name
    assert {f"{kind}_" for kind in kinds} == set(KINDS)


def test_calls_are_timed_and_predictions_of_many_rows_too(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("calls")
    monkeypatch.setattr(module, "SECONDS", 1e-3)
    found = module.calls([4, 3, 2], threads=1)
    assert len(found) == 10
    assert all(us > 0 for us in found.values())
    module.predict_many([4, 3, 2], 1000, threads=1)
    assert "`predict` of 1000 rows, 4-3-2, 1 thread(s)" in capsys.readouterr().out


def test_calls_from_compiled_code_are_timed(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("embed")
    monkeypatch.setattr(module, "SECONDS", 1e-3)
    monkeypatch.setattr(module, "NETWORKS", ([4, 3, 2],))
    monkeypatch.setattr(module, "of_jax", lambda widths: [4.0] * 4)  # which takes seconds to begin
    monkeypatch.setattr("sys.argv", ["embed.py"])
    module.main()
    header, _, *rows = capsys.readouterr().out.splitlines()[:6]
    assert header.startswith("| 4-3-2 | fastbp, compiled code |")
    for name, row in zip(module.NAMES, rows, strict=True):
        own, *cells = row.strip("| ").split(" | ")
        assert own == name
        assert all(float(cell) > 0 for cell in cells)
        assert len(cells) == header.count("|") - 2


def test_networks_side_by_side_are_timed(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("side_by_side")
    module.main(["--seconds", "0.001", "--networks", "1"])
    *_, row = capsys.readouterr().out.splitlines()
    name, batch, *cells = row.strip("| ").split(" | ")
    assert (name, batch, len(cells)) == ("2-8-1", "1", 6)
    assert all(float(cell) > 0 for cell in cells)


def test_derivatives_are_timed(monkeypatch):
    """Of fastbp alone: that the libraries agree is checked where they are timed."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("derivatives")
    monkeypatch.setattr(module, "SECONDS", 1e-3)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = module.table([3, 4, 2], 5)
    assert set(found) == {"fastbp"}
    assert set(found["fastbp"]) == set(module.TASKS)
    assert all(us > 0 for us in found["fastbp"].values())


def test_calls_of_teams_are_timed(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("teams")
    monkeypatch.setattr(module, "SECONDS", 1e-3)
    monkeypatch.setattr(module, "EPOCHS", 2)
    monkeypatch.setattr("sys.argv", ["teams.py", "--only", "rl", "--rounds", "1", "--markdown"])
    module.main()
    _, _, header, line, *rows = capsys.readouterr().out.splitlines()
    columns = header.count("|") - 1
    assert header.startswith("| rl, 8-64-64-4, 2048 rows")
    assert line == "|---" * columns + "|"
    assert len(rows) == 7
    for row in rows:
        _, *cells = row.strip("| ").split(" | ")
        assert len(cells) == columns - 1
        assert all(float(cell) > 0 for cell in cells)


def test_numbers_of_threads_are_compared(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("threads")
    monkeypatch.setattr(module, "numbers_of_threads", lambda: [1, 2, None])
    shape = {"depth": 3, "loss": "mse", "activation": "relu", "optimizer": "sgd"}
    drawn = module.random_shapes
    monkeypatch.setattr(module, "MOST_FLOPS", 1e5)
    monkeypatch.setattr(module, "random_shapes", lambda n, seed: drawn(n, seed, **shape))
    arguments = ["--only", "rl", "--random", "1", "--seconds", "0.001", "--rounds", "1"]
    module.main(arguments)
    head, _, columns, line, *rows = capsys.readouterr().out.splitlines()
    assert head.endswith("python benchmarks/threads.py " + " ".join(arguments))
    assert columns == "| us a step on | 1 | 2 | None | None took | to the best |"
    assert line.count("|") == columns.count("|")
    assert len(rows) == 2
    for row in rows:
        name, *times, took, ratio = row.strip("| ").split(" | ")
        assert name == "rl" or "relu mse sgd" in name
        assert all(float(us) > 0 for us in times)
        assert took in ("1", "2")
        assert float(ratio) >= 1


def test_a_count_between_two_measured_ones_takes_as_long_as_the_worse(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("threads")
    times = {1: 6.0, 2: 4.0, 4: 2.0, 8: 3.0, None: 1.0}
    assert [module.loss(times, chosen) for chosen in (1, 2, 3, 4, 5, 8)] == [3, 2, 2, 1, 1.5, 1.5]
