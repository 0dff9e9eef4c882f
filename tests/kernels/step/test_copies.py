"""Tests of copies of what lies far apart: they change no bit, and who needs none has no memory."""

import numpy as np
import pytest
from cases import DTYPES, both_dtypes, data
from contents import assert_same, learned

import fastbp
from fastbp.kernels.machine.sizes import NEVER, current, using
from fastbp.layout.layout import Layout

NONE = current()._replace(far=NEVER)
# Panels of a few rows of B; blocks of deltas and strips of activations that are and are not copied.
ALL = current()._replace(far=0, pack_rows=16, pack_depth=24, turned_depth=20, block=112)
FEW = ALL._replace(delta_bytes=20_000, below_bytes=4_000)
WIDTHS = [70, 130, 290, 7]


def network(sizes, **how):
    with using(sizes):
        return fastbp.Network(WIDTHS, rng=0, **{"loss": "cross_entropy", **how})


def used(net):
    """Which kinds of copies a thread has made: of panels, deltas, activations."""
    memory, layout = net._core.engine._memory, net._core.engine.layout
    ends = np.cumsum(layout.copied)
    return [bool(one.any()) for one in np.split(memory.copies[: ends[-1]], ends[:-1])]


@pytest.mark.parametrize("threads", [1, 2, 3])
@both_dtypes
@pytest.mark.parametrize("batch", [1, 33, 120])
def test_training_has_the_same_bits(batch, dtype, threads):
    X, y = data(2 * batch + 1, WIDTHS[0], WIDTHS[-1], "labels")
    found = []
    for sizes in (NONE, ALL, FEW):
        net = network(sizes, dtype=dtype, threads=threads)
        net.fit(X, y, batch_size=batch, epochs=2, progress=False)
        found.append(learned(net))
        if sizes is ALL and batch == 120:
            assert used(net) == [True, True, True]
    for other in found[1:]:
        assert_same(other, found[0])


@both_dtypes
def test_all_that_multiplies_has_the_same_bits(dtype):
    X, y = data(90, WIDTHS[0], WIDTHS[-1], "labels")
    found = []
    for sizes in (NONE, ALL):
        net = network(sizes, dtype=dtype, threads=2, activation="tanh")
        loss, gradients = net.loss_and_gradients(X, y)
        direction = np.linspace(-1, 1, net.flat.size)
        found.append(
            [
                np.float64(loss), *gradients.weights, *gradients.biases, net.predict(X),
                net.hessian_vector(X, y, direction), net.input_gradient(X, y),
            ]
        )  # fmt: skip
    for one, other in zip(*found, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_for_copies_is_there_where_rows_are_far_apart(dtype):
    sizes, size = current()._replace(far=2560), np.dtype(dtype).itemsize
    far, near = 2560 // size, 2560 // size - 64 // size

    def copied(*widths):
        return [bool(size) for size in Layout(widths, np.dtype(dtype), sizes).copied]

    assert copied(near, near, near) == [False, False, False]
    assert copied(near, far, near) == [True, True, True]
    assert copied(far, near, near) == [False, False, True]
    assert copied(near, near, far) == [True, True, False]
    layout = Layout((far, far), np.dtype(dtype), current()._replace(far=NEVER))
    assert layout.copied == (0, 0, 0)


def test_every_thread_has_its_own():
    X, y = data(120, WIDTHS[0], WIDTHS[-1], "labels")
    net = network(ALL, threads=3)
    net.fit(X, y, batch_size=120, epochs=1, progress=False)
    memory, layout = net._core.engine._memory, net._core.engine.layout
    assert memory.copies.size == 3 * sum(layout.copied)
    assert memory.nbytes >= memory.copies.nbytes
    for thread in memory.copies.reshape(3, -1):
        assert thread.any()
    memory.release()
    assert memory.copies.size == 0
