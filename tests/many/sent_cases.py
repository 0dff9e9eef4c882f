"""What tests of workers share: networks, callbacks that end processes, ways to hide files.

Classes stand at the top level of a module, as workers import them.
"""

import _thread
import os
import signal
import threading
import time
from concurrent.futures import Executor
from pathlib import Path

import numpy as np

import fastbp
from fastbp.callbacks import Callback
from fastbp.many import bundles, workers

COUNT = 7


def data(rows=200):
    """Features and targets, in float64, which networks in float32 convert."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(rows, 5)), rng.normal(size=(rows, 2))


def networks(count=COUNT, scaling=None):
    """Networks that differ in what may: shapes, dtypes, optimizers, dropout, seeds."""
    return [
        fastbp.Network(
            [5, 3 + number, 2],
            optimizer=("adam", "sgd")[number % 2],
            dtype=("float32", "float64")[number % 2],
            dropout=0.1 * (number % 3),
            scaling=scaling,
            rng=number,
        )
        for number in range(count)
    ]


def expect_same(one, other):
    """Both are where the same fit has left them."""
    for mine, theirs in zip(one, other, strict=True):
        first, second = mine._core.state(), theirs._core.state()
        np.testing.assert_array_equal(first["state"], second["state"])
        for name in ("steps", "dropout_seed", "names", "fit"):
            assert first[name] == second[name]
        np.testing.assert_equal(first["scaling"], second["scaling"])
        assert first["rng"].bit_generator.state == second["rng"].bit_generator.state
        assert dict(mine.history) == dict(theirs.history)
        assert mine.history.stopped == theirs.history.stopped


def kill_this_process():
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def is_deaf():
    """Whether this thread is deaf to Ctrl-C, as it was when its process began."""
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


class KillOnce(Callback):
    """Kills the process that trains, unless a file says that this was done."""

    def __init__(self, marker):
        self.marker = Path(marker)

    def on_epoch_end(self, fit):
        if fit.epoch == 2 and not self.marker.exists():
            self.marker.touch()
            kill_this_process()


class Kill(Callback):
    """Kills each process that trains."""

    def on_epoch_end(self, fit):
        kill_this_process()


class Counter(Callback):
    """Keeps what it has seen, the network among it."""

    def __init__(self):
        self.epochs, self.network, self.process = 0, None, os.getpid()

    def on_epoch_end(self, fit):
        self.epochs, self.network, self.process = fit.epoch, fit.network, os.getpid()


class Unreturnable(Callback):
    """Has afterwards what no pickle holds."""

    def on_fit_end(self, fit):
        self.lock = threading.Lock()


class Fails(Callback):
    """Raises in the second epoch."""

    def on_epoch_end(self, fit):
        if fit.epoch == 2:
            raise StrangeError(fit.epoch, "two arguments")


class StrangeError(Exception):
    """Is pickled, and cannot be made again."""

    def __init__(self, epoch, what):
        super().__init__(f"{what} in epoch {epoch}")


class Waits(Callback):
    """Lets files know who is at work, and works on for long."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def on_epoch_end(self, fit):
        (self.folder / f"{os.getpid()}").touch()
        time.sleep(0.01)


class HighWater(Callback):
    """Notes how many threads train at a time in a process, in a file for each moment."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def on_epoch_end(self, fit):
        at_work = self.folder / f"{os.getpid()}-{fit.network.layers[1]}"
        at_work.touch()
        time.sleep(0.01)
        now = len(list(self.folder.glob(f"{os.getpid()}-*")))
        (self.folder / f"most-{now}").touch()
        at_work.unlink()


class Counting(Executor):
    """An executor that hands all on, and counts the bytes that go with it."""

    def __init__(self, executor, count):
        self.executor, self.max_workers = executor, count
        self.sent = []

    def submit(self, function, /, *arguments):
        if function is workers.work:
            self.sent.append(len(bundles.packed(arguments, names=False)))
        return self.executor.submit(function, *arguments)


def _unreachable(path):
    raise bundles.UnreachableError(str(path))


def hide_files():
    """Let a worker find none of the caller's files, as on another machine."""
    bundles.mapped = _unreachable


def hide_all():
    """Let it tell so, too, before it has any share."""
    hide_files()
    workers.Path = _Nowhere


class _Nowhere(type(Path())):
    def is_dir(self):
        return False


def show_all():
    """As it was."""
    import importlib

    importlib.reload(bundles)
    importlib.reload(workers)


def slowly(function):
    """Call it, and take so long that another process takes the next call."""
    function()
    time.sleep(1.0)
    return os.getpid()


def tell_of_another_machine(folder, hold):
    """What a worker tells that does not see the caller's folder."""
    return workers.tell(folder, hold)._replace(reaches=False)


def interrupted(given, folder):
    """What has become of long fits that Ctrl-C ended: the networks, and their histories."""
    mine = networks()
    epochs = fastbp.each(2 if number % 2 else 100_000 for number in range(COUNT))

    def interrupt():
        while len(list(folder.iterdir())) < 2:
            time.sleep(0.02)
        time.sleep(0.2)
        _thread.interrupt_main()

    threading.Thread(target=interrupt, daemon=True).start()
    try:
        fastbp.fit_many(mine, *data(), epochs, callbacks=[Waits(folder)], workers=given)
    except KeyboardInterrupt as error:
        return mine, error.histories
    raise AssertionError("no KeyboardInterrupt")


def expect_interrupted(mine, histories):
    """All are usable; who was under way has kept what was done."""
    began = [history for history in histories if history is not None]
    assert 1 <= len([one for one in began if one.epochs > 2]) <= 2
    assert None in histories
    for network, history in zip(mine, histories, strict=True):
        assert np.isfinite(network.flat).all()
        assert history is network.history
        assert network.steps >= (0 if history is None else 7 * history.epochs)
    fastbp.fit_many(mine, *data())  # all locks are free
