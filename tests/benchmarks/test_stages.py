"""The stopwatch of benchmarks/stages.py, which wraps the kernels of a step by their convention."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("threads", [1, 2])
def test_stages_are_told_apart(threads):
    paths = [str(BENCHMARKS.parent), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "stages.py", "digits", "--repeats", "2", "--threads", str(threads)],
        cwd=BENCHMARKS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    stages = {line.split("  ")[0] for line in done.stdout.splitlines()}
    assert stages >= {"gather", "forward", "loss", "delta", "gradient", "update", "mirror", "all"}
