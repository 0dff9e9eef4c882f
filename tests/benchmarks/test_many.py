"""The benchmark of many networks: it runs, and its contenders learn the same."""

import os
import subprocess
import sys
from pathlib import Path

import fastbp

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def many(*arguments):
    paths = [str(Path(fastbp.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(  # noqa: PLW1510 - checked below, with what it printed
        [sys.executable, str(BENCHMARKS / "many.py"), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_contenders_learn_the_same():
    names = ["fit-many", "loop"]
    out = many("--rounds", "1", "--networks", "9", "--contenders", *names)
    rows = [line.split("|") for line in out.splitlines() if line.startswith("| ")]
    assert [row[1].split(":")[0].strip() for row in rows] == ["networks", "tiny", "expm", "rl"]
    rates = [cell.strip() for row in rows[1:] for cell in row[2:-1]]
    assert all(float(rate) > 0 for rate in rates if rate != "-")
    assert len(rates) == 3 * len(names)
    assert "learns" not in out
