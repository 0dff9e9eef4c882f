"""Threads and processes that use a network while it is fitted: readers are served, others told."""

import multiprocessing
import os
import pickle
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents, learned
from expect import raises
from process import run

import fastbp
from fastbp.callbacks import Callback

X, Y = data(300, 5, 4)
TIMEOUT = 60  # seconds after which a call of another thread counts as one that waits for ever


def network(**options):
    return fastbp.Network([5, 32, 4], rng=0, **options)


def elsewhere(call):
    """What `call` returns, or raises, in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result(TIMEOUT)


READS = {
    "predict": lambda net, folder: net.predict(X),
    "evaluate": lambda net, folder: net.evaluate(X, Y),
    "gradients": lambda net, folder: net.loss_and_gradients(X, Y)[0],
    "pickle": lambda net, folder: pickle.loads(pickle.dumps(net)).steps,
    "save": lambda net, folder: net.save(folder / "m"),
    "weights": lambda net, folder: [w.sum() for w in (*net.weights, *net.biases)],
}


class Asking(Callback):
    """Lets another thread make a call of the network whenever the fit calls."""

    def __init__(self, call):
        self.call, self.count = call, 0

    def _ask(self, fit):
        elsewhere(lambda: self.call(fit.network))
        self.count += 1

    on_fit_begin = on_epoch_end = on_step_end = on_fit_end = _ask


@pytest.mark.parametrize("name", READS)
def test_another_thread_reads_while_a_callback_runs(name, tmp_path):
    asking = Asking(lambda net: READS[name](net, tmp_path))
    net, alone = network(), network()
    net.fit(X, Y, 2, 100, callbacks=[asking])
    assert asking.count == 1 + 6 + 2 + 1
    alone.fit(X, Y, 2, 100)
    assert_same(contents(net), contents(alone))


@pytest.mark.parametrize("name", READS)
def test_another_thread_reads_while_batches_are_made(name, tmp_path):
    net, alone = network(), network()

    def batches():
        for start in range(0, 300, 100):
            elsewhere(lambda: READS[name](net, tmp_path))
            yield X[start : start + 100], Y[start : start + 100]

    net.fit_batches(batches)
    alone.fit(X, Y, 1, 100, shuffle=False)
    assert_same(learned(net), learned(alone))


def test_the_network_is_used_while_a_metric_is_computed():
    net = network()

    def far(true, predicted):
        np.testing.assert_array_equal(elsewhere(lambda: net.predict(X)), predicted)
        return float(net.evaluate(X, Y)["loss"])

    history = net.fit(X, Y, 2, 100, validation_data=(X, Y), metrics=[far])
    assert history["val_far"] == history["val_loss"]


CHANGES = {
    "fit": lambda net: net.fit(X, Y),
    "partial_fit": lambda net: net.partial_fit(X, Y),
    "fit_batches": lambda net: net.fit_batches([(X, Y)]),
    "train_step": lambda net: net.train_step(X, Y),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_thread_that_would_train_is_told_at_once(name):
    told = []

    def train(net):
        with raises(RuntimeError, "another thread is fitting the network", "predict"):
            CHANGES[name](net)
        told.append(name)

    net, alone = network(), network()
    net.fit(X, Y, 2, 300, callbacks=[Asking(train)])
    assert len(told) == 6
    alone.fit(X, Y, 2, 300)
    assert_same(contents(net), contents(alone))
    CHANGES[name](net)  # and afterwards it may


def test_a_process_pool_gets_the_network_from_a_callback():
    class Parallel(Callback):
        def on_epoch_end(self, fit):
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                self.found = pool.submit(fit.network.predict, X).result(TIMEOUT)

    net, parallel = network(), Parallel()
    net.fit(X, Y, 1, 100, callbacks=[parallel])
    np.testing.assert_array_equal(parallel.found, net.predict(X))


LARGE = [200, 600, 600, 200]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["dense", "sparse", "weighted"])
def test_a_plain_fit_lets_readers_in_between_two_steps(kind, threads):
    """They see weights after a whole step, long before the fit ends, and change no bit of it."""
    x, y = data(2000, LARGE[0], LARGE[-1])
    options = {}
    if kind == "sparse":
        sparse = pytest.importorskip("scipy.sparse")
        x = sparse.csr_array(np.where(x > 1, x, 0))
    if kind == "weighted":
        options["sample_weight"] = np.linspace(0.5, 2, 2000)
    few = x[:3]
    states = {}  # what the network predicts after so many steps

    class Following(Callback):
        def on_step_end(self, fit):
            states[fit.network.steps] = fit.network.predict(few).tobytes()

    def new():
        return fastbp.Network(LARGE, rng=0, threads=threads)

    slow = new()
    states[0] = slow.predict(few).tobytes()
    want = slow.fit(x, y, 2, 50, callbacks=[Following()], **options)
    net = new()
    net.predict(few)
    seen, ended = [], threading.Event()

    def read():
        while not ended.is_set():
            seen.append(net.predict(few).tobytes())
            time.sleep(0.001)

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            got = net.fit(x, y, 2, 50, **options)
        finally:
            ended.set()
        for reader in readers:
            reader.result(TIMEOUT)
    assert got == want
    assert_same(contents(net), contents(slow))
    assert set(seen) <= set(states.values())
    assert len(set(seen)) > 4  # of the 81 states: they did not wait for the end


def test_epochs_that_readers_cut_short_have_the_losses_of_whole_ones():
    """Many small steps: the losses of an epoch go on where a pause has left them."""
    net, alone = network(), network()
    ended = threading.Event()

    def read():
        while not ended.is_set():
            net.predict(X[:1])

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        try:
            got = net.fit(X, Y, 300, 7)
        finally:
            ended.set()
        reader.result(TIMEOUT)
    want = alone.fit(X, Y, 300, 7)
    assert got == want
    assert_same(contents(net), contents(alone))


def test_another_thread_waits_for_a_plain_fit_and_trains_then():
    net = network()
    begun = threading.Event()

    def fit():
        begun.set()
        net.fit(X, Y, 200, 7)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(fit)
        begun.wait(TIMEOUT)
        net.train_step(X, Y)
        first.result(TIMEOUT)
    assert net.steps == 200 * 43 + 1


FORK = """
import os, sys, threading, time
import numpy as np
import fastbp
from fastbp.callbacks import Callback

rng = np.random.default_rng(0)
X, y = rng.normal(size=(4000, 200)).astype("f4"), rng.normal(size=(4000, 200)).astype("f4")
net = fastbp.Network([200, 800, 800, 200], rng=0, threads=1)
net.predict(X[:1])
where = sys.argv[1]

def child():
    pid = os.fork()
    if pid:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        return "hung"
    try:
        net.predict(X[:1])
        os._exit(0)
    except RuntimeError as error:
        print(error, flush=True)
        os._exit(7)
    except BaseException as error:
        print(repr(error), flush=True)
    os._exit(1)

if where == "callback":
    class Forks(Callback):
        def on_epoch_end(self, fit):
            print("child", child(), flush=True)
    net.fit(X, y, 1, 100, callbacks=[Forks()])
elif where == "waiting":
    here, on = threading.Event(), threading.Event()
    class Waits(Callback):
        def on_epoch_end(self, fit):
            here.set()
            on.wait(60)
    thread = threading.Thread(target=lambda: net.fit(X, y, 1, 100, callbacks=[Waits()]))
    thread.start()
    here.wait(60)
    print("child", child(), flush=True)
    on.set()
    thread.join()
else:
    thread = threading.Thread(target=lambda: net.fit(X, y, 4, 100))
    thread.start()
    while net.steps < 5:
        time.sleep(0.001)
    print("child", child(), flush=True)
    thread.join()
net.predict(X[:1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system with fork")
@pytest.mark.parametrize("where", ["callback", "waiting", "kernel"])
@pytest.mark.filterwarnings("ignore")
def test_a_process_forked_during_a_fit(where, tmp_path):
    """Its locks are new; where weights may be torn, it says so."""
    told = run(tmp_path, FORK, where)
    if where == "kernel":
        assert "forked while another thread trained the network" in told
        assert "child 7" in told
    else:
        assert told == "child 0\n"


COMPILING = """
import os, sys, threading, time
import numpy as np
import fastbp
from numba.core.compiler_lock import global_compiler_lock

compiling = threading.Event()

def compile():
    with global_compiler_lock:
        compiling.set()
        time.sleep(0.3)

thread = threading.Thread(target=compile)
thread.start()
compiling.wait()
pid = os.fork()
if pid == 0:
    fastbp.Network([3, 2]).predict(np.zeros((1, 3)))
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
thread.join()
with global_compiler_lock:  # and the parent has it back
    pass
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system with fork")
def test_a_process_forked_while_another_thread_compiles(tmp_path):
    assert run(tmp_path, COMPILING) == "0\n"


def test_a_fit_gets_its_turn_beside_a_thread_that_trains_all_the_time():
    net, ended = network(), threading.Event()
    x, y = data(2000, 5, 4)

    def steps():
        while not ended.is_set():
            net.train_step(x, y)

    with ThreadPoolExecutor(1) as pool:
        stepping = pool.submit(steps)
        try:
            for _ in range(5):
                elsewhere(lambda: net.fit(X[:64], Y[:64]))
        finally:
            ended.set()
        stepping.result(TIMEOUT)


def test_a_fit_goes_on_beside_a_thread_that_reads_all_the_time():
    """Some milliseconds of steps for every reading: it is not a step for each."""
    net, ended = network(), threading.Event()
    calls = []
    steps = net._core.engine._steps

    def counted(*arguments):
        calls.append(1)
        return steps(*arguments)

    net._core.engine._steps = counted

    def read():
        while not ended.is_set():
            net.predict(X[:1])

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        try:
            net.fit(X, Y, 400, 7)
        finally:
            ended.set()
        reader.result(TIMEOUT)
    assert len(calls) < 400 * 43 / 50


@pytest.mark.parametrize("name", CHANGES)
def test_a_thread_that_waits_for_a_fit_learns_that_the_next_one_calls_out(name):
    """It stands at the lock already when a fit with callbacks gets it."""
    net, told = network(), []
    changing = net._core.engine.turns.fit_changing

    def train():
        with raises(RuntimeError, "another thread is fitting the network"):
            CHANGES[name](net)
        told.append(name)

    class Waits(Callback):
        def on_epoch_end(self, fit):
            trainer.join(TIMEOUT)

    trainer = threading.Thread(target=train)
    with changing:  # as a fit that has not said yet what it is
        trainer.start()
        time.sleep(0.1)
        net.fit(X, Y, 1, 300, callbacks=[Waits()])
    assert told == [name]
