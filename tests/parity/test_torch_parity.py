"""Gradients, updates and loss curves against PyTorch, from identical weights and batches."""

import numpy as np
import pytest
from cases import (
    ADAM,
    GENTLE,
    LOSSES,
    OUTPUTS,
    SOLVERS,
    Case,
    assert_close,
    data,
    every_activation,
    every_loss,
    network,
)

torch = pytest.importorskip("torch")
F = torch.nn.functional

ACTIVATIONS = {
    "identity": torch.nn.Identity(),
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu_tanh": torch.nn.GELU(approximate="tanh"),
    "silu": F.silu,
    "softplus": F.softplus,  # linear above 20, where the exact one differs by 2e-9 at most
    "softsign": F.softsign,
    "hard_tanh": F.hardtanh,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softmax": torch.nn.Softmax(dim=1),
    "exponential": torch.exp,
}

LOSS_MODULES = {  # from the network's output; where it is the logits, from the logits
    "mse": torch.nn.MSELoss,
    "mae": torch.nn.L1Loss,
    "huber": torch.nn.HuberLoss,
    "cross_entropy": torch.nn.CrossEntropyLoss,
    "binary_cross_entropy": torch.nn.BCEWithLogitsLoss,
    "poisson": torch.nn.PoissonNLLLoss,
}

OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "nadam": torch.optim.NAdam,
}

torchs_optimizers = pytest.mark.parametrize(
    "optimizer", [case for case in SOLVERS if "epsilon_hat" not in case.options], ids=str
)


@pytest.fixture(autouse=True)
def _float64_and_one_thread():
    """torch.optim.NAdam keeps a running product in the default dtype, float32 unless changed."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)


class Twin(torch.nn.Module):
    """PyTorch's network with the parameters of a fastbp network, (out, in) weights."""

    def __init__(self, net, activation, loss, output_activation="identity"):
        super().__init__()
        self.layers = torch.nn.ModuleList()
        for W, b in zip(net.weights, net.biases, strict=True):
            layer = torch.nn.Linear(*W.shape)
            layer.weight = torch.nn.Parameter(torch.tensor(np.array(W.T)))
            layer.bias = torch.nn.Parameter(torch.tensor(np.array(b)))
            self.layers.append(layer)
        self.activation = ACTIVATIONS[activation]
        self.output_activation = ACTIVATIONS[output_activation]
        self.loss = LOSS_MODULES[loss.name](**loss.options)

    def forward(self, X, y):
        a = torch.tensor(X)
        for layer in self.layers[:-1]:
            a = self.activation(layer(a))
        return self.loss(self.output_activation(self.layers[-1](a)), torch.tensor(y))

    def loss_and_gradients(self, X, y):
        self.zero_grad()
        value = self(X, y)
        value.backward()
        return (
            value.item(),
            [layer.weight.grad.numpy().T for layer in self.layers],
            [layer.bias.grad.numpy() for layer in self.layers],
        )

    def train(self, optimizer, X, y, steps):
        """Losses of so many steps on one batch, each before its update."""
        losses = []
        for _ in range(steps):
            losses.append(self.loss_and_gradients(X, y)[0])
            optimizer.step()
        return losses


class SGDW(torch.optim.SGD):
    """SGD whose weights decay apart from the gradient, as those of torch.optim.AdamW do."""

    def __init__(self, parameters, weight_decay, **options):
        super().__init__(parameters, **options)
        self.decay = weight_decay

    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.mul_(1 - group["lr"] * self.decay)
        super().step()


def torch_optimizer(case, parameters):
    """PyTorch's optimizer with the options of the case and fastbp's defaults for the others."""
    options = dict(case.options)
    if options.pop("decoupled", False):
        if case.name == "sgd":
            return SGDW(parameters, **options)
        options["decoupled_weight_decay"] = True
    if case.name in ("adam", "adamw", "nadam"):
        options["betas"] = options.pop("beta1", 0.9), options.pop("beta2", 0.999)
    if case.name == "rmsprop":  # PyTorch's defaults are 1e-2 and 0.99
        options["lr"] = options.get("lr", 1e-3)
        options["alpha"] = options.pop("rho", 0.9)
    return OPTIMIZERS[case.name](parameters, **options)


def assert_gradients(net, twin, X, y, rtol=1e-12):
    value, gradients = net.loss_and_gradients(X, y)
    want, dW, db = twin.loss_and_gradients(X, y)
    assert value == pytest.approx(want, rel=rtol)
    assert_close([*gradients.weights, *gradients.biases], dW + db, rtol)


@every_loss
@every_activation
def test_gradients_of_every_activation_with_every_loss(activation, loss):
    net = network([5, 17, 9, 4], activation, loss)
    assert_gradients(net, Twin(net, activation, loss), *data(19, 5, 4, loss.targets))


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_gradients_of_every_output_activation(output, loss):
    net = network([5, 9, 4], loss=Case(loss), output_activation=output)
    assert_gradients(net, Twin(net, "tanh", Case(loss), output), *data(19, 5, 4))


@every_activation
def test_derivative_at_the_kinks(activation):
    net = network([1, 1, 1], activation)
    net.weights[0][:], net.biases[0][:], net.weights[1][:] = 1, 0, 1
    for x in (-1.0, -0.0, 0.0, 1.0):
        twin = Twin(net, activation, LOSSES[0])
        assert_gradients(net, twin, np.array([[x]]), np.ones((1, 1)))


@pytest.mark.parametrize("loss", [case for case in LOSSES if case.name != "poisson"], ids=str)
def test_gradients_at_huge_logits(loss):
    net = network([2, 3], loss=loss)
    net.weights[0][:] = [[1e4, -1e4, 0.0], [-1e4, 0.0, 1e4]]
    X = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.5, 0.5]])
    assert_gradients(net, Twin(net, "tanh", loss), X, data(4, 2, 3, loss.targets)[1])


@torchs_optimizers
def test_weights_after_50_steps_of_every_optimizer(optimizer):
    loss = Case("cross_entropy", targets="labels")
    net = network([5, 17, 9, 4], loss=loss, optimizer=optimizer)
    twin = Twin(net, "tanh", loss)
    X, y = data(32, 5, 4, "labels")
    want = twin.train(torch_optimizer(optimizer, twin.parameters()), X, y, steps=50)
    got = [net.train_step(X, y) for _ in range(50)]
    np.testing.assert_allclose(got, want, rtol=1e-10)
    layers = [layer.requires_grad_(False) for layer in twin.layers]
    assert_close(net.weights, [layer.weight.numpy().T for layer in layers], 1e-10)
    assert_close(net.biases, [layer.bias.numpy() for layer in layers], 1e-10)


def test_weights_after_an_epoch_with_a_last_partial_batch():
    net = network([5, 17, 4])
    twin = Twin(net, "tanh", LOSSES[0])
    X, y = data(50, 5, 4)
    net.fit(X, y, epochs=5, batch_size=16, shuffle=False, progress=False)
    optimizer = torch_optimizer(ADAM, twin.parameters())
    for start in [*range(0, 50, 16)] * 5:
        twin.train(optimizer, X[start : start + 16], y[start : start + 16], steps=1)
    layers = [layer.requires_grad_(False) for layer in twin.layers]
    assert_close(net.weights, [layer.weight.numpy().T for layer in layers], 1e-10)
    assert_close(net.biases, [layer.bias.numpy() for layer in layers], 1e-10)


def assert_same_float32_curve(loss, optimizer, activation="tanh"):
    """Loss before each of 200 steps on one batch, within 1e-4 of PyTorch's."""
    net = network([5, 17, 4], activation, loss, optimizer, dtype="float32")
    twin = Twin(net, activation, loss)
    X, y = data(32, 5, 4, loss.targets)
    X, y = X.astype("float32"), y.astype("float32") if y.dtype == float else y
    want = twin.train(torch_optimizer(optimizer, twin.parameters()), X, y, steps=200)
    np.testing.assert_allclose([net.train_step(X, y) for _ in range(200)], want, rtol=1e-4)


@torchs_optimizers
def test_float32_curve_of_every_optimizer(optimizer):
    assert_same_float32_curve(Case("cross_entropy", targets="labels"), optimizer)


@every_loss
def test_float32_curve_of_every_loss(loss):
    assert_same_float32_curve(loss, GENTLE)


@every_activation
def test_float32_curve_of_every_activation(activation):
    assert_same_float32_curve(LOSSES[0], GENTLE, activation)
