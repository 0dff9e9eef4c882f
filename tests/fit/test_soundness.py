"""After any fit, however it ends, parameters and the loss on the training rows are finite."""

import contextlib
import math
import signal
import threading

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents, learned
from expect import raises

import fastbp
from fastbp import losses
from fastbp.activations import ACTIVATIONS
from fastbp.callbacks import Callback, Checkpoint, EarlyStopping
from fastbp.fit.soundness import Soundness

X, Y = data(64, 5, 4)


def wild(lr=3e4, **options):
    """A network that comes apart within some steps."""
    settings = {"optimizer": fastbp.SGD(lr), "rng": 0, **options}
    return fastbp.Network([5, 9, 4], **settings)


def assert_sound(net, x=X, y=Y):
    assert all(np.isfinite(array).all() for array in (*net.weights, *net.biases))
    assert math.isfinite(net.evaluate(x, y)["loss"])


@pytest.mark.parametrize("batch", [64, 16, 7])
@pytest.mark.parametrize("epochs", [1, 2, 3, 50])
@pytest.mark.parametrize("callback", [False, True])
def test_a_fit_that_comes_apart_ends_at_a_sound_epoch(batch, epochs, callback):
    """Also where the very last update breaks the network, of which no later loss can tell."""
    callbacks = [Breaking(-1, fail)] if callback else []  # which sees every step
    ends = set()
    for lr in (1e-3, 30.0, 1e3, 1e10, 1e25, 1e38):
        net, twin = wild(lr), wild(lr)
        with contextlib.suppress(FloatingPointError):
            net.fit(X, Y, epochs, batch, callbacks=callbacks)
        assert_sound(net)
        done = net.history.epochs
        assert done == net.steps // -(-64 // batch)
        if done:
            twin.fit(X, Y, done, batch)
        assert_same(learned(net), learned(twin))
        ends.add(done == epochs)
    assert ends == {True, False}


def test_the_last_update_of_a_fit_is_looked_at():
    net = wild(1e38)
    with raises(FloatingPointError, "after the last update in epoch 1 of 1", "last good epoch"):
        net.fit(X, Y, 1, 64)
    assert net.steps == 0
    assert_sound(net)


def test_a_checkpoint_is_never_a_broken_network(tmp_path):
    net, path = wild(1e3), tmp_path / "m"
    with pytest.raises(FloatingPointError):
        net.fit(X, Y, 50, 64, callbacks=[Checkpoint(path)])
    kept = fastbp.load(path)
    assert_sound(kept)
    assert_same(learned(kept), learned(net))
    with pytest.raises(FloatingPointError):  # goes on and meets the same end
        kept.fit(X, Y, 50, 64, callbacks=[Checkpoint(path)], resume=True)
    assert kept.history == net.history


class Breaking(Callback):
    """Ends a fit in some way after so many steps."""

    def __init__(self, steps, way):
        self.steps, self.way = steps, way

    def on_step_end(self, fit):
        if fit.step == self.steps:
            self.way(fit)


def interrupt(fit):
    raise KeyboardInterrupt


def fail(fit):
    raise OSError("no more")


def explode(fit):
    fit.network.weights[0][:] = 1e30


@pytest.mark.parametrize("way", [interrupt, fail, explode])
def test_the_best_epoch_comes_back_however_the_fit_ends(way):
    stopping = EarlyStopping("val_loss", patience=50)
    net = fastbp.Network([5, 9, 4], rng=0, optimizer=fastbp.SGD(0.1))
    far = X, Y + 100 * (X[:, :1] > 0)  # on which it gets better and worse
    with pytest.raises((KeyboardInterrupt, OSError, FloatingPointError)) as caught:
        net.fit(X, Y, 20, 16, validation_data=far, callbacks=[stopping, Breaking(31, way)])
    history = caught.value.history
    assert net.history is history
    assert history.epochs == 7
    assert net.evaluate(*far)["loss"] == min(history["val_loss"]) == stopping.best
    assert_sound(net)


def test_a_fit_that_is_stopped_in_the_midst_of_an_epoch_is_sound():
    net = wild(1e38)
    with raises(FloatingPointError, "after the last update in epoch 1 of 3"):
        net.fit(X, Y, 3, 16, callbacks=[Breaking(1, lambda fit: fit.stop("enough"))])
    assert net.steps == 0
    assert_sound(net)


@pytest.mark.parametrize("way", [interrupt, fail])
def test_an_exception_after_the_step_that_breaks_it(way):
    net = wild(1e38)
    with pytest.raises((KeyboardInterrupt, OSError)):
        net.fit(X, Y, 3, 16, callbacks=[Breaking(1, way)])
    assert net.steps == 0
    assert_sound(net)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_batches_end_at_a_sound_network(steps):
    net = wild(1e38)
    with raises(FloatingPointError, "after 0 batches of it"):
        net.fit_batches([(X, Y)] * steps)
    assert net.steps == 0
    assert_sound(net)


def test_ctrl_c_behind_the_update_of_a_first_batch_that_breaks_it():
    net = wild(1e38)
    engine = net._core.engine
    step = engine.train_step

    def interrupted(*arguments):
        step(*arguments)
        raise KeyboardInterrupt

    engine.train_step = interrupted
    with pytest.raises(KeyboardInterrupt):
        net.fit_batches([(X, Y)])
    assert net.steps == 0
    assert_sound(net)


def test_a_bad_batch_undoes_no_good_one():
    net, twin = (fastbp.Network([5, 9, 4], rng=0) for _ in range(2))
    with raises(FloatingPointError, "in batch 3", "after the batch before"):
        net.fit_batches([(X, Y), (X, Y), (X, Y * 1e30)])
    twin.fit_batches([(X, Y), (X, Y)])
    assert_same(learned(net), learned(twin))


def test_batches_go_back_to_the_last_network_that_was_kept():
    net, twin = (fastbp.Network([5, 9, 4], rng=0, optimizer="sgd") for _ in range(2))
    good = [(X, Y)] * 70

    def batches():
        yield from good
        net.weights[0][:] = 1e38
        yield X, Y

    with raises(FloatingPointError, "after 64 batches"):
        net.fit_batches(batches)
    twin.fit_batches(good[:64])
    assert_same(learned(net), learned(twin))


class Writing(Callback):
    """Writes a weight that is not finite after the epoch of that number."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, fit):
        if fit.epoch == self.epoch:
            fit.network.weights[0][0, 0] = np.nan


@pytest.mark.parametrize("epoch", [1, 2, 3])
@pytest.mark.parametrize("batches", [False, True])
def test_what_a_callback_writes_is_looked_at(epoch, batches, tmp_path):
    net, twin, path = (*(fastbp.Network([5, 9, 4], rng=0) for _ in range(2)), tmp_path / "m")
    with raises(FloatingPointError, f"callback has written parameters after epoch {epoch}"):
        if batches:
            net.fit_batches([(X, Y)], 3, callbacks=[Writing(epoch)])
        else:
            net.fit(X, Y, 3, 64, callbacks=[Writing(epoch)])
    for _ in range(epoch - 1):
        twin.train_step(X, Y)
    assert_same(contents(net), contents(twin))
    other = fastbp.Network([5, 9, 4], rng=0)
    with raises(FloatingPointError, "they are not saved"):
        other.fit(X, Y, 3, 64, callbacks=[Writing(epoch), Checkpoint(path)])
    assert_same(learned(other), learned(twin))
    assert path.exists() == (epoch > 1)


def test_the_generator_goes_back_from_what_a_callback_writes():
    net, twin = (fastbp.Network([5, 9, 4], rng=0) for _ in range(2))
    with raises(FloatingPointError, "callback has written parameters after epoch 3"):
        net.fit(X, Y, 5, 16, callbacks=[Writing(3)])
    twin.fit(X, Y, 2, 16)
    assert_same(contents(net), contents(twin))


# ---- the history --------------------------------------------------------------------------------


def test_the_history_of_a_fit_that_is_interrupted():
    net = fastbp.Network([5, 9, 4], rng=0)
    assert net.history is None
    whole = net.fit(X, Y, 3)
    assert net.history is whole

    with pytest.raises(KeyboardInterrupt) as caught:
        net.fit(X, Y, 3, 16, callbacks=[Breaking(9, interrupt)])
    assert caught.value.history is net.history
    assert net.history.epochs == 2


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"),
    reason="signals of POSIX",
)
def test_ctrl_c_keeps_the_epochs_of_the_call_that_it_ends():
    """Without callbacks many epochs go in one call of the kernels."""
    x, y = data(4000, 5, 4)
    net, twin = (fastbp.Network([5, 64, 64, 4], rng=0, threads=1) for _ in range(2))
    net.fit(x, y, 1, 32), twin.fit(x, y, 1, 32)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            net.fit(x, y, 100_000, 32, shuffle=False)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    whole, rest = divmod(net.steps - 125, 125)
    assert net.history.epochs == whole > 0
    want = twin.fit(x, y, whole, 32, shuffle=False)
    assert net.history == want
    for step in range(rest):
        twin.train_step(x[32 * step : 32 * step + 32], y[32 * step : 32 * step + 32])
    assert_same(learned(net), learned(twin))


def test_an_interrupt_before_the_first_step_leaves_the_generator():
    """What is drawn for an epoch of which no step is made is not drawn."""
    net, twin = (fastbp.Network([5, 9, 4], rng=0) for _ in range(2))

    def interrupted(*arguments):
        raise KeyboardInterrupt

    engine = net._core.engine
    for name in ("keep", "_plan", "_run"):
        setattr(engine, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, Y, 3, 16)
        delattr(engine, name)
        assert_same(contents(net), contents(twin))


class Judged:
    """Interrupts the judging of a network, so many times."""

    def __init__(self, net, times):
        self.judge, self.left = net._core.soundness, times
        self.holds, self.judge.holds = self.judge.holds, self

    def __call__(self, *arguments):
        if self.left:
            self.left -= 1
            raise KeyboardInterrupt
        return self.holds(*arguments)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("lr", "batch"), [(1e-3, 64), (1e-3, 16), (1e25, 64)])
@pytest.mark.parametrize("callbacks", [[], [Breaking(-1, fail)]], ids=["plain", "watched"])
def test_ctrl_c_while_the_network_is_judged(batch, callbacks, lr, times):
    """It is judged once more; what cannot be told at all is not kept."""
    net, twin = (fastbp.Network([5, 9, 4], rng=0, optimizer=fastbp.SGD(lr)) for _ in range(2))
    judged = Judged(net, times)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y, 5, batch, callbacks=callbacks, progress=False)
    assert judged.left == 0
    assert_sound(net)
    epochs = net.steps // -(-64 // batch)
    if epochs:
        twin.fit(X, Y, epochs, batch)
    assert_same(contents(net), contents(twin))
    assert epochs == (0 if lr > 1 or times == 2 else 1 if callbacks else 5)
    if not callbacks:
        assert net.history.epochs == epochs


@pytest.mark.parametrize("epochs", [1, 3, 50])
@pytest.mark.parametrize("callbacks", [[], [Breaking(-1, fail)]], ids=["plain", "watched"])
def test_the_generator_goes_back_with_the_network(epochs, callbacks):
    """Whether epochs went one by one or many in one call, of which the last ones are not done."""
    net, twin = wild(30.0), wild(30.0)
    with contextlib.suppress(FloatingPointError):
        net.fit(X, Y, epochs, 16, callbacks=callbacks)
    done = net.history.epochs
    if done:
        twin.fit(X, Y, done, 16)
    assert_same(contents(net), contents(twin))


# ---- the proof ----------------------------------------------------------------------------------


def judge_of(net):
    return Soundness(net._core.configuration, net._core.engine)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", [(5, 4), (1, 1), (3, 17, 33, 2), (4, 1500, 3), (6, 8, 8, 8, 1)])
def test_the_bounds_are_bounds(layers, dtype):
    """Of what a network with any activation computes: each limit is just above its outputs."""
    rng = np.random.default_rng(0)
    x = 100 * data(50, layers[0], layers[-1])[0]
    for name, entry in ACTIVATIONS.items():
        if entry.output_only:
            continue
        net = fastbp.Network(layers, activation=name, loss="mse", dtype=dtype, rng=1)
        for array in (*net.weights, *net.biases):
            array[:] = rng.normal(scale=3, size=array.shape)
        judge, reach = judge_of(net), np.abs(x).max()
        judge._limit = np.abs(net.predict(x)).max() * (1 - 1e-5)
        parameters = [*net.weights, *net.biases]
        top = max(np.abs(array).max() for array in parameters)
        rough = [top * width for width in layers[:-1]], [top] * (len(layers) - 1)
        for bounds in (judge._sums(), rough):
            assert not judge._stays_finite(reach, *bounds)
        sums, biases = judge._sums()
        np.testing.assert_allclose(sums, [np.abs(w).sum(axis=0).max() for w in net.weights], 1e-5)
        np.testing.assert_allclose(biases, [np.abs(b).max() for b in net.biases], 1e-6)
        assert all(a <= b * (1 + 1e-5) for a, b in zip(sums, rough[0], strict=True))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("width", [20, 20_000])  # these are not searched by the same code
def test_what_is_not_finite_is_not_sound(value, width):
    x, y = X[:, :3], Y[:, :2]
    for layer, place in ((0, "weights"), (1, "weights"), (0, "biases"), (1, "biases")):
        net = fastbp.Network([3, width, 2], rng=0)
        rows = net._core.rows(x, y)
        assert judge_of(net).holds(rows)
        getattr(net, place)[layer].flat[-1] = value
        assert not judge_of(net).holds(rows)


def test_a_deep_network_is_proved_by_its_sums(monkeypatch):
    """Where the greatest weight alone tells too little, no row is predicted."""
    net = fastbp.Network([512] * 9, rng=0)
    rows = net._core.rows(*data(20, 512, 512))
    judge = judge_of(net)
    monkeypatch.setattr(judge._engine, "evaluate", None)
    assert judge.holds(rows)
    top = max(np.abs(w).max() for w in net.weights)
    assert not judge._stays_finite(10.0, [top * 512] * 8, [top] * 8)


CASES = {
    "mse": {},
    "large targets": {"y": Y * 1e15},
    "huge outputs": {"scale": 1e8},
    "huge hidden": {"scale": 1e20, "output": 1e-30},
    "labels": {"loss": "cross_entropy", "y": np.arange(64) % 4},
    "poisson": {"loss": "poisson", "y": np.abs(Y)},
    "exponential": {"loss": "mse", "output_activation": "exponential"},
    "huber": {"loss": losses.Huber(1e7)},
    "log_cosh": {"loss": "log_cosh"},
    "cosine": {"loss": "cosine"},
    "gaussian_nll": {"loss": "gaussian_nll", "y": Y[:, :2]},
    "gaussian_nll of tiny variances": {"loss": losses.GaussianNLL(1e-25), "y": Y[:, :2]},
    "gaussian_nll, large targets": {"loss": "gaussian_nll", "y": Y[:, :2] * 1e16},
    "weights of outputs": {"loss_weights": [1, 1e9, 1, 1]},
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_sound_is_what_predicting_all_rows_says(case):
    """Whether by a bound or not: at every scale of the weights."""
    options = dict(CASES[case])
    y, first, last = options.pop("y", Y), options.pop("scale", 1.0), options.pop("output", 1.0)
    net = fastbp.Network([5, 9, 4], rng=0, **options)
    judge = judge_of(net)
    rows = net._core.rows(X, y)
    start = [w.copy() for w in net.weights]
    seen = set()
    for power in np.linspace(0, 36, 37):
        with np.errstate(all="ignore"):
            net.weights[0][:], net.weights[1][:] = start[0] * first * 10**power, start[1] * last
            want = math.isfinite(net.evaluate(X, y)["loss"]) and np.isfinite(net.weights[0]).all()
        assert judge.holds(rows) == want
        seen.add(bool(want))
    assert True in seen


@pytest.mark.parametrize("metric", ["r2", "mae", "mape"])
@pytest.mark.parametrize("validation", [False, True])
def test_a_fit_that_comes_apart_under_a_metric(metric, validation):
    """scikit-learn's would raise a ValueError of its own for outputs that are not finite."""
    pytest.importorskip("sklearn")
    options = {"validation_data": (X, Y)} if validation else {}
    for lr in (30.0, 1e3, 1e10, 1e38):
        net = wild(lr)
        with raises(FloatingPointError, "last good epoch"):
            net.fit(X, Y, 200, 64, metrics=[metric], **options)
        assert_sound(net)


def test_rows_of_validation_that_overflow_are_not_the_fits_failure():
    net = fastbp.Network([5, 9, 4], rng=0)
    history = net.fit(X, Y, 2, 16, validation_data=(X * 1e30, Y), metrics=["r2"])
    assert history["val_loss"] == [np.inf] * 2
    assert not np.isfinite(history["val_r2"]).any()
