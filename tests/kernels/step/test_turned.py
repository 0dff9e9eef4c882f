"""Small batches on large layers: no mirrors, whole strips, and every number is the same."""

import numpy as np
import pytest
from cases import DTYPES, data
from contents import assert_same, learned

import fastbp
from fastbp.kernels.machine.sizes import current, using
from fastbp.layout.layout import Layout

WIDTHS = [5, 210, 230, 251, 7]


@pytest.fixture
def both():
    """A function: what training leaves behind with turned deltas, and with mirrors."""

    def run(train, threads=1, **arguments):
        found = []
        for least, turned in ((0, (1, 2)), (1 << 40, ())):
            with using(current()._replace(turned_bytes=least)):
                net = fastbp.Network(WIDTHS, rng=0, threads=threads, **arguments)
            assert net._core.engine.layout.turned_layers == turned
            train(net)
            mirrors = [[bool(layer.mirror) for layer in plan.layers] for plan in plans(net)]
            found.append((learned(net), mirrors))
        return found

    return run


def plans(net):
    return [plan for kind, plan in net._core.engine._memory.plans.items() if kind.training]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [1, 2, 7, 8, 9, 10, 17, 33, 48])
def test_deltas_have_the_bits_that_a_mirror_gives(batch, dtype, threads, both):
    X, y = data(2 * batch + 3, 5, 7)
    (got, turned), (want, mirrored) = both(
        lambda net: net.fit(X, y, epochs=2, batch_size=batch, progress=False),
        threads,
        dtype=dtype,
    )
    assert_same(got, want)
    assert turned == [[False, False, False, True]]
    assert mirrored == [[False, True, True, True]]


def test_batches_of_all_sizes_after_one_another(both):
    X, y = data(97, 5, 7)

    def train(net):
        for batch in (10, 49, 3, 97, 10):
            net.fit(X, y, batch_size=batch, progress=False)
            net.train_step(X[:batch], y[:batch])
        net.weights[2][:] = net.weights[2] + 1  # a mirror kept from before would not know
        net.fit(X, y, batch_size=60, progress=False)
        net.fit(X, y, batch_size=6, progress=False)

    (got, turned), (want, _) = both(train)
    assert_same(got, want)
    assert len(turned) == 2


REGULARIZED = [{"dropout": 0.3}, {"l1": 1e-3, "clip_norm": 0.1}, {"max_norm": 0.5}]


@pytest.mark.parametrize("arguments", REGULARIZED, ids=str)
def test_regularization_too(arguments, both):
    X, y = data(31, 5, 7)
    (got, _), (want, _) = both(lambda net: net.fit(X, y, batch_size=9, progress=False), **arguments)
    assert_same(got, want)


def test_gradients_of_a_small_batch(both):
    X, y = data(9, 5, 7)
    found = []
    both(lambda net: found.append(net.loss_and_gradients(X, y)))
    (loss, gradients), (other, others) = found
    assert loss == other
    for one, two in zip(gradients, others, strict=True):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)


def test_only_where_the_mirror_has_room():
    shapes = {(4, 160, 160): 0, (4, 600, 600): 1, (4, 4096, 40): 0, (4, 40, 40000): 0}
    sizes = current()._replace(turned_rows=48, turned_bytes=1 << 16)
    for widths, count in shapes.items():
        layout = Layout(widths, np.dtype("float32"), sizes)
        assert len(layout.turned_layers) == count


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 63, 64, 65])
@pytest.mark.parametrize(("width", "whole"), [(900, 4160), (4300, 8192)])
def test_whole_strips_have_the_bits_of_cut_ones(width, whole, rows, dtype, threads):
    X, y = data(rows, 41, 7)
    found = []
    for widest in (whole, 768):
        with using(current()._replace(whole=widest)):
            net = fastbp.Network([41, width, 7], rng=0, dtype=dtype, threads=threads)
        shape = net._core.engine.layout
        assert (shape.scratch >= 16 * shape.strides[1]) == (widest >= shape.strides[1])
        for _ in range(2):
            net.train_step(X, y)
        found.append(learned(net))
    assert_same(*found)
