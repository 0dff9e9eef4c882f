"""Checkpoints across processes: killed at any moment, read at any moment."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from process import finish, start

import fastbp
from fastbp.callbacks import Callback, Checkpoint

FIT = """
import os, random, signal, sys, time
import numpy as np
import fastbp
from fastbp.callbacks import Callback, Checkpoint

path, kills = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(0)
X, y = rng.normal(size=(203, 6)), rng.integers(0, 3, 203)

class Tell(Callback):
    def __init__(self, to):
        self.to = to

    def on_epoch_end(self, fit):
        os.write(self.to, b"e")

def fit(to):
    callbacks = [Tell(to), Checkpoint(path)]
    arguments = {"validation_data": (X[:50], y[:50]), "callbacks": callbacks}
    if os.path.exists(path):
        net = fastbp.load(path)
        print(net.steps)
        arguments["resume"] = True
    else:
        net = fastbp.Network([6, 40, 3], loss="cross_entropy", rng=1)
    history = net.fit(X, y, 400, 16, **arguments)
    np.savez(path + ".npz", **history)

# Compiled kernels are loaded once, not by each of the processes that are killed.
fastbp.Network([6, 40, 3], loss="cross_entropy").fit(X, y, 1, 16, validation_data=(X, y))
moments = random.Random(0)
for _ in range(kills):
    seen, to = os.pipe()
    process = os.fork()
    if process == 0:
        fit(to)
        os._exit(1)  # nobody has killed it
    os.close(to)
    for _ in range(moments.randrange(7)):
        os.read(seen, 1)
    time.sleep(moments.uniform(0, 0.006))
    os.kill(process, signal.SIGKILL)
    assert os.waitpid(process, 0)[1] == signal.SIGKILL
    os.close(seen)
if not kills:
    fit(os.open(os.devnull, os.O_WRONLY))
"""


@pytest.fixture
def folder(tmp_path):
    """In memory, where there is such a folder: a disk takes ten times as long as an epoch."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
def test_twenty_kills(folder):
    for name, kills in {"whole": [0], "killed": [20, 0]}.items():
        for count in kills:
            printed = finish(start(folder, FIT, folder / name, count))
    assert 13 < int(printed) < 13 * 400  # steps of which the last process knew
    for end in ("", ".npz"):
        killed, whole = (folder / f"{name}{end}" for name in ("killed", "whole"))
        assert killed.read_bytes() == whole.read_bytes()


READ = """
import sys
import fastbp

seen = set()
while len(seen) < 40:
    net = fastbp.load(sys.argv[1])
    state = net._core.pending
    assert net.steps == 13 * state.history.epochs, (net.steps, state)
    seen.add(net.steps)
    if len(seen) == 1:
        print("reads", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be replaced here")
def test_a_reader_finds_a_whole_file_at_any_moment(folder):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(203, 6)), rng.integers(0, 3, 203)
    net = fastbp.Network([6, 300, 3], loss="cross_entropy", rng=1)
    path = folder / "m"
    net.fit(X, y, 1, 16, callbacks=[Checkpoint(path)])
    process = start(folder, READ, path)
    assert process.stdout.readline() == "reads\n"

    class UntilRead(Callback):
        def on_epoch_end(self, fit):
            if process.poll() is not None:
                fit.stop("read")

    net = fastbp.load(path)
    history = net.fit(X, y, 100_000, 16, callbacks=[Checkpoint(path), UntilRead()], resume=True)
    finish(process)
    assert history.stopped == "read"
    assert sorted(os.listdir(folder)) == ["m", "program.py"]
