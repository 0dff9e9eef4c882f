"""Processes with a pool: idle ones, forked ones, interrupted ones, and how they end."""

import multiprocessing
import os

import pytest
from process import run, start

pytestmark = pytest.mark.slow

FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="a system with fork")

TRAIN = """
import _thread, atexit, multiprocessing, os, random, signal, sys, threading, time
import numpy as np
import fastbp
from contents import assert_same, learned
from fastbp.callbacks import Callback
from fastbp.kernels.machine import members
from fastbp.kernels.machine.pool import Pool, _pools, pool

X = np.random.default_rng(0).standard_normal((2000, 8), dtype="f4")
y = np.tanh(X[:, :4])

def train(epochs=1, threads=3, **options):
    net = fastbp.Network([8, 64, 64, 4], rng=0, threads=threads)
    net.fit(X, y, epochs=epochs, batch_size=500, progress=False, **options)
    return net

want = train(threads=1)

def check(**options):
    assert_same(learned(train(**options)), learned(want))

LONG = 10**6  # epochs: until the process ends
"""


def test_who_waits_needs_no_core(tmp_path):
    program = """
check()
time.sleep(0.2)
before = time.process_time()
time.sleep(0.5)
used = time.process_time() - before
assert used < 0.1, used
check()
"""
    run(tmp_path, TRAIN + program)


# ---- forks --------------------------------------------------------------------------------------

FORKING = """
def forked():
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            assert not _pools
            check()
            thread = threading.Thread(target=check)
            thread.start()
            thread.join()
            check()
            grandchild = os.fork()
            if grandchild == 0:
                check()
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
        finally:
            os._exit(code)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0, status
            check()
            return
        time.sleep(0.005)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    raise AssertionError("the child hangs")

def elsewhere(function):
    failures = []
    def call():
        try:
            function()
        except BaseException as error:
            failures.append(error)
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert not failures, failures

where = sys.argv[1]
check()
if where == "main":
    forked()
elif where == "thread":
    elsewhere(forked)
elif where == "job":
    done, ended = threading.Event(), []
    def job():
        try:
            forked()
            ended.append(True)
        finally:
            done.set()
    pool().submit(job)
    done.wait(60)
    assert ended
elif where == "training":
    ended = threading.Event()
    def others():
        while not ended.is_set():
            train(epochs=20)
    threads = [threading.Thread(target=others) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            forked()
        elsewhere(forked)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
check()
"""


@FORK
@pytest.mark.parametrize("where", ["main", "thread", "job", "training"])
def test_a_forked_child_has_a_pool_of_its_own(where, tmp_path):
    run(tmp_path, "import warnings\nwarnings.simplefilter('ignore')\n" + TRAIN + FORKING, where)


PROCESSES = """
if __name__ == "__main__":
    check()
    context = multiprocessing.get_context(sys.argv[1])
    processes = [context.Process(target=check) for _ in range(2)]
    for process in processes:
        process.start()
    check()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    check()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing(method, tmp_path):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    run(tmp_path, TRAIN + PROCESSES, method)


HANDLER = """
def handler(*_):
    if os.fork() == 0:
        return  # to the wait for a thread that this process does not have
    os.wait()

parent = os.getpid()
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    train(epochs=1500)
except RuntimeError as error:
    assert os.getpid() != parent
    assert "forked" in str(error), error
    check()
    os._exit(0)
assert os.getpid() == parent
check()
"""


@FORK
def test_a_child_of_a_signal_handler_in_the_midst_of_a_call_is_told(tmp_path):
    run(tmp_path, TRAIN + HANDLER)


# ---- ends ---------------------------------------------------------------------------------------

ENDS = {
    "idle": "check()",
    "awake": "check(); check()",
    "never used": "pass",
    "daemon": """
check()
threading.Thread(target=train, args=(LONG,), daemon=True).start()
time.sleep(0.3)
""",
    "many daemons": """
for _ in range(4):
    threading.Thread(target=train, args=(LONG,), daemon=True).start()
time.sleep(0.3)
""",
    "not a daemon": """
def later():
    time.sleep(0.2)
    for _ in range(5):
        check()
    print("done", flush=True)
threading.Thread(target=later).start()
""",
    "exit in a callback": """
class Exit(Callback):
    def on_epoch_end(self, fit):
        sys.exit(0)
train(3, callbacks=[Exit()])
""",
    "exit in a job": """
pool().submit(sys.exit)
check()
""",
    "a job at work": """
pool().submit(lambda: time.sleep(600))
check()
""",
    "at exit": """
@atexit.register
def last():  # it may not start threads: since Python 3.12 that is an error
    check(threads=2)
    print("done", flush=True)
check()
""",
    "an exception": """
try:
    check()
    raise KeyError("told")
except KeyError:
    sys.exit(0)
""",
}


@pytest.mark.parametrize("state", ENDS)
def test_a_process_ends_at_once_and_without_a_word(state, tmp_path):
    process = start(tmp_path, TRAIN + ENDS[state])
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out == ("done\n" if '"done"' in ENDS[state] else "")


# ---- signals ------------------------------------------------------------------------------------

INTERRUPTED = """
def stop(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, stop)
moments, interrupted, jobs = random.Random(0), 0, []
short = X[:64], y[:64]
nets = [fastbp.Network([8, 64, 64, 4], rng=0, threads=n) for n in (2, 3, 4)]
for net in nets:
    net.train_step(*short)
for number in range(600):
    net = nets[number % 3]
    if number % 50 == 0:
        here = pool()
        _pools.clear()  # the next call makes a pool, and starts threads
        here.close()
    try:
        signal.setitimer(signal.ITIMER_REAL, moments.uniform(1e-5, 1e-3))
        while True:
            net.train_step(*short)
            pool().submit(lambda: jobs.append(1))
    except KeyboardInterrupt:
        interrupted += 1
assert interrupted == 600
twin = fastbp.Network([8, 64, 64, 4], rng=0, threads=1)
for net in nets:
    while twin.steps < net.steps:
        twin.train_step(*short)
    if twin.steps == net.steps:
        assert_same(learned(net), learned(twin))
check()
time.sleep(0.3)
here = pool()
places = here._words.reshape(-1, members.RECORD)[1:, members.STATE]
assert set(places.tolist()) <= {members.FREE, members.IDLE}, set(places.tolist())
count = int((places == members.IDLE).sum())
assert count == here._words[members.MEMBERS] == len(here.threads), (count, len(here.threads))
assert count < 64, count
"""


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_interruptions_of_short_calls_lose_no_step_and_no_member(tmp_path):
    run(tmp_path, TRAIN + INTERRUPTED)
