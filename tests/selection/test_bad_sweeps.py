"""What sweep refuses, by name, before anything is trained; and its draws of configurations."""

import numpy as np
import pytest
from expect import raises, stable
from searched import classes, classifier

import fastbp
from fastbp import callbacks, schedules
from fastbp.selection.space import checked_spaces, combinations, draws

X, Y = classes()
SPACE = {"width": [1, 4]}
PLATEAU = schedules.ReduceOnPlateau("val_loss")
HALVING = {"method": "halving", "epochs": 9}


@pytest.mark.parametrize(
    ("space", "options", "error", "parts"),
    [
        (SPACE, {"method": "bayes"}, ValueError, ["method must be one of 'grid'", "'bayes'"]),
        ({}, {}, ValueError, ["space is empty"]),
        ([], {}, ValueError, ["space is empty"]),
        ([SPACE, {}], {}, ValueError, ["space[1] is empty"]),
        ([SPACE, 3], {}, TypeError, ["space[1] must be a dict", "3 (int)"]),
        ("width", {}, TypeError, ["space must be a dict", "'width' (str)"]),
        ({"width": []}, {}, ValueError, ["space['width'] has no values"]),
        ({"width": 3}, {}, TypeError, ["space['width'] must be a sequence", "3 (int)"]),
        ({"width": "ab"}, {}, TypeError, ["space['width'] must be a sequence", "(str)"]),
        ({"width": {1, 2}}, {}, TypeError, ["space['width'] must be a sequence", "(set)"]),
        ({3: [1]}, {}, TypeError, ["names of parameters, strings", "3 (int)"]),
        ({"rng": [1]}, {}, ValueError, ["'rng'", "repeats"]),
        ({"fit__X": [1]}, {}, ValueError, ["'fit__X'", "'fit__batch_size'"]),
        ({"widht": [1]}, {}, TypeError, ["configuration 0 (widht=1): ", "'widht'"]),
        (
            {"lr": [0.1], "width": [*range(1, 701), -3, 5]},
            {},
            ValueError,
            ["configuration 700 (lr=0.1, width=-3): layers[1]", "-3"],
        ),
        ({"fit__epochs": [1, 0]}, {}, ValueError, ["configuration 1 (fit__epochs=0): epochs"]),
        ({"width": lambda rng: 1}, {}, ValueError, ["distribution for 'width'", "no grid"]),
        (SPACE, {"n": 2}, ValueError, ["n is for method='random' and 'halving'"]),
        (SPACE, {"method": "random"}, ValueError, ["n is missing"]),
        (SPACE, {"method": "random", "n": 3}, ValueError, ["n must be at most 2", "got 3"]),
        (SPACE, {"method": "random", "n": 0}, ValueError, ["n must be an integer of at least 1"]),
        (SPACE, {"factor": 3}, ValueError, ["factor is for method='halving'"]),
        (SPACE, {"min_epochs": 3}, ValueError, ["min_epochs is for method='halving'"]),
        (SPACE, {**HALVING, "factor": 1}, ValueError, ["factor must be", "at least 2, got 1"]),
        (SPACE, {**HALVING, "factor": 2.5}, TypeError, ["factor must be an integer"]),
        (SPACE, {**HALVING, "min_epochs": 10}, ValueError, ["min_epochs must be at most epochs=9"]),
        (SPACE, {**HALVING, "tol": 0.1}, ValueError, ["tol must be None: method='halving'"]),
        (
            SPACE,
            {**HALVING, "callbacks": [callbacks.EarlyStopping()]},
            ValueError,
            ["callbacks must be ()", "halving"],
        ),
        ({"fit__epochs": [3]}, HALVING, ValueError, ["space must not have 'fit__epochs'"]),
        ({"fit__tol": [3]}, HALVING, ValueError, ["space must not have 'fit__tol'"]),
        (
            {"width": range(1, 9)},
            {**HALVING, "schedule": PLATEAU, "refit": False},
            ValueError,
            ["configuration 0 (width=1): method='halving' cuts fits", "ReduceOnPlateau"],
        ),
        (
            {"fit__schedule": [None, PLATEAU]},
            {},
            ValueError,
            ["configuration 1 (fit__schedule=", "watches 'val_loss'", "refit=False"],
        ),
        (SPACE, {"cv": None}, ValueError, ["monitor='val_loss' is not measured", "'loss'", "cv"]),
        (SPACE, {"monitor": "val_f1"}, ValueError, ["monitor='val_f1' is not", "'val_accuracy'"]),
        (SPACE, {"monitor": "val_thing"}, ValueError, ["mode must be", "val_thing"]),
        (SPACE, {"monitor": 3}, TypeError, ["monitor must be the name", "3 (int)"]),
        (SPACE, {"mode": "best"}, ValueError, ["mode must be one of", "'best'"]),
        (
            SPACE,
            {"validation_split": 0.5, "validation_data": (X, Y)},
            ValueError,
            ["cv and validation_data and validation_split were given"],
        ),
        (SPACE, {"cv": None, "validation_split": 1.0}, ValueError, ["validation_split must be"]),
        (SPACE, {"cv": None, "validation_split": 0.999}, ValueError, ["leaves none for training"]),
        (SPACE, {"cv": None, "validation_data": X}, TypeError, ["validation_data must be (X, y)"]),
        (SPACE, {"cv": None, "groups": Y}, ValueError, ["groups is for a cv"]),
        (SPACE, {"cv": [([0], [70])]}, ValueError, ["test rows of fold 0 of cv", "70"]),
        (SPACE, {"repeats": 0}, ValueError, ["repeats must be"]),
        (SPACE, {"refit": 1}, TypeError, ["refit must be True or False"]),
        (SPACE, {"threads": 0}, ValueError, ["threads must be"]),
        (SPACE, {"progress": 2}, TypeError, ["progress must be"]),
        (SPACE, {"batch_size": fastbp.each([1, 2])}, TypeError, ["batch_size must be the same"]),
        (
            SPACE,
            {"cv": [([0], [1]), ([1, 2], [3])], "sample_weight": np.r_[1, 1, 1, np.zeros(58)]},
            ValueError,
            ["configuration 0 (width=1): fold 1: no row weighs anything"],
        ),
        (
            {"fit__class_weight": [None, {0: 1.0, 1: 0.0}]},
            {"cv": [([2, 3], [1]), (np.flatnonzero(Y), [3])]},
            ValueError,
            ["configuration 1 (fit__class_weight=", "fold 1: no row weighs anything"],
        ),
    ],
    ids=stable,
)
def test_refused_before_anything_is_trained(space, options, error, parts):
    made = []

    def make(width=2, lr=1e-2, rng=None):
        made.append(classifier(width, lr, rng))
        return made[-1]

    with raises(error, *parts):
        fastbp.sweep(make, space, X, Y, **{"rng": 0, "cv": 3, **options})
    assert all(net.steps == 0 for net in made)


def test_make_itself_is_refused():
    with raises(TypeError, "make must be a function", "Network"):
        fastbp.sweep(classifier(), SPACE, X, Y)
    with raises(TypeError, "configuration 0 (width=1): make must be", "it returned 3 (int)"):
        fastbp.sweep(lambda width, rng: 3, SPACE, X, Y, cv=2)


def test_an_error_of_the_users_own_keeps_its_type():
    class OwnError(ValueError):
        pass

    def make(width, rng):
        raise OwnError("no")

    with pytest.raises(OwnError, match="no") as caught:
        fastbp.sweep(make, SPACE, X, Y, cv=2)
    assert caught.value.__notes__ == ["of configuration 0 (width=1)"]


def test_arrays_and_ranges_are_values():
    spaces = checked_spaces({"a": np.array([0.5, 2]), "b": range(2), "c": [np.float32(3)]})
    found = list(combinations(spaces))
    assert found == [
        {"a": 0.5, "b": 0, "c": 3.0},
        {"a": 0.5, "b": 1, "c": 3.0},
        {"a": 2.0, "b": 0, "c": 3.0},
        {"a": 2.0, "b": 1, "c": 3.0},
    ]
    assert all(type(value) in (int, float) for one in found for value in one.values())


def test_draws_of_several_spaces():
    spaces = checked_spaces([{"a": [1, 2]}, {"b": lambda rng: rng.random()}])
    found = draws(spaces, 40, np.random.default_rng(0))
    of_first = [one for one in found if "a" in one]
    assert sorted(one["a"] for one in of_first) == [1, 2]
    assert len({one["b"] for one in found if "b" in one}) == 38


def test_draws_are_as_likely_as_each_other():
    spaces = checked_spaces({"a": range(5), "b": range(5), "c": lambda rng: rng.random()})
    found = draws(spaces, 5000, np.random.default_rng(0))
    counts = np.zeros((5, 5))
    for one in found:
        counts[one["a"], one["b"]] += 1
    assert abs(counts - 200).max() < 5 * np.sqrt(200)
