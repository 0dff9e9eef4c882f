"""The protocol of callbacks: when they are called, what they see, what they may do."""

import copy
import math

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents, learned
from expect import raises, stable

import fastbp
from fastbp import schedules
from fastbp.callbacks import Callback, Fit
from fastbp.fit import fitting
from fastbp.fit.row_fit import RowFit

X, Y = data(37, 5, 4)


def network(**arguments):
    return fastbp.Network([5, 9, 4], dtype="float64", rng=0, **arguments)


class Diary(Callback):
    """Notes every call and what the fit has come to."""

    def __init__(self):
        self.notes = []

    def note(self, what, fit):
        self.notes.append((what, fit.epoch, fit.step, fit.loss))

    def on_fit_begin(self, fit):
        self.note("begin", fit)

    def on_epoch_end(self, fit):
        self.note("epoch", fit)

    def on_step_end(self, fit):
        self.note("step", fit)

    def on_fit_end(self, fit):
        self.note("end", fit)


class Epochs(Callback):
    """Calls a function after each epoch."""

    def __init__(self, function):
        self.function = function

    def on_epoch_end(self, fit):
        self.function(fit)


class Steps(Callback):
    """Calls a function after each step."""

    def __init__(self, function):
        self.function = function

    def on_step_end(self, fit):
        self.function(fit)


def test_calls_come_in_order_and_see_the_fit():
    diary, net, by_hand = Diary(), network(), network()
    history = net.fit(X, Y, 2, 16, shuffle=False, callbacks=[diary])
    losses = []
    for _ in range(2):
        for part in (slice(0, 16), slice(16, 32), slice(32, 37)):
            losses.append(by_hand.train_step(X[part], Y[part]))
    first, second = history["loss"]
    assert [note[:3] for note in diary.notes] == [
        ("begin", 0, 0), ("step", 0, 1), ("step", 0, 2), ("step", 0, 3), ("epoch", 1, 3),
        ("step", 1, 4), ("step", 1, 5), ("step", 1, 6), ("epoch", 2, 6), ("end", 2, 6),
    ]  # fmt: skip
    seen = [note[3] for note in diary.notes]
    assert math.isnan(seen.pop(0))
    assert seen == [*losses[:3], first, *losses[3:], second, second]
    assert_same(learned(net), learned(by_hand))


@pytest.mark.parametrize("kind", [Callback, Epochs, Steps])
@pytest.mark.parametrize("shuffle", [False, True])
def test_callbacks_change_no_bit(kind, shuffle):
    net, plain = network(), network()
    one = Callback() if kind is Callback else kind(lambda fit: None)
    got = net.fit(X, Y, 5, 8, shuffle=shuffle, callbacks=[one])
    want = plain.fit(X, Y, 5, 8, shuffle=shuffle)
    assert_same(contents(net), contents(plain))
    np.testing.assert_allclose(got["loss"], want["loss"], rtol=1e-14)


def test_what_a_fit_tells():
    seen = {}

    def look(fit):
        seen.update(network=fit.network, epochs=fit.epochs, batch_size=fit.batch_size,
                    steps=fit.steps_an_epoch, history=fit.history)  # fmt: skip

    net = network()
    history = net.fit(X, Y, 3, 8, callbacks=(Epochs(look),))
    assert seen == {"network": net, "epochs": 3, "batch_size": 8, "steps": 5, "history": history}


def test_the_order_of_callbacks_is_the_order_given():
    calls = []

    class Named(Callback):
        def __init__(self, name):
            self.name = name

        def on_fit_begin(self, fit):
            calls.append(f"begin {self.name}")

        def on_epoch_end(self, fit):
            calls.append(f"epoch {self.name}")

        def on_fit_end(self, fit):
            calls.append(f"end {self.name}")

    network().fit(X, Y, callbacks=[Named("a"), Named("b")])
    assert calls == ["begin a", "begin b", "epoch a", "epoch b", "end a", "end b"]


@pytest.mark.parametrize("kind", [Epochs, Steps])
def test_a_callback_ends_the_fit(kind):
    def stop(fit):
        if fit.step >= 10:
            fit.stop("enough")
            fit.stop("more than enough")

    net = network()
    history = net.fit(X, Y, 100, 8, callbacks=[kind(stop)])
    assert (history.stopped, history.epochs, net.steps) == ("enough", 2, 10)
    assert network().fit(X, Y).stopped is None


def test_an_epoch_that_was_cut_short_is_not_recorded():
    net, by_hand = network(), network()
    stop = Steps(lambda fit: fit.step == 7 and fit.stop("enough"))
    diary = Diary()
    history = net.fit(X, Y, 100, 8, shuffle=False, callbacks=[diary, stop])
    by_hand.fit(X, Y, 1, 8, shuffle=False)
    for part in (slice(0, 8), slice(8, 16)):
        by_hand.train_step(X[part], Y[part])
    assert history.epochs == 1
    assert diary.notes[-1][:3] == ("end", 1, 7)
    assert_same(learned(net), learned(by_hand))


def test_a_fit_that_is_stopped_before_it_begins_does_nothing():
    class Never(Callback):
        def on_fit_begin(self, fit):
            fit.stop("no need")

    net = network()
    before = contents(net)
    assert net.fit(X, Y, 3, callbacks=[Never()]).stopped == "no need"
    assert_same(contents(net), before)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("kind", "steps"), [(Epochs, 5), (Steps, 7)])
def test_an_exception_leaves_the_network_whole_and_is_raised(kind, steps, threads):
    def fail(fit):
        if fit.step == steps:
            raise LookupError("mine")

    net, by_hand, diary = network(threads=threads), network(), Diary()
    with raises(LookupError, "mine"):
        net.fit(X, Y, 3, 8, shuffle=False, callbacks=[diary, kind(fail)])
    by_hand.fit(X, Y, 1, 8, shuffle=False)
    for start in range(0, 8 * (steps - 5), 8):
        by_hand.train_step(X[start : start + 8], Y[start : start + 8])
    assert diary.notes[-1][0] == "end"
    assert_same(learned(net), learned(by_hand))
    for n in (net, by_hand):
        n.fit(X, Y, 2, 8, shuffle=False)
    assert_same(learned(net), learned(by_hand))


class Failing(Callback):
    """Raises in one of its methods."""

    def __init__(self, name):
        def fail(fit):
            raise LookupError(name)

        setattr(self, name, fail)
        self.failure = "not called"

    def on_fit_begin(self, fit): ...

    def on_epoch_end(self, fit): ...

    def on_fit_end(self, fit):
        self.failure = fit.failure


@pytest.mark.parametrize("name", ["on_fit_begin", "on_epoch_end", "on_fit_end"])
def test_the_end_is_told_to_all_that_have_begun(name):
    first, last = Failing("nothing"), Failing("nothing")
    failing = Failing(name)
    with raises(LookupError, name):
        network().fit(X, Y, callbacks=[first, failing, last])
    if name == "on_fit_end":
        assert first.failure is last.failure is None
    else:
        assert isinstance(first.failure, LookupError)
        assert (last.failure == "not called") == (name == "on_fit_begin")


@pytest.mark.parametrize("kind", [Epochs, Steps])
def test_a_loss_that_is_not_finite(kind):
    y = Y.copy()
    y[36] = 1e200
    net, diary = network(), Diary()
    before = learned(net)
    with raises(FloatingPointError, "epoch 1 of 3, step 5 of 5"):
        net.fit(X, y, 3, 8, shuffle=False, callbacks=[kind(lambda fit: None), diary])
    assert_same(learned(net), before)
    assert diary.notes[-1][:3] == ("end", 0, 0)


@pytest.mark.parametrize("kind", [Epochs, Steps])
def test_a_callback_uses_the_network(kind, tmp_path):
    found = []

    def use(fit):
        net = fit.network
        found.append(net.predict(X[:3]))
        found.append(net.evaluate(X, Y)["loss"])
        found.append(net.loss_and_gradients(X, Y)[0])
        net.save(tmp_path / "m")
        assert_same(learned(fastbp.load(tmp_path / "m")), learned(net))

    net, plain = network(), network()
    net.fit(X, Y, 3, 8, callbacks=[kind(use)])
    plain.fit(X, Y, 3, 8)
    assert_same(contents(net), contents(plain))
    np.testing.assert_array_equal(found[-3], net.predict(X[:3]))
    assert found[-2] == net.evaluate(X, Y)["loss"]


def test_a_callback_changes_the_weights():
    def freeze(fit):
        fit.network.biases[0][:] = 0

    net = network()
    net.fit(X, Y, 3, 8, callbacks=[Steps(freeze)])
    assert not net.biases[0].any()
    assert net.biases[1].all()


def test_a_callback_cannot_fit_the_network():
    net = network()
    with raises(RuntimeError, "a callback cannot fit the network that is being fitted"):
        net.fit(X, Y, callbacks=[Epochs(lambda fit: fit.network.fit(X, Y))])
    net.fit(X, Y)
    other = network()
    net.fit(X, Y, callbacks=[Epochs(lambda fit: other.fit(X, Y))])
    assert other.steps == 2


@pytest.mark.parametrize(
    ("bad", "parts"),
    [
        (Callback(), ("callbacks must be a sequence", "Callback")),
        (None, ("callbacks must be a sequence", "None")),
        ([Callback(), 3], ("callbacks[1] must be a fastbp.callbacks.Callback", "got 3")),
        ([Diary], ("callbacks[0] must be an object: write Diary()",)),
        ([print], ("callbacks[0] must be",)),
    ],
    ids=stable,
)
def test_what_is_no_callback(bad, parts):
    net = network()
    before = contents(net)
    with raises(TypeError, *parts):
        net.fit(X, Y, callbacks=bad)
    assert_same(contents(net), before)


def test_a_method_that_no_fit_calls():
    with raises(TypeError, "Wrong has a method on_train_begin", "calls only on_fit_begin, on_ep"):
        type("Wrong", (Callback,), {"on_train_begin": lambda self, fit: None})


def test_a_callback_cannot_set_the_rate_nor_follow_a_schedule_later():
    def set_rate(fit):
        fit.learning_rate = 0.1

    with raises(AttributeError, "learning_rate"):
        network().fit(X, Y, callbacks=[Epochs(set_rate)])
    with raises(ValueError, "from its first step on only; it has made"):
        network().fit(X, Y, callbacks=[Epochs(lambda fit: fit.follow(schedules.Cosine()))])


def test_a_callback_is_given_once():
    net, stop = network(), fastbp.callbacks.EarlyStopping("loss")
    before = contents(net)
    with raises(ValueError, "callbacks[2] is given twice", "EarlyStopping"):
        net.fit(X, Y, callbacks=[stop, Callback(), stop])
    assert_same(contents(net), before)


def test_a_fit_goes_on_from_its_state():
    class Counter(Callback):
        def __init__(self):
            self.count = 0

        def on_epoch_end(self, fit):
            self.count += 1
            if fit.epoch == 2:
                self.kept = fit.state()
                self.network = copy.deepcopy(fit.network)

        def state(self):
            return {"count": self.count}

        def restore(self, state):
            self.count = state["count"]

    one, other, net = Counter(), Counter(), network()
    want = net.fit(X, Y, 4, 8, callbacks=[one])
    assert one.kept.history == {"loss": want["loss"][:2]}
    assert one.kept.callbacks == [("Counter", {"count": 2})]
    twin = one.network
    fit = RowFit(twin, twin._core, twin._core.rows(X, Y), 4, 8, twin._core.rng, None, (other,))
    fit.restore(one.kept)
    assert fitting.run(fit, False) == want
    assert other.count == 4
    assert_same(contents(twin), contents(net))


def test_what_a_fit_shows_cannot_be_set():
    """A batch size of -64 would never end."""
    names = [name for name, entry in vars(Fit).items() if isinstance(entry, property)]
    assert {"batch_size", "epochs", "epoch", "step", "history", "network"} <= set(names)
    refused = []

    class Setting(Callback):
        def on_epoch_end(self, fit):
            for name in names:
                with pytest.raises(AttributeError):
                    setattr(fit, name, -64)
                refused.append(name)

    net, twin = network(), network()
    net.fit(X, Y, 2, 8, callbacks=[Setting()])
    twin.fit(X, Y, 2, 8)
    assert refused == names * 2
    assert_same(contents(net), contents(twin))
