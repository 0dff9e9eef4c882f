"""Tests of the cache's folder: where it is, who may use it, what happens where there is none."""

import contextlib
import os
import stat
import tempfile
import time

import numpy as np
import pytest

from fastbp.activations import ACTIVATIONS
from fastbp.kernels.machine import jit
from fastbp.kernels.panels.panels import forward_panel

anew = jit.find_cache.__wrapped__


def find():
    """The folder as a new process finds it."""
    return anew()[0]


@contextlib.contextmanager
def warns(monkeypatch, *parts):
    """One warning, as of a new process, that tells all `parts`."""
    monkeypatch.setattr(jit, "_warned", [])
    with pytest.warns(UserWarning, match="compiled kernels are not kept") as caught:
        yield
    assert len(caught) == 1
    for part in (*parts, "FASTBP_CACHE_DIR", "50 seconds"):
        assert part in str(caught[0].message)


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []


@pytest.fixture
def parent(tmp_path, monkeypatch):
    """A parent folder named by the environment, which does not exist yet."""
    monkeypatch.setenv("FASTBP_CACHE_DIR", str(tmp_path / "parent"))
    return tmp_path / "parent"


def compiles_right(monkeypatch):
    """Compile a kernel anew with the folder that `find` gives and check what it computes."""
    monkeypatch.setattr(jit, "find_cache", anew)
    relu = ACTIVATIONS["relu"]
    a = np.array([-3.0, 4.0])
    for name in ("relu", "again"):  # what there is to tell is told once
        forward_panel(name, relu._scalars[0]).call("float64")(jit.address(a), 0, 1, 2, 2)
    return a.tolist() == [0, 4]


def test_the_environment_names_the_parent(parent):
    folder = find()
    assert folder == parent / f"kernels-{jit.source_hash()}"
    assert folder.is_dir()
    assert find() == folder


def test_without_the_environment_it_is_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("FASTBP_CACHE_DIR", raising=False)
    monkeypatch.setattr(jit.platformdirs, "user_cache_dir", lambda *_: str(tmp_path / "users"))
    assert find().parent == tmp_path / "users"


posix = pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions of POSIX")


@posix
def test_the_folder_is_private(parent):
    assert stat.S_IMODE(find().stat().st_mode) == 0o700


@posix
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777], ids=oct)
def test_a_folder_that_others_may_write_is_not_used(mode, parent, monkeypatch):
    folder = find()
    folder.chmod(mode)
    assert find() is None
    with warns(monkeypatch, f"others may write to {folder}", f"mode {mode:o}"):
        assert compiles_right(monkeypatch)
    assert files(parent) == []


@posix
def test_a_folder_of_another_user_is_not_used(parent, monkeypatch):
    owner = find().stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert find() is None
    with warns(monkeypatch, "belongs to another user"):
        assert compiles_right(monkeypatch)


def test_a_folder_that_cannot_be_made_is_done_without(parent, monkeypatch):
    parent.write_text("a file where the folder should be")
    assert find() is None
    with warns(monkeypatch, str(parent), "cannot be used"):
        assert compiles_right(monkeypatch)


@pytest.mark.parametrize("failing", ["create", "write", "replace"])
def test_a_disk_that_takes_nothing_costs_the_cache_alone(failing, parent, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    def unwritable(make=tempfile.NamedTemporaryFile, **options):
        file = make(**options)
        file.write = full
        return file

    if failing == "replace":
        monkeypatch.setattr(os, "replace", full)
    else:
        changed = full if failing == "create" else unwritable
        monkeypatch.setattr(tempfile, "NamedTemporaryFile", changed)
    with warns(monkeypatch, str(find()), "cannot be written: No space left on device"):
        assert compiles_right(monkeypatch)
    assert find() is not None
    assert files(parent) == []


def test_a_kernel_is_written_where_the_folder_is_sound(parent, monkeypatch):
    assert compiles_right(monkeypatch)
    assert [path.parent for path in files(parent)] == [find()] * 2


def test_other_versions_are_forgotten_after_a_month_without_use(parent):
    day = 24 * 3600
    ages = {
        "kernels-" + "0" * 20: 31,
        "kernels-" + "f" * 20: 29,
        "kernels-" + "0" * 19: 99,  # other names are not ours
        "kernels-" + "0" * 21: 99,
        "kernels-" + "g" * 20: 99,
        "kernels": 99,
        "models": 99,
    }
    for name, days in ages.items():
        (parent / name).mkdir(parents=True)
        (parent / name / "file").write_text("content")
        os.utime(parent / name, (time.time() - days * day,) * 2)
    folder = find()
    left = {path.name for path in parent.iterdir()}
    assert left == ages.keys() - {"kernels-" + "0" * 20} | {folder.name}


def test_use_keeps_a_folder_young(parent):
    folder = find()
    os.utime(folder, (0, 0))
    find()
    assert folder.stat().st_mtime > time.time() - 3600
