"""Every kind of array that is accepted gives what the plain array gives, and stays as it was."""

import numpy as np
import pytest
from contents import assert_same, contents

import fastbp

RNG = np.random.default_rng(0)
X = RNG.integers(0, 2, (33, 5))  # zeros and ones, which every dtype holds
Y = RNG.integers(0, 2, (33, 4))
LABELS = RNG.integers(0, 4, 33)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)
    view = memory[1:].view(array.dtype).reshape(array.shape)
    view[:] = array
    return view


KINDS = {
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(a.tolist()),
    "list of rows": list,
    **{kind: lambda a, kind=kind: a.astype(kind) for kind in
       ("?", "i1", "u2", "i8", "u8", "f2", "f4", "f8", "g", ">f4", ">f8", ">i4")},
    "Fortran": lambda a: np.asfortranarray(a.astype("f4")),
    "reversed": lambda a: a.astype("f4")[::-1].copy()[::-1],
    "every second": lambda a: np.repeat(a.astype("f4"), 2, axis=0)[::2],
    "columns": lambda a: np.stack([a.astype("f4")] * 2, axis=-1)[..., 0],
    "read-only": lambda a: read_only(a.astype("f4")),
    "unaligned": lambda a: unaligned(a.astype("f4")),
    "array of a subclass": lambda a: a.astype("f4").view(type("Mine", (np.ndarray,), {})),
}  # fmt: skip


def everything(X, y, loss, dtype):
    """What all methods give for X and y, and the network after them."""
    net = fastbp.Network([5, 9, 4], loss=loss, dtype=dtype, rng=0)
    given = [
        dict(net.fit(X, y, epochs=2, batch_size=8, validation_data=(X, y))),
        net.train_step(X, y),
        net.predict(X).tobytes(),
        net.evaluate(X, y),
        net.loss_and_gradients(X, y)[0],
    ]
    return given, contents(net)


def assert_equal_outcome(X_given, y_given, y, loss, dtype):
    given, after = everything(X_given, y_given, loss, dtype)
    want, after_plain = everything(X.astype(dtype), y, loss, dtype)
    assert given == want
    assert_same(after, after_plain)


def copied(value):
    return np.array(value) if isinstance(value, np.ndarray) else [np.array(row) for row in value]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_features_and_targets(kind, dtype):
    for loss in ("mse", "binary_cross_entropy"):
        given = [KINDS[kind](X), KINDS[kind](Y)]
        before = [copied(array) for array in given]
        assert_equal_outcome(*given, Y.astype(dtype), loss, dtype)
        for array, held in zip(given, before, strict=True):
            np.testing.assert_array_equal(array, held)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "?"])
def test_labels(kind):
    given = KINDS[kind](LABELS)
    before = copied(given)
    assert_equal_outcome(KINDS[kind](X), given, LABELS, "cross_entropy", "float32")
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_files_mapped_into_memory(mode, tmp_path):
    maps = []
    for name, array in (("X", X), ("y", Y)):
        array.astype("f4").tofile(tmp_path / name)
        maps.append(np.memmap(tmp_path / name, "f4", mode, shape=array.shape))
    assert_equal_outcome(*maps, Y.astype("f4"), "mse", "float32")
    np.testing.assert_array_equal(maps[0], X)
    np.testing.assert_array_equal(maps[1], Y)
    np.testing.assert_array_equal(np.fromfile(tmp_path / "X", "f4"), X.ravel())


def test_what_has_an_array_method():
    class Table:
        def __init__(self, array):
            self.array = array

        def __array__(self, dtype=None, copy=None):
            return np.array(self.array, dtype)

    assert_equal_outcome(Table(X), Table(Y), Y.astype("f4"), "mse", "float32")


def test_a_column_of_targets_may_have_rank_one():
    nets = [fastbp.Network([5, 3, 1], rng=0) for _ in range(2)]
    for net, y in zip(nets, (Y[:, :1], Y[:, 0]), strict=True):
        net.fit(X, y, epochs=2)
    assert_same(contents(nets[0]), contents(nets[1]))


def test_parameters_given_back_as_data_are_not_trained():
    """The weights of a layer of 16 units are contiguous: X may be what the steps write."""
    net, twin = (fastbp.Network([16, 16], dtype="float64", rng=0) for _ in range(2))
    net.fit(net.weights[0], np.eye(16), epochs=3, batch_size=4)
    twin.fit(twin.weights[0].copy(), np.eye(16), epochs=3, batch_size=4)
    assert_same(contents(net), contents(twin))
