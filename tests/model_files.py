"""Model files for the tests: whole ones, and forged ones with a checksum that fits."""

import copy
import hashlib
import json

import numpy as np

from fastbp.files import container

ARRAYS = {
    "weights.0": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "biases.0": np.array([0.5, -0.0, np.inf, np.nan], dtype=np.float64),
    "steps": np.array(7, dtype=np.int64),
    "empty": np.empty((0, 4), dtype=np.float32),
    "Größe 🧠": np.arange(3, dtype=np.uint8),
}
CONFIGURATION = {
    "layers": [3, 4],
    "optimizer": {"name": "adam", "lr": 1e-3, "amsgrad": False},
    "rng": {"state": 2**128 - 1},
    "note": 'naïve "Ω" \\ 🧠\n',
    "nothing": None,
}


def same(arrays, expected):
    """Equal names, shapes, dtypes and bits."""
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        got = arrays[name]
        assert (got.shape, got.dtype) == (array.shape, array.dtype.newbyteorder("="))
        assert got.tobytes() == array.astype(got.dtype).tobytes()


def pack(header, data):
    """Put a header (dict or bytes) and data into the container, whatever they hold."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def sealed(header, data):
    """Pack with a checksum that fits, as a hostile writer would."""
    header = copy.deepcopy(header)
    header["__metadata__"].pop("sha256", None)
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    header["__metadata__"]["sha256"] = hashlib.sha256(text.encode() + data).hexdigest()
    return pack(header, data)


def header_for(configuration="{}", **entries):
    """Describe arrays given as name=(dtype, shape, offsets)."""
    metadata = {"format": "fastbp", "format_version": "1", "configuration": configuration}
    fields = ("dtype", "shape", "data_offsets")
    described = {name: dict(zip(fields, e, strict=True)) for name, e in entries.items()}
    return {"__metadata__": metadata, **described}


def read_bytes(path, content):
    path.write_bytes(content)
    return container.read(path)
