"""Kernels of a user's own, in processes of their own: from the disk cache, with bounds checked."""

import os

import process

OWN = """
import numba.core.event, numpy as np
from numba import njit
import fastbp
from fastbp import embed

@njit(cache=True)
def learn(state, X, y, out):
    loss = embed.train_step(state, X, y)
    embed.predict(state, X, out)
    return loss

X = np.ones((5, 3), np.float32)
net = fastbp.Network([3, 4, 2], rng=0)
state = net.state
with numba.core.event.install_recorder("numba:compile") as recorder:
    loss = learn(state, X, X[:, :2].copy(), np.empty((5, 2), np.float32))
names = {str(event.data["dispatcher"]) for _, event in recorder.buffer}
print(float(loss), sum(learn.stats.cache_hits.values()), len(names))
"""


def test_a_kernel_in_the_disk_cache_compiles_nothing(tmp_path):
    first, second = (process.run(tmp_path, OWN).split() for _ in range(2))
    assert first[0] == second[0]
    assert [first[1], second[1]] == ["0", "1"]  # cache hits
    assert int(first[2]) > 2
    assert int(second[2]) == 0


CHECKED = '''
import numpy as np
from guarded import Guarded
from hypothesis import given, settings, strategies as st
import numba
import fastbp
from fastbp import embed

assert numba.config.BOUNDSCHECK
F32 = np.float32
sizes, batches = st.integers(1, 40), st.integers(0, 300)
off = st.sampled_from([0] * 12 + [-1, 1])

@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(st.lists(sizes, min_size=2, max_size=4), batches, st.integers(100, 300), st.booleans(),
       st.lists(off, min_size=7, max_size=7), st.integers(1, 40), st.integers(0, 2**32))
def shapes(layers, count, rows, labels, wrong, batch, seed):
    """Whatever is passed: an error, or right results, and not a byte besides."""
    rng = np.random.default_rng(seed)
    loss = "cross_entropy" if labels else "mse"
    net = fastbp.Network(layers, loss=loss, activation="tanh", rng=0, threads=1)
    state = embed.state(net, rows)
    n, m = layers[0], layers[-1]

    def array(*shape):
        return Guarded(rng.standard_normal([max(0, one) for one in shape], F32), seed % 5)

    X, out = array(count + wrong[0], n + wrong[1]), array(count, m + wrong[2])
    y = array(count + wrong[3], m + wrong[4])
    if labels:
        y = Guarded(rng.integers(0, m + max(0, wrong[4]), max(0, count + wrong[3])), seed % 5)
    gradients = array(state.parameters + wrong[5])
    order = Guarded(rng.integers(0, max(1, count + wrong[6]), 2 * count + wrong[6] + 1), seed % 3)
    held = X, out, y, gradients, order
    calls = (
        lambda: embed.predict(state, X.array, out.array),
        lambda: embed.train_step(state, X.array, y.array),
        lambda: embed.loss_and_gradients(state, X.array, y.array, gradients.array),
        lambda: embed.train_epoch(state, X.array, y.array, order.array, batch),
    )
    inputs = [one.array.copy() for one in (X, y, order)]
    for number, call in enumerate(calls[:2] if labels else calls):
        try:
            call()
            done[number] += 1
        except ValueError:
            pass
        assert all(one.intact() for one in held)
        if number == 0 and wrong[:3] == [0, 0, 0]:
            np.testing.assert_array_equal(out.array, net.predict(X.array) if count else out.array)
    for one, before in zip((X, y, order), inputs, strict=True):
        np.testing.assert_array_equal(one.array, before)
    assert np.isfinite(net._core.engine.state).all()

done = [0, 0, 0, 0]
shapes()
assert min(done) > 5, done
'''


def test_shapes_of_any_kind_with_bounds_checked(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "NUMBA_BOUNDSCHECK", "1")
    process.run(tmp_path, CHECKED)


def test_fastbp_has_embed_once_it_is_asked_for(tmp_path):
    program = "import sys, fastbp\nprint('fastbp.embed.calls' in sys.modules, fastbp.embed.predict)"
    loaded, *shown = process.run(tmp_path, program).split()
    assert loaded == "False"
    assert "predict" in " ".join(shown)
