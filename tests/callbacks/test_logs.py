"""CSVLog, TensorBoard and the progress bar: what is written while a fit goes on."""

import csv
import io
import os
import sys

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp.callbacks import Callback, Checkpoint, CSVLog, TensorBoard

X, Y = data(37, 5, 4)


def network():
    return fastbp.Network([5, 9, 4], rng=0)


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return rows[0], [[float(cell) for cell in row] for row in rows[1:]]


def as_rows(history):
    return [[epoch, *row] for epoch, row in enumerate(zip(*history.values(), strict=True), 1)]


ARGUMENTS = {"batch_size": 8, "validation_data": (X, Y), "schedule": lambda n: 0.9**n}


def test_a_csv_log_holds_every_digit(tmp_path):
    net, plain = network(), network()
    history = net.fit(X, Y, 3, callbacks=[CSVLog(tmp_path / "log.csv")], **ARGUMENTS)
    names, rows = read(tmp_path / "log.csv")
    assert names == ["epoch", "loss", "val_loss", "learning_rate"]
    assert rows == [list(row) for row in as_rows(history)]
    plain.fit(X, Y, 3, **ARGUMENTS)
    assert_same(contents(net), contents(plain))


def test_a_csv_log_is_complete_after_every_epoch(tmp_path):
    lengths = []

    class Look(Callback):
        def on_epoch_end(self, fit):
            lengths.append(len(read(tmp_path / "log.csv")[1]))

    network().fit(X, Y, 3, callbacks=[CSVLog(tmp_path / "log.csv"), Look()])
    assert lengths == [1, 2, 3]


def test_a_resumed_fit_has_the_whole_log(tmp_path):
    log, checkpoint = CSVLog(tmp_path / "log.csv"), Checkpoint(tmp_path / "{epoch}")
    network().fit(X, Y, 5, 8, callbacks=[log, checkpoint])
    want = (tmp_path / "log.csv").read_bytes()
    net = fastbp.load(tmp_path / "2")
    net.fit(X, Y, 5, 8, callbacks=[CSVLog(tmp_path / "log.csv")], resume=True)
    assert (tmp_path / "log.csv").read_bytes() == want


def test_a_fit_that_is_resumed_at_its_end_has_the_whole_log_too(tmp_path):
    network().fit(X, Y, 3, 8, callbacks=[CSVLog(tmp_path / "a"), Checkpoint(tmp_path / "net")])
    net = fastbp.load(tmp_path / "net")
    net.fit(X, Y, 3, 8, callbacks=[CSVLog(tmp_path / "b")], resume=True)
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


def test_a_log_may_go_where_nothing_is_kept():
    network().fit(X, Y, 2, callbacks=[CSVLog(os.devnull)])


def test_a_log_has_what_a_later_callback_adds(tmp_path):
    class Follow(Callback):
        def on_fit_begin(self, fit):
            fit.follow(lambda step: 0.5)

    history = network().fit(X, Y, 2, callbacks=[CSVLog(tmp_path / "log.csv"), Follow()])
    names, rows = read(tmp_path / "log.csv")
    assert names == ["epoch", "loss", "learning_rate"]
    assert rows == as_rows(history)


def test_a_fit_that_does_not_begin_leaves_the_old_log(tmp_path):
    network().fit(X, Y, callbacks=[CSVLog(tmp_path / "log.csv")])
    want = (tmp_path / "log.csv").read_bytes()
    with pytest.raises(OSError, match="no"):
        network().fit(
            X, Y, callbacks=[CSVLog(tmp_path / "log.csv"), Checkpoint(tmp_path / "no" / "net")]
        )
    assert (tmp_path / "log.csv").read_bytes() == want


def test_a_csv_log_that_cannot_be_written_is_found_before_training(tmp_path):
    net = network()
    before = contents(net)
    with raises(FileNotFoundError, "log.csv"):
        net.fit(X, Y, callbacks=[CSVLog(tmp_path / "no" / "log.csv")])
    assert_same(contents(net), before)
    with raises(TypeError, "path must be a string or path-like"):
        CSVLog(3)


def test_a_fit_that_fails_in_its_first_epoch_logs_nothing(tmp_path):
    y = Y.copy()
    y[30] = 1e30
    log = CSVLog(tmp_path / "log.csv")
    with pytest.raises(FloatingPointError):
        network().fit(X, y, callbacks=[log])
    assert (tmp_path / "log.csv").read_bytes() == b""
    network().fit(X, Y, callbacks=[log])  # it was closed
    assert len(read(tmp_path / "log.csv")[1]) == 1


def test_tensorboard_has_every_point(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    history = network().fit(X, Y, 3, callbacks=[TensorBoard(tmp_path / "run")], **ARGUMENTS)
    found = {}
    (path,) = (tmp_path / "run").iterdir()
    file = path.read_bytes()
    while file:  # TFRecord: length (uint64), its checksum, the bytes, their checksum
        length = int.from_bytes(file[:8], "little")
        event = Event.FromString(file[12 : 12 + length])
        file = file[16 + length :]
        for value in event.summary.value:
            found[value.tag, event.step] = value.simple_value
    want = {
        (name, epoch): np.float32(value)
        for name, values in history.items()
        for epoch, value in enumerate(values, 1)
    }
    assert found == pytest.approx(want)


def test_tensorboard_without_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with raises(ModuleNotFoundError, "TensorBoard needs tensorboardX", "fastbp[tensorboard]"):
        TensorBoard("run")


# ---- progress -----------------------------------------------------------------------------------


def wide_stderr(monkeypatch):
    """A stream that is seen to be wide enough for all that a bar shows."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for name in ("COLUMNS", "LINES"):
        monkeypatch.setenv(name, "300")


def test_the_bar_shows_losses_rate_and_samples(monkeypatch):
    wide_stderr(monkeypatch)
    network().fit(X, Y, 3, 8, validation_data=(X, Y), progress=True)
    last = sys.stderr.getvalue().split("\r")[-1]
    for part in ("3/3", " loss=", "val_loss=", "learning_rate=0.001", "samples/s="):
        assert part in last


def test_the_bar_shows_the_rate_of_a_schedule(monkeypatch):
    wide_stderr(monkeypatch)
    network().fit(X, Y, 1, 37, schedule=lambda n: 0.5, progress=True)
    assert "learning_rate=0.0005" in sys.stderr.getvalue()


def test_the_bar_of_batches_counts_their_rows(monkeypatch):
    seen = []
    wide_stderr(monkeypatch)

    class Look(Callback):
        def on_epoch_end(self, fit):
            seen.append(fit.samples)

    network().fit_batches([(X, Y), (X[:3], Y[:3])], 2, callbacks=[Look()], progress=True)
    assert seen == [40, 80]
    assert "samples/s=" in sys.stderr.getvalue()


def test_a_notebook_has_a_bar(monkeypatch):
    wide_stderr(monkeypatch)
    network().fit(X, Y)
    assert sys.stderr.getvalue() == ""
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    network().fit(X, Y)
    assert "1/1" in sys.stderr.getvalue()
