"""Modules of PyTorch that become networks and networks that become modules, against each other."""

import copy
import io
from collections import OrderedDict

import numpy as np
import pytest
from cases import HIDDEN, OUTPUTS, both_dtypes
from expect import raises

import fastbp
from fastbp.activations import ACTIVATIONS
from fastbp.interchange import from_torch, to_torch

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import Dropout, Flatten, Identity, Linear, ReLU, Sequential, Softmax, Tanh  # noqa: E402

from fastbp.interchange.torch_modules import MODULES, Exponential, Scaling  # noqa: E402

X = 40 + 3 * np.random.default_rng(0).standard_normal((7, 4))
X[0] = 0


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def assert_equal(got, want):
    assert got.dtype == want.dtype
    bound = 30 * np.finfo(want.dtype).eps * max(1, np.abs(want).max())
    np.testing.assert_allclose(got, want, rtol=0, atol=bound)


def outputs(module, rows):
    return module.eval()(torch.tensor(rows)).detach().numpy()


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


def assert_carried(net):
    """There it computes the same, and what comes back is the network, to the last bit."""
    module, rows = to_torch(net), X.astype(net.dtype)
    assert not module.training
    assert_equal(outputs(module, rows), net.predict(rows))
    back = from_torch(module, loss=net.loss, optimizer=net.optimizer, rng=0, threads=1)
    assert back.predict(rows).tobytes() == net.predict(rows).tobytes()
    for told in ("layers", "dtype", "activations", "loss", "regularization"):
        assert getattr(back, told) == getattr(net, told)
    return module, back


@both_dtypes
@pytest.mark.parametrize("activation", HIDDEN)
def test_every_activation_there_and_back(activation, dtype):
    for scaling in (None, "standard"):
        assert_carried(network(dtype, scaling, activation))


def test_softplus_is_exact_where_pytorchs_default_is_linear():
    net = fastbp.Network([1, 1], output_activation="softplus", dtype="float64")
    net.weights[0][:] = 21
    got = outputs(to_torch(net), np.ones((1, 1)))
    np.testing.assert_allclose(got, 21 + np.log1p(np.exp(-21)), rtol=1e-15)


@both_dtypes
@pytest.mark.parametrize("activation", OUTPUTS)
def test_every_output_activation_there_and_back(activation, dtype):
    loss = {"softmax": "cross_entropy", "exponential": "poisson"}.get(activation, "mse")
    assert_carried(network(dtype, "standard", loss=loss, output_activation=activation))


@both_dtypes
def test_scalings_there_and_back(dtype):
    module, back = assert_carried(network(dtype, 0.25))
    assert repr(back).count("scaling=0.25") == 1
    whole = np.arange(28, dtype=np.uint8).reshape(7, 4)  # any dtype, as predict takes it
    assert_equal(outputs(module, whole), back.predict(whole))
    other = torch.float64 if dtype == "float32" else torch.float32
    assert module.to(other)(torch.tensor(whole)).dtype == other
    net = network(dtype, "standard")
    shift, factor = assert_carried(net)[1].scaling
    assert (shift == net.scaling.shift).all()
    assert (factor == net.scaling.factor).all()


def test_inputs_keep_their_digits_until_their_means_are_taken_off():
    rows, net = X + 2.0**30, network(activation="relu", scaling="standard")
    net.learn_scaling(rows)
    assert_equal(outputs(to_torch(net), rows), net.predict(rows))


def test_the_module_is_a_copy():
    net, rows = network(), X.astype("f4")
    module, before = to_torch(net), net.predict(rows)
    net.train_step(rows, before + 1)
    assert_equal(outputs(module, rows), before)


def test_modules_of_our_own_are_pickled():
    net = network(scaling=0.1, loss="poisson")
    file = io.BytesIO()
    torch.save(to_torch(net), file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    assert [type(loaded[0]), type(loaded[-1])] == [Scaling, Exponential]
    assert_equal(outputs(loaded, X), net.predict(X))


def test_dropout_there_and_back():
    net = fastbp.Network([4, 5, 5, 5, 2], dropout=[0.5, 0.0, 0.25], rng=0)
    module, back = assert_carried(net)
    assert back.regularization.dropout == (0.5, 0.0, 0.25)
    rates = [one.p for one in module if isinstance(one, Dropout)]
    assert rates == [0.5, 0.25]
    assert [type(one) for one in module[1:3]] == [ReLU, Dropout]


def test_nested_modules_and_what_does_nothing():
    act = Tanh()  # the same object twice
    module = Sequential(
        OrderedDict(
            start=Flatten(),
            block=Sequential(Linear(4, 5), Identity(), act, Dropout(0.0)),
            more=Sequential(Sequential(Linear(5, 3, bias=False)), act, Dropout(0.25)),
            head=Linear(3, 2),
            end=Identity(),
        )
    )
    net = from_torch(module, rng=0)
    assert (net.layers, net.activations) == ((4, 5, 3, 2), ("tanh", "tanh", "identity"))
    assert net.regularization.dropout == (0.0, 0.25)
    assert not net.biases[1].any()
    rows = X.astype("f4")
    assert_equal(net.predict(rows), outputs(module, rows.reshape(7, 2, 2)))
    module.head.weight.data.zero_()  # a copy
    assert net.weights[2].all()


def test_a_linear_alone_is_a_network():
    layer = Linear(4, 3, dtype=torch.float64)
    assert_equal(from_torch(layer).predict(X), outputs(layer, X))
    assert_equal(from_torch(layer.state_dict()).predict(X), outputs(layer, X))


def test_the_loss_that_goes_with_the_end():
    ends = {Softmax(dim=1): "cross_entropy", nn.Sigmoid(): "binary_cross_entropy",
            Exponential(): "poisson", ReLU(): "mse", Identity(): "mse"}  # fmt: skip
    for end, loss in ends.items():
        module = Sequential(Linear(4, 3), end)
        net = from_torch(module)
        assert net.loss.name == loss
        rows = np.sign(X).astype("f4")
        assert_equal(net.predict(rows), outputs(module, rows))
    assert from_torch(Sequential(Linear(4, 3), nn.Sigmoid()), loss="mse").activations == (
        "sigmoid",
    )
    logits = Linear(4, 3)
    own = fastbp.Activation(lambda z: z, name="sigmoid")
    assert from_torch(logits, output_activation=own).loss.name == "mse"
    for told in (
        {"loss": "cross_entropy"},
        {"output_activation": "softmax"},
        {"output_activation": ACTIVATIONS["softmax"]},
    ):
        net = from_torch(logits, **told)
        assert net.loss.name == "cross_entropy"
        assert_equal(net.predict(rows), outputs(Sequential(logits, Softmax(dim=1)), rows))


def test_the_other_arguments_reach_the_network():
    module = Sequential(Linear(4, 3), ReLU(), Linear(3, 2))
    net = from_torch(module, optimizer=fastbp.SGD(0.5), rng=3, threads=1, scaling=0.5, l2=0.25)
    assert (net.optimizer, net.regularization.l2) == (fastbp.SGD(0.5), 0.25)
    assert_equal(net.predict(X), outputs(module, X.astype("f4") / 2))
    tasks = from_torch(module, loss={"a": "mse", "b": "mse"}, outputs={"a": 1, "b": 1})
    assert tasks.predict(X).keys() == {"a", "b"}


@both_dtypes
def test_a_state_dict_with_what_it_does_not_tell(dtype):
    module = Sequential(Linear(4, 6), Tanh(), Linear(6, 5, bias=False), nn.GELU(), Linear(5, 3))
    module = module.to(getattr(torch, dtype))
    net = from_torch(module.state_dict(), ["tanh", "gelu"], dropout=[0.0, 0.5], rng=0)
    assert net.regularization.dropout == (0.0, 0.5)
    rows = X.astype(dtype)
    assert_equal(net.predict(rows), outputs(module, rows))
    # A bias may come first, and names may be anything.
    named = {"a.bias": torch.ones(2), "a.weight": torch.ones(2, 4), "b.c.weight": torch.ones(1, 2)}
    assert from_torch(named, "relu").predict([[1, 1, 1, 1]]).tolist() == [[10.0]]


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_both_train_alike(loss):
    module = Sequential(Linear(4, 6), Tanh(), Linear(6, 3)).double()
    net = from_torch(module, loss=loss, optimizer=fastbp.Adam(0.01))
    rng = np.random.default_rng(2)
    rows, labels = rng.standard_normal((12, 4)), rng.integers(0, 3, 12)
    y = labels if loss == "cross_entropy" else rng.standard_normal((12, 3))
    criterion = nn.CrossEntropyLoss() if loss == "cross_entropy" else nn.MSELoss()
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    for _ in range(5):
        optimizer.zero_grad()
        want = criterion(module(torch.tensor(rows)), torch.tensor(y))
        want.backward()
        optimizer.step()
        assert net.train_step(rows, y) == pytest.approx(want.item(), rel=1e-12)
    trained = to_torch(net)
    np.testing.assert_allclose(trained[0].weight.detach(), module[0].weight.detach(), rtol=1e-9)


def twice(layer):
    return Sequential(layer, ReLU(), layer)


def hooked():
    layer = Linear(4, 3)
    layer.register_forward_hook(lambda *_: None)
    return Sequential(layer)


class Mine(Sequential):
    def forward(self, x):
        return super().forward(x) + 1


L = Linear
REFUSED = [
    (Sequential(nn.Conv1d(1, 1, 3)), ["source.0 (Conv1d) is nothing", "Linear", "Softplus"]),
    (Sequential(L(4, 3), nn.BatchNorm1d(3)), ["source.1 (BatchNorm1d)"]),
    (Sequential(L(4, 3), Sequential(ReLU(), nn.ReLU6())), ["source.1.1 (ReLU6)"]),
    (Sequential(L(4, 3), nn.LogSoftmax(dim=1)), ["source.1 (LogSoftmax)"]),
    (nn.LSTM(4, 3), ["source (LSTM) is nothing"]),
    (Mine(L(4, 3)), ["source (Mine) is nothing", "as its state_dict"]),
    (Sequential(L(4, 3), nn.LeakyReLU(0.2)), ["source.1 (LeakyReLU) has negative_slope=0.2"]),
    (Sequential(L(4, 3), nn.ELU(2.0)), ["source.1 (ELU) has alpha=2.0, fastbp's 'elu' 1"]),
    (Sequential(L(4, 3), nn.Softplus(2.0)), ["source.1 (Softplus) has beta=2.0"]),
    (Sequential(L(4, 3), nn.Softplus(threshold=5)), ["threshold=5", "20 or more"]),
    (Sequential(L(4, 3), nn.Hardtanh(0, 1)), ["source.1 (Hardtanh) has min_val=0"]),
    (Sequential(L(4, 3), nn.Hardtanh(-1, 6)), ["source.1 (Hardtanh) has max_val=6"]),
    (Sequential(L(4, 3), Softmax(dim=0)), ["source.1 (Softmax) has dim=0", "1 or -1"]),
    (Sequential(L(4, 3), Softmax(dim=1), L(3, 2)), ["Softmax", "source.0", "at the end"]),
    (Sequential(ReLU(), L(4, 3)), ["source.0 (ReLU) stands before the first Linear"]),
    (Sequential(L(4, 3), ReLU(), Tanh()), ["source.2 (Tanh) is the second activation"]),
    (Sequential(Dropout(0.1), L(4, 3)), ["source.0 (Dropout) drops inputs"]),
    (Sequential(L(4, 3), Dropout(0.1), Tanh(), L(3, 2)), ["source.2 (Tanh) stands behind a"]),
    (Sequential(L(4, 3), Dropout(0.1), Dropout(0.1)), ["source.2 (Dropout) is the second"]),
    (Sequential(L(4, 3), ReLU(), Dropout(1.0), L(3, 2)), ["source.2 (Dropout) has p=1"]),
    (Sequential(L(4, 3), Dropout(0.1)), ["Dropout behind source.0 (Linear)", "last layer"]),
    (Sequential(L(4, 3), Flatten()), ["source.1 (Flatten) must stand at the start"]),
    (Sequential(Flatten(0), L(4, 3)), ["source.0 (Flatten) must stand at the start"]),
    (Sequential(L(4, 3), L(4, 2)), ["source.1 (Linear) takes 4 inputs", "source.0", "3 outputs"]),
    (Sequential(L(4, 3), L(3, 2).double()), ["weight of source.1 (Linear) is of float64"]),
    (Sequential(L(4, 3).half()), ["weight of source.0 (Linear)", "torch.float16"]),
    (Sequential(L(4, 3, device="meta")), ["weight of source.0 (Linear)", "meta"]),
    (twice(L(4, 4)), ["source.2 (Linear) shares parameters with source.0 (Linear)"]),
    (hooked(), ["source.0 (Linear) has hooks"]),
    (Sequential(ReLU())[:0], ["source must hold a Linear at least"]),
    (Sequential(L(4, 3), Scaling([0.0], [1.0], torch.float32)), ["source.1 (Scaling)", "start"]),
    (Sequential(Scaling([0.0], [1.0], torch.float32), L(4, 3)), ["Scaling is for 1 inputs"]),
    (Sequential(Scaling([0.0], [0.0], torch.float32), L(1, 3)), ["source.0 (Scaling)", "above 0"]),
    ({"a.weight": torch.ones(3, 4, 1)}, ["source['a.weight'], of shape (3, 4, 1), belongs to no"]),
    ({"a.weight": torch.ones(3)}, ["source['a.weight'], of shape (3,)"]),
    ({"a.weight": torch.ones(3, 4), "a.running_mean": torch.ones(3)}, ["source['a.running_mean']"]),
    ({"a.weight": torch.ones(3, 4), "b.bias": torch.ones(3)}, ["source['b.bias']"]),
    ({"a.weight": torch.ones(3, 4), "a.bias": torch.ones(4)}, ["bias of 'a'", "(3,)", "(4,)"]),
    ({"a.weight": torch.full((3, 4), np.inf)}, ["weight of 'a' must be finite"]),
    ({"a.weight": torch.ones(3, 4).to_sparse()}, ["weight of 'a' must be a plain tensor"]),
    ({}, ["source must hold a Linear at least"]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "parts"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_what_cannot_be_carried_is_refused_by_name(source, parts):
    with raises(ValueError, *parts):
        from_torch(source)


def test_arguments_that_cannot_be_used():
    module = Sequential(Linear(4, 3), ReLU(), Linear(3, 2), nn.Sigmoid())
    for name in ("activation", "dropout"):
        with raises(ValueError, f"{name} is told by a module, so it must be None; got"):
            from_torch(module, **{name: 0.5})
    with raises(ValueError, "output_activation must be 'sigmoid' as source has it", "'tanh'"):
        from_torch(module, output_activation="tanh")
    assert from_torch(module, output_activation="sigmoid").activations[-1] == "sigmoid"
    with raises(ValueError, "output_activation of loss 'cross_entropy' must be 'softmax'"):
        from_torch(module, loss="cross_entropy")
    with raises(TypeError, "from_torch takes", "scaling, loss_weights", "got 'dtype' (str)"):
        from_torch(module, dtype="float64")
    with raises(ValueError, "activation must tell those of the hidden layers"):
        from_torch(module.state_dict())
    with raises(ValueError, "scaling must not be told where source has a Scaling"):
        from_torch(to_torch(network(scaling=0.5)), scaling=0.5)
    for wrong in (3, [module], "model.pt"):
        with raises(TypeError, "source must be a torch.nn.Sequential or a state_dict, got"):
            from_torch(wrong)
    checkpoint = {"model": module.state_dict(), "epoch": 3}
    with raises(TypeError, "source must be a Sequential, or a state_dict of tensors", "'model'"):
        from_torch(checkpoint)
    with raises(TypeError, "tensors by name; got 1 (int)"):
        from_torch({1: torch.ones(3, 4)})


def test_tasks_do_not_become_a_module():
    net = fastbp.Network([2, 2], loss={"a": "mse", "b": "mse"}, outputs={"a": 1, "b": 1})
    with raises(ValueError, "network must have one loss", "2 tasks", "to_onnx"):
        to_torch(net)


def test_the_generator_draws_no_weights():
    module, rng = Sequential(Linear(4, 3)), np.random.default_rng(0)
    before = copy.deepcopy(rng.bit_generator.state)
    from_torch(module, rng=rng)
    assert rng.bit_generator.state == before


def test_every_activation_of_fastbp_has_a_module():
    assert MODULES.keys() == set(OUTPUTS) - {"identity"}
