"""Penalties, clipping and maximum norms against PyTorch: 50 steps in float64 within 1e-10."""

import numpy as np
import pytest
from cases import Case, assert_close, data, network
from test_torch_parity import Twin, torch_optimizer

torch = pytest.importorskip("torch")

LABELS = Case("cross_entropy", targets="labels")
SOLVERS = [
    Case("sgd", {"lr": 0.05, "momentum": 0.9}),
    Case("sgd", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    Case("adam", {"lr": 0.01}),
    Case("adamw", {"lr": 0.01, "weight_decay": 0.1}),
]
OPTIONS = [
    {"l1": 0.003},
    {"l2": 0.05},
    {"clip_value": 0.01},
    {"clip_norm": 0.05},
    {"max_norm": 0.9},
    {"l1": 0.003, "l2": 0.05, "clip_value": 0.02, "clip_norm": 0.05, "max_norm": 0.9},
]


def steps(twin, optimizer, X, y, count, l1=0, l2=0, clip_value=None, clip_norm=None, max_norm=None):
    """PyTorch's loop as its documentation writes it; returns the losses without penalties."""
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = twin(X, y)
        weights = [layer.weight for layer in twin.layers]
        penalties = [l1 * W.abs().sum() + l2 / 2 * (W * W).sum() for W in weights]
        (loss + sum(penalties)).backward()
        if clip_value is not None:
            torch.nn.utils.clip_grad_value_(twin.parameters(), clip_value)
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(twin.parameters(), clip_norm)
        optimizer.step()
        if max_norm is not None:
            with torch.no_grad():
                for W in weights:  # (out, in): a row leads into a unit
                    W.copy_(torch.renorm(W, p=2, dim=0, maxnorm=max_norm))
        losses.append(loss.item())
    return losses


@pytest.fixture(autouse=True)
def _float64():
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(dtype)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("optimizer", SOLVERS, ids=str)
def test_50_steps(optimizer, options):
    net = network([5, 17, 9, 4], loss=LABELS, optimizer=optimizer, **options)
    plain = network([5, 17, 9, 4], loss=LABELS, optimizer=optimizer)
    twin = Twin(net, "tanh", LABELS)
    X, y = data(32, 5, 4, "labels")
    want = steps(twin, torch_optimizer(optimizer, twin.parameters()), X, y, 50, **options)
    got = [net.train_step(X, y) for _ in range(50)]
    np.testing.assert_allclose(got, want, rtol=1e-10)
    layers = [layer.requires_grad_(False) for layer in twin.layers]
    assert_close(net.weights, [layer.weight.numpy().T for layer in layers], 1e-10)
    assert_close(net.biases, [layer.bias.numpy() for layer in layers], 1e-10)
    without = [plain.train_step(X, y) for _ in range(50)]
    assert not np.allclose(without, want, rtol=1e-6)  # the options did something
