"""Tests of the disk cache of compiled kernels: what it holds, what makes it stale, damage.

Run as a script it calls some kernels and prints, as JSON, what they gave and what was compiled.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core import event

import fastbp
from fastbp.activations import ACTIVATIONS
from fastbp.kernels.machine import jit
from fastbp.kernels.panels import activation_rules as rules
from fastbp.kernels.panels import loss_rules
from fastbp.kernels.panels.panels import elementwise_loss_panel, forward_panel

PACKAGE = Path(fastbp.__file__).parent
KERNELS = "relu", "tanh"


def start(cache, package=PACKAGE, what=KERNELS):
    """A process that runs this file with that cache folder."""
    environment = os.environ | {
        "FASTBP_CACHE_DIR": str(cache),
        "PYTHONPATH": str(package.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.Popen(
        [sys.executable, __file__, *what],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def report(process):
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return json.loads(output)


def kernel_files(cache):
    return sorted(path for path in cache.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache that one process has filled, and what this process reported."""
    cache = tmp_path_factory.mktemp("cache")
    return cache, report(start(cache))


# ---- what is loaded and what is compiled --------------------------------------------------------


def test_a_second_process_compiles_nothing(filled):
    cache, first = filled
    assert first["compiled"] > 0
    assert len(kernel_files(cache)) == len(KERNELS)
    second = report(start(cache))
    assert second["compiled"] == 0
    assert second["results"] == first["results"] == [[0, 2.5], [np.tanh(-1.0), np.tanh(2.5)]]
    assert second["folder"] == first["folder"]


def test_a_second_process_trains_and_predicts_without_compiling():
    """In the cache of this process, which has what it takes for other tests already."""
    results, folder = _network(), jit.cache_folder()
    second = report(start(folder.parent, what=["network"]))
    assert second == {"results": results, "compiled": 0, "folder": str(folder)}


def test_kernels_of_one_factory_keep_their_addresses(tmp_path):
    """Each compiled in a process of its own, where Numba's count of functions stood the same."""
    code = """
import sys
from fastbp.activations import ACTIVATIONS
first, *others = [ACTIVATIONS[name].training_forward for name in sys.argv[1:]]
first.compiled()
addresses = {other.address() for other in others}
assert len({first.address(), *addresses}) == 1 + len(others)
"""
    environment = os.environ | {"FASTBP_CACHE_DIR": str(tmp_path), "PYTHONHASHSEED": "0"}
    environment |= {"PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    for names in (["relu"], ["elu"], ["relu", "elu"]):
        subprocess.run([sys.executable, "-c", code, *names], env=environment, check=True)


def test_an_edit_of_another_file_is_seen(filled, tmp_path):
    # relu's kernel is compiled from a function of panels.py; Numba's own cache would look there.
    package, cache = tmp_path / "fastbp", tmp_path / "cache"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(filled[0], cache)  # what an unchanged copy would load
    original = filled[1]
    assert ACTIVATIONS["relu"].forward.function.__code__.co_filename.endswith("panels.py")
    rules = package / "kernels" / "panels" / "activation_rules.py"
    text = rules.read_text()
    changed = text.replace("return z if not z <= 0 else like(z, 0.0)", "return like(z, 7.0)")
    assert changed != text
    rules.write_text(changed)
    after = report(start(cache, package))
    assert after["results"] == [[7, 7], original["results"][1]]
    assert Path(after["folder"]).name != Path(original["folder"]).name
    assert after["compiled"] > 0


def test_a_copy_of_the_same_sources_has_the_same_hash(tmp_path, monkeypatch):
    kernels = PACKAGE / "kernels"
    shutil.copytree(kernels, tmp_path / "copy")
    here = jit.source_hash.__wrapped__()
    monkeypatch.setattr(jit, "SOURCES", tmp_path / "copy")
    assert jit.source_hash.__wrapped__() == here
    for change in ("rename", "add", "remove"):
        folder = tmp_path / change
        shutil.copytree(kernels, folder)
        if change == "rename":
            (folder / "step" / "check.py").rename(folder / "step" / "checks.py")
        elif change == "add":
            (folder / "new.py").touch()
        else:
            (folder / "step" / "check.py").unlink()
        monkeypatch.setattr(jit, "SOURCES", folder)
        assert jit.source_hash.__wrapped__() != here


def test_panels_of_other_rules_have_other_keys(tmp_path, monkeypatch):
    """What rules a loss is made of is said outside of the sources that are hashed."""
    monkeypatch.setattr(jit, "cache_folder", lambda: tmp_path)
    for rule in (rules.relu, rules.elu):
        forward_panel("same", rule).compiled()
    elementwise_loss_panel("same", loss_rules.mse, loss_rules.mse_slope).compiled()
    elementwise_loss_panel("same", loss_rules.mse, loss_rules.mae_slope).compiled()
    assert len(list(tmp_path.iterdir())) == 4


def test_a_users_own_function_stays_out_of_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(jit, "cache_folder", lambda: tmp_path)
    for factor, want in ((2.0, 6.0), (5.0, 15.0)):  # the same name, another function
        own = fastbp.Activation(lambda z, factor=factor: factor * z, name="own")
        a = np.full(1, 3.0)
        own.forward.call("float64")(jit.address(a), 0, 1, 1, 1)
        assert a[0] == want
    assert kernel_files(tmp_path) == []


# ---- calls and addresses -----------------------------------------------------------------------


@pytest.mark.parametrize("release", [True, False])
def test_a_call_with_and_without_the_lock_of_the_interpreter(release):
    a = np.array([-1.0, 2.5])
    ACTIVATIONS["relu"].forward.call("float64", release)(jit.address(a), 0, 1, 2, 2)
    assert a.tolist() == [0, 2.5]


def test_the_address_of_any_array():
    array = np.arange(24.0).reshape(4, 6)
    frozen = array.copy()
    frozen.flags.writeable = False
    for given in (
        array, array[1:], array[:, 2:], array[::-1], array.T, frozen, frozen[2], np.empty(0),
        np.empty((3, 0)), np.array(1.5), np.zeros(3, ">f4"), np.zeros(2, bool),
        np.zeros(2, "f4,f4"), np.zeros(3, np.float16),
    ):  # fmt: skip
        assert jit.address(given) == given.ctypes.data


# ---- damage -------------------------------------------------------------------------------------


def flipped(content):
    content = bytearray(content)
    for position in range(5, len(content), 997):
        content[position] ^= 1 << position % 8
    return bytes(content)


DAMAGE = {  # of one kernel each
    "relu": lambda content: b"",
    "leaky_relu": lambda content: content[:20],  # within the hash
    "hard_tanh": lambda content: content[: len(content) // 2],
    "elu": lambda content: content + b"\0",
    "softsign": flipped,
}


def test_damaged_files_cost_a_compilation_and_nothing_else(tmp_path):
    first = report(start(tmp_path, what=DAMAGE))
    sound = kernel_files(tmp_path)
    for name, damage in DAMAGE.items():
        (path,) = (path for path in sound if path.name.startswith(f"{name}."))
        path.write_bytes(damage(path.read_bytes()))
    got = report(start(tmp_path, what=DAMAGE))
    assert got == first  # as many compilations, too
    assert got["compiled"] > 0
    assert kernel_files(tmp_path) == sound
    for path in sound:
        content = path.read_bytes()
        assert hashlib.sha256(content[32:]).digest() == content[:32]


def test_two_processes_fill_the_cache_at_once(filled, tmp_path):
    _, first = filled
    for got in [report(process) for process in [start(tmp_path), start(tmp_path)]]:
        assert got["results"] == first["results"]
    assert len(kernel_files(tmp_path)) == len(KERNELS)  # no temporary file is left
    assert report(start(tmp_path))["compiled"] == 0


def _panels(names):
    results = []
    for name in names:
        a = np.array([-1.0, 2.5])
        ACTIVATIONS[name].forward.call("float64")(jit.address(a), 0, 1, 2, 2)
        results.append(a.tolist())
    return results


def _network():
    net = fastbp.Network([3, 4, 2], activation="gelu", loss="cross_entropy", rng=0)
    X, y = np.eye(3, dtype=np.float32), np.array([0, 1, 1])
    net.fit(X, y, epochs=2, batch_size=2, progress=False)
    return [net.predict(X).tolist(), net.loss_and_gradients(X, y)[0]]


if __name__ == "__main__":
    with event.install_recorder("numba:run_pass") as passes:
        found = _network() if sys.argv[1] == "network" else _panels(sys.argv[1:])
    answer = {"results": found, "compiled": len(passes.buffer), "folder": str(jit.cache_folder())}
    json.dump(answer, sys.stdout)


def test_without_the_compiler_the_import_says_so(tmp_path, monkeypatch):
    import process  # this file is a program too, which has not the tests' modules

    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    program = """
from expect import raises

with raises(ImportError, "fastbp needs Numba's compiler", "NUMBA_DISABLE_JIT"):
    import fastbp
"""
    process.run(tmp_path, program)
