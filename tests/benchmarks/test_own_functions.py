"""benchmarks/own_functions.py: functions of one formula, own and built in, and their times."""

from pathlib import Path

import pytest

import fastbp

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_pairs_are_of_one_formula_and_are_measured(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import own_functions

    pairs = {name: both for name, *both in own_functions.pairs()}
    assert len(pairs) == 10
    X, losses = [[1.0, -2.0], [0.5, 3.0]], {}
    for argument, name in (
        ("activation", "tanh, df given"),
        ("loss", "huber"),
        ("optimizer", "momentum"),
    ):
        for one in pairs[name]:
            net = fastbp.Network([2, 3, 1], **({"activation": "tanh"} | {argument: one}), rng=0)
            losses.setdefault(name, []).append([net.train_step(X, [1.0, -4.0]) for _ in range(3)])
        assert losses[name][0] == pytest.approx(losses[name][1], rel=1e-5)
        measured = own_functions.measure(*pairs[name], "float32", 1, 1)
        assert min(measured) > 0
