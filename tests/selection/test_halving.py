"""Successive halving: the rungs, survivors to the bits of one fit, and what is forgotten."""

import gc
import weakref

import numpy as np
import pytest
from searched import classes, classifier, failing, same

import fastbp
from fastbp import schedules
from fastbp.selection.halving import rungs

X, Y = classes()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((81, 81, 3, 1), [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)]),
        ((27, 20, 3, 1), [(27, 2), (9, 6), (3, 20)]),
        ((27, 20, 3, 3), [(27, 6), (9, 20)]),
        ((10, 100, 3, 1), [(10, 11), (3, 33), (1, 100)]),
        ((8, 100, 2, 1), [(8, 12), (4, 25), (2, 50), (1, 100)]),
        ((2, 100, 3, 1), [(2, 100)]),
        ((9, 1, 3, 1), [(9, 1)]),
        ((1, 5, 2, 1), [(1, 5)]),
    ],
)
def test_rungs(arguments, expected):
    assert rungs(*arguments) == expected


@pytest.mark.parametrize("schedule", [None, schedules.Cosine(), lambda step: 1 / (1 + step / 9)])
@pytest.mark.parametrize("threads", [1, 2])
def test_survivors_have_the_bits_of_one_fit(schedule, threads):
    space = {"width": [1, 3, 8], "lr": [1e-3, 1e-2, 1e-1]}
    options = {"validation_split": 0.2, "rng": 2, "schedule": schedule, "threads": threads}
    found = fastbp.sweep(classifier, space, X, Y, 9, 8, method="halving", **options)
    assert [row["epochs"] for row in found.rows] == [9] + [3] * 2 + [1] * 6
    assert [row["rank"] for row in found.rows] == list(range(1, 10))
    one_go = fastbp.sweep(classifier, space, X, Y, 9, 8, **options, refit=False)
    whole = {str(row["params"]): row["scores"] for row in one_go.rows}
    assert found.rows[0]["scores"] == whole[str(found.best_params)]
    by_hand = classifier(**found.best_params, rng=found.seeds[0])
    by_hand.fit(X, Y, 9, 8, schedule=schedule)
    assert same(found.best, by_hand)


def test_dropout_scaling_and_folds_go_on_as_in_one_fit():
    def make(width, rng):
        return classifier(width, rng=rng, dropout=0.3, scaling="standard")

    options = {"cv": 3, "repeats": 2, "rng": 0, "refit": False}
    found = fastbp.sweep(
        make, {"width": [2, 3, 4, 5]}, X, Y, 4, 8, method="halving", factor=2, **options
    )
    one_go = fastbp.sweep(make, {"width": [2, 3, 4, 5]}, X, Y, 4, 8, **options)
    whole = {row["params"]["width"]: row["scores"] for row in one_go.rows}
    assert [row["epochs"] for row in found.rows] == [4, 2, 1, 1]
    assert found.rows[0]["scores"] == whole[found.best_params["width"]]


def test_the_best_of_each_rung_go_on():
    space = {"width": [2, 3, 4, 5, 6, 7]}
    options = {"cv": 2, "rng": 1, "refit": False}
    found = fastbp.sweep(classifier, space, X, Y, 6, 8, method="halving", factor=2, **options)
    first = fastbp.sweep(classifier, space, X, Y, 1, 8, **options)
    went_on = {row["number"] for row in found.rows if row["epochs"] > 1}
    assert went_on == {row["number"] for row in first.rows[:3]}
    stopped = {row["number"]: row["scores"] for row in first.rows}
    for row in found.rows[3:]:
        assert row["scores"] == stopped[row["number"]]


def test_networks_of_stopped_configurations_are_forgotten(monkeypatch):
    made, alive = [], []
    fit_many = fastbp.selection.trials.fit_many

    def make(width, rng):
        net = classifier(width, rng=rng)
        made.append(weakref.ref(net))
        return net

    def counted(networks, *args, **kwargs):
        gc.collect()
        alive.append(sum(one() is not None for one in made))
        return fit_many(networks, *args, **kwargs)

    monkeypatch.setattr(fastbp.selection.trials, "fit_many", counted)
    space = {"width": list(range(1, 10))}
    fastbp.sweep(make, space, X, Y, 9, 8, method="halving", cv=2, rng=0, refit=False)
    assert alive == [18, 6, 2]
    alive.clear()
    monkeypatch.setattr(fastbp.selection.search, "AT_ONCE", 1)
    fastbp.sweep(make, space, X, Y, 9, 8, method="halving", cv=2, rng=0, refit=False)
    assert max(alive) <= 2 * 3 + 2  # the best three so far, and those that begin


def test_a_failed_network_never_goes_on():
    space = {"lr": [1e30, 1e-3, 1e25, 1e20]}
    with pytest.warns(RuntimeWarning, match="3 of 4 configurations failed"):
        found = fastbp.sweep(
            failing, space, X, X[:, 0], 4, 8, method="halving", factor=2, cv=2, rng=0
        )
    assert found.rows[0]["params"] == {"lr": 1e-3}
    assert found.rows[0]["epochs"] == 4
    assert all(np.isnan(row["score"]) for row in found.rows[1:])


def test_all_fail():
    with pytest.warns(RuntimeWarning, match="4 of 4 configurations failed"):
        found = fastbp.sweep(
            failing, {"lr": [1e30] * 4}, X, X[:, 0], 4, 8, method="halving", factor=2, cv=2, rng=0
        )
    assert (found.best, found.best_params) == (None, None)


def test_n_draws_and_least_epochs():
    space = {"lr": lambda rng: 10 ** rng.uniform(-4, -1), "fit__batch_size": [4, 8]}
    options = {"method": "halving", "cv": 2, "rng": 0}
    found = fastbp.sweep(classifier, space, X, Y, 8, **options, n=9, factor=2, min_epochs=3)
    assert [row["epochs"] for row in found.rows] == [8] * 4 + [4] * 5
