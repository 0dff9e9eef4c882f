"""A fit that goes on from a checkpoint ends with the bits of one that was never interrupted."""

import copy
import itertools
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from cases import SOLVERS, data, every_optimizer, sparse_rows
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp import schedules
from fastbp.callbacks import Callback, Checkpoint
from fastbp.history.state import data_sample
from fastbp.rows.rows import Rows

X, Y = data(37, 5, 4)
LABELS = data(37, 5, 4, "labels")


def network(dtype="float32", optimizer=SOLVERS[4], **arguments):
    optimizer = optimizer.optimizer()
    return fastbp.Network([5, 17, 9, 4], dtype=dtype, optimizer=optimizer, rng=3, **arguments)


class StopError(Exception):
    pass


class After(Callback):
    """Ends the fit when so many epochs were done, after their checkpoint or in the next epoch."""

    def __init__(self, epoch, step=0):
        self.epoch, self.step = epoch, step

    def on_step_end(self, fit):
        if fit.step == self.epoch * fit.steps_an_epoch + self.step:
            raise StopError


def interrupted(path, net, epochs, *, after, X=X, Y=Y, callbacks=(), **arguments):
    """The network that was loaded when a fit had come to so many epochs and two steps more."""
    callbacks = [*callbacks, After(after, 2), Checkpoint(path)]
    with pytest.raises(StopError):
        net.fit(X, Y, epochs, 8, callbacks=callbacks, **arguments)
    return fastbp.load(path)


def test_dropout_penalties_and_clipping(tmp_path):
    options = {"dropout": 0.3, "l1": 1e-3, "clip_norm": 0.1, "max_norm": 1.0}
    whole = network(**options)
    want = whole.fit(X, Y, 5, 8, callbacks=[After(99)])
    net = interrupted(tmp_path / "m", network(**options), 5, after=3)
    assert dict(net.fit(X, Y, 5, 8, callbacks=[After(99)], resume=True)) == dict(want)
    assert_same(contents(net), contents(whole))


@every_optimizer
def test_every_optimizer(optimizer, tmp_path):
    whole = network(optimizer=optimizer)
    # A fit of single steps adds up an epoch's loss in another order.
    want = whole.fit(X, Y, 5, 8, callbacks=[After(99)])
    net = interrupted(tmp_path / "m", network(optimizer=optimizer), 5, after=3)
    assert net.steps == 15
    got = net.fit(X, Y, 5, 8, callbacks=[After(99)], resume=True)
    assert dict(got) == dict(want)
    assert_same(contents(net), contents(whole))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("after", range(1, 5))
def test_every_epoch_with_validation(after, dtype, shuffle, tmp_path):
    arguments = {"shuffle": shuffle, "validation_data": (X[:9], Y[:9])}
    whole = network(dtype)
    want = whole.fit(X, Y, 5, 8, callbacks=[Checkpoint(tmp_path / "{epoch}")], **arguments)
    net = fastbp.load(tmp_path / f"{after}")
    got = net.fit(X, Y, 5, 8, resume=True, **arguments)
    assert list(got.items()) == list(want.items())
    assert_same(contents(net), contents(whole))


@pytest.mark.parametrize(
    "schedule", [None, schedules.Cosine(), schedules.ReduceOnPlateau("val_loss", patience=0)]
)
def test_everything_at_once(schedule, tmp_path):
    X, y = LABELS
    arguments = {
        "schedule": schedule, "validation_data": (X[:9], y[:9]), "class_weight": "balanced",
        "sample_weight": np.linspace(0, 2, 37),
    }  # fmt: skip
    whole = network(
        loss="cross_entropy", dropout=0.4, l1=1e-3, max_norm=1.0, clip_norm=0.5, scaling="standard"
    )
    callbacks = [Noise(), Checkpoint(tmp_path / "{epoch}")]
    want = whole.fit(X, y, 6, 8, callbacks=callbacks, **arguments)
    for done in (1, 3, 5):
        net = fastbp.load(tmp_path / str(done))
        got = net.fit(X, y, 6, 8, callbacks=[Noise()], resume=True, **arguments)
        assert list(got.items()) == list(want.items())
        assert_same(contents(net), contents(whole))
        assert net.predict(X).tobytes() == whole.predict(X).tobytes()


def test_early_stopping_has_the_same_settings(tmp_path):
    network().fit(X, Y, 2, 8, tol=1e-3, callbacks=[Checkpoint(tmp_path / "m")])
    net = fastbp.load(tmp_path / "m")
    with raises(ValueError, "EarlyStopping", "min_delta was 0.001", "now it is 0.01"):
        net.fit(X, Y, 4, 8, tol=1e-2, resume=True)
    with raises(ValueError, "callbacks that have a state", "got []"):
        net.fit(X, Y, 4, 8, resume=True)
    assert net.fit(X, Y, 4, 8, tol=1e-3, resume=True).epochs == 4


def test_sparse_rows(tmp_path):
    X = sparse_rows(60, 40, 0.05)
    y = np.random.default_rng(1).normal(size=(60, 4))
    whole, net = (fastbp.Network([40, 9, 4], dropout=0.2, rng=0) for _ in range(2))
    want = whole.fit(X, y, 5, 8)
    net.fit(X, y, 5, 8, callbacks=[Checkpoint(tmp_path / "{epoch}")])
    for done in (2, 5):
        net = fastbp.load(tmp_path / str(done))
        assert dict(net.fit(X.tocsc(), y, 5, 8, resume=True)) == dict(want)
        assert_same(contents(net), contents(whole))
    with raises(ValueError, "X, y and sample_weight must be the same data"):
        fastbp.load(tmp_path / "2").fit(X[::-1], y, 5, 8, resume=True)


def test_alpha_tells_weights_from_twice_the_weights(tmp_path):
    weights = np.linspace(0.1, 1.9, 37)
    for alpha in (0.0, 1.0):
        net = network(alpha=alpha)
        resumed = interrupted(tmp_path / "x", net, 4, after=2, sample_weight=weights)
        if alpha:
            with raises(ValueError, "X, y and sample_weight must be the same data"):
                resumed.fit(X, Y, 4, 8, resume=True, sample_weight=2 * weights)
        resumed.fit(X, Y, 4, 8, resume=True, sample_weight=weights if alpha else 2 * weights)


def test_a_schedule_counts_on_the_epochs(tmp_path):
    one = {"schedule": schedules.Cosine(), "callbacks": [Checkpoint(tmp_path / "m")]}
    network().fit(X, Y, 3, 8, **one)
    with raises(ValueError, "epochs must be 3", "got 4"):
        fastbp.load(tmp_path / "m").fit(X, Y, 4, 8, **one, resume=True)


def test_thread_counts_do_not_matter(tmp_path):
    X, y = data(300, 20, 4, "labels")
    nets = []
    for threads in (1, 2):
        net = fastbp.Network(
            [20, 130, 4], loss="cross_entropy", dropout=0.3, rng=0, threads=threads
        )
        net.fit(X, y, 4, 100, callbacks=[Checkpoint(tmp_path / f"{threads}-{{epoch}}")])
        nets.append(net)
    assert (tmp_path / "1-2").read_bytes() == (tmp_path / "2-2").read_bytes()
    for threads in (1, 2):
        net = fastbp.load(tmp_path / "1-2", threads=threads)
        net.fit(X, y, 4, 100, resume=True)
        nets.append(net)
    for net in nets:
        assert_same(contents(net), contents(nets[0]))


def test_checkpoints_change_nothing(tmp_path):
    plain, saved = network(), network()
    histories = [
        plain.fit(X, Y, 5, 8),
        saved.fit(X, Y, 5, 8, callbacks=[Checkpoint(tmp_path / "m")]),
    ]
    assert dict(histories[0]) == dict(histories[1])
    assert_same(contents(saved), contents(plain))


class Diary(Callback):
    """Has no state."""

    def on_epoch_end(self, fit):
        assert fit.epoch == fit.history.epochs


class Noise(Callback):
    """Changes the network after each epoch by a state of all kinds that a file holds."""

    def __init__(self):
        self.count, self.last, self.scale = 0, None, float("inf")

    def on_epoch_end(self, fit):
        self.last = fit.network.weights[0] * np.float32(1 / 3)
        self.count += 1
        self.scale = min(self.scale, fit.loss)
        fit.network.weights[0][:] += self.scale * self.count * self.last

    def state(self):
        last = [] if self.last is None else [self.last.copy()]
        return {"count": self.count, "last": last, "scale": self.scale, "none": None}

    def restore(self, state):
        self.count, self.scale = state["count"], state["scale"]
        [self.last] = state["last"] or [None]


def test_callbacks_go_on_wherever_the_checkpoint_stands(tmp_path):
    whole, noise = network(), Noise()
    want = whole.fit(X, Y, 6, 8, callbacks=[noise])
    for place in (0, 1):
        first, second = Noise(), Noise()
        callbacks = [first]
        callbacks.insert(place, Checkpoint(tmp_path / "m{epoch}"))
        network().fit(X, Y, 6, 8, callbacks=callbacks)
        net = fastbp.load(tmp_path / "m4")
        assert dict(net.fit(X, Y, 6, 8, callbacks=[second], resume=True)) == dict(want)
        assert second.count == 6
        assert second.last.tobytes() == noise.last.tobytes()
        assert_same(contents(net), contents(whole))


def test_many_interruptions(tmp_path):
    whole = network()
    want = whole.fit(X, Y, 9, 8, callbacks=[After(99)])
    net = interrupted(tmp_path / "m", network(), 9, after=1)
    for after in (2, 4, 7):
        with pytest.raises(StopError):
            net.fit(
                X, Y, 9, 8, callbacks=[After(after, 1), Checkpoint(tmp_path / "m")], resume=True
            )
        net = fastbp.load(tmp_path / "m")
    assert dict(net.fit(X, Y, 9, 8, callbacks=[After(99)], resume=True)) == dict(want)
    assert_same(contents(net), contents(whole))


def test_a_complete_fit_ends_at_once_and_can_be_longer(tmp_path):
    whole = network()
    whole.fit(X, Y, 4, 8, callbacks=[Checkpoint(tmp_path / "m")])
    net = fastbp.load(tmp_path / "m")
    assert_same(contents(net), contents(whole))
    history = net.fit(X, Y, 4, 8, resume=True)
    assert history.epochs == 4
    assert_same(contents(net), contents(whole))
    longer, net = network(), fastbp.load(tmp_path / "m")
    assert dict(net.fit(X, Y, 7, 8, resume=True)) == dict(longer.fit(X, Y, 7, 8))
    assert_same(contents(net), contents(longer))


def test_a_fit_that_was_stopped_stays_stopped(tmp_path):
    class Enough(Callback):
        def on_epoch_end(self, fit):
            if fit.epoch == 3:
                fit.stop("enough")

    whole = network()
    want = whole.fit(X, Y, 9, 8, callbacks=[Checkpoint(tmp_path / "m", 2), Enough()])
    net = fastbp.load(tmp_path / "m")  # of the last epoch, which is no second one
    got = net.fit(X, Y, 9, 8, callbacks=[Enough()], resume=True)
    assert (got.stopped, got.epochs) == ("enough", 3)
    assert dict(got) == dict(want)
    assert_same(contents(net), contents(whole))


def test_losses_that_are_no_numbers_are_kept(tmp_path):
    net = fastbp.Network([5, 4], optimizer=fastbp.SGD(1e-3), rng=0)
    far = Y.astype("f4") * np.float32(1e30)  # the square is beyond float32
    valid = (X[:9], far[:9])
    whole = net.fit(X, Y, 3, 8, validation_data=valid, callbacks=[Checkpoint(tmp_path / "{epoch}")])
    again = fastbp.load(tmp_path / "2").fit(X, Y, 3, 8, validation_data=valid, resume=True)
    assert not np.isfinite(whole["val_loss"]).any()
    assert again["val_loss"] == whole["val_loss"]


DOUBLES = {
    "pickle": lambda net, path: pickle.loads(pickle.dumps(net)),
    "deepcopy": lambda net, path: copy.deepcopy(net),
    "copy": lambda net, path: copy.copy(net),
    "save": lambda net, path: net.save(path) or fastbp.load(path),
}


@pytest.mark.parametrize("double", DOUBLES)
def test_a_double_of_a_loaded_network_can_be_resumed_too(double, tmp_path):
    whole = network()
    noise = Noise()
    whole.fit(X, Y, 4, 8, callbacks=[noise, Checkpoint(tmp_path / "{epoch}")])
    net = fastbp.load(tmp_path / "2")
    other = DOUBLES[double](net, tmp_path / "other")
    for one in (net, other):
        one.fit(X, Y, 4, 8, callbacks=[Noise()], resume=True)
        assert_same(contents(one), contents(whole))
    if double == "save":
        assert (tmp_path / "other").read_bytes() == (tmp_path / "2").read_bytes()


def loaded(path, **arguments):
    """A network in the midst of a fit of 4 epochs, of which 2 were done."""
    network().fit(X, Y, 2, 8, callbacks=[Checkpoint(path)], **arguments)
    return fastbp.load(path)


def trained(net):
    net.train_step(X, Y)
    return net


def trained_and_saved(net, path):
    trained(net).save(path)
    return fastbp.load(path)


NOT_RESUMABLE = {
    "new": lambda net, path: network(),
    "given another rng": lambda net, path: fastbp.load(path, rng=3),
    "trained": lambda net, path: trained(net),
    "fitted": lambda net, path: net.fit(X, Y) and net,
    "resumed": lambda net, path: net.fit(X, Y, 3, 8, resume=True) and net,
    "trained and saved": trained_and_saved,
}


@pytest.mark.parametrize("how", NOT_RESUMABLE)
def test_there_is_nothing_to_resume(how, tmp_path):
    net = NOT_RESUMABLE[how](loaded(tmp_path / "m"), tmp_path / "m")
    before = contents(net)
    with raises(ValueError, "resume=True", "Checkpoint"):
        net.fit(X, Y, 4, 8, resume=True)
    assert_same(contents(net), before)
    assert net.fit(X, Y, 4, 8).epochs == 4


def test_a_fit_without_resume_begins_anew(tmp_path):
    net = loaded(tmp_path / "m")
    assert net.fit(X, Y, 3, 8).epochs == 3
    assert net.steps == 25


OTHERS = {
    "epochs": ({"epochs": 1}, ["epochs must be at least 2", "got 1"]),
    "batch_size": ({"batch_size": 9}, ["batch_size must be 8", "got 9", "resumed"]),
    "shuffle": ({"shuffle": False}, ["shuffle must be True", "got False"]),
    "rows": ({"X": X[:30], "y": Y[:30]}, ["X, y and sample_weight must have 37", "got 30"]),
    "X": ({"X": X[::-1]}, ["X, y and sample_weight must be the same data"]),
    "y": ({"y": Y + 1}, ["X, y and sample_weight must be the same data"]),
    "no validation": ({"validation_data": None}, ["validation_data must not be None"]),
    "validation rows": (
        {"validation_data": (X[:8], Y[:8])},
        ["validation_data must have 9", "got 8"],
    ),
    "validation": ({"validation_data": (X[1:10], Y[:9])}, ["validation_data must be the same"]),
    "callback": ({"callbacks": []}, ["callbacks", "['Noise']", "got []"]),
    "callbacks": ({"callbacks": [Noise(), Noise()]}, ["callbacks", "got ['Noise', 'Noise']"]),
    "flag": ({"resume": 1}, ["resume must be True or False"]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_arguments_are_refused(name, tmp_path):
    given, parts = OTHERS[name]
    arguments = {
        "X": X, "y": Y, "epochs": 4, "batch_size": 8, "validation_data": (X[:9], Y[:9]),
        "resume": True, "callbacks": [Noise()],
    }  # fmt: skip
    whole = network()
    first = arguments | {"epochs": 2, "resume": False}
    whole.fit(**first | {"callbacks": [Noise(), Checkpoint(tmp_path / "m")]})
    net = fastbp.load(tmp_path / "m")
    before = contents(net)
    with raises(TypeError if name == "flag" else ValueError, *parts):
        net.fit(**arguments | given)
    assert_same(contents(net), before)
    assert net.fit(**arguments).epochs == 4  # it still can go on


def test_a_sample_tells_data_from_other_data():
    @dataclass
    class Sparse:
        values: np.ndarray

        def __len__(self):
            return 1000

    rng = np.random.default_rng(0)
    values, targets = rng.normal(size=(1000, 3)), rng.normal(size=(1000, 2))
    seen = []
    for features in (values, values.astype("f4"), values[:999], values[rng.permutation(1000)]):
        for kind in (features, Sparse(features)):
            seen.append(data_sample(Rows(kind, targets)))
    seen += [data_sample(Rows(values, targets[::-1])), data_sample(Rows(values, targets, targets))]
    assert len({one["sample"] for one in seen}) == 6  # each of the first four in two forms
    assert [one["rows"] for one in seen[:6:2]] == [1000, 1000, 999]
    assert data_sample(Rows(values.copy(), targets)) == seen[0]


def test_no_validation_cannot_become_one(tmp_path):
    with raises(ValueError, "validation_data must be None"):
        loaded(tmp_path / "m").fit(X, Y, 4, 8, validation_data=(X, Y), resume=True)


def test_labels_and_callbacks_without_state_may_come_and_go(tmp_path):
    X, y = LABELS
    nets = [network(loss="cross_entropy") for _ in range(2)]
    whole = nets[0].fit(X, y, 4, 8)
    nets[1].fit(X, y, 2, 8, callbacks=[Checkpoint(tmp_path / "m", every_minutes=9)])
    net = fastbp.load(tmp_path / "m")
    assert dict(net.fit(X, y, 4, 8, callbacks=[Diary()], resume=True)) == dict(whole)
    assert_same(contents(net), contents(nets[0]))


BATCHES = [(X[:9], Y[:9]), (X[9:30], Y[9:30]), (X[30:], Y[30:], np.arange(7.0))]
SOURCES = {
    "list": lambda done: BATCHES,
    "function": lambda done: lambda: (batch for batch in BATCHES),
    "iterator": lambda done: itertools.islice(itertools.cycle(BATCHES), 2 * done, None),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_batches_of_a_users(kind, tmp_path):
    whole, source = network(), SOURCES[kind]
    steps = 2 if kind == "iterator" else None
    one = [Noise(), Checkpoint(tmp_path / "{epoch}")]
    want = whole.fit_batches(source(0), 5, steps, validation_data=(X, Y), callbacks=one)
    for done in (1, 3, 5):
        net, told = fastbp.load(tmp_path / str(done)), []

        class Tell(Callback):
            def on_epoch_end(self, fit, told=told):
                told.append(fit.step)

        got = net.fit_batches(
            source(done), 5, steps, validation_data=(X, Y), callbacks=[Noise(), Tell()], resume=True
        )
        assert dict(got) == dict(want)
        assert_same(contents(net), contents(whole))
        assert told == [(steps or 3) * epoch for epoch in range(done + 1, 6)]


def test_batches_are_no_rows(tmp_path):
    network().fit_batches(BATCHES, 1, callbacks=[Checkpoint(tmp_path / "batches")])
    net = fastbp.load(tmp_path / "batches")
    with raises(ValueError, "the method must be 'fit_batches'", "got 'fit'"):
        net.fit(X, Y, 2, resume=True)
    with raises(ValueError, "steps_per_epoch must be 3", "got 2"):
        net.fit_batches(BATCHES[:2], 2, resume=True)
    with raises(ValueError, "the method must be 'fit'", "got 'fit_batches'"):
        loaded(tmp_path / "m").fit_batches(BATCHES, 4, resume=True)
    with raises(ValueError, "resume=True", "Checkpoint"):
        network().fit_batches(BATCHES, 4, resume=True)
