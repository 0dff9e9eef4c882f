"""Ctrl-C, and other signals whose handlers run in the midst of a call."""

import contextlib
import os
import signal
import threading
import time

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents
from process import finish, run, start

import fastbp
from fastbp.engine import engine
from fastbp.engine.records import Program
from fastbp.fit.row_fit import RowFit
from fastbp.rows.rows import row_orders

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

FIT = """
import signal, sys, time
import numpy as np
import fastbp
from contents import assert_same, learned

def stop(*_):
    if fitting:  # a second signal may come when fit has ended already
        raise KeyboardInterrupt

fitting = False
signal.signal(signal.SIGINT, stop)
threads = int(sys.argv[1])
for case in sys.argv[2:]:
    width, hidden, rows, batch, regularized = map(int, case.split(","))
    regularization = dict(dropout=0.2, l2=1e-4, clip_norm=0.1, max_norm=1.0) if regularized else {}
    layers = [width, *[hidden] * 3, 4]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, width), dtype="f4")
    y = rng.standard_normal((rows, 4), dtype="f4")

    def network():
        optimizer = fastbp.Adam(1e-4)
        return fastbp.Network(layers, rng=0, threads=threads, optimizer=optimizer, **regularization)

    network().fit(X[:32], y[:32], progress=False)
    network().train_step(X[:batch], y[:batch])
    net = network()
    fitting = True
    try:
        try:
            print("ready", flush=True)
            net.fit(X, y, epochs=10**9, batch_size=batch, shuffle=False, progress=False)
        finally:
            fitting = False
    except KeyboardInterrupt:
        print(time.monotonic(), flush=True)
    steps = net.steps
    held = learned(net)
    time.sleep(0.1)
    assert_same(learned(net), held)  # nobody goes on in the background
    twin, batches = network(), -(-rows // batch)
    if steps >= batches:
        twin.fit(X, y, epochs=steps // batches, batch_size=batch, shuffle=False, progress=False)
    for number in range(steps % batches):
        part = slice(number * batch, (number + 1) * batch)
        twin.train_step(X[part], y[part])
    assert_same(learned(net), learned(twin))
    net.fit(X[:batch], y[:batch], batch_size=batch, progress=False)
    assert np.isfinite(net.predict(X[:10])).all()
    print(steps, flush=True)
"""

SMALL = (8, 16, 300, 32)  # an epoch takes less than a millisecond
MEDIUM = (64, 256, 20_000, 128)
LONG = (256, 512, 4096, 4096)  # one step takes a tenth of a second or more
TINY = (1, 1, 1000, 1)  # as many steps as possible, all of them overhead
PLAIN, REGULARIZED = (0,), (1,)
CASES = {  # networks, and the seconds after "ready", and after one another, at which SIGINT comes
    "small, early": (SMALL + PLAIN, [0.05]),
    "small": (SMALL + PLAIN, [0.3]),
    "medium, at once": (MEDIUM + PLAIN, [0.0]),
    "medium": (MEDIUM + PLAIN, [0.2]),
    "long": (LONG + PLAIN, [0.15]),
    "long, twice": (LONG + PLAIN, [0.15, 0.002]),
    "tiny": (TINY + PLAIN, [0.3]),
    "regularized": (MEDIUM + REGULARIZED, [0.2]),
}


def interrupt(process, delays):
    """Send SIGINT so many seconds after "ready"; returns its latency."""
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for delay in delays:
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return float(line) - sent


@contextlib.contextmanager
def ending(process, timeout=120):
    """Kill a process that hangs, which ends what is read from it; check that it succeeds."""
    killer = threading.Timer(timeout, process.kill)
    killer.start()
    try:
        yield
        finish(process, timeout)
    finally:
        killer.cancel()
        process.kill()


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_ends_fit_after_a_whole_step(threads, tmp_path):
    networks = [",".join(map(str, network)) for network, _ in CASES.values()]
    process = start(tmp_path, FIT, threads, *networks)
    with ending(process):
        for name, (_, delays) in CASES.items():
            latency = interrupt(process, delays)
            steps = process.stdout.readline()
            assert steps, f"{name}\n{process.communicate()[1]}"
            told = f"{name}: {1000 * latency:.1f} ms, after {int(steps)} steps"
            print(told)  # noqa: T201 - pytest -rP shows it
            assert latency < 10, told


def test_a_call_of_many_tiny_steps_leaves_the_main_thread_to_signals(monkeypatch):
    """Few operations, much time: 2 million steps of 49 layers of one unit."""
    calls = []
    net = fastbp.Network([1] * 50)

    def instead(kernel, program, members, shared, interruptible, brief):
        calls.append(interruptible)
        net._core.engine.step += Program.from_address(program).most_steps

    monkeypatch.setattr(engine.team, "run_team", instead)
    rows = np.zeros((1000, 1))
    net.fit(rows, rows, epochs=2000, batch_size=1, progress=False)
    layers_a_call = 2_000_000 * 49 / len(calls)  # each takes some 0.2 us
    assert all(calls) or layers_a_call < 500_000


def test_ctrl_c_ends_predict(tmp_path):
    program = """
import time
import numpy as np
import fastbp

net = fastbp.Network([8, 256, 256, 8], rng=0, threads=1)
X = np.random.default_rng(0).standard_normal((1_000_000, 8), dtype="f4")
want = net.predict(X[:100])
print("ready", flush=True)
try:
    while True:
        net.predict(X)
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
np.testing.assert_array_equal(net.predict(X[:100]), want)
"""
    process = start(tmp_path, program)
    with ending(process):
        latency = interrupt(process, [0.3])
    print(f"{1000 * latency:.1f} ms")  # noqa: T201 - pytest -rP shows it
    assert latency < 10


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_many_interruptions_lose_no_step_and_leave_no_thread(threads, tmp_path):
    """A timer's handler raises at a random moment of each of many fits, whatever it is doing."""
    program = """
import _thread, random, signal, sys, threading, time
import numpy as np
import fastbp
from contents import assert_same, learned

def stop(*_):
    raise KeyboardInterrupt

threads = int(sys.argv[1])
rng = np.random.default_rng(0)
X = rng.standard_normal((256, 8), dtype="f4")
y = rng.standard_normal((256, 4), dtype="f4")
net, twin = (fastbp.Network([8, 64, 64, 4], rng=0, threads=n) for n in (threads, 1))
for n in (net, twin):
    n.fit(X, y, epochs=2, batch_size=64, shuffle=False, progress=False)
signal.signal(signal.SIGALRM, stop)
# Short ones end anywhere in a fit's Python code, long ones nearly always in its kernel.
for fits, epochs, longest in ((300, 1, 1e-3), (100, 400, 1e-2)):
    moments, interrupted = random.Random(0), 0
    for _ in range(fits):
        before = net.steps
        try:
            signal.setitimer(signal.ITIMER_REAL, moments.uniform(1e-5, longest))
            net.fit(X, y, epochs=epochs, batch_size=64, shuffle=False, progress=False)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupted += 1
        made = net.steps - before
        if made >= 4:
            twin.fit(X, y, epochs=made // 4, batch_size=64, shuffle=False, progress=False)
        for number in range(made % 4):
            part = slice(number * 64, (number + 1) * 64)
            twin.train_step(X[part], y[part])
        assert_same(learned(net), learned(twin))
    assert interrupted >= 5, (epochs, interrupted)
    time.sleep(0.1)
    assert threading.active_count() == 1, threading.enumerate()
    from fastbp.kernels.machine.cores import available_cores
    assert _thread._count() <= max(threads, available_cores())  # members of the pool, who wait
"""
    run(tmp_path, program, threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_handler_cannot_use_the_network_in_the_midst_of_a_call(threads, tmp_path):
    """As a handler would that saves a checkpoint: it is told so, and fit is not disturbed."""
    program = """
import signal, sys
import numpy as np
import fastbp
from contents import assert_same, learned

rng = np.random.default_rng(0)
X = rng.standard_normal((20_000, 32), dtype="f4")
y = rng.standard_normal((20_000, 4), dtype="f4")
net, twin = (fastbp.Network([32, 64, 64, 4], rng=0, threads=int(sys.argv[1])) for _ in range(2))
for n in (net, twin):
    n.predict(X[:10])
    n.train_step(X[:64], y[:64])
messages = []

def use(*_):
    for method, *given in ((net.predict, X[:100]), (net.save, sys.argv[2]), (net.fit, X, y)):
        try:
            method(*given)
        except RuntimeError as error:
            messages.append(str(error))

signal.signal(signal.SIGALRM, use)
signal.setitimer(signal.ITIMER_REAL, 0.02)
net.fit(X, y, epochs=20, batch_size=64, shuffle=False, progress=False)
twin.fit(X, y, epochs=20, batch_size=64, shuffle=False, progress=False)
assert len(messages) == 3, messages
assert all("at work" in message for message in messages), messages
assert_same(learned(net), learned(twin))
net.predict(X[:10])
"""
    run(tmp_path, program, threads, tmp_path / "m")


@pytest.mark.parametrize("where", ["_losses", "settle", "_rewind"])
@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_an_exception_while_another_one_is_seen_to(where, epochs, monkeypatch):
    """After so many whole epochs and a step: the generator has drawn what the network has seen."""

    def train(fit, course):
        fit.engine.train(course, until=4 * epochs + 1)
        monkeypatch.setattr(RowFit, where, again)
        raise KeyboardInterrupt("the first")

    def again(fit, *given):
        monkeypatch.setattr(RowFit, where, done)
        raise KeyboardInterrupt("the second")

    X, y = data(32, 2, 1)
    net, twin = (fastbp.Network([2, 3, 1], rng=0) for _ in range(2))
    done = getattr(RowFit, where)
    monkeypatch.setattr(RowFit, "_train", train)
    with pytest.raises(KeyboardInterrupt, match="the second"):
        net.fit(X, y, epochs=4, batch_size=8)
    monkeypatch.undo()
    if epochs:
        want = twin.fit(X, y, epochs=epochs, batch_size=8)
        assert net.history["loss"] == want["loss"]
    order = row_orders(32, 1, 8, twin._core.rng)[0]
    twin.train_step(X[order[:8]], y[order[:8]])
    assert_same(contents(net), contents(twin))
