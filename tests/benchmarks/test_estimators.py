"""Of benchmarks/scikit_learn.py: what its tables and its exit code say, on small data sets."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from idx_files import write_fashion_mnist

import fastbp

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytest.importorskip("sklearn")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import scikit_learn

    return scikit_learn


def cells(line):
    return line.strip("| ").split(" | ")


def test_tables_of_scores_and_of_images(tmp_path):
    write_fashion_mnist(tmp_path)
    paths = [str(Path(fastbp.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [
            *(sys.executable, BENCHMARKS / "scikit_learn.py", "--only", "scores", "mnist"),
            *("--sets", "wine", "--data", tmp_path, "--epochs", "2", "--rounds", "1"),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    found = [cells(line) for line in done.stdout.splitlines() if line.startswith("| ")]
    assert {len(row) for row in found[:4]} == {10}
    assert [row[0] for row in found[2:4]] == ["wine"] * 2
    for row in found[2:4]:
        assert row[1] == "178 x 13"
        assert row[3] == row[4]
        assert float(row[6]) < 1e-9
    assert [row[0] for row in found[6:]] == ["Adam", "SGD, momentum 0.9"]
    for row in found[6:]:
        assert float(row[3]) == pytest.approx(float(row[4]), rel=1e-3)
        seconds = [float(cell) for cell in row[5:7]]
        ratio = float(row[7].strip("*"))
        assert ratio == pytest.approx(seconds[0] / seconds[1], rel=0.1, abs=0.06)
    assert "All scores are the same within one standard deviation." in done.stdout
    assert "500 rows, 784-100-100-10, batch 200, 2 epochs, float32." in done.stdout
    assert re.search(r"1 thread .*scikit-learn \d.*BLAS .*--epochs 2 --rounds 1`\.$", done.stdout)


def test_scores_that_differ_are_named(script, monkeypatch, capsys):
    class Other(script.MODULES[script.OURS].MLPClassifier):
        def predict(self, X):
            return super().predict(X) * 0

    class Module:
        MLPClassifier = Other

    monkeypatch.setattr(script, "pin", lambda threads: None)  # the tests' process stays as it is
    monkeypatch.setitem(script.MODULES, script.OURS, Module)
    assert script.main(["--only", "scores", "--sets", "iris", "--rounds", "1"]) == 1
    assert "DIFFERENT by more than a standard deviation: iris, as they are; iris, stand" in (
        capsys.readouterr().out
    )


def test_the_two_take_turns_and_the_best_round_counts(script):
    calls = []
    fits = {name: lambda name=name: calls.append(name) for name in (script.THEIRS, script.OURS)}
    _, seconds = script.take_turns(fits, 3, begin=1)
    ours, theirs = script.OURS, script.THEIRS
    assert calls == [theirs, ours, ours, theirs, theirs, ours]
    assert {name: len(times) for name, times in seconds.items()} == {ours: 3, theirs: 3}
    assert script.Pair(seconds={theirs: [8.0, 6.0], ours: [2.0, 3.0]}).ratio == 3


def test_the_district_prices_are_of_the_order_of_california(script):
    X, y = script.california(2000)
    assert X.shape == (2000, 8)
    assert np.isfinite(X).all()
    assert 1 < y.mean() < 3
    assert (y.min(), y.max()) == (0.15, 5)
