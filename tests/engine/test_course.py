"""Calls of the kernels that begin and end anywhere in an epoch make what one call makes."""

import numpy as np
import pytest
from cases import data, sparse_rows
from contents import assert_same, contents

import fastbp
from fastbp import schedules
from fastbp.engine import engine
from fastbp.engine.course import Course
from fastbp.rows.rows import row_orders

ROWS = 53
X, Y = data(ROWS, 20, 4)
LABELS = np.arange(ROWS) % 4
SPARSE = sparse_rows(ROWS, 20, 0.2)
PAIR = {"loss": {"a": "mse", "b": "cross_entropy"}, "outputs": {"a": 1, "b": 3}}
BOTH = {"a": Y[:, 0], "b": LABELS % 3}

KINDS = {
    "plain": ({}, X, Y, {}),
    "labels": ({"loss": "cross_entropy"}, X, LABELS, {}),
    "weighted": ({}, X, Y, {"sample_weight": np.linspace(0, 2, ROWS)}),
    "masked": ({}, X, np.where(Y > 1, np.nan, Y), {"mask_nan": True}),
    "tasks": (PAIR, X, BOTH, {"sample_weight": np.linspace(0, 2, ROWS)}),
    "sparse": ({}, SPARSE, Y, {}),
    "sparse clipped": ({"clip_norm": 0.1}, SPARSE, Y, {}),
    "clipped": ({"clip_norm": 0.1, "max_norm": 1.0}, X, Y, {}),
    "dropout": ({"dropout": 0.3}, X, Y, {}),
    "schedule": ({}, X, Y, {"schedule": schedules.Cosine()}),
    "in order": ({}, X, Y, {"shuffle": False}),
    "nadam": ({"optimizer": "nadam"}, X, Y, {}),
}


@pytest.mark.parametrize("steps", [1, 2, 3, 7])  # of a call; an epoch has 7
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_so_many_steps_a_call(kind, threads, steps, monkeypatch):
    options, x, y, given = KINDS[kind]
    whole, cut = (fastbp.Network([20, 9, 4], rng=0, threads=threads, **options) for _ in range(2))
    want = whole.fit(x, y, 4, 8, progress=False, **given)
    monkeypatch.setattr(engine, "STEPS_A_CALL", steps)
    got = cut.fit(x, y, 4, 8, progress=False, **given)
    assert dict(got) == dict(want)
    assert_same(contents(cut), contents(whole))


def course(epochs=3, batch=8):
    rows = fastbp.Network([20, 9, 4], rng=0)._core.rows(X, Y)
    return Course(rows, row_orders(ROWS, epochs, batch, np.random.default_rng(0)), batch)


def test_what_is_ahead():
    c = course()
    assert c.steps == 21
    assert (c.ahead(5).steps, c.ahead(5).first_row, c.ahead(5).epochs) == (5, 0, 3)
    c.done = 9
    ahead = c.ahead(100)
    assert (ahead.steps, ahead.first_row, ahead.epochs) == (12, 16, 2)
    assert c.epoch == len(c.losses) == 1


def test_a_step_tells_its_loss():
    net, twin = (fastbp.Network([20, 9, 4], rng=0) for _ in range(2))
    c = course()
    losses = []
    net._core.engine.train(c, lambda loss: losses.append(loss) or len(losses) < 10)
    want = [twin.train_step(X[at], Y[at]) for at in np.split(c.order[0], range(8, ROWS, 8))]
    np.testing.assert_allclose(losses[:7], want, rtol=1e-6)
    assert c.done == len(losses) == 10
    assert c.epoch == 1
