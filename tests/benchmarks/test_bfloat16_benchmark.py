"""The benchmark of bfloat16 products trains its contenders and prints their table."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastbp

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.slow
def test_bfloat16():
    arguments = "--only digits --contenders fastbp fastbp-bfloat16 --rounds 1 --seconds 0.01"
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "bfloat16.py"), *arguments.split()],
        env=os.environ | {"PYTHONPATH": str(Path(fastbp.__file__).parents[1])},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    header, _, *rows = done.stdout.splitlines()[:4]
    assert header.startswith("| digits: 64-100-10")
    assert [row.split(" | ")[0] for row in rows] == ["| fastbp", "| fastbp, products of bfloat16"]
    losses = [float(row.split(" | ")[3].strip(" |")) for row in rows]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
