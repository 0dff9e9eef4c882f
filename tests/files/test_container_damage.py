"""Damaged, forged and foreign model files are refused without harm."""

import os
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from model_files import ARRAYS, CONFIGURATION, header_for, pack, read_bytes, same, sealed

from fastbp.files import container


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    container.write(path, ARRAYS, CONFIGURATION)
    return path


def test_every_single_flipped_bit_is_found(tmp_path):
    path = tmp_path / "m"
    arrays = {"w": np.arange(60, dtype=np.float32).reshape(6, 10), "t": np.array(3)}
    configuration = {"layers": [6, 10], "lr": 0.1}
    container.write(path, arrays, configuration)
    content = path.read_bytes()
    refused = 0
    with open(path, "r+b", buffering=0) as handle:
        for position, byte in enumerate(content):
            for bit in range(8):
                handle.seek(position)
                handle.write(bytes([byte ^ 1 << bit]))
                try:
                    got, loaded = container.read(path)
                except ValueError:
                    refused += 1
                else:
                    same(got, arrays)
                    assert loaded == configuration
            handle.seek(position)
            handle.write(bytes([byte]))
    assert container.read(path)[1] == configuration
    assert refused == 8 * len(content)


def test_every_truncation_is_found(file):
    content = file.read_bytes()
    for length in reversed(range(len(content))):
        os.truncate(file, length)
        fault = f"truncated: {length} bytes" if length < 8 else "truncated"
        with pytest.raises(ValueError, match=f"cannot load .*{fault}"):
            container.read(file)


def test_appended_bytes_are_found(file):
    with open(file, "ab") as handle:
        handle.write(b"\0")
    with pytest.raises(ValueError, match="header describes"):
        container.read(file)


def test_a_file_cut_short_while_it_is_read_is_found(file, monkeypatch):
    size = file.stat().st_size
    os.truncate(file, size - 1)
    real = os.fstat

    def before_the_cut(descriptor):
        return os.stat_result((*real(descriptor)[:6], size, 0, 0, 0))

    monkeypatch.setattr(os, "fstat", before_the_cut)
    with pytest.raises(ValueError, match="truncated while it was read"):
        container.read(file)


@settings(max_examples=60)
@given(content=st.binary(max_size=300))
def test_garbage_is_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "garbage"
    for candidate in (content, pack(content, b""), pack(b"{" + content + b"}", content)):
        with pytest.raises(ValueError, match="cannot load"):
            read_bytes(path, candidate)


NASTY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 20),
    st.sampled_from([2**31, 2**62, 2**63, 2**64, 10**100, 10**1000, 0.5, -1, "F32", "F64", ""]),
    st.text(max_size=3),
)
TREE = st.recursive(
    NASTY, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner)
)
ENTRY = st.one_of(
    TREE,
    st.fixed_dictionaries(
        {
            "dtype": st.sampled_from([*container._DTYPES, "BOOL", "BF16", "f4"]) | TREE,
            "shape": st.lists(st.integers(0, 4), max_size=3) | st.lists(NASTY, max_size=4) | TREE,
            "data_offsets": st.tuples(st.integers(0, 16), st.integers(0, 16)) | TREE,
        },
        optional={"more": NASTY},
    ),
)


@settings(max_examples=100)
@given(
    entries=st.dictionaries(st.text(max_size=3), ENTRY, max_size=3),
    metadata=st.dictionaries(st.sampled_from(["format", "format_version", "configuration"]), TREE),
    change_metadata=st.booleans(),
    data=st.binary(max_size=32),
)
def test_forged_headers_are_refused_or_mean_what_they_say(
    tmp_path_factory, entries, metadata, change_metadata, data
):
    header = header_for() | entries
    if change_metadata:
        header["__metadata__"] = header["__metadata__"] | metadata
    path = tmp_path_factory.getbasetemp() / "forged"
    try:
        arrays, configuration = read_bytes(path, sealed(header, data))
    except ValueError:
        return
    assert isinstance(configuration, dict)
    assert sum(array.nbytes for array in arrays.values()) == len(data)
    assert arrays.keys() == entries.keys()
    for name, array in arrays.items():
        begin, end = entries[name]["data_offsets"]
        assert list(array.shape) == entries[name]["shape"]
        assert array.tobytes() == data[begin:end]


def test_a_well_formed_forgery_is_read(tmp_path):
    # Otherwise the refusals below could have another reason than the one they are about.
    content = sealed(header_for('{"a": 1}', w=("F32", [2], [0, 8])), b"\0" * 8)
    arrays, configuration = read_bytes(tmp_path / "m", content)
    same(arrays, {"w": np.zeros(2, np.float32)})
    assert configuration == {"a": 1}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"w": ("F32", [2], [0, 4])}, "does not fill"),
        ({"w": ("F32", [4], [0, 16])}, "describes 16 bytes of arrays, 8 are there"),
        ({"w": ("F32", [1], [4, 8])}, "does not begin"),
        ({"w": ("F32", [1], [0, 4])}, "describes 4 bytes"),
        ({"w": ("F32", [2], [0, 8]), "v": ("F32", [1], [4, 8])}, "does not begin"),
        ({"w": ("F32", [2], [0, 8]), "v": ("F32", [2], [0, 8])}, "does not begin"),
        ({"w": ("F32", [1], [0, 4]), "v": ("F16", [1], [6, 8])}, "does not begin"),
        ({"w": ("F32", [2], [0, 8]), "v": ("F32", [0], [4, 4])}, "does not begin"),
        ({"w": ("F32", [2], [8, 0])}, "does not fill"),
        ({"w": ("F32", [2], [0, 8, 8])}, "does not fill"),
        ({"w": ("F32", [2], [-8, 0])}, "not integers from 0 up"),
        ({"w": ("F32", [-2], [0, 8])}, "not integers from 0 up"),
        ({"w": ("F32", [-1, -2], [0, 8])}, "not integers from 0 up"),
        ({"w": ("F32", [2.0], [0, 8])}, "not integers from 0 up"),
        ({"w": ("F32", [True, 2], [0, 8])}, "not integers from 0 up"),
        ({"w": ("F32", "2", [0, 8])}, "not integers from 0 up"),
        ({"w": ("F32", None, [0, 8])}, "not integers from 0 up"),
        ({"w": ("F32", [2**62 + 2], [0, 8])}, "too large"),
        ({"w": ("F32", [2**32, 2**32, 2], [0, 8])}, "too large"),
        ({"w": ("F32", [2**64], [0, 8])}, "too large"),
        ({"w": ("F32", [0, 2**62], [0, 0])}, "too large"),
        ({"w": ("F32", [1] * 65, [0, 8])}, "too large"),
        ({"w": ("F33", [2], [0, 8])}, "unknown dtype 'F33'"),
        ({"w": ("float32", [2], [0, 8])}, "unknown dtype"),
        ({"w": (["F32"], [2], [0, 8])}, "unknown dtype"),
        ({"w": ("O", [1], [0, 8])}, "unknown dtype 'O'"),
    ],
)
def test_a_wrong_description_of_an_array_is_refused(tmp_path, entries, message):
    with pytest.raises(ValueError, match=message):
        read_bytes(tmp_path / "m", sealed(header_for(**entries), b"\0" * 8))


@pytest.mark.parametrize("entry", [None, [], {}, {"dtype": "F32", "shape": [0]}])
def test_an_array_without_a_description_is_refused(tmp_path, entry):
    with pytest.raises(ValueError, match="not described by"):
        read_bytes(tmp_path / "m", sealed({**header_for(), "w": entry}, b""))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"  ", "Expecting value"),
        (b"[]", "list where an object"),
        (b'{"\xff":1}', "utf-8"),
        ('{"a":1}'.encode("utf-16"), "utf-8"),
        (b'\xef\xbb\xbf{"a":1}', "BOM"),
        (b'{"a":1,"a":1}', "occurs twice"),
        (b'{"a":NaN}', "not finite"),
        (b'{"a":' + b"9" * 1_000_000 + b"}", "1000000 digits"),
        (b'{"a":' + b"[" * 1_000_000, "deeper than 32"),
        (b"{}", "fastbp did not write"),
    ],
)
def test_a_header_that_is_no_strict_json_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=f"cannot load .*{message}"):
        read_bytes(tmp_path / "m", pack(text, b""))


@pytest.mark.parametrize(
    "configuration",
    ["", "[]", "1", "{", '{"a":1,"a":2}', '{"a":NaN}', '{"a":1e999}', '{"a":' + "[" * 40, 2, None],
)
def test_a_configuration_that_is_no_strict_json_is_refused(tmp_path, configuration):
    with pytest.raises(ValueError, match=r"cannot load .*configuration"):
        read_bytes(tmp_path / "m", sealed(header_for(configuration), b""))


def test_a_string_that_could_not_be_saved_again_is_refused(tmp_path):
    forged = sealed(header_for('{"a": "\\ud800"}'), b"")
    with pytest.raises(ValueError, match=r"cannot load .*its configuration .*lone surrogate"):
        read_bytes(tmp_path / "m", forged)
    with pytest.raises(ValueError, match=r"cannot load .*its header .*lone surrogate"):
        read_bytes(tmp_path / "m", pack(header_for("\ud800"), b""))


def test_files_from_elsewhere_are_told_apart(tmp_path):
    path = tmp_path / "m"
    for metadata in (None, {"format": "pt"}):
        with pytest.raises(ValueError, match="a safetensors file that fastbp did not write"):
            read_bytes(path, safetensors.numpy.save({"w": np.ones(3)}, metadata))
    newer = header_for()
    newer["__metadata__"]["format_version"] = "2"
    with pytest.raises(ValueError, match="has format version '2', this fastbp reads version 1"):
        read_bytes(path, sealed(newer, b""))
    for other in (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, b"PK\3\4" + b"\0" * 99):
        with pytest.raises(ValueError, match="no model file"):
            read_bytes(path, other)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return Path.touch, (ran,)

    for content in (pickle.dumps(Hostile()), pack(pickle.dumps(Hostile()), b"")):
        with pytest.raises(ValueError, match="cannot load"):
            read_bytes(tmp_path / "m", content)
    assert not ran.exists()
    pickle.loads(pickle.dumps(Hostile()))
    assert ran.exists()


@pytest.mark.parametrize("length", [0, 1, 9, 2**20, 2**31, 2**63, 2**64 - 1])
def test_a_header_length_beyond_the_file_is_refused(tmp_path, length):
    content = length.to_bytes(8, "little") + b"{}      "[: min(length, 8)]
    with pytest.raises(ValueError, match=r"cannot load .*(truncated|claims|no valid JSON)"):
        read_bytes(tmp_path / "m", content)


def test_a_hostile_file_allocates_nothing_large(tmp_path):
    many = 60_000
    hostile = [
        sealed(header_for(w=("F64", [2**40], [0, 2**43])), b""),
        sealed(header_for(w=("F64", [2**40], [0, 8])), b"\0" * 8),
        sealed(header_for(w=("F64", [0, 2**50], [0, 0])), b"\0" * 8),
        *(length.to_bytes(8, "little") + b"{}" for length in (2**22, 2**40, 2**63)),
        pack(b'{"a":[' + b"[]," * many + b"[]]}", b""),
        pack(b'{"a":[' + b"{}," * many + b"{}]}", b""),
        sealed(header_for("[" + "{}," * many + "{}]"), b""),
    ]
    path = tmp_path / "m"
    for content in hostile:
        path.write_bytes(content)
        tracemalloc.start()
        try:
            with pytest.raises(ValueError, match="cannot load"):
                container.read(path)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 50 * len(content) + 100_000


def test_reading_allocates_the_arrays_once(tmp_path):
    array = np.ones(500_000)
    container.write(tmp_path / "m", {"w": array}, {})
    tracemalloc.start()
    try:
        container.read(tmp_path / "m")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert array.nbytes <= peak < array.nbytes + 300_000
