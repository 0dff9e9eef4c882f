"""Weights of rows and classes and masked targets against PyTorch, 50 steps in float64."""

import numpy as np
import pytest
from cases import LOSSES, Case, assert_close, data, network

import fastbp

torch = pytest.importorskip("torch")

LABELS, PROBABILITIES, BITS = LOSSES[4], LOSSES[6], LOSSES[8]
WEIGHTS = np.random.default_rng(1).exponential(size=32)
CLASSES = {0: 0.3, 1: 2.0, 2: 1.0, 3: 0.7}
CLASS_TENSOR = torch.tensor([*CLASSES.values()], dtype=torch.float64)


def masked_mean(values, y):
    return values[~torch.isnan(y)].mean()


def pointwise(name):
    losses = torch.nn.functional
    functions = {
        "mse": losses.mse_loss,
        "mae": losses.l1_loss,
        "huber": losses.huber_loss,
        "binary_cross_entropy": losses.binary_cross_entropy_with_logits,
        "poisson": losses.poisson_nll_loss,
        "cross_entropy": losses.cross_entropy,
    }
    return functions[name]


def weighted_rows(case):
    """sum(w l) / sum(w) of the rows' losses."""

    def loss(z, y):
        rows = pointwise(case.name)(z, y, reduction="none", **case.options)
        rows = rows if rows.ndim == 1 else rows.mean(dim=1)
        w = torch.tensor(WEIGHTS)
        return (w * rows).sum() / w.sum()

    return loss


def masked(case):
    """The mean over targets that are not NaN."""

    def loss(z, y):
        known = ~torch.isnan(y)
        return pointwise(case.name)(z[known], y[known], **case.options)

    return loss


def holed(case):
    y = data(32, 5, 4, case.targets)[1]
    return np.where(np.random.default_rng(2).random(y.shape) < 0.3, np.nan, y)


ELEMENTWISE = [case for case in LOSSES if case.name != "cross_entropy"]
RUNS = [
    *(
        pytest.param(
            case, data(32, 5, 4, case.targets)[1], {"sample_weight": WEIGHTS}, weighted_rows(case),
            id=f"rows-{case}",
        )
        for case in LOSSES
    ),
    *(
        pytest.param(case, holed(case), {"mask_nan": True}, masked(case), id=f"masked-{case}")
        for case in ELEMENTWISE
    ),
    pytest.param(
        LABELS, data(32, 5, 4, "labels")[1], {"class_weight": CLASSES},
        torch.nn.CrossEntropyLoss(weight=CLASS_TENSOR), id="classes",
    ),
    pytest.param(
        LABELS, np.where(np.arange(32) % 5 == 0, np.nan, data(32, 5, 4, "labels")[1]),
        {"class_weight": CLASSES, "mask_nan": True},
        lambda z, y: torch.nn.CrossEntropyLoss(weight=CLASS_TENSOR, ignore_index=-1)(
            z, torch.nan_to_num(y, -1.0).long()
        ), id="classes-masked",
    ),
    pytest.param(
        PROBABILITIES, data(32, 5, 4, "probabilities")[1], {"class_weight": CLASSES},
        # PyTorch divides by the rows here, and by their weights where there are labels
        lambda z, y: torch.nn.CrossEntropyLoss(weight=CLASS_TENSOR, reduction="sum")(z, y)
        / (CLASS_TENSOR * y).sum(), id="classes-probabilities",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("case", "y", "options", "loss"), RUNS)
def test_50_steps(case, y, options, loss):
    X = data(32, 5, 4)[0]
    net = network([5, 17, 9, 4], loss=case, optimizer=Case("adam", {"lr": 0.01}))
    assert_same_training(net, X, y, options, loss, torch.tensor(y))


def assert_same_training(net, X, y, options, loss, targets):
    """Losses of 50 steps of Adam, and the parameters behind them."""
    layers = []
    for W, b in zip(net.weights, net.biases, strict=True):
        layer = torch.nn.Linear(*W.shape, dtype=torch.float64)
        layer.weight = torch.nn.Parameter(torch.tensor(W.T.copy()))
        layer.bias = torch.nn.Parameter(torch.tensor(b.copy()))
        layers += [layer, torch.nn.Tanh()]
    twin = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(twin.parameters(), lr=0.01)
    inputs, want = torch.tensor(X), []
    for _ in range(50):
        optimizer.zero_grad()
        value = loss(twin(inputs), targets)
        value.backward()
        want.append(value.item())
        optimizer.step()
    got = [net.train_step(X, y, **options) for _ in range(50)]
    np.testing.assert_allclose(got, want, rtol=1e-10)
    assert_close(net.weights, [layer.weight.detach().numpy().T for layer in twin[::2]], 1e-10)
    assert_close(net.biases, [layer.bias.detach().numpy() for layer in twin[::2]], 1e-10)


def test_50_steps_of_two_tasks():
    """The sum of two losses by their weights, the first of them masked."""
    X, price = data(32, 5, 3)
    price = np.where(np.random.default_rng(3).random(price.shape) < 0.2, np.nan, price)
    kind = data(32, 5, 4, "labels")[1]
    net = fastbp.Network(
        [5, 17, 7],
        "tanh",
        loss={"price": "mse", "kind": "cross_entropy"},
        outputs={"price": 3, "kind": 4},
        loss_weights={"kind": 0.3},
        optimizer=fastbp.Adam(0.01),
        dtype="float64",
        rng=0,
    )
    y = {"price": price, "kind": kind}
    prices, kinds = masked(Case("mse")), torch.nn.CrossEntropyLoss(weight=CLASS_TENSOR)

    def loss(z, targets):
        wanted = prices(z[:, :3], targets), kinds(z[:, 3:], torch.tensor(kind))
        return wanted[0] + 0.3 * wanted[1]

    options = {"mask_nan": True, "class_weight": {"kind": CLASSES}}
    assert_same_training(net, X, y, options, loss, torch.tensor(price))
