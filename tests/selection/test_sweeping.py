"""sweep: the bits of fits by hand, ranks, reproducibility, refits, failures, frames."""

import math

import numpy as np
import pytest
from searched import classes, classifier, failing, same

import fastbp
from fastbp import callbacks, schedules
from fastbp.selection.folds import one_share

X, Y = classes()
SPACE = {"width": [1, 4], "lr": [1e-3, 1e-2, 1e-1]}
GRID = [{"width": w, "lr": lr} for w in SPACE["width"] for lr in SPACE["lr"]]
FIT = {"epochs": 3, "batch_size": 8}


def scored(found):
    """What a sweep tells that must not depend on threads."""
    return [(row["params"], row["scores"], row["rank"], row["epochs"]) for row in found.rows]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_grid_over_folds_has_the_bits_of_fits_by_hand(threads):
    found = fastbp.sweep(classifier, SPACE, X, Y, **FIT, cv=3, repeats=2, rng=4, threads=threads)
    folds = fastbp.cross_validate(classifier, X, Y, cv=3, rng=4).folds
    assert [row["params"] for row in sorted(found.rows, key=lambda row: row["number"])] == GRID
    for row in found.rows:
        for k, seed in enumerate(found.seeds):
            train, test = folds[k % 3]
            net = classifier(**row["params"], rng=seed)
            history = net.fit(X[train], Y[train], **FIT)
            measured = net.evaluate(X[test], Y[test])
            assert row["scores"]["loss"][k] == history["loss"][-1]
            assert row["scores"]["val_loss"][k] == measured["loss"]
            assert row["scores"]["val_accuracy"][k] == measured["accuracy"]
        values = row["scores"]["val_loss"]
        assert row["score"] == pytest.approx(np.mean(values))
        assert row["std"] == pytest.approx(np.std(values, ddof=1))
        assert row["epochs"] == 3
        assert row["failure"] is None
    assert len(found.seeds) == len(set(found.seeds)) == 6
    scores = [row["score"] for row in found.rows]
    assert scores == sorted(scores)
    assert [row["rank"] for row in found.rows] == [1, 2, 3, 4, 5, 6]
    assert found.best_params == found.rows[0]["params"]
    assert found.best_score == scores[0]


def test_the_best_is_fitted_to_all_rows():
    found = fastbp.sweep(classifier, SPACE, X, Y, **FIT, cv=3, rng=4)
    by_hand = classifier(**found.best_params, rng=found.seeds[0])
    by_hand.fit(X, Y, **FIT)
    assert same(found.best, by_hand)
    assert found.best.history.epochs == 3


def test_without_refit():
    found = fastbp.sweep(classifier, SPACE, X, Y, **FIT, cv=3, rng=4, refit=False)
    assert found.best is None
    assert found.best_params in GRID


def test_cross_validate_has_the_scores_of_the_best():
    found = fastbp.sweep(classifier, SPACE, X, Y, **FIT, cv=3, rng=4)

    def best(rng):
        return classifier(**found.best_params, rng=rng)

    again = fastbp.cross_validate(best, X, Y, **FIT, cv=3, rng=4)
    assert again.scores["loss"].tolist() == found.rows[0]["scores"]["val_loss"]


@pytest.mark.parametrize("method", ["grid", "random", "halving"])
def test_the_same_rng_gives_the_same_result(method):
    space = SPACE if method == "grid" else {**SPACE, "lr": lambda rng: 10 ** rng.uniform(-4, 0)}
    n = None if method == "grid" else 9
    options = {**FIT, "method": method, "n": n, "validation_split": 0.25}
    one, two, other = (
        fastbp.sweep(classifier, space, X, Y, **options, rng=rng, threads=threads)
        for rng, threads in [(0, 1), (0, 2), (1, 2)]
    )
    assert scored(one) == scored(two)
    assert same(one.best, two.best)
    assert scored(one) != scored(other)


def test_a_larger_space_changes_no_configuration():
    options = {**FIT, "cv": 3, "rng": 0, "refit": False}
    small = fastbp.sweep(classifier, {"width": [4]}, X, Y, **options)
    large = fastbp.sweep(classifier, {"width": [9, 4, 1]}, X, Y, **options, repeats=2)
    (row,) = [row for row in large.rows if row["params"] == {"width": 4}]
    assert row["scores"]["val_loss"][:3] == small.rows[0]["scores"]["val_loss"]


def test_a_portion_at_a_time_gives_the_same(monkeypatch):
    options = {**FIT, "cv": 2, "rng": 0, "refit": False, "method": "halving", "epochs": 9}
    whole = fastbp.sweep(classifier, SPACE, X, Y, **options)
    calls, fit_many = [], fastbp.selection.trials.fit_many

    def counted(networks, *args, **kwargs):
        calls.append(len(networks))
        return fit_many(networks, *args, **kwargs)

    monkeypatch.setattr(fastbp.selection.trials, "fit_many", counted)
    monkeypatch.setattr(fastbp.selection.search, "AT_ONCE", 1)
    assert scored(fastbp.sweep(classifier, SPACE, X, Y, **options)) == scored(whole)
    assert calls == [2] * (6 + 2)


def test_options_of_the_fit():
    space = {
        "width": [4],
        "fit__batch_size": [4, 61],
        "fit__epochs": [1, 2],
        "fit__schedule": [None, schedules.Cosine()],
        "fit__class_weight": ["balanced"],
        "fit__shuffle": [False],
    }
    found = fastbp.sweep(classifier, space, X, Y, 7, 7, validation_data=(X[:9], Y[:9]), rng=0)
    assert len(found.rows) == 8
    for row in found.rows:
        own = {name[5:]: value for name, value in row["params"].items() if name[:5] == "fit__"}
        net = classifier(4, rng=found.seeds[0])
        net.fit(X, Y, **own)
        assert row["scores"]["val_loss"] == [net.evaluate(X[:9], Y[:9])["loss"]]
        assert row["epochs"] == own["epochs"]
        if row["rank"] == 1:
            assert same(net, found.best)


def test_several_spaces():
    spaces = [{"width": [1, 2]}, {"width": [4], "lr": [0.1], "fit__batch_size": [5]}]
    found = fastbp.sweep(classifier, spaces, X, Y, **FIT, cv=2, rng=0)
    rows = sorted(found.rows, key=lambda row: row["number"])
    assert [row["params"] for row in rows] == [
        {"width": 1},
        {"width": 2},
        {"width": 4, "lr": 0.1, "fit__batch_size": 5},
    ]


def test_validation_split_holds_out_its_share_of_each_class():
    for share, rows in [(0.2, 13), (0.5, 31), (0.98, 60), (1e-9, 1)]:
        ((train, test),) = one_share(share, X, Y, np.random.default_rng(0))
        assert (len(test), len(train)) == (rows, 61 - rows)
        np.testing.assert_array_equal(np.sort([*train, *test]), np.arange(61))
        assert abs(Y[test].sum() - Y.mean() * rows) < 1
    found = fastbp.sweep(classifier, {"width": [4]}, X, Y, **FIT, validation_split=0.2, rng=0)
    assert np.isfinite(found.best_score)


def test_no_rows_held_out():
    found = fastbp.sweep(classifier, SPACE, X, Y, **FIT, monitor="loss", rng=0)
    assert set(found.rows[0]["scores"]) == {"loss"}
    assert [row["score"] for row in found.rows] == sorted(row["score"] for row in found.rows)
    assert found.best.history["loss"][-1] == found.best_score


def test_metrics_and_their_direction():
    pytest.importorskip("sklearn")
    options = {**FIT, "rng": 0, "metrics": ["f1"], "refit": False}
    best = fastbp.sweep(classifier, SPACE, X, Y, **options, cv=2, monitor="val_f1")
    assert best.mode == "max"
    scores = [row["score"] for row in best.rows]
    assert scores == sorted(scores, reverse=True)
    worst = fastbp.sweep(classifier, SPACE, X, Y, **options, cv=2, monitor="val_f1", mode="min")
    assert worst.best_score == scores[-1]
    trained = fastbp.sweep(classifier, SPACE, X, Y, **options, monitor="f1")
    assert set(trained.rows[0]["scores"]) == {"loss", "f1"}


def test_scipy_distributions():
    stats = pytest.importorskip("scipy.stats")
    space = {"lr": stats.loguniform(1e-4, 1e-1), "width": stats.randint(1, 9)}
    options = {**FIT, "method": "random", "n": 5, "cv": 2}
    found = fastbp.sweep(classifier, space, X, Y, **options, rng=0)
    rates = [row["params"]["lr"] for row in found.rows]
    assert all(type(rate) is float and 1e-4 <= rate <= 1e-1 for rate in rates)
    assert {type(row["params"]["width"]) for row in found.rows} == {int}
    assert len(set(rates)) == 5
    again = fastbp.sweep(classifier, space, X, Y, **options, rng=0)
    assert scored(again) == scored(found)


def test_random_draws_of_values_come_once():
    options = {**FIT, "method": "random", "monitor": "loss", "refit": False}
    found = fastbp.sweep(classifier, SPACE, X, Y, **options, n=6, rng=0)
    drawn = [row["params"] for row in found.rows]
    assert all(one in drawn for one in GRID)


def test_early_stopping_and_refit():
    stop = callbacks.EarlyStopping("val_loss", patience=1, min_delta=10.0, restore_best=False)
    options = {"cv": 2, "rng": 0, "callbacks": [stop], "schedule": schedules.Cosine()}
    found = fastbp.sweep(classifier, {"width": [4]}, X, Y, 8, 8, **options)
    assert found.rows[0]["epochs"] == 2
    assert found.best.history.epochs == 2
    rates = found.best.history["learning_rate"]  # of a fit of 8 epochs
    assert rates[1] == pytest.approx(0.005 * (1 + math.cos(math.pi * 15 / 64)))


def test_tol_ends_fits_but_not_the_refit():
    found = fastbp.sweep(classifier, {"width": [4]}, X, Y, 50, 8, cv=2, rng=0, tol=1e9)
    assert found.rows[0]["epochs"] == 11
    assert found.best.history.epochs == 11
    assert found.best.history.stopped is None


def test_failed_networks_rank_last():
    space = {"lr": [1e30, 1e-3, 1e25, 1e-2]}
    with pytest.warns(RuntimeWarning, match="^2 of 4 configurations failed, and rank last: 0 .lr="):
        found = fastbp.sweep(failing, space, X, X[:, 0], **FIT, cv=2, rng=0)
    assert [row["number"] for row in found.rows[2:]] == [0, 2]
    assert found.rows[3]["failure"].startswith("FloatingPointError: the loss is not finite")
    assert np.isnan(found.rows[3]["score"])
    assert found.best_params["lr"] in (1e-3, 1e-2)


def test_one_fold_that_fails_is_enough():
    y = X[:, 0].copy()
    y[7] = 1e30  # only without this row a fit is possible
    with pytest.warns(RuntimeWarning, match="1 of 1 configurations failed"):
        found = fastbp.sweep(
            failing, {"lr": [1e-2]}, X, y, **FIT, cv=[([7], [1]), ([2], [3])], rng=0
        )
    assert np.isnan(found.rows[0]["scores"]["val_loss"]).tolist() == [True, False]
    assert np.isnan(found.best_score)
    assert found.best_params is None
    assert found.best is None


def test_no_finite_score_is_told():
    def undefined(predicted, targets):
        return math.nan

    with pytest.warns(RuntimeWarning, match="val_undefined is finite for none of the 2"):
        found = fastbp.sweep(
            classifier,
            {"width": [1, 2]},
            X,
            Y,
            cv=2,
            metrics=[undefined],
            monitor="val_undefined",
            mode="max",
        )
    assert (found.best, found.best_params, len(found.rows)) == (None, None, 2)


def test_a_refit_that_fails_leaves_the_table():
    y = X[:, 0].copy()
    y[7] = 1e30
    with pytest.warns(RuntimeWarning, match="best configuration, 0 .lr=0.01., has failed on all"):
        found = fastbp.sweep(failing, {"lr": [1e-2]}, X, y, **FIT, cv=[([2, 3], [4])], rng=0)
    assert found.best is None
    assert np.isfinite(found.best_score)


def test_to_frame():
    pytest.importorskip("pandas")
    found = fastbp.sweep(classifier, SPACE, X, Y, **FIT, cv=2, rng=0)
    frame = found.to_frame()
    assert list(frame.columns) == [
        "param_width",
        "param_lr",
        "score",
        "std",
        "epochs",
        "failure",
        "mean_loss",
        "mean_val_loss",
        "mean_val_accuracy",
        "score_0",
        "score_1",
    ]
    assert frame.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert frame.index.name == "rank"
    assert frame["score"].tolist() == [row["score"] for row in found.rows]
    np.testing.assert_allclose(frame["score"], frame[["score_0", "score_1"]].mean(axis=1))
    assert dict(frame.iloc[0])["param_width"] == found.best_params["width"]


def test_repr_tells_the_best():
    found = fastbp.sweep(classifier, {"width": [2]}, X, Y, cv=2, rng=0)
    assert repr(found).startswith("Sweep(1 configurations; best: val_loss=0.")
    assert repr(found).endswith(" {'width': 2})")


class InterruptsThird(callbacks.Callback):
    """Ctrl-C, as it were, at the beginning of the third fit; copies count together."""

    begun: list[int] = []  # noqa: RUF012 - shared on purpose

    def on_fit_begin(self, fit):
        self.begun.append(1)
        if len(self.begun) == 3:
            raise KeyboardInterrupt


def test_ctrl_c_leaves_what_was_finished():
    InterruptsThird.begun.clear()
    options = {**FIT, "monitor": "loss", "callbacks": [InterruptsThird()], "threads": 1}
    with pytest.raises(KeyboardInterrupt) as caught:
        fastbp.sweep(classifier, {"width": [2, 3, 4, 5]}, X, Y, **options, rng=0)
    partial = caught.value.sweep
    assert len(partial.rows) == 2
    whole = fastbp.sweep(classifier, {"width": [2, 3, 4, 5]}, X, Y, **FIT, monitor="loss", rng=0)
    for row in partial.rows:
        (same_row,) = [other for other in whole.rows if other["params"] == row["params"]]
        assert row["scores"] == same_row["scores"]
    assert partial.best is None
    assert partial.best_params == partial.rows[0]["params"]


def test_ctrl_c_before_anything_was_finished():
    InterruptsThird.begun[:] = [1, 1]
    options = {**FIT, "monitor": "loss", "callbacks": [InterruptsThird()], "threads": 1}
    with pytest.raises(KeyboardInterrupt) as caught:
        fastbp.sweep(classifier, {"width": [2]}, X, Y, **options, rng=0)
    assert caught.value.sweep.rows == ()
    assert caught.value.sweep.best_params is None
    assert repr(caught.value.sweep) == "Sweep(0 configurations)"
