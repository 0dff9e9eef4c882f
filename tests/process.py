"""Python programs in processes of their own: for what could crash, hang or kill the tests."""

import os
import subprocess
import sys
from pathlib import Path

import fastbp

TESTS = Path(__file__).parent


def start(folder, program, *arguments):
    """Start a program, given as text, that imports the fastbp under test and the tests' modules."""
    path = folder / "program.py"
    if not path.exists() or path.read_text(encoding="utf-8") != program:
        path.write_text(program, encoding="utf-8")  # its date is what Numba's disk cache goes by
    paths = [str(Path(fastbp.__file__).parents[1]), str(TESTS), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", str(path), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def finish(process, timeout=120):
    """Return what a started program printed, having checked that it succeeded."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {timeout} s\n{out}{err}") from None
    assert process.returncode == 0, f"exit code {process.returncode}\n{out}{err}"
    return out


def run(folder, program, *arguments, timeout=120):
    return finish(start(folder, program, *arguments), timeout)
