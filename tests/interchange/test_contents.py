"""What is taken out of a network, what nobody else can run, and packages that are not there."""

import sys

import pytest
from expect import raises

import fastbp
from fastbp.interchange import from_torch, to_onnx, to_torch

OUT = [to_torch, to_onnx]
every_way_out = pytest.mark.parametrize("out", OUT)
SQUARE = fastbp.Activation(lambda z: z * z, lambda z: z + z, name="square")
RELU = fastbp.Activation(lambda z: z * z, name="relu")  # called as another


@every_way_out
def test_a_network_is_expected(out):
    with raises(TypeError, "network must be a fastbp.Network, got", "(int)"):
        out(3)


@every_way_out
@pytest.mark.parametrize("own", [SQUARE, RELU], ids=["square", "relu"])
def test_activations_of_ones_own_are_refused(out, own):
    hidden = fastbp.Network([2, 3, 3, 1], ["tanh", own])
    with raises(ValueError, f"activation '{own.name}' of layer 2 is not one of fastbp's own"):
        out(hidden)
    last = fastbp.Network([2, 1], output_activation=own)
    with raises(ValueError, f"activation '{own.name}' of layer 1 is not one of fastbp's own"):
        out(last)
    tasks = fastbp.Network(
        [2, 2], loss={"a": "mse", "b": "mse"}, outputs={"a": 1, "b": 1},
        output_activation={"b": own},
    )  # fmt: skip
    with raises(ValueError, f"activation '{own.name}' of outputs 'b' is not one of fastbp's own"):
        out(tasks)


@every_way_out
def test_a_scaling_that_is_not_learned_yet_is_an_error(out):
    with raises(RuntimeError, "has not learned the scaling of its inputs; call fit"):
        out(fastbp.Network([2, 1], scaling="standard"))


@pytest.mark.parametrize(
    ("call", "package", "extra", "argument"),
    [
        (to_torch, "torch", "torch", fastbp.Network([2, 1])),
        (from_torch, "torch", "torch", {}),
        (to_onnx, "onnx", "onnx", fastbp.Network([2, 1])),
    ],
    ids=["to_torch", "from_torch", "to_onnx"],
)
def test_a_package_that_is_not_there_is_named_with_its_extra(
    monkeypatch, call, package, extra, argument
):
    monkeypatch.setitem(sys.modules, package, None)
    for name in [name for name in sys.modules if name.startswith(f"fastbp.interchange.{package}_")]:
        monkeypatch.delitem(sys.modules, name)
    with raises(ModuleNotFoundError, call.__name__, f'pip install "fastbp[{extra}]"'):
        call(argument)
