"""The summary: a table that tells shapes, parameters, memory and operations."""

import re

import pytest

import fastbp
from fastbp.network.summary import bytes_text


def test_summary():
    net = fastbp.Network([784, 128, 10], loss="cross_entropy")
    lines = net.summary().splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["layer", "shape", "activation", "parameters"],
        ["-----", "---------", "----------", "----------"],
        ["1", "784", "x", "128", "relu", "100,480"],
        ["2", "128", "x", "10", "softmax", "1,290"],
    ]
    assert len({len(line) for line in lines[:4]}) == 1
    assert lines[5] == "parameters  101,770 (float32, 397.5 KiB)"
    assert re.fullmatch(r"memory      1\.\d+ MiB with optimizer state .*", lines[6])
    assert lines[7] == "operations  203,264 to predict a row, 409,088 to train on it"


def test_the_sums_agree():
    net = fastbp.Network([3, 5, 7, 2], dtype="float64", activation=["tanh", "relu"])
    counts = [int(line.split()[-1]) for line in net.summary().splitlines()[2:5]]
    assert counts == [w.size + b.size for w, b in zip(net.weights, net.biases, strict=True)]
    assert f"{sum(counts)} (float64, {sum(counts) * 8} bytes)" in net.summary()


def test_dropout_is_told_where_it_is_on():
    net = fastbp.Network([3, 5, 7, 2], dropout=[0.25, 0])
    lines = [line.split() for line in net.summary().splitlines()[:5]]
    assert lines[0] == ["layer", "shape", "activation", "dropout", "parameters"]
    assert [line[5:] for line in lines[2:]] == [["0.25", "20"], ["0", "42"], ["16"]]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 40, "5120 GiB")],
)
def test_bytes(count, text):
    assert bytes_text(count) == text
