"""Models of ONNX against `predict`, by onnx's reference evaluator and by onnxruntime."""

import json

import numpy as np
import pytest
from cases import HIDDEN, OUTPUTS, both_dtypes
from expect import raises

import fastbp
from fastbp.activations import Activation
from fastbp.interchange import onnx_out, to_onnx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx.reference import ReferenceEvaluator  # noqa: E402

SCALINGS = [None, 0.25, "standard"]
X = 40 + 3 * np.random.default_rng(0).standard_normal((7, 4))
X[0] = 0  # far from the others: activations are flat, or as steep as they are anywhere


def network(dtype="float32", scaling=None, activation="tanh", **options):
    """One with weights that reach far into both sides of an activation."""
    net = fastbp.Network(
        [4, 6, 3], activation, dtype=dtype, scaling=scaling, rng=0, threads=1, **options
    )
    rng = np.random.default_rng(1)
    for array in (*net.weights, *net.biases):
        array[:] = rng.standard_normal(array.shape)
    if scaling == "standard":
        net.learn_scaling(X)
    return net


def computed(model, rows, input_name="X"):
    """The outputs by both, under their names."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in model.graph.output]
    for evaluator in (ReferenceEvaluator(model), session):
        with np.errstate(all="ignore"):  # the reference's exp overflows, as it may
            yield dict(zip(names, evaluator.run(names, {input_name: rows}), strict=True))


def assert_equal(got, want):
    assert got.dtype == want.dtype
    bound = 30 * np.finfo(want.dtype).eps * max(1, np.abs(want).max())
    np.testing.assert_allclose(got, want, rtol=0, atol=bound)


def assert_predicts(net, rows, **names):
    model = to_onnx(net, **names)
    for outputs in computed(model, rows):
        (got,) = outputs.values()
        assert_equal(got, net.predict(rows))


@both_dtypes
@pytest.mark.parametrize("activation", HIDDEN)
def test_every_activation_of_hidden_layers(activation, dtype):
    # Without a scaling some are at 40 and more, with one around 0.
    for scaling in (None, "standard"):
        assert_predicts(network(dtype, scaling, activation), X.astype(dtype))


@both_dtypes
@pytest.mark.parametrize("activation", OUTPUTS)
def test_every_activation_of_outputs(activation, dtype):
    loss = {"softmax": "cross_entropy", "exponential": "poisson"}.get(activation, "mse")
    net = network(dtype, "standard", loss=loss, output_activation=activation)
    assert_predicts(net, X.astype(dtype))


@both_dtypes
@pytest.mark.parametrize("scaling", SCALINGS)
def test_every_scaling(scaling, dtype):
    assert_predicts(network(dtype, scaling), X.astype(dtype))
    assert_predicts(network(dtype, scaling), X[:1].astype(dtype))  # any number of rows


def test_inputs_keep_their_digits_until_their_means_are_taken_off():
    rows = (X + 2.0**20).astype("f4")
    net = network(activation="relu", scaling="standard")
    net.learn_scaling(rows)
    assert_predicts(net, rows)
    # In float32 the shift alone would be off by this much, times the weights.
    shift, factor = net.scaling
    assert (np.abs(shift.astype("f4") - shift) * factor).max() > 1e-3


def test_deep_networks_and_dropout():
    net = fastbp.Network([4, 5, 6, 7, 2], ["relu", "gelu", "tanh"], dropout=0.5, rng=0)
    assert_predicts(net, X.astype("f4"))


def test_tasks_are_outputs_of_their_names():
    net = network(
        loss={"kind": "cross_entropy", "size": "mse"}, outputs={"kind": 2, "size": 1}, scaling=0.1
    )
    rows = X.astype("f4")
    want = net.predict(rows)
    for outputs in computed(to_onnx(net), rows):
        assert outputs.keys() == want.keys()
        for name, values in want.items():
            assert_equal(outputs[name], values)
    with raises(ValueError, "output_name must be None", "['kind', 'size']", "'y'"):
        to_onnx(net, output_name="y")
    with raises(ValueError, "input_name must not be that of an output", "'kind'"):
        to_onnx(net, input_name="kind")


def test_what_the_model_says_of_itself():
    model = to_onnx(network())
    assert (model.producer_name, model.producer_version) == ("fastbp", fastbp.__version__)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 20)]
    assert model.ir_version == 9
    for value, name, columns in ((model.graph.input, "X", 4), (model.graph.output, "y", 3)):
        (one,) = value
        rows, width = one.type.tensor_type.shape.dim
        assert (one.name, rows.dim_param, width.dim_value) == (name, "rows", columns)
    assert list(model.metadata_props) == []


def test_names_of_features_are_metadata():
    pandas = pytest.importorskip("pandas")
    net, names = fastbp.Network([4, 1]), ["a", "größe", '"', "d e"]
    net.fit(pandas.DataFrame(X, columns=names), X[:, 0], epochs=1)
    properties = {one.key: one.value for one in to_onnx(net).metadata_props}
    assert json.loads(properties["feature_names"]) == names


@pytest.mark.parametrize("inner", ["layer_1_weights", "layer_1_Gemm", "number_1"])
def test_any_name_can_be_chosen(inner):
    """Also one that something within the model would have."""
    net, rows = network("float64", activation="elu"), X.copy()
    for names in ({"input_name": inner, "output_name": "out"}, {"output_name": inner}):
        model = to_onnx(net, **names)
        for outputs in computed(model, rows, names.get("input_name", "X")):
            assert list(outputs) == [names["output_name"]]
            assert_equal(outputs[names["output_name"]], net.predict(rows))


def test_the_model_is_a_copy():
    net, rows = network(), X.astype("f4")
    model, before = to_onnx(net), net.predict(rows)
    net.train_step(rows, before + 1)
    assert_equal(next(computed(model, rows))["y"], before)


def test_it_writes_a_file_as_a_whole(tmp_path):
    path, net = tmp_path / "model.onnx", network()
    model = to_onnx(net, path)
    assert path.read_bytes() == model.SerializeToString()
    onnx.checker.check_model(str(path))
    with raises(OSError, "cannot save the model"):
        to_onnx(net, tmp_path / "no" / "model.onnx")
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]


def test_what_cannot_be_used(monkeypatch, tmp_path):
    net = network()
    for name in ("input_name", "output_name"):
        with raises(TypeError, f"{name} must be a string, got 3 (int)"):
            to_onnx(net, **{name: 3})
        with raises(ValueError, f"{name} must be a non-empty string of printable characters"):
            to_onnx(net, **{name: ""})
    with raises(ValueError, "input_name must not be that of an output"):
        to_onnx(net, input_name="y")
    with raises(TypeError, "path must be a string or path-like, got 3 (int)"):
        to_onnx(net, 3)
    own = Activation(lambda z: z, name="own")
    with raises(ValueError, "'own'", "ONNX cannot run its code"):
        to_onnx(network(activation=own), tmp_path / "model.onnx")
    monkeypatch.setattr(onnx_out, "MOST_BYTES", 4 * sum(w.size for w in net.weights))
    with raises(ValueError, "less than 2 GiB of parameters for ONNX, got 204 bytes"):
        to_onnx(net, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
