"""cross_validate: the bits of fits by hand, the folds, what is returned, failures, errors."""

import copy

import numpy as np
import pytest
from expect import raises
from searched import classes, classifier, failing, same

import fastbp
from fastbp import callbacks, schedules

X, Y = classes()
FIT = {"epochs": 3, "batch_size": 8}


def make(rng):
    return classifier(rng=rng)


def by_hand(found, make, X, y, **options):
    """Expect the networks and scores of `found` to be those of fits one after another."""
    for k, (train, test) in enumerate(found.folds):
        net = make(rng=found.seeds[k])
        history = net.fit(X[train], y[train], **options)
        assert same(net, found.networks[k])
        assert found.histories[k]["loss"] == history["loss"]
        for name, value in net.evaluate(X[test], y[test]).items():
            assert found.scores[name][k] == value
        np.testing.assert_array_equal(found.predictions[test], net.predict(X[test]))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_are_those_of_fits_by_hand(threads, dtype):
    def of_dtype(rng):
        return classifier(rng=rng, dtype=dtype, dropout=0.2)

    found = fastbp.cross_validate(of_dtype, X, Y, **FIT, cv=4, rng=3, threads=threads)
    by_hand(found, of_dtype, X, Y, **FIT)
    assert list(found.scores) == ["loss", "accuracy"]
    assert found.predictions.dtype == dtype


def test_a_schedule_and_weights_go_with_each_fold():
    weights = np.linspace(0.5, 2, len(Y))
    options = {**FIT, "schedule": schedules.Cosine(), "class_weight": "balanced", "shuffle": False}
    found = fastbp.cross_validate(make, X, Y, **options, sample_weight=weights, cv=3, rng=0)
    for k, (train, test) in enumerate(found.folds):
        net = make(rng=found.seeds[k])
        net.fit(X[train], Y[train], sample_weight=weights[train], **options)
        assert same(net, found.networks[k])
        measured = net.evaluate(X[test], Y[test], sample_weight=weights[test])
        assert found.scores["loss"][k] == measured["loss"]


def test_folds_hold_out_each_row_once_and_are_stratified():
    found = fastbp.cross_validate(make, X, Y, cv=4, rng=1)
    tests = [test for _, test in found.folds]
    np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(len(Y)))
    assert sorted({len(test) for test in tests}) == [15, 16]
    for train, test in found.folds:
        np.testing.assert_array_equal(np.sort([*train, *test]), np.arange(len(Y)))
    ones = [int(Y[test].sum()) for test in tests]
    assert max(ones) - min(ones) <= 1
    assert not np.array_equal(tests[0], np.arange(len(Y))[::4])  # they are shuffled


def test_as_many_folds_as_rows():
    found = fastbp.cross_validate(make, X[:5], Y[:5], cv=5, rng=1)
    assert sorted(int(test[0]) for _, test in found.folds) == [0, 1, 2, 3, 4]


def test_values_are_shuffled_only():
    y = X[:, 0]
    found = fastbp.cross_validate(
        lambda rng: fastbp.Network([3, 4, 1], rng=rng), X, y, **FIT, cv=2, rng=0
    )
    assert list(found.scores) == ["loss"]
    assert found.predictions.shape == (61, 1)
    assert np.isfinite(found.predictions).all()


def test_the_same_rng_gives_the_same_bits_and_another_does_not():
    runs = [
        fastbp.cross_validate(make, X, Y, **FIT, rng=rng, threads=threads)
        for rng, threads in [(0, 1), (0, 2), (1, 2), (np.random.default_rng(0), 1)]
    ]
    first, second, other, by_generator = (run.scores["loss"] for run in runs)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, by_generator)
    assert (first != other).all()
    assert len(set(runs[0].seeds)) == 5


def test_a_generator_that_is_given_goes_on():
    rng = np.random.default_rng(0)
    first = fastbp.cross_validate(make, X, Y, rng=rng).seeds
    assert first != fastbp.cross_validate(make, X, Y, rng=rng).seeds


@pytest.mark.parametrize("name", ["StratifiedKFold", "ShuffleSplit", "RepeatedKFold", "LeavePOut"])
def test_splitters_of_scikit_learn(name):
    selection = pytest.importorskip("sklearn.model_selection")
    rows = slice(4) if name == "LeavePOut" else slice(None)
    splitter = {
        "StratifiedKFold": lambda: selection.StratifiedKFold(3),
        "ShuffleSplit": lambda: selection.ShuffleSplit(3, test_size=0.2, random_state=0),
        "RepeatedKFold": lambda: selection.RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
        "LeavePOut": lambda: selection.LeavePOut(2),
    }[name]()
    found = fastbp.cross_validate(make, X[rows], Y[rows], **FIT, cv=splitter, rng=0)
    wanted = list(splitter.split(X[rows], Y[rows]))
    assert len(wanted) == len(found.folds)
    for ours, theirs in zip(found.folds, wanted, strict=True):
        np.testing.assert_array_equal(ours.train, theirs[0])
        np.testing.assert_array_equal(ours.test, theirs[1])


def test_groups_go_to_the_splitter():
    selection = pytest.importorskip("sklearn.model_selection")
    groups = np.arange(len(Y)) % 4
    found = fastbp.cross_validate(make, X, Y, cv=selection.LeaveOneGroupOut(), groups=groups, rng=0)
    assert [set(groups[test].tolist()) for _, test in found.folds] == [{0}, {1}, {2}, {3}]


def test_folds_of_the_users_with_masks_and_predictions_of_some_rows():
    last = np.arange(len(Y)) >= 50
    pairs = [(~last, last), (np.arange(40), np.arange(45, 55))]
    found = fastbp.cross_validate(make, X, Y, **FIT, cv=iter(pairs), rng=0)
    np.testing.assert_array_equal(found.folds[0].test, np.arange(50, 61))
    predicted = [net.predict(X) for net in found.networks]
    expected = np.full((61, 2), np.nan, np.float32)
    expected[45:50], expected[55:] = predicted[1][45:50], predicted[0][55:]
    both = predicted[0][50:55].astype(float) + predicted[1][50:55]
    expected[50:55] = (both / 2).astype(np.float32)
    np.testing.assert_array_equal(found.predictions, expected)


def test_metrics_mean_and_spread():
    pytest.importorskip("sklearn")
    found = fastbp.cross_validate(make, X, Y, **FIT, cv=3, rng=0, metrics=["f1"])
    assert list(found.scores) == ["loss", "accuracy", "f1"]
    for name, values in found.scores.items():
        assert found.mean[name] == pytest.approx(values.mean())
        assert found.std[name] == pytest.approx(values.std(ddof=1))
    assert "val_loss" not in found.histories[0]
    assert repr(found).startswith("CrossValidation(scores={'loss': array(")


def test_one_fold_has_no_spread():
    found = fastbp.cross_validate(make, X, Y, cv=[(range(50), range(50, 61))], rng=0)
    assert np.isnan(found.std["loss"])
    assert np.isfinite(found.mean["loss"])


def test_held_out_rows_after_each_epoch():
    found = fastbp.cross_validate(make, X, Y, **FIT, rng=0, validate_epochs=True)
    for k, history in enumerate(found.histories):
        assert len(history["val_loss"]) == 3
        assert history["val_loss"][-1] == found.scores["loss"][k]


def test_callbacks_see_held_out_rows_and_are_copied():
    stop = callbacks.EarlyStopping("val_loss", patience=1, min_delta=10.0)
    found = fastbp.cross_validate(make, X, Y, 9, 8, rng=0, cv=3, callbacks=[stop])
    assert [history.epochs for history in found.histories] == [2, 2, 2]
    assert found.histories[0]["val_loss"][0] == found.scores["loss"][0]  # it went back to the best


def test_a_schedule_that_watches_sees_held_out_rows():
    schedule = schedules.ReduceOnPlateau("val_loss", patience=0, threshold=1e9)
    found = fastbp.cross_validate(make, X, Y, 4, 8, rng=0, schedule=schedule)
    assert found.histories[0]["learning_rate"][-1] < found.histories[0]["learning_rate"][0]
    watched = schedules.ReduceOnPlateau("val_f2", mode="max")
    with raises(ValueError, "fold 0: ReduceOnPlateau watches 'val_f2'", "'val_accuracy'"):
        fastbp.cross_validate(make, X, Y, rng=0, schedule=watched)


def test_several_losses():
    def of_tasks(rng):
        return fastbp.Network(
            [3, 4, 3],
            loss={"value": "mse", "kind": "cross_entropy"},
            outputs={"value": 1, "kind": 2},
            rng=rng,
        )

    y = {"value": X[:, :1], "kind": Y}
    found = fastbp.cross_validate(of_tasks, X, y, **FIT, cv=3, rng=0)
    assert {"loss", "value_loss", "kind_accuracy"} <= found.scores.keys()
    assert found.predictions["kind"].shape == (61, 2)
    test = found.folds[1].test
    expected = found.networks[1].predict(X[test])["value"]
    np.testing.assert_array_equal(found.predictions["value"][test], expected)


def test_scaling_is_learned_of_the_rows_of_the_fold():
    found = fastbp.cross_validate(
        lambda rng: classifier(rng=rng, scaling="standard"), X, Y, cv=3, rng=0
    )
    for net, (train, _) in zip(found.networks, found.folds, strict=True):
        np.testing.assert_allclose(net.scaling.shift, X[train].mean(axis=0), rtol=1e-5)


def test_a_fold_whose_network_fails():
    y = X[:, 0].copy()
    rates = iter([1e-3, 1e30, 1e-3])

    def one_fails(rng):
        return failing(lr=next(rates), rng=rng)

    with pytest.warns(RuntimeWarning, match=r"^1 of 3 folds failed, .*: fold 1: FloatingPointErr"):
        found = fastbp.cross_validate(one_fails, X, y, **FIT, cv=3, rng=0)
    assert np.isnan(found.scores["loss"]).tolist() == [False, True, False]
    assert np.isnan(found.mean["loss"])
    assert np.isnan(found.std["loss"])
    assert isinstance(found.histories[1].failure, FloatingPointError)
    assert np.isnan(found.predictions[found.folds[1].test]).all()
    assert np.isfinite(found.predictions[found.folds[0].test]).all()


def test_all_folds_fail():
    with pytest.warns(RuntimeWarning, match="3 of 3 folds failed"):
        found = fastbp.cross_validate(
            lambda rng: failing(lr=1e30, rng=rng), X, X[:, 0], **FIT, cv=3, rng=0
        )
    assert found.predictions is None
    assert np.isnan(found.scores["loss"]).all()


def test_to_frame():
    pytest.importorskip("pandas")
    frame = fastbp.cross_validate(make, X, Y, **FIT, cv=3, rng=0).to_frame()
    assert list(frame.columns) == ["loss", "accuracy", "rows", "epochs", "failure"]
    assert frame.index.name == "fold"
    assert frame["rows"].tolist() == [21, 20, 20]
    assert frame["epochs"].tolist() == [3, 3, 3]


class Interrupts(callbacks.Callback):
    """Ctrl-C, as it were, after the first epoch."""

    def on_epoch_end(self, fit):
        raise KeyboardInterrupt


def test_ctrl_c_has_the_networks():
    with pytest.raises(KeyboardInterrupt) as caught:
        fastbp.cross_validate(make, X, Y, **FIT, cv=3, rng=0, callbacks=[Interrupts()], threads=1)
    assert len(caught.value.networks) == len(caught.value.histories) == 3
    assert sum(net.steps > 0 for net in caught.value.networks) == 1


ONE = classifier()
GOOD = [(np.arange(50), np.arange(50, 61))]


@pytest.mark.parametrize(
    ("options", "error", "parts"),
    [
        ({"cv": 1}, ValueError, ["cv must be a number of folds from 2 to 61", "got 1"]),
        ({"cv": 62}, ValueError, ["cv must be a number of folds from 2 to 61", "got 62"]),
        ({"cv": "5"}, TypeError, ["cv must be", "'5' (str)"]),
        ({"cv": 2.5}, TypeError, ["cv must be", "2.5 (float)"]),
        ({"cv": []}, ValueError, ["cv must be", "no folds"]),
        ({"cv": [3]}, TypeError, ["cv must be", "its fold 0 is 3 (int)"]),
        (
            {"cv": [*GOOD, ([0], [61])]},
            ValueError,
            ["test rows of fold 1 of cv must be", "0 to 60", "holds 61"],
        ),
        ({"cv": [([], [0])]}, ValueError, ["train rows of fold 0 of cv"]),
        ({"cv": 5, "groups": Y}, ValueError, ["groups is for a cv with split", "5 (int)"]),
        ({"epochs": 0}, ValueError, ["fold 0", "epochs must be", "0"]),
        ({"epochs": fastbp.each([1] * 5)}, TypeError, ["epochs must be the same for all"]),
        ({"metrics": ["nonsense"]}, ValueError, ["fold 0", "nonsense"]),
        ({"validate_epochs": 1}, TypeError, ["validate_epochs must be True or False"]),
        ({"rng": -1}, ValueError, ["rng must be"]),
        ({"threads": 0}, ValueError, ["threads must be"]),
        (
            {"cv": GOOD, "sample_weight": np.r_[np.ones(50), np.zeros(11)]},
            ValueError,
            ["fold 0", "sample_weight"],
        ),
        ({"callbacks": [callbacks.CSVLog("log.csv")]}, ValueError, ["callbacks has a CSVLog"]),
    ],
    ids=lambda value: str(list(value)) if isinstance(value, dict) else None,
)
def test_errors_before_anything_is_trained(options, error, parts):
    made = []

    def noted(rng):
        made.append(classifier(rng=rng))
        return made[-1]

    with raises(error, *parts):
        fastbp.cross_validate(noted, X, Y, **{"rng": 0, **options})
    assert all(net.steps == 0 for net in made)


@pytest.mark.parametrize(
    ("make", "error", "parts"),
    [
        (classifier(rng=0), TypeError, ["make must be a function", "Network"]),
        (None, TypeError, ["make must be a function", "None"]),
        (lambda: None, TypeError, ["fold 0", "rng"]),
        (lambda rng: None, TypeError, ["fold 0: make must be", "it returned None"]),
        (lambda rng: ONE, ValueError, ["fold 1", "network of its last call"]),
        (
            lambda rng: fastbp.Network([3, 0, 2], rng=rng),
            ValueError,
            ["fold 0: layers[1] must be an integer of at least 1"],
        ),
    ],
    ids=["network", "none", "no-rng", "returns-none", "one-network", "bad-width"],
)
def test_a_make_that_cannot_be_used(make, error, parts):
    with raises(error, *parts):
        fastbp.cross_validate(make, X, Y, rng=0)


def test_a_splitter_without_its_brackets():
    selection = pytest.importorskip("sklearn.model_selection")
    with raises(TypeError, "cv must be", "KFold"):
        fastbp.cross_validate(make, X, Y, cv=selection.KFold)


@pytest.mark.parametrize("kind", ["lists", "pandas", "scipy.sparse"])
def test_kinds_of_data(kind):
    if kind == "lists":
        of_kind = X.tolist(), Y.tolist()
    else:
        library = pytest.importorskip(kind)
        if kind == "pandas":
            of_kind = library.DataFrame(X, columns=[*"abc"]), library.Series(Y)
        else:
            of_kind = library.csr_array(X), Y
    plain = fastbp.cross_validate(make, X, Y, **FIT, rng=0)
    found = fastbp.cross_validate(make, *of_kind, **FIT, rng=0)
    np.testing.assert_array_equal(found.predictions, plain.predictions)
    assert found.networks[0].feature_names == (("a", "b", "c") if kind == "pandas" else None)


def test_missing_targets():
    y = np.where(X[:, 2] > 1, np.nan, Y)
    found = fastbp.cross_validate(make, X, y, **FIT, cv=3, rng=0, mask_nan=True)
    for k, (_, test) in enumerate(found.folds):
        measured = found.networks[k].evaluate(X[test], y[test], mask_nan=True)
        assert found.scores["loss"][k] == measured["loss"]


def test_fits_run_as_they_are_told(monkeypatch):
    told, fit_many = [], fastbp.selection.trials.fit_many

    def noted(*args, **kwargs):
        told.append({name: kwargs[name] for name in ("progress", "threads", "workers")})
        return fit_many(*args, **{**kwargs, "workers": None})

    monkeypatch.setattr(fastbp.selection.trials, "fit_many", noted)
    running = {"progress": False, "threads": 2, "workers": "somebody"}
    fastbp.cross_validate(make, X, Y, cv=2, rng=0, **running)
    fastbp.sweep(classifier, {"width": [2]}, X, Y, cv=2, rng=0, **running)
    assert told == [running, running]


@pytest.mark.parametrize("X", [3, None])
def test_no_rows(X):
    with raises(TypeError, "X must hold rows"):
        fastbp.cross_validate(make, X, Y)


def test_a_network_that_was_trained_goes_on():
    trained = classifier(rng=0)
    trained.fit(X, Y, 2, 8)
    steps = trained.steps
    found = fastbp.cross_validate(lambda rng: copy.deepcopy(trained), X, Y, 1, 8, cv=2, rng=0)
    assert trained.steps == steps
    assert all(net.steps == steps + 4 for net in found.networks)
