"""Arrays and configurations that go to a model file come back; others are refused."""

import json
import os
from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from model_files import ARRAYS, CONFIGURATION, same

from fastbp.files import container


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    container.write(path, ARRAYS, CONFIGURATION)
    return path


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_what_is_written_comes_back(tmp_path, kind):
    path = kind(tmp_path / "Modell Ω.safetensors")
    container.write(path, ARRAYS, CONFIGURATION)
    arrays, configuration = container.read(path)
    same(arrays, ARRAYS)
    assert configuration == CONFIGURATION


def test_empty_content_comes_back(tmp_path):
    container.write(tmp_path / "m", {}, {})
    assert container.read(tmp_path / "m") == ({}, {})


@settings(max_examples=60)
@given(
    array=hnp.arrays(
        st.sampled_from([f"{order}{kind}" for order in "<>" for kind in container._CODES]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    name=st.text(st.characters(exclude_categories=["Cs"])).filter(lambda n: n != "__metadata__"),
)
def test_every_dtype_shape_and_byte_order_comes_back(tmp_path_factory, array, name):
    path = tmp_path_factory.getbasetemp() / "arrays"
    container.write(path, {name: array}, {})
    same(container.read(path)[0], {name: array})


def test_strided_arrays_are_written_by_value(tmp_path):
    whole = np.arange(24.0).reshape(4, 6)
    arrays = {
        "transposed": whole.T,
        "fortran": np.asfortranarray(whole),
        "reversed": whole[::-1, ::-2],
        "column": whole[:, 1],
        "broadcast": np.broadcast_to(np.float32(3), (2, 5)),
    }
    container.write(tmp_path / "m", arrays, {})
    same(container.read(tmp_path / "m")[0], arrays)


def test_arrays_are_writable_aligned_and_independent_of_the_file(file):
    arrays, _ = container.read(file)
    file.unlink()
    for array in arrays.values():
        assert array.flags.writeable
        assert array.flags.aligned
        assert array.flags.c_contiguous
        assert array.base is None
        array[...] = 1
    same(arrays, {name: np.ones_like(array) for name, array in ARRAYS.items()})


def test_an_array_longer_than_one_piece_comes_back(tmp_path):
    long = np.arange(2.5 * container._CHUNK / 4, dtype=np.float32)
    container.write(tmp_path / "m", {"long": long, "after": long[:3]}, {})
    same(container.read(tmp_path / "m")[0], {"long": long, "after": long[:3]})


def test_equal_content_gives_equal_bytes(file, tmp_path):
    backwards = dict(reversed(ARRAYS.items()))
    container.write(tmp_path / "m", backwards, dict(reversed(CONFIGURATION.items())))
    assert (tmp_path / "m").read_bytes() == file.read_bytes()


def test_every_array_is_aligned_in_the_file(tmp_path):
    arrays = {name: np.ones(3, dtype) for name, dtype in zip("abcd", "bhfd", strict=True)}
    for configuration in ({}, {"a": 1}, {"a": 12}, {"a": 123}):  # headers of several lengths
        container.write(tmp_path / "m", arrays, configuration)
        content = (tmp_path / "m").read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        for name, array in arrays.items():
            assert (start + header[name]["data_offsets"][0]) % array.itemsize == 0


def test_the_safetensors_package_reads_the_file(file):
    same(safetensors.numpy.load_file(file), ARRAYS)
    with safetensors.safe_open(file, "np") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata["configuration"]) == CONFIGURATION
    assert (metadata["format"], metadata["format_version"]) == ("fastbp", "1")


@pytest.mark.parametrize(
    ("arrays", "configuration", "error", "message"),
    [
        ({"a": [1.0]}, {}, TypeError, r"arrays\['a'\] must be an ndarray, got list"),
        ({"a": np.array([None])}, {}, TypeError, r"arrays\['a'\] has dtype object"),
        ({"a": np.ones(1, complex)}, {}, TypeError, r"arrays\['a'\] has dtype complex128"),
        ({"a": np.array("x")}, {}, TypeError, r"arrays\['a'\] has dtype <U1"),
        ({1: np.ones(1)}, {}, TypeError, "a name must be a str, got 1"),
        ({"__metadata__": np.ones(1)}, {}, ValueError, "reserved"),
        ({"\ud800": np.ones(1)}, {}, ValueError, "surrogates"),
        ({}, {"a": float("nan")}, ValueError, "configuration cannot be stored as JSON"),
        ({}, {"a": {1}}, TypeError, "configuration cannot be stored as JSON.*set"),
        ({}, {"a": (1, 2)}, ValueError, "configuration does not come back"),
        ({}, {"a": "x" * (4 << 20)}, ValueError, "take 4194.* bytes, at most 4194304"),
    ],
)
def test_bad_content_is_refused_before_anything_changes(
    file, arrays, configuration, error, message
):
    before = file.read_bytes()
    with pytest.raises(error, match=message):
        container.write(file, arrays, configuration)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


@pytest.mark.parametrize("path", [3, None, 1.5])
def test_a_path_of_another_type_is_refused(path):
    with pytest.raises(TypeError):
        container.write(path, {}, {})
    with pytest.raises(TypeError):
        container.read(path)


def test_expected_arrays_pass():
    container.expect({}, {})
    container.expect(ARRAYS, {name: (a.shape, a.dtype) for name, a in ARRAYS.items()})
    container.expect({"w": np.ones((2, 3), np.float32)}, {"w": ((2, 3), "float32")})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "'w' is missing"),
        ({"w": np.ones((2, 3)), "v": np.ones(1)}, "'v' is superfluous"),
        ({"w": np.ones((3, 2))}, r"'w' is float64 of shape \(3, 2\), .* of shape \(2, 3\)"),
        ({"w": np.ones((2, 3), np.float32)}, "'w' is float32 .* expected float64"),
        ({"v": np.ones(1)}, "'w' is missing; 'v' is superfluous"),
        ({str(i): np.ones(1) for i in range(20)}, "and 13 more"),
    ],
)
def test_unexpected_arrays_are_named(arrays, message):
    with pytest.raises(ValueError, match=message):
        container.expect(arrays, {"w": ((2, 3), "float64")})
