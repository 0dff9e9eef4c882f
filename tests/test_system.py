"""What a bug report tells: versions, processor, cache folder and peak; nothing else of the user."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import fastbp
from fastbp import system
from fastbp.kernels.machine import jit, vectors
from fastbp.kernels.machine.peak import fma_peak


def fields(text):
    """The lines as a dictionary, by what stands before the first two spaces."""
    assert text.endswith("\n")
    return {line[:13].strip(): line[14:] for line in text.splitlines()}


def test_show_config_prints_all(capsys):
    fastbp.show_config()
    out, err = capsys.readouterr()
    told = fields(out)
    assert err == ""
    assert told["fastbp"] == fastbp.__version__
    assert told["Python"].startswith(platform.python_version())
    assert f"numpy {np.__version__}, numba {numba.__version__}, llvmlite " in told["with"]
    assert told["vectors"] == f"{vectors.vector_bytes()} bytes"
    assert told["cores"].endswith(f"to use of {os.cpu_count()}")
    assert f"{jit.cache_folder().name}, writable, " in told["kernel cache"]
    assert told["FMA peak"].endswith(" GFLOP/s in float64 (one core, measured now)")
    assert float(told["FMA peak"].split()[0]) > 0


def test_python_m_fastbp():
    root = str(Path(fastbp.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "fastbp"],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    mine = fields(system.config_text())
    told = fields(done.stdout)
    for field in ("fastbp", "with", "system", "processor", "compiled for", "tile", "cores"):
        assert told[field] == mine[field]


def test_the_home_folder_is_not_named(monkeypatch, tmp_path):
    folder = tmp_path / "someone" / "cache"
    folder.mkdir(parents=True)
    (folder / "kernel").touch()
    monkeypatch.setattr(system, "find_cache", lambda: (folder, ""))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "someone")
    told = fields(system.config_text())["kernel cache"]
    assert told == f"~{os.sep}cache, writable, 1 kernels"
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "another")
    assert fields(system.config_text())["kernel cache"].startswith(str(folder))


def test_no_cache_folder(monkeypatch):
    monkeypatch.setattr(system, "find_cache", lambda: (None, "it is full"))
    assert fields(system.config_text())["kernel cache"].startswith("none: it is full; kernels")


def test_the_target_is_the_one_that_numba_compiles_for(monkeypatch):
    monkeypatch.setattr(vectors.config, "CPU_NAME", "haswell")
    monkeypatch.setattr(vectors.config, "CPU_FEATURES", "+avx2,+fma,-avx512f,+cx16")
    assert system._target() == "haswell: avx2 fma"
    monkeypatch.setattr(vectors.config, "CPU_FEATURES", None)
    assert vectors.processor_target() == ("haswell", "")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_peak_is_that_of_whole_vectors(dtype):
    """A vector of elements takes 1 cycle or more, at 0.2 to 10 GHz and 1 to 4 a cycle."""
    lanes = vectors.vector_bytes() // np.dtype(dtype).itemsize
    assert 2 * lanes * 0.2 < fma_peak(dtype, repeats=3) < 2 * lanes * 40


def test_what_is_loaded_later_is_listed():
    here = dir(fastbp)
    assert here == sorted(set(here))
    assert {*fastbp.__all__} <= {*here}
    assert {"fit_many", "embed", "Network", "system"} <= {*here}
