"""Ctrl-C in the midst of fit_many: all networks at whole steps, the finished ones finished."""

import os

import pytest
from process import run

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="POSIX signals"),
    pytest.mark.slow,
]

PROGRAM = """
import random, signal, sys, time
import numpy as np
import fastbp
from contents import assert_same, learned

def stop(*_):
    raise KeyboardInterrupt

threads, signals = int(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(0)
X = rng.standard_normal((256, 8), dtype="f4")
y = rng.standard_normal((256, 4), dtype="f4")

def made():
    shapes = [[8, 64, 64, 4], [8, 4], [8, 16, 4], [8, 128, 4], [8, 2, 4], [8, 64, 64, 4]]
    shapes += [[8, 3, 4]] * 7  # which go side by side
    return [fastbp.Network(shape, rng=0) for shape in shapes]

networks, twins = made(), made()
fit = dict(batch_size=64, shuffle=False, progress=False)
for net, twin in zip(networks, twins):
    net.fit(X, y, epochs=2, **fit), twin.fit(X, y, epochs=2, **fit)
fastbp.fit_many(networks, X, y, epochs=1, threads=threads, **fit)
for twin in twins:
    twin.fit(X, y, **fit)
signal.signal(signal.SIGALRM, stop)
moments, interrupted, partial = random.Random(0), 0, 0
# Short ones end anywhere in the checks and around them, long ones nearly always in the kernels.
for fits, epochs, longest in ((signals, 2, 4e-3), (signals, 300, 3e-2)):
    for _ in range(fits):
        before, histories = [net.steps for net in networks], None
        try:
            signal.setitimer(signal.ITIMER_REAL, moments.uniform(1e-5, longest))
            histories = fastbp.fit_many(networks, X, y, epochs=epochs, threads=threads, **fit)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt as error:
            interrupted += 1
            histories = getattr(error, "histories", None)
        made = [net.steps - steps for net, steps in zip(networks, before)]
        time.sleep(0.002)
        assert made == [net.steps - steps for net, steps in zip(networks, before)], "goes on"
        partial += 0 < sum(made) < 4 * epochs * len(networks)
        for number, (net, twin, steps) in enumerate(zip(networks, twins, made)):
            if steps >= 4:
                want = twin.fit(X, y, epochs=steps // 4, **fit)
                if histories and histories[number]:
                    assert histories[number]["loss"] == want["loss"]
            for batch in range(steps % 4):
                part = slice(batch * 64, (batch + 1) * 64)
                twin.train_step(X[part], y[part])
            assert_same(learned(net), learned(twin))
assert interrupted >= signals / 3 and partial >= signals / 3, (interrupted, partial)
print(interrupted, partial)
"""


@pytest.mark.parametrize(("threads", "signals"), [(1, 10), (2, 30), (3, 10)])
def test_many_interruptions_lose_no_step(threads, signals, tmp_path):
    print(run(tmp_path, PROGRAM, threads, signals))  # noqa: T201 - pytest -rP shows it


def test_ctrl_c_ends_predictions(tmp_path):
    run(
        tmp_path,
        """
import signal, time
import numpy as np
import fastbp

networks = [fastbp.Network([8, 256, 256, 8], rng=seed) for seed in range(4)]
X = np.random.default_rng(0).standard_normal((2_000_000, 8), dtype="f4")
want = networks[0].predict(X[:100])
fastbp.predict_many(networks, X[:100])
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.1)
try:
    fastbp.predict_many(networks, X)
    raise AssertionError("not interrupted")
except KeyboardInterrupt:
    pass
np.testing.assert_array_equal(networks[0].predict(X[:100]), want)
""",
    )


def test_ctrl_c_while_another_thread_trains_one_of_them(tmp_path):
    run(
        tmp_path,
        """
import signal, threading, time
import numpy as np
import fastbp
from fastbp.many import fitting

def train():
    try:
        networks[0].fit(X, y, epochs=10**6, progress=False)
    except KeyboardInterrupt:
        pass

def run(*given):
    thread.start()  # when all is checked
    while not networks[0]._core.engine.turns.fit_under_way:
        time.sleep(0.001)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    work(*given)

networks = [fastbp.Network([8, 64, 4], rng=seed) for seed in range(12)]
X, y = np.zeros((640, 8), "f4"), np.zeros((640, 4), "f4")
fastbp.fit_many(networks, X, y, progress=False, threads=2)
thread, work, fitting._run = threading.Thread(target=train, daemon=True), fitting._run, run
signal.signal(signal.SIGALRM, signal.default_int_handler)
start = time.monotonic()
try:
    fastbp.fit_many(networks, X, y, progress=False, threads=2)
    raise AssertionError("not interrupted")
except KeyboardInterrupt:
    assert time.monotonic() - start < 20
assert thread.is_alive()
""",
    )
