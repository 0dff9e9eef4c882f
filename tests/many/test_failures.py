"""Failures of networks among many: what is kept of them, and what is found before any of them."""

import gc
import traceback
import weakref

import numpy as np
import pytest
from cases import data
from expect import raises

import fastbp
from fastbp import each
from fastbp.callbacks import Callback, EarlyStopping
from fastbp.many.workers import sendable

ROWS = 40
X, Y = data(ROWS, 5, 3)


class Held(np.ndarray):
    """An array that can be watched."""


class Broken(Callback):
    def on_epoch_end(self, fit):
        try:
            raise KeyError("first")
        except KeyError as error:
            raise LookupError("second") from error


def networks(count, **options):
    return [fastbp.Network([5, 4 + seed % 2, 3], rng=seed, **options) for seed in range(count)]


@pytest.mark.filterwarnings("ignore:.* networks failed")
@pytest.mark.parametrize("options", [{}, {"rows": np.arange(30)}, {"validation_rows": [1, 2]}])
@pytest.mark.parametrize("broken", [False, True], ids=["diverges", "callback"])
def test_a_failure_holds_no_data(options, broken):
    many = networks(9, optimizer=fastbp.SGD(0.01 if broken else 1e30))
    given = [X.copy().view(Held), Y.copy().view(Held)]
    watched = [weakref.ref(array) for array in given]
    callbacks = [Broken()] if broken else ()
    histories = fastbp.fit_many(
        many, *given, epochs=3, batch_size=8, callbacks=callbacks, threads=2, **options
    )
    assert all(history.failure is not None for history in histories)
    del given
    gc.collect()
    assert [reference() for reference in watched] == [None, None]


@pytest.mark.filterwarnings("ignore:.* networks failed")
def test_a_failure_tells_the_line_of_the_users_code():
    (history,) = fastbp.fit_many(networks(1), X, Y, callbacks=[Broken()])
    assert isinstance(history.failure.__cause__, KeyError)
    assert str(history.failure) == "second"
    told = "".join(traceback.format_exception(history.failure))
    assert 'raise KeyError("first")' in told
    assert 'raise LookupError("second") from error' in told
    (diverged,) = fastbp.fit_many(networks(1, optimizer=fastbp.SGD(1e30)), X, Y, epochs=9)
    assert not hasattr(diverged.failure, "__notes__")


@pytest.mark.filterwarnings("ignore:.* networks failed")
def test_a_worker_tells_where_it_was_and_a_failure_once():
    (history,) = fastbp.fit_many(networks(1), X, Y, callbacks=[Broken()])
    of_user, of_worker = sendable(history.failure).__notes__
    assert 'raise LookupError("second")' in of_user
    assert of_worker.startswith("in a worker, process ")
    assert "LookupError" not in of_worker
    try:
        raise LookupError("third")
    except LookupError as error:
        (note,) = sendable(error).__notes__
    assert 'raise LookupError("third")' in note


def test_a_bad_callback_is_found_by_its_number():
    many = networks(3)
    with raises(TypeError, "network 2: callbacks[0]", "EarlyStopping()"):
        fastbp.fit_many(many, X, Y, callbacks=each([[], [], [EarlyStopping]]))
    with raises(TypeError, "network 1: callbacks must be a sequence"):
        fastbp.fit_many(many, X, Y, callbacks=each([[], EarlyStopping("loss"), []]))
    assert all(network.steps == 0 for network in many)


WATCHING = [
    {"callbacks": [EarlyStopping()]},
    {"callbacks": [EarlyStopping("accuracy")]},
    {"schedule": fastbp.schedules.ReduceOnPlateau("val_loss")},
]


@pytest.mark.parametrize("watching", WATCHING, ids=["stopping", "accuracy", "schedule"])
def test_what_is_watched_in_vain_is_found_before_anything_is_trained(watching):
    many = networks(3)
    given = {
        name: each([(), value, ()] if name == "callbacks" else [None, value, None])
        for name, value in watching.items()
    }
    with raises(ValueError, "network 1: ", "watches", "it records 'loss'"):
        fastbp.fit_many(many, X, Y, **given)
    assert all(network.steps == 0 and network.history is None for network in many)


def test_a_callback_of_the_users_own_says_what_it_watches():
    class Watching(Callback):
        watches = "val_loss"
        ended = False

        def on_fit_end(self, fit):
            self.ended = True

    watching = Watching()
    with raises(ValueError, "network 0: Watching watches 'val_loss'", "validation_data is missing"):
        fastbp.fit_many(networks(1), X, Y, callbacks=each([[watching]]))
    with raises(ValueError, "Watching watches 'val_loss'"):
        networks(1)[0].fit(X, Y, callbacks=[watching])
    assert not watching.ended  # nor has it begun
    fastbp.fit_many(networks(2), X, Y, validation_rows=[0], callbacks=[watching])


@pytest.mark.parametrize("values", [3, "abc", {1: 2}, {1, 2, 3}, None])
def test_each_takes_values_in_their_order(values):
    with raises(TypeError, "values must be a sequence, one for each network", "got"):
        each(values)


def test_data_without_rows():
    for use in (
        lambda: fastbp.fit_many(networks(1), 3, Y, rows=[0]),
        lambda: fastbp.evaluate_many(networks(1), 3, Y, rows=[0]),
        lambda: fastbp.predict_many(networks(1), 3, rows=[0]),
    ):
        with raises(TypeError, "network 0: X must hold rows of features", "3"):
            use()
