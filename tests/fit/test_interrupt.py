"""Ctrl-C, and other signals whose handlers run in the midst of a call."""

import os
import signal
import time

import numpy as np
import pytest
from process import finish, run, start

import fastbp
from fastbp.engine import engine
from fastbp.engine.records import Program

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

FIT = """
import signal, sys, time
import numpy as np
import fastbp
from contents import assert_same, learned

width, hidden, rows, batch, threads = map(int, sys.argv[1:6])
regularization = dict(dropout=0.2, l2=1e-4, clip_norm=0.1, max_norm=1.0) if sys.argv[6:] else {}
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

def stop(*_):
    if fitting:  # a second signal may come when fit has ended already
        raise KeyboardInterrupt

signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
try:
    try:
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
print(steps)
"""

SMALL = (8, 16, 300, 32)  # an epoch takes less than a millisecond
MEDIUM = (64, 256, 20_000, 128)
LONG = (256, 1024, 4096, 4096)  # one step takes half a second
TINY = (1, 1, 1000, 1)  # as many steps as possible, all of them overhead


def interrupt(folder, program, *arguments, delays):
    """Send SIGINT so many seconds after "ready"; returns its latency and the rest of the output."""
    process = start(folder, program, *arguments)
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for delay in delays:
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    output = finish(process).split()
    return float(output[0]) - sent, output[1:]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("shape", "delay"),
    [(SMALL, 0.05), (SMALL, 0.3), (MEDIUM, 0.0), (MEDIUM, 0.2), (LONG, 0.3), (TINY, 0.3)],
    ids=["small-early", "small", "medium-at-once", "medium", "long", "tiny"],
)
def test_ctrl_c_ends_fit_after_a_whole_step(shape, delay, threads, tmp_path):
    latency, (steps,) = interrupt(tmp_path, FIT, *shape, threads, delays=[delay])
    print(f"{1000 * latency:.1f} ms, after {steps} steps")  # noqa: T201 - pytest -rP shows it
    assert latency < 10


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_ends_a_fit_with_regularization_after_a_whole_step(threads, tmp_path):
    latency, _ = interrupt(tmp_path, FIT, *MEDIUM, threads, "regularized", delays=[0.2])
    assert latency < 10


def test_ctrl_c_twice_is_no_worse(tmp_path):
    latency, _ = interrupt(tmp_path, FIT, *LONG, 2, delays=[0.3, 0.002])
    assert latency < 10


def test_a_call_of_many_tiny_steps_leaves_the_main_thread_to_signals(monkeypatch):
    """Few operations, much time: 2 million steps of 49 layers of one unit."""
    calls = []
    net = fastbp.Network([1] * 50)

    def instead(kernel, program, members, shared, interruptible):
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
    latency, _ = interrupt(tmp_path, program, delays=[0.3])
    print(f"{1000 * latency:.1f} ms")  # noqa: T201 - pytest -rP shows it
    assert latency < 10


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("epochs", "longest"), [(1, 1e-3), (400, 1e-2)], ids=["short", "long"])
def test_many_interruptions_lose_no_step_and_leave_no_thread(threads, epochs, longest, tmp_path):
    """A timer's handler raises at a random moment of each of many fits, whatever it is doing."""
    program = """
import _thread, random, signal, sys, threading, time
import numpy as np
import fastbp
from contents import assert_same, learned

threads, epochs, longest = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
rng = np.random.default_rng(0)
X = rng.standard_normal((256, 8), dtype="f4")
y = rng.standard_normal((256, 4), dtype="f4")
net, twin = (fastbp.Network([8, 64, 64, 4], rng=0, threads=n) for n in (threads, 1))

def stop(*_):
    raise KeyboardInterrupt

for n in (net, twin):
    n.fit(X, y, epochs=2, batch_size=64, shuffle=False, progress=False)
signal.signal(signal.SIGALRM, stop)
moments, interrupted = random.Random(0), 0
for _ in range(300):
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
assert interrupted >= 5, interrupted
time.sleep(0.1)
assert threading.active_count() == 1, threading.enumerate()
assert _thread._count() == 0
"""
    run(tmp_path, program, threads, epochs, longest)


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
net.fit(X, y, epochs=60, batch_size=64, shuffle=False, progress=False)
twin.fit(X, y, epochs=60, batch_size=64, shuffle=False, progress=False)
assert len(messages) == 3, messages
assert all("at work" in message for message in messages), messages
assert_same(learned(net), learned(twin))
net.predict(X[:10])
"""
    run(tmp_path, program, threads, tmp_path / "m")
