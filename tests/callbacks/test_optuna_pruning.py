"""OptunaPruning: what a trial is told, and how a fit ends that it prunes."""

import numpy as np
import pytest
from expect import raises

import fastbp
from fastbp.callbacks import Callback, OptunaPruning

X = np.random.default_rng(0).normal(size=(60, 3))
Y = X[:, :1] ** 2


class Trial:
    """Keeps what it is told, and prunes after some epochs."""

    def __init__(self, epochs=None):
        self.epochs, self.told = epochs, []

    def report(self, value, step):
        self.told.append((step, value))

    def should_prune(self):
        return len(self.told) == self.epochs


class Ends(Callback):
    def on_fit_end(self, fit):
        self.failure = fit.failure


def network():
    return fastbp.Network([3, 4, 1], rng=0)


@pytest.mark.parametrize("monitor", ["loss", "val_loss", "r2"])
def test_a_trial_is_told_each_epoch(monitor):
    trial = Trial()
    validation = None if monitor == "r2" else (X[:9], Y[:9])
    history = network().fit(
        X,
        Y,
        epochs=4,
        validation_data=validation,
        metrics=["r2"] if monitor == "r2" else None,
        callbacks=[OptunaPruning(trial, monitor)],
        progress=False,
    )
    assert trial.told == list(enumerate(history[monitor], 1))
    assert history.stopped is None


def test_a_fit_that_is_pruned_ends_whole():
    optuna = pytest.importorskip("optuna")
    net, twin, ends = network(), network(), Ends()
    with raises(optuna.TrialPruned, "loss is ", "after epoch 3") as raised:
        net.fit(X, Y, epochs=9, callbacks=[ends, OptunaPruning(Trial(3), "loss")], progress=False)
    assert ends.failure is raised.value
    assert raised.value.history is net.history
    twin.fit(X, Y, epochs=3, progress=False)
    assert net.history["loss"] == twin.history["loss"]
    np.testing.assert_array_equal(net.flat, twin.flat)
    net.fit(X, Y, progress=False)


def test_among_many_it_is_a_failure_of_its_own():
    optuna = pytest.importorskip("optuna")
    mine = [network() for _ in range(3)]
    trials = [Trial(), Trial(2), Trial()]
    callbacks = fastbp.each([OptunaPruning(trial, "loss")] for trial in trials)
    with pytest.warns(RuntimeWarning, match="1 of 3 networks failed"):
        histories = fastbp.fit_many(mine, X, Y, epochs=4, callbacks=callbacks)
    assert [history.epochs for history in histories] == [4, 2, 4]
    assert isinstance(histories[1].failure, optuna.TrialPruned)


def test_a_study_prunes():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.ThresholdPruner(upper=0.5, n_warmup_steps=2)
    study = optuna.create_study(pruner=pruner)

    def objective(trial):
        targets = Y + 100 * trial.suggest_categorical("shift", [0, 1])
        pruning = OptunaPruning(trial)
        held_out = X[40:], targets[40:]
        net = fastbp.Network([3, 16, 1], optimizer=fastbp.Adam(0.05), rng=0)
        net.fit(
            X[:40], targets[:40], 60, validation_data=held_out, callbacks=[pruning], progress=False
        )
        return net.history.last("val_loss")

    study.enqueue_trial({"shift": 1})
    study.optimize(objective, n_trials=1)
    (pruned,) = study.trials
    assert pruned.state == optuna.trial.TrialState.PRUNED
    assert sorted(pruned.intermediate_values) == [1, 2]


def test_bad_input():
    with raises(TypeError, "trial must be a trial of Optuna", "got 3"):
        OptunaPruning(3)
    with raises(TypeError, "monitor must be the name of a quantity"):
        OptunaPruning(Trial(), None)
    net = network()
    with raises(ValueError, "OptunaPruning watches 'val_loss'", "validation_data is missing"):
        net.fit(X, Y, callbacks=[OptunaPruning(Trial())], progress=False)
    assert net.steps == 0


def test_reports_of_workers_reach_a_study_that_has_a_storage(tmp_path):
    optuna = pytest.importorskip("optuna")

    def fitted(study, **options):
        trials = [study.ask() for _ in range(2)]
        callbacks = fastbp.each([OptunaPruning(trial, "loss")] for trial in trials)
        networks = [fastbp.Network([3, 4, 1], rng=seed) for seed in range(2)]
        histories = fastbp.fit_many(networks, X, Y, 3, callbacks=callbacks, **options)
        for trial, history in zip(study.trials, histories, strict=True):
            assert list(trial.intermediate_values.values()) == history["loss"]

    in_memory = optuna.create_study(pruner=optuna.pruners.NopPruner())
    fitted(in_memory)
    with raises(TypeError, "network 0: callbacks", "process's memory alone", "sqlite"):
        fitted(in_memory, workers=2)
    path = (tmp_path / "study.db").as_posix()
    fitted(optuna.create_study(storage=f"sqlite:///{path}"), workers=1)


def test_a_trial_in_memory_is_not_copied():
    optuna = pytest.importorskip("optuna")
    callback = OptunaPruning(optuna.create_study().ask(), "loss")
    with raises(TypeError, "process's memory alone", "fastbp.each"):
        fastbp.fit_many([network()], X, Y, callbacks=[callback])
