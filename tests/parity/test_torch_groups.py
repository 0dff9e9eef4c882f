"""Frozen layers and learning rates of layers against PyTorch's parameter groups, in float64."""

import numpy as np
import pytest
from cases import Case, assert_close, data, network

torch = pytest.importorskip("torch")

LAYERS = [4, 7, 5, 3]
X, Y = data(64, 4, 3)
OPTIMIZERS = [
    (Case("adamw", {"lr": 0.01, "weight_decay": 0.1}), torch.optim.AdamW),
    (Case("sgd", {"lr": 0.05, "momentum": 0.9}), torch.optim.SGD),
]


@pytest.mark.parametrize(("case", "optimizer"), OPTIMIZERS, ids=["adamw", "sgd"])
@pytest.mark.parametrize("trainable", [[True] * 3, [False, True, True], [True, False, True]])
def test_50_steps(trainable, case, optimizer):
    net = network(
        LAYERS, optimizer=case, trainable=trainable, rate_factors=[0.5, 1, 3], clip_norm=0.2
    )
    linear = [torch.nn.Linear(W.shape[0], W.shape[1], dtype=torch.float64) for W in net.weights]
    groups = []
    for layer, factor in enumerate((0.5, 1, 3)):
        linear[layer].weight.data[:] = torch.tensor(net.weights[layer].T)
        linear[layer].bias.data[:] = torch.tensor(net.biases[layer])
        for parameter in linear[layer].parameters():
            parameter.requires_grad_(trainable[layer])
        if trainable[layer]:
            groups.append({"params": linear[layer].parameters(), "lr": factor * case.options["lr"]})
    model = torch.nn.Sequential(linear[0], torch.nn.Tanh(), linear[1], torch.nn.Tanh(), linear[2])
    solver = optimizer(groups, **case.options)
    for _ in range(50):
        solver.zero_grad()
        torch.nn.functional.mse_loss(model(torch.tensor(X)), torch.tensor(Y)).backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 0.2)
        solver.step()
    net.fit(X, Y, 50, 64)
    assert_close(net.weights, [layer.weight.detach().numpy().T for layer in linear], 1e-10)
    assert_close(net.biases, [layer.bias.detach().numpy() for layer in linear], 1e-10)


def test_steps_by_slopes_of_a_loss_that_torch_differentiates():
    """A distance that fastbp does not know: autograd by the outputs, the rest by the kernels."""
    net = network(LAYERS, optimizer=OPTIMIZERS[1][0], output_activation="softmax")
    ours = network(LAYERS, optimizer=OPTIMIZERS[1][0], output_activation="softmax")
    target = torch.tensor(np.abs(Y))
    parameters = torch.tensor(ours.flat, requires_grad=True)
    velocity = torch.zeros_like(parameters)
    for _ in range(20):
        out = torch.tensor(net.forward(X), requires_grad=True)
        value = torch.linalg.norm(out - target) + (out[0] * out[1]).sum().log()
        net.step(torch.autograd.grad(value, out)[0].numpy())

        a, at = torch.tensor(X), 0
        for layer in range(3):
            inputs, outputs = LAYERS[layer : layer + 2]
            W = parameters[at : at + inputs * outputs].reshape(inputs, outputs)
            a = a @ W + parameters[at + inputs * outputs : at + (inputs + 1) * outputs]
            at += (inputs + 1) * outputs
            a = torch.tanh(a) if layer < 2 else torch.softmax(a, dim=1)
        value = torch.linalg.norm(a - target) + (a[0] * a[1]).sum().log()
        gradient = torch.autograd.grad(value, parameters)[0]
        velocity = 0.9 * velocity + gradient
        parameters = (parameters - 0.05 * velocity).detach().requires_grad_()
    assert_close([net.flat], [parameters.detach().numpy()], 1e-10)
