"""Checkpoints: when they are written, and what goes wrong before it can go wrong late."""

import errno
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp.callbacks import Callback, Checkpoint
from fastbp.callbacks.base import in_order
from fastbp.files import container

X, Y = data(37, 5, 4)


def network(**arguments):
    return fastbp.Network([5, 17, 9, 4], rng=3, **arguments)


def epochs_in(folder):
    return sorted(fastbp.load(path).steps // 5 for path in folder.iterdir())


@pytest.mark.parametrize(
    ("every", "epochs"), [(None, [1, 2, 3, 4, 5, 6, 7]), (1, range(1, 8)), (3, [3, 6, 7]), (9, [7])]
)
def test_a_file_every_so_many_epochs_and_at_the_end(every, epochs, tmp_path):
    one = Checkpoint(tmp_path / "m{epoch:03}", **({} if every is None else {"every_epochs": every}))
    network().fit(X, Y, 7, 8, callbacks=[one])
    assert sorted(os.listdir(tmp_path)) == [f"m{epoch:03}" for epoch in epochs]
    assert epochs_in(tmp_path) == list(epochs)


def test_a_file_every_so_many_minutes_and_at_the_end(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    class Clock(Callback):
        def on_epoch_end(self, fit):
            nonlocal now
            now += 60.0

    for minutes, epochs in {2: [2, 4, 6, 7], 2.5: [3, 6, 7], 0.01: range(1, 8), 60: [7]}.items():
        folder = tmp_path / str(minutes)
        folder.mkdir()
        one = Checkpoint(folder / "m{epoch}", every_minutes=minutes)
        network().fit(X, Y, 7, 8, callbacks=[one, Clock()])
        assert epochs_in(folder) == list(epochs)


LOSSES = [5.0, 4.0, 4.0, float("nan"), 6.0, 3.0, 3.5]


class Recorded(Callback):
    """Puts other values in the place of the losses that were recorded."""

    def on_epoch_end(self, fit):
        fit.history._columns["loss"][-1] = LOSSES[fit.epoch - 1]


@pytest.mark.parametrize(
    ("arguments", "epochs"),
    [
        ({}, [1, 2, 6]),
        ({"mode": "min"}, [1, 2, 6]),
        ({"mode": "max"}, [1, 5]),
        ({"every_epochs": 3}, [3, 6]),
        ({"every_epochs": 5}, [5, 7]),
        ({"every_epochs": 4}, [7]),
        ({"every_minutes": 1e-9}, [1, 2, 6]),
        ({"every_minutes": 60}, [7]),
    ],
    ids=str,
)
def test_best_only(arguments, epochs, tmp_path):
    one = Checkpoint(tmp_path / "{epoch}", best_only=True, monitor="loss", **arguments)
    for _ in range(2):  # a new fit begins anew
        network().fit(X, Y, 7, 8, callbacks=[one, Recorded()])
        assert epochs_in(tmp_path) == epochs
        for path in tmp_path.iterdir():
            path.unlink()


def test_a_resumed_fit_knows_the_best(tmp_path):
    def callbacks(name):
        best = Checkpoint(tmp_path / f"{name}-{{epoch}}", best_only=True, monitor="loss")
        return [best, Recorded(), Checkpoint(tmp_path / f"all-{name}-{{epoch}}")]

    network().fit(X, Y, 7, 8, callbacks=callbacks("whole"))
    net = fastbp.load(tmp_path / "all-whole-3")
    net.fit(X, Y, 7, 8, callbacks=callbacks("late"), resume=True)
    assert [path.name for path in tmp_path.glob("late-*")] == ["late-6"]
    assert (tmp_path / "late-6").read_bytes() == (tmp_path / "whole-6").read_bytes()
    with raises(ValueError, "callbacks that have a state", "['Checkpoint']", "got []"):
        fastbp.load(tmp_path / "whole-6").fit(X, Y, 7, 8, resume=True)
    for state in ({}, {"best": "1"}, {"best": float("nan")}, {"best": 1.0, "more": 1}):
        with raises((TypeError, ValueError), "best"):
            Checkpoint("m", best_only=True).restore(state)


def test_best_only_needs_what_it_watches(tmp_path):
    one = [Checkpoint(tmp_path / "m", best_only=True)]
    parts = ["Checkpoint watches 'val_loss'", "validation_data is missing"]
    refused_before_training(network(), ValueError, *parts, callbacks=one)
    network().fit(X, Y, 2, 8, validation_data=(X, Y), callbacks=one)
    assert os.listdir(tmp_path) == ["m"]


def test_one_name_is_one_file(tmp_path):
    net = network()
    net.fit(X, Y, 4, 8, callbacks=[Checkpoint(tmp_path / "m {1} }")])
    assert os.listdir(tmp_path) == ["m {1} }"]
    assert_same(contents(fastbp.load(tmp_path / "m {1} }")), contents(net))


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_paths(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network().fit(X, Y, 2, 8, callbacks=[Checkpoint(kind("m{epoch}"))])
    assert sorted(os.listdir(tmp_path)) == ["m1", "m2"]


@pytest.mark.parametrize(
    ("arguments", "error", "parts"),
    [
        ({"path": 3}, TypeError, ["path must be a string"]),
        ({"path": "m{epoch}{x}"}, ValueError, ["path can have {epoch}", "m{epoch}{x}"]),
        ({"path": "m{epoch"}, ValueError, ["path can have {epoch}"]),
        ({"path": "m{epoch:x9z}"}, ValueError, ["path can have {epoch}"]),
        ({"every_epochs": 0}, ValueError, ["every_epochs", "at least 1", "0"]),
        ({"every_epochs": 1.5}, TypeError, ["every_epochs", "1.5"]),
        ({"every_minutes": 0}, ValueError, ["every_minutes", "greater than 0"]),
        ({"every_minutes": float("nan")}, ValueError, ["every_minutes", "nan"]),
        ({"every_minutes": "5"}, TypeError, ["every_minutes", "'5'"]),
        ({"best_only": 1}, TypeError, ["best_only"]),
        ({"monitor": "loss"}, ValueError, ["monitor and mode are for best_only=True"]),
        ({"mode": "min"}, ValueError, ["monitor and mode are for best_only=True"]),
        ({"best_only": True, "mode": "most"}, ValueError, ["mode", "'most'"]),
        ({"best_only": True, "monitor": "wisdom"}, ValueError, ["mode must be", "'wisdom'"]),
        ({"every_epochs": 2, "every_minutes": 5}, ValueError, ["every_epochs and every_minutes"]),
    ],
    ids=str,
)
def test_bad_arguments(arguments, error, parts):
    with raises(error, *parts):
        Checkpoint(**{"path": "m"} | arguments)


def refused_before_training(net, error, *parts, callbacks):
    before = contents(net)
    with raises(error, *parts):
        net.fit(X, Y, 4, 8, callbacks=callbacks)
    assert_same(contents(net), before)


def test_a_missing_folder_is_found_before_training(tmp_path):
    path = tmp_path / "missing" / "m"
    one = [Checkpoint(path)]
    refused_before_training(network(), FileNotFoundError, "cannot save", str(path), callbacks=one)
    (tmp_path / "m").mkdir()
    with pytest.raises((IsADirectoryError, PermissionError)):  # the latter on Windows
        network().fit(X, Y, callbacks=[Checkpoint(tmp_path / "m")])


@pytest.mark.skipif(os.name != "posix", reason="permissions are other than the bits of a mode")
def test_a_folder_without_permission_is_found_before_training():
    folder, root = Path(tempfile.mkdtemp()), os.geteuid() == 0
    net = network()
    net.predict(X)  # before permissions go, the cache of kernels is at hand
    try:
        if root:
            os.chown(folder, 65534, -1)
            os.seteuid(65534)
        folder.chmod(0o500)
        one = [Checkpoint(folder / "m")]
        refused_before_training(net, PermissionError, "cannot save the model", callbacks=one)
        assert os.listdir(folder) == []
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_the_trial_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "m"
    path.write_bytes(b"as it was")

    class Boom(Callback):
        def on_step_end(self, fit):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        network().fit(X, Y, callbacks=[Checkpoint(path), Boom()])
    assert path.read_bytes() == b"as it was"
    assert os.listdir(tmp_path) == ["m"]


def twice(z):
    return z + z


def two(z):
    return 2.0


class Foreign(np.random.PCG64):
    """A bit generator that is not NumPy's own."""


class Stateful(Callback):
    def __init__(self, value):
        self.value = value

    def state(self):
        return {"value": self.value}


def test_what_a_file_cannot_hold_is_found_before_training(tmp_path):
    one = Checkpoint(tmp_path / "m")
    mine = network(activation=fastbp.Activation(lambda z: 2 * z, name="mine"))
    refused_before_training(mine, ValueError, "'mine'", "holds no code", callbacks=[one])
    foreign = fastbp.Network([5, 4], rng=np.random.Generator(Foreign(0)))
    refused_before_training(foreign, ValueError, "rng", "Foreign", "resumed", callbacks=[one])
    for value in ((1, 2), {1: 2}, object(), np.array(["x"]), 1j):
        bad = [Stateful(value), one]
        refused_before_training(network(), (TypeError, ValueError), "", callbacks=bad)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="no limit on the size of files")
def test_a_full_disk_leaves_the_old_file_and_a_whole_network(tmp_path):
    import resource

    path, net, twin = tmp_path / "m", network(), network()

    class Full(Callback):
        def on_epoch_end(self, fit):
            if fit.epoch == 3:
                self.before = path.read_bytes()
                resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))

    full, limits = Full(), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with raises(OSError, "cannot save the model", str(path)) as caught:
            net.fit(X, Y, 5, 8, callbacks=[full, Checkpoint(path)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == full.before
    assert os.listdir(tmp_path) == ["m"]
    assert fastbp.load(path).steps == 10
    twin.fit(X, Y, 3, 8)
    assert_same(contents(net), contents(twin))
    net.fit(X, Y)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt()])
def test_a_failure_while_a_file_is_replaced(error, tmp_path, monkeypatch):
    net, twin = network(), network()

    def fail(*_):
        raise error

    class Fail(Callback):
        def on_epoch_end(self, fit):
            if fit.epoch == 2:
                monkeypatch.setattr(os, "replace", fail)

    with pytest.raises(type(error)):
        net.fit(X, Y, 5, 8, callbacks=[Fail(), Checkpoint(tmp_path / "m")])
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["m"]
    assert fastbp.load(tmp_path / "m").steps == 5
    twin.fit(X, Y, 2, 8)
    assert_same(contents(net), contents(twin))


def test_a_long_history_fits_into_the_header(tmp_path):
    """As JSON it would take a tenth of what a header may."""
    net = fastbp.Network([1, 1], rng=0)
    one = Checkpoint(tmp_path / "m", 20_000)
    history = net.fit([[1.0]], [[1.0]], 20_000, 1, callbacks=[one])
    header = int.from_bytes((tmp_path / "m").read_bytes()[:8], "little")
    assert header < 5000
    other = fastbp.load(tmp_path / "m").fit([[1.0]], [[1.0]], 20_000, 1, resume=True)
    assert other["loss"] == history["loss"]


def test_the_optional_order(tmp_path):
    one, other = Checkpoint(tmp_path / "a"), Callback()
    assert in_order((one, other, one)) == (other, one, one)
    container.check(tmp_path / "a", {}, {})
    assert os.listdir(tmp_path) == []
