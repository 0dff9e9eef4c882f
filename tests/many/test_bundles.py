"""What is sent to workers, and how it is read there."""

import errno
import mmap
import pickle
import threading

import numpy as np
import pytest
from sent_cases import networks

from fastbp.many import bundles


def test_arrays_of_a_file_are_read_where_they_lie(tmp_path):
    X = np.arange(1000.0).reshape(50, 20)
    value = {"X": X, "turned": X.T, "part": X[::2, ::3], "none": X[:0], "y": [1, 2], "1": X[:1, 0]}
    size = bundles.write(tmp_path / "data", value)
    assert size < 2.2 * X.nbytes + 4096  # X, what is no run of memory, and little else
    mapped = bundles.mapped(tmp_path / "data")
    assert mapped["X"].ctypes.data % 64 == 0
    for found in (mapped, bundles.loaded(np.fromfile(tmp_path / "data", np.uint8))):
        np.testing.assert_equal(found, value)
        assert not found["X"].flags.writeable
        assert not found["X"].flags.owndata


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(bundles.UnreachableError):
        bundles.mapped(tmp_path / "data")


def test_a_file_that_a_limit_has_no_room_for_is_not_sent_by_value(tmp_path, monkeypatch):
    np.save(tmp_path / "rows.npy", np.zeros((30, 4)))
    sent = bundles.packed(np.load(tmp_path / "rows.npy", mmap_mode="r"))
    bundles.write(tmp_path / "data", {})

    def full(*arguments, **options):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", full)
    with pytest.raises(MemoryError, match="data cannot be mapped"):
        bundles.mapped(tmp_path / "data")
    with pytest.raises(MemoryError, match=r"rows\.npy cannot be mapped"):
        bundles.unpacked(sent)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("offset", [0, 5, 4096, 70_001])
def test_a_map_of_a_file_goes_by_its_name(tmp_path, dtype, offset):
    path = tmp_path / "rows"
    values = np.arange(20_000 % 256, 20_000 % 256 + 6000).astype(dtype).reshape(300, 20)
    path.write_bytes(bytes(offset) + values.tobytes())
    whole = np.memmap(path, dtype, "r", offset, (300, 20))
    for array in (whole, whole[7:200], whole[::-3, ::2], np.asarray(whole)[1:], whole.T):
        sent = bundles.packed(array)
        assert len(sent) < 1000
        found = bundles.unpacked(sent)
        np.testing.assert_array_equal(found, array)
        assert type(found) is np.ndarray
        assert len(bundles.packed(array, names=False)) >= array.nbytes
    np.testing.assert_array_equal(bundles.unpacked(bundles.packed(whole[:0])), whole[:0])


def test_what_was_written_to_a_map_is_sent(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((30, 4)))
    private = np.load(tmp_path / "rows.npy", mmap_mode="c")
    private[2] = 7  # in memory alone
    np.testing.assert_array_equal(bundles.unpacked(bundles.packed(private)), private)
    shared = np.load(tmp_path / "rows.npy", mmap_mode="r+")
    shared[3] = 8
    np.testing.assert_array_equal(bundles.unpacked(bundles.packed(shared)), shared)


def test_another_file_of_that_name(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((30, 4)))
    sent = bundles.packed(np.load(tmp_path / "rows.npy", mmap_mode="r"))
    np.save(tmp_path / "rows.npy", np.ones((31, 4)))
    with pytest.raises(bundles.UnreachableError, match=r"rows\.npy is another file here"):
        bundles.unpacked(sent)
    (tmp_path / "rows.npy").unlink()
    with pytest.raises(bundles.UnreachableError):
        bundles.unpacked(sent)


def test_networks_that_go_as_numbers():
    mine = networks(2)
    numbers = {id(network): number for number, network in enumerate(mine)}
    sent = bundles.packed({"of": mine[1]}, numbers=numbers)
    assert len(sent) < 100
    assert bundles.unpacked(sent, mine)["of"] is mine[1]


def test_functions_that_cannot_be_imported_are_sent_by_value():
    factor = 3
    assert bundles.unpacked(bundles.packed(lambda x: factor * x))(5) == 15


def test_what_cannot_be_sent():
    with pytest.raises((TypeError, pickle.PicklingError)):
        bundles.expect_sendable({"lock": threading.Lock()})
