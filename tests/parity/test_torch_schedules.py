"""Whole training runs under each schedule against PyTorch's schedulers, from identical weights."""

import numpy as np
import pytest
from cases import Case, assert_close, data, network

from fastbp import schedules

torch = pytest.importorskip("torch")
from test_torch_parity import Twin, _float64_and_one_thread, torch_optimizer  # noqa: E402, F401

lr_scheduler = torch.optim.lr_scheduler
STEPS, AN_EPOCH = 50, 4


def warmed_up(optimizer):
    parts = [
        lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=7),
        lr_scheduler.CosineAnnealingLR(optimizer, 43),
    ]
    return lr_scheduler.SequentialLR(optimizer, parts, milestones=[7])


PAIRS = {
    "none": (None, None),
    "constant": (schedules.Constant(0.5), lambda o: lr_scheduler.ConstantLR(o, 0.5, 1000)),
    "step": (schedules.Step(every=9, gamma=0.5), lambda o: lr_scheduler.StepLR(o, 9, 0.5)),
    "milestones": (
        schedules.Step(milestones=[3, 20, 21], gamma=0.3),
        lambda o: lr_scheduler.MultiStepLR(o, [3, 20, 21], 0.3),
    ),
    "exponential": (
        schedules.Exponential(0.97),
        lambda o: lr_scheduler.ExponentialLR(o, 0.97),
    ),
    "cosine": (
        schedules.Cosine(minimum=0.0),
        lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS),
    ),
    "restarts": (
        schedules.Cosine(7, restarts=True),
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 7),
    ),
    "longer restarts": (
        schedules.Cosine(4, restarts=True, multiplier=3),
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4, 3),
    ),
    "polynomial": (
        schedules.Polynomial(40, power=2.5),
        lambda o: lr_scheduler.PolynomialLR(o, 40, 2.5),
    ),
    "one cycle": (
        schedules.OneCycle(),
        lambda o: lr_scheduler.OneCycleLR(
            o, o.param_groups[0]["lr"], STEPS, cycle_momentum=False
        ),
    ),
    "one cycle of three phases": (
        schedules.OneCycle(rise=0.25, anneal="linear", three_phase=True, div_factor=5),
        lambda o: lr_scheduler.OneCycleLR(
            o, o.param_groups[0]["lr"], STEPS, pct_start=0.25, anneal_strategy="linear",
            div_factor=5, three_phase=True, cycle_momentum=False,
        ),
    ),
    "inverse scaling": (
        schedules.InverseScaling(),
        lambda o: lr_scheduler.LambdaLR(o, lambda n: 1 / (n + 1) ** 0.5),
    ),
    "warm-up": (schedules.Warmup(7, schedules.Cosine()), warmed_up),
    "function": (lambda n: 0.95**n, lambda o: lr_scheduler.LambdaLR(o, lambda n: 0.95**n)),
}  # fmt: skip

OPTIMIZERS = [
    Case("sgd", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    Case("adam", {"lr": 0.01}),
    Case("adamw", {"lr": 0.01, "weight_decay": 0.3}),
    Case("nadam", {"lr": 0.01}),
]
LOSS = Case("cross_entropy", targets="labels")
X, Y = data(30, 5, 4, "labels")


def pair(optimizer):
    net = network([5, 17, 9, 4], loss=LOSS, optimizer=optimizer)
    twin = Twin(net, "tanh", LOSS)
    return net, twin, torch_optimizer(optimizer, twin.parameters())


def assert_same_weights(net, twin):
    layers = [layer.requires_grad_(False) for layer in twin.layers]
    assert_close(net.weights, [layer.weight.numpy().T for layer in layers], 1e-10)
    assert_close(net.biases, [layer.bias.numpy() for layer in layers], 1e-10)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("name", PAIRS)
def test_50_steps_by_step(name, optimizer):
    schedule, make = PAIRS[name]
    net, twin, updating = pair(optimizer)
    following = make(updating) if make else None
    rates = []
    for _ in range(STEPS):
        rates.append(updating.param_groups[0]["lr"])
        twin.train(updating, X, Y, 1)
        if following:
            following.step()
    history = net.fit(X, Y, STEPS, 30, shuffle=False, schedule=schedule)
    if schedule:
        np.testing.assert_allclose(history["learning_rate"], rates, rtol=1e-12)
    assert_same_weights(net, twin)


@pytest.mark.parametrize("optimizer", OPTIMIZERS[:2], ids=str)
def test_52_steps_by_epoch(optimizer):
    net, twin, updating = pair(optimizer)
    following = lr_scheduler.StepLR(updating, 2, 0.5)
    for _ in range(13):
        for first in range(0, 30, 8):
            twin.train(updating, X[first : first + 8], Y[first : first + 8], 1)
        following.step()
    schedule = schedules.Step(every=2, gamma=0.5, unit="epoch")
    net.fit(X, Y, 13, 8, shuffle=False, schedule=schedule)
    assert_same_weights(net, twin)


@pytest.mark.parametrize("optimizer", OPTIMIZERS[:2], ids=str)
@pytest.mark.parametrize("mode", ["min", "max"])
def test_reduce_on_plateau(mode, optimizer):
    """With a large threshold the falling loss is a plateau now and then; "max" is always one."""
    net, twin, updating = pair(optimizer)
    options = {"factor": 0.5, "patience": 2, "threshold": 0.2, "cooldown": 1}
    following = lr_scheduler.ReduceLROnPlateau(updating, mode, **options)
    rates = []
    for _ in range(STEPS):
        rates.append(updating.param_groups[0]["lr"])
        following.step(twin.train(updating, X, Y, 1)[0])
    schedule = schedules.ReduceOnPlateau("loss", mode=mode, **options)
    history = net.fit(X, Y, STEPS, 30, shuffle=False, schedule=schedule)
    np.testing.assert_allclose(history["learning_rate"], rates, rtol=1e-12)
    assert len(set(rates)) > 2
    assert_same_weights(net, twin)
