"""Threads of a team, threads of the caller, and processes."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents, learned
from expect import raises
from process import run

import fastbp
from fastbp.kernels.machine.jit import cache_folder

SHAPES = [[5, 9, 4], [5, 64, 64, 4], [40, 300, 4]]


def trained(layers, threads, seed=0):
    net = fastbp.Network(layers, dtype="float32", rng=seed, threads=threads)
    net.fit(*data(100, layers[0], layers[-1], seed=seed), epochs=5, batch_size=32)
    return net


@pytest.mark.parametrize("layers", SHAPES, ids=str)
def test_the_bits_do_not_depend_on_the_number_of_threads(layers):
    want = trained(layers, 1)
    X, y = data(70, layers[0], layers[-1])
    for threads in (2, 3, np.int64(5), None):
        net = trained(layers, threads)
        assert_same(contents(net), contents(want))
        np.testing.assert_array_equal(net.predict(X), want.predict(X))
        assert net.evaluate(X, y) == want.evaluate(X, y)
        got, expected = net.loss_and_gradients(X, y), want.loss_and_gradients(X, y)
        assert got[0] == expected[0]
        for g, w in zip(got[1].weights, expected[1].weights, strict=True):
            np.testing.assert_array_equal(g, w)


@pytest.mark.parametrize(
    ("threads", "error"),
    [(0, ValueError), (-2, ValueError), (1.0, TypeError), (True, TypeError), ("2", TypeError)],
)
def test_threads_below_one_or_no_integer(threads, error, tmp_path):
    with raises(error, "threads must be an integer of at least 1, got "):
        fastbp.Network([2, 1], threads=threads)
    fastbp.Network([2, 1]).save(tmp_path / "m")
    with raises(error, "threads must be an integer of at least 1, got "):
        fastbp.load(tmp_path / "m", threads=threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_fits_at_once_give_the_bits_of_running_alone(threads):
    layers = [[5, 20 + i, 64, 4] for i in range(4)]
    want = [trained(widths, 1, seed) for seed, widths in enumerate(layers)]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda i: trained(layers[i], threads, i), range(4)))
    for net, alone in zip(got, want, strict=True):
        assert_same(contents(net), contents(alone))


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_that_share_a_network_take_turns(threads):
    X, y = data(64, 5, 4)
    net, twin = (
        fastbp.Network([5, 32, 4], dtype="float64", rng=0, threads=threads) for _ in range(2)
    )
    barrier = threading.Barrier(4)

    def use(number):
        barrier.wait()
        for _ in range(10):
            if number < 2:
                net.fit(X, y, epochs=2, shuffle=False)  # twice the same, so order does not matter
            else:
                assert np.isfinite(net.predict(X)).all()
                assert np.isfinite(net.evaluate(X, y)["loss"])
                assert np.isfinite(net.loss_and_gradients(X, y)[0])
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(use, range(4)))
    twin.fit(X, y, epochs=40, shuffle=False)
    assert_same(learned(net), learned(twin))


def test_no_thread_is_left_behind():
    before = threading.active_count()
    for _ in range(20):
        trained([5, 64, 64, 4], 2)
    assert threading.active_count() == before


def test_the_first_use_from_several_threads_at_once(tmp_path, monkeypatch):
    """Nothing is compiled, neither in memory nor, but for three large kernels, on disk."""
    used = cache_folder()
    here = tmp_path / "cache" / used.name
    here.mkdir(0o700, parents=True)
    for large in ("gemm.gemm.", "parts.batch_in_parts.", "step.train."):  # two thirds of the time
        for path in used.glob(f"{large}*"):
            shutil.copy(path, here)
    monkeypatch.setenv("FASTBP_CACHE_DIR", str(tmp_path / "cache"))
    program = """
import threading
import numpy as np
import fastbp
from contents import assert_same, learned

X, y = np.ones((64, 4)), np.zeros((64, 2))
nets = [fastbp.Network([4, 8, 2], "identity", optimizer="sgd", rng=0) for _ in range(4)]
barrier = threading.Barrier(4)

def train(net):
    barrier.wait()
    net.fit(X, y, epochs=20, shuffle=False)

threads = [threading.Thread(target=train, args=(net,)) for net in nets]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for net in nets:
    assert net.steps == 40
    assert_same(learned(net), learned(nets[0]))
"""
    before = len(list(here.iterdir()))
    run(tmp_path, program)
    assert len(list(here.iterdir())) > before + 5


PROCESSES = """
import multiprocessing, sys
import numpy as np
import fastbp
from contents import assert_same, learned

X = np.random.default_rng(0).standard_normal((100, 5))
y = X[:, :4] ** 2

def train(net):
    net.fit(X, y, epochs=5)
    return net

if __name__ == "__main__":
    net = train(fastbp.Network([5, 64, 64, 4], rng=0, threads=2))
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        others = pool.map(train, [net, net])
    train(net)
    for other in others:
        assert_same(learned(other), learned(net))
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_made_after_a_fit(method, tmp_path):
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    run(tmp_path, PROCESSES, method)
