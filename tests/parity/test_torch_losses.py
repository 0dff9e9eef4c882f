"""The losses that came later against PyTorch's, values and derivatives, in float64."""

import numpy as np
import pytest
from loss_cases import LATER, ROWS

import fastbp

torch = pytest.importorskip("torch")
F = torch.nn.functional


def quantiles(z, y):
    q = torch.tensor([0.2, 0.9] * 2, dtype=torch.float64)
    error = y.repeat_interleave(2, dim=1) - z
    return torch.maximum(q * error, (q - 1) * error).mean()


def focal(z, y, gamma=2.0):
    a = torch.sigmoid(z)
    ones = y * (1 - a) ** gamma * F.logsigmoid(z)
    return -(ones + (1 - y) * a**gamma * F.logsigmoid(-z)).mean()


def pairs(z, y):
    return torch.nn.CosineEmbeddingLoss()(z, y, torch.ones(len(z)))


LOSSES = {
    "quantile": lambda z, y: torch.maximum(0.3 * (y - z), -0.7 * (y - z)).mean(),
    "quantiles": quantiles,
    "log_cosh": lambda z, y: torch.log(torch.cosh(z - y)).mean(),
    "hinge of signs": lambda z, y: F.relu(1 - y * z).mean(),
    "hinge of bits": lambda z, y: F.relu(1 - (2 * y - 1) * z).mean(),
    "focal": focal,
    "focal of fractions": lambda z, y: focal(z, y, 0.5),
    "gaussian_nll": lambda z, y: torch.nn.GaussianNLLLoss()(z[:, :2], y, torch.exp(z[:, 2:])),
    "kl_divergence": lambda z, y: torch.nn.KLDivLoss(reduction="batchmean")(F.log_softmax(z, 1), y),
    "cosine": pairs,
}


@pytest.mark.parametrize("case", LATER, ids=str)
def test_values_and_gradients_are_autograds(case):
    net = fastbp.Network([5, 9, 4], "tanh", case.loss, dtype="float64", rng=0)
    X = np.random.default_rng(5).standard_normal((ROWS, 5))
    wanted = [torch.tensor(np.array(p), requires_grad=True) for p in (*net.weights, *net.biases)]
    W0, W1, b0, b1 = wanted
    z = torch.tanh(torch.tensor(X) @ W0 + b0) @ W1 + b1
    value = LOSSES[str(case)](z, torch.tensor(case.y))
    value.backward()
    got, gradients = net.loss_and_gradients(X, case.y)
    assert got == pytest.approx(value.item(), rel=1e-12)
    for mine, theirs in zip((*gradients.weights, *gradients.biases), wanted, strict=True):
        np.testing.assert_allclose(mine, theirs.grad.numpy(), rtol=1e-10, atol=1e-13)
