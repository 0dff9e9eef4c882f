"""A model file is whole at every moment, and nothing but a model file is ever replaced."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import process
import pytest
from model_files import ARRAYS, CONFIGURATION, same

from fastbp.files import container


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    container.write(path, ARRAYS, CONFIGURATION)
    return path


def test_missing_files_and_directories_are_os_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        container.read(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match="cannot save the model") as caught:
        container.write(tmp_path / "missing" / "m", ARRAYS, {})
    assert caught.value.filename == str(tmp_path / "missing" / "m")
    (tmp_path / "directory").mkdir()
    for call in (container.read, lambda path: container.write(path, ARRAYS, {})):
        with pytest.raises((IsADirectoryError, PermissionError)):  # the latter on Windows
            call(tmp_path / "directory")
    assert os.listdir(tmp_path) == ["directory"]


@pytest.fixture
def unprivileged_directory():
    """A directory and a process without root's right to write everywhere."""
    if os.name != "posix":
        pytest.skip("permissions are other than the bits of a mode here")
    directory = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(directory, 65534, -1)
        os.seteuid(65534)
    yield directory
    if root:
        os.seteuid(0)
    directory.chmod(0o700)
    shutil.rmtree(directory)


def test_a_directory_without_permission_is_an_os_error(unprivileged_directory):
    unprivileged_directory.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot save the model"):
        container.write(unprivileged_directory / "m", ARRAYS, {})
    assert os.listdir(unprivileged_directory) == []


def test_a_file_without_permission_is_an_os_error(unprivileged_directory):
    path = unprivileged_directory / "m"
    container.write(path, ARRAYS, {})
    path.chmod(0o400)
    with pytest.raises(PermissionError, match="cannot save the model"):
        container.write(path, {}, {})
    same(container.read(path)[0], ARRAYS)
    path.chmod(0)
    with pytest.raises(PermissionError):
        container.read(path)


@pytest.mark.skipif(os.name != "posix", reason="no devices or pipes in the file system")
def test_devices_and_pipes_are_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path(os.devnull)):
        mode = path.stat().st_mode
        with pytest.raises(OSError, match="not a regular file"):
            container.write(path, ARRAYS, {})
        assert path.stat().st_mode == mode


@pytest.mark.skipif(os.name != "posix", reason="no devices or pipes in the file system")
def test_devices_and_pipes_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    program = f"""
from expect import raises
import fastbp

for path in ({str(tmp_path / "pipe")!r}, "/dev/null", "/dev/zero"):
    with raises(OSError, "not a regular file", path):
        fastbp.load(path)
"""
    process.run(tmp_path, program, timeout=60)  # a read that waits cannot be interrupted


@pytest.mark.skipif(os.name != "posix", reason="links need a privilege, modes are no bits")
class TestPosix:
    def test_a_link_stays_and_its_target_is_replaced(self, tmp_path):
        (tmp_path / "there").mkdir()
        link = tmp_path / "link"
        link.symlink_to(Path("there") / "m")
        for arrays in ({}, ARRAYS):  # dangling at first
            container.write(link, arrays, {})
            assert link.is_symlink()
            same(container.read(tmp_path / "there" / "m")[0], arrays)
        assert os.listdir(tmp_path / "there") == ["m"]
        link.unlink()
        link.symlink_to(link)
        with pytest.raises(OSError, match="cannot save the model"):
            container.write(link, ARRAYS, {})
        assert link.is_symlink()

    @pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0, 0o666)])
    def test_the_mode_follows_the_umask(self, tmp_path, umask, mode):
        before = os.umask(umask)
        try:
            for _ in range(2):  # a new file, then a replaced one
                container.write(tmp_path / "m", ARRAYS, {})
                assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == mode
        finally:
            os.umask(before)

    def test_a_write_that_fails_half_way_leaves_the_old_file(self, file):
        import resource

        before = file.read_bytes()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            with pytest.raises(OSError, match="cannot save the model") as caught:
                container.write(file, {"w": np.ones(100_000)}, {})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert caught.value.errno == errno.EFBIG
        assert file.read_bytes() == before
        assert os.listdir(file.parent) == [file.name]


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt()])
def test_a_failure_at_the_end_leaves_the_old_file(file, monkeypatch, function, error):
    before = file.read_bytes()

    def fail(*_):
        raise error

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(type(error)) as caught:
        container.write(file, {"w": np.ones(1000)}, {})
    if isinstance(error, OSError):
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.filename == str(file)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


def test_the_content_is_on_disk_before_it_replaces_the_old_file(file, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def spy_fsync(descriptor):
        calls.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)
        if calls[-1] == "directory":
            raise OSError(errno.EINVAL, "no fsync of directories here")

    def spy_replace(source, target):
        calls.append("replace")
        assert Path(source).parent == Path(target).parent == file.parent
        assert container.read(source)[1] == {"new": True}
        assert container.read(target)[1] == CONFIGURATION
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    container.write(file, ARRAYS, {"new": True})
    assert calls == ["file", "replace", "directory"][: 3 if os.name == "posix" else 2]
    assert container.read(file)[1] == {"new": True}


def version(number):
    """Content of which every part tells the number, of a size that changes with it."""
    arrays = {name: np.full(20_000 * (1 + number % 3), number) for name in "abc"}
    return arrays, {"number": number}


def check_version(path):
    arrays, configuration = container.read(path)
    same(arrays, version(configuration["number"])[0])
    return configuration["number"]


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be replaced here")
def test_readers_see_whole_files_during_rewrites(tmp_path):
    path = tmp_path / "m"
    container.write(path, *version(0))
    seen = [set(), set()]
    faults = []

    def reader(numbers):
        try:
            while len(numbers) < 20:
                numbers.add(check_version(path))
        except (ValueError, OSError, AssertionError) as fault:
            faults.append(fault)

    threads = [threading.Thread(target=reader, args=(numbers,)) for numbers in seen]
    for thread in threads:
        thread.start()
    number = 0
    while any(thread.is_alive() for thread in threads):
        number += 1
        container.write(path, *version(number))
    assert faults == []
    assert check_version(path) == number
    assert os.listdir(tmp_path) == ["m"]


# Stands in for the package, whose own import would take most of the test's time.
ENDLESS_WRITER = """
import itertools, sys, types
package = types.ModuleType("fastbp")
package.__path__ = [sys.argv[1]]
sys.modules["fastbp"] = package
import numpy as np
from fastbp.files import container
for number in itertools.count():
    arrays = {name: np.full(20_000 * (1 + number % 3), number) for name in "abc"}
    container.write(sys.argv[2], arrays, {"number": number})
    print(number, flush=True)
"""


def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    path = tmp_path / "m"
    package = Path(container.__file__).parents[1]
    command = [sys.executable, "-c", ENDLESS_WRITER, str(package), str(path)]
    for milliseconds in (0, 3, 7, 13, 22, 31):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            for written in range(3):
                assert int(process.stdout.readline()) == written
            time.sleep(milliseconds / 1000)
            process.kill()
        assert check_version(path) >= written
        left = [name for name in os.listdir(tmp_path) if name != "m"]
        assert all(name.startswith(".fastbp-") and name.endswith(".tmp") for name in left)
