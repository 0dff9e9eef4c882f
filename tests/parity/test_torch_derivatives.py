"""Derivatives against PyTorch's autograd, in float64."""

from itertools import pairwise

import numpy as np
import pytest
from cases import LOSSES, Case, data, network

torch = pytest.importorskip("torch")

MSE, LABELS, PROBABILITIES, BITS = LOSSES[0], LOSSES[5], LOSSES[6], LOSSES[9]
POISSON = Case("poisson", targets="counts")
LAYERS = [3, 7, 5, 4]
HIDDEN = {
    "tanh": torch.tanh,
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda z: torch.nn.functional.gelu(z, approximate="tanh"),
    "silu": torch.nn.functional.silu,
    "softplus": torch.nn.functional.softplus,
    "softsign": torch.nn.functional.softsign,
    "sigmoid": torch.sigmoid,
    "elu": torch.nn.functional.elu,
    "selu": torch.nn.functional.selu,
    "relu": torch.relu,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "hard_tanh": torch.nn.functional.hardtanh,
}
OUTPUT = {
    "identity": lambda z: z,
    "softmax": lambda z: torch.softmax(z, -1),
    "exponential": torch.exp,
    **HIDDEN,
}
LOSS = {
    "mse": torch.nn.functional.mse_loss,
    "huber": torch.nn.functional.huber_loss,
    "cross_entropy": torch.nn.functional.cross_entropy,
    "binary_cross_entropy": torch.nn.functional.binary_cross_entropy_with_logits,
    "poisson": torch.nn.functional.poisson_nll_loss,
}


def tensors(net):
    return torch.tensor(net.flat.astype(float))


def logits(flat, X, activation="tanh", layers=LAYERS):
    """The outputs before their activation, as a function of all parameters as one vector."""
    at = 0
    for layer, (inputs, outputs) in enumerate(pairwise(layers)):
        W = flat[at : at + inputs * outputs].reshape(inputs, outputs)
        b = flat[at + inputs * outputs : at + (inputs + 1) * outputs]
        at, X = at + (inputs + 1) * outputs, X @ W + b
        X = HIDDEN[activation](X) if layer < len(layers) - 2 else X
    return X


def value(flat, X, y, case, output="identity", activation="tanh", layers=LAYERS):
    z = logits(flat, X, activation, layers)
    if case.name in ("mse", "huber"):
        z = OUTPUT[output](z)
    return LOSS[case.name](z, y, **case.options)


def close(got, want):
    scale = max(float(np.abs(want).max()), 1e-3)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize("output", ["identity", "softmax", "exponential", "gelu", "tanh"])
@pytest.mark.parametrize("rows", [1, 9])
def test_jacobian_and_input_gradient_of_given_slopes(output, rows):
    net = network(LAYERS, output_activation=output)
    X, d_out = data(rows, 3, 4)
    T = torch.tensor(X, requires_grad=True)
    out = OUTPUT[output](logits(tensors(net), T))
    want = [torch.autograd.grad(out[:, k].sum(), T, retain_graph=True)[0] for k in range(4)]
    close(net.jacobian(X), torch.stack(want, 1).numpy())
    want = torch.autograd.grad((out * torch.tensor(d_out)).sum(), T)[0]
    close(net.input_gradient(X, d_out=d_out), want.numpy())


CASES = [MSE, LOSSES[3], LABELS, PROBABILITIES, BITS, POISSON]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("rows", [1, 13])
def test_losses(case, rows):
    """By inputs, by sample and twice by the weights."""
    net = network(LAYERS, loss=case)
    X, y = data(rows, 3, 4, case.targets)
    T, target, flat = torch.tensor(X, requires_grad=True), torch.tensor(y), tensors(net)
    want = torch.autograd.grad(value(flat, T, target, case), T)[0]
    close(net.input_gradient(X, y), want.numpy())

    gradients = net.sample_gradients(X, y)
    pairs = list(zip(gradients.weights, gradients.biases, strict=True))
    for r in (0, rows - 1):
        got = np.concatenate([part[r].ravel() for pair in pairs for part in pair])
        flat.requires_grad_()
        one = value(flat, T[r : r + 1].detach(), target[r : r + 1], case)
        close(got, torch.autograd.grad(one, flat)[0].numpy())

    v = np.random.default_rng(1).standard_normal(net.flat.size)
    product = torch.autograd.functional.hvp(
        lambda flat: value(flat, T.detach(), target, case), flat.detach(), torch.tensor(v)
    )[1]
    close(net.hessian_vector(X, y, v), product.numpy())

    def outputs(flat):
        return logits(flat, T.detach())

    z, change = torch.autograd.functional.jvp(outputs, flat.detach(), torch.tensor(v))
    bent = torch.autograd.functional.hvp(
        lambda z: LOSS[case.name](z, target, **case.options), z, change
    )[1]
    want = torch.autograd.functional.vjp(outputs, flat.detach(), bent)[1]
    close(net.gauss_newton_vector(X, y, v), want.numpy())


@pytest.mark.parametrize("activation", HIDDEN)
def test_second_derivatives_of_activations(activation):
    """In hidden layers and behind the outputs, where the loss does not take logits."""
    net = network(LAYERS, activation, output_activation=activation)
    X, y = data(11, 3, 4)
    v = np.random.default_rng(1).standard_normal(net.flat.size)
    want = torch.autograd.functional.hvp(
        lambda flat: value(flat, torch.tensor(X), torch.tensor(y), MSE, activation, activation),
        tensors(net),
        torch.tensor(v),
    )[1]
    close(net.hessian_vector(X, y, v), want.numpy())


def test_an_exponential_output():
    net = network(LAYERS, output_activation="exponential")
    X, y = data(11, 3, 4)
    v = np.random.default_rng(1).standard_normal(net.flat.size)
    want = torch.autograd.functional.hvp(
        lambda flat: value(flat, torch.tensor(X), torch.tensor(y), MSE, "exponential"),
        tensors(net),
        torch.tensor(v),
    )[1]
    close(net.hessian_vector(X, y, v), want.numpy())


@pytest.mark.parametrize("layers", [[1, 1], [300, 40, 1], [2, 70, 33, 17]], ids=str)
def test_shapes(layers):
    net = network(layers)
    X, y = data(301, layers[0], layers[-1])
    T, target = torch.tensor(X, requires_grad=True), torch.tensor(y)
    flat = tensors(net).requires_grad_()
    loss = value(flat, T, target, MSE, layers=layers)
    close(net.input_gradient(X, y), torch.autograd.grad(loss, T)[0].numpy())
    v = np.random.default_rng(1).standard_normal(net.flat.size)
    want = torch.autograd.functional.hvp(
        lambda flat: value(flat, T.detach(), target, MSE, layers=layers),
        flat.detach(),
        torch.tensor(v),
    )[1]
    close(net.hessian_vector(X, y, v), want.numpy())
