"""partial_fit, and batches that somebody else makes: one update each, errors that tell which."""

import itertools

import numpy as np
import pytest
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp.callbacks import Callback, Checkpoint

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4))
Y = RNG.normal(size=(50, 3))
LABELS = RNG.integers(0, 3, 50)
WEIGHTS = RNG.random(50)


def network(**arguments):
    return fastbp.Network([4, 7, 3], **{"dtype": "float64", "rng": 0, **arguments})


def cut(*arrays, size=16):
    """The arrays as batches; the last one is shorter."""
    return [
        tuple(array[start : start + size] for array in arrays)
        for start in range(0, len(arrays[0]), size)
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("loss", "y"), [("mse", Y), ("cross_entropy", LABELS)])
@pytest.mark.parametrize("size", [1, 16, 49, 50])
def test_batches_are_what_fit_makes_of_rows_in_order(size, loss, y, dtype):
    nets = [network(loss=loss, dtype=dtype) for _ in range(2)]
    want = nets[0].fit(X, y, 3, size, shuffle=False, validation_data=(X, y))
    given = nets[1].fit_batches(cut(X, y, size=size), 3, validation_data=(X, y))
    assert_same(contents(nets[0]), contents(nets[1]))
    assert list(given) == list(want)
    for name in want:
        np.testing.assert_allclose(given[name], want[name], rtol=1e-13)


def test_weights():
    nets = [network() for _ in range(2)]
    want = nets[0].fit(X, Y, 2, 16, shuffle=False, sample_weight=WEIGHTS)
    given = nets[1].fit_batches(cut(X, Y, WEIGHTS), 2)
    assert_same(contents(nets[0]), contents(nets[1]))
    np.testing.assert_allclose(given["loss"], want["loss"], rtol=1e-13)


def masked(y):
    y = y.astype(float)
    y[[3, 17, 18]] = np.nan
    if y.ndim == 2:
        y[20, 1] = np.nan
    return y


@pytest.mark.parametrize(("loss", "y"), [("mse", Y), ("cross_entropy", LABELS)])
@pytest.mark.parametrize("weights", [(), (WEIGHTS,), (1e300 * WEIGHTS,), (1e-300 * WEIGHTS,)])
def test_masks(loss, y, weights):
    y = masked(y)
    nets = [network(loss=loss) for _ in range(2)]
    given = nets[0].fit_batches(cut(X, y, *weights), 2, mask_nan=True, validation_data=(X, y))
    want = nets[1].fit(
        X,
        y,
        2,
        16,
        shuffle=False,
        mask_nan=True,
        sample_weight=weights[0] if weights else None,
        validation_data=(X, y),
    )
    for name in want:
        np.testing.assert_allclose(given[name], want[name], rtol=1e-12)
    np.testing.assert_allclose(nets[0].weights[0], nets[1].weights[0], rtol=1e-12)


@pytest.mark.parametrize("unit", ["step", "epoch"])
def test_schedules(unit):
    schedule = fastbp.schedules.Polynomial(unit=unit)
    nets = [network() for _ in range(3)]
    want = nets[0].fit(X, Y, 3, 16, shuffle=False, schedule=schedule)
    given = nets[1].fit_batches(cut(X, Y), 3, schedule=schedule)
    nets[2].fit_batches(lambda: iter(cut(X, Y)), 3, 4, schedule=schedule)
    assert given["learning_rate"] == want["learning_rate"]
    for net in nets[1:]:
        assert_same(contents(net), contents(nets[0]))
    with raises(ValueError, "a schedule needs to know how many steps", "give steps_per_epoch"):
        network().fit_batches(iter(cut(X, Y)), schedule=schedule)


def test_a_batch_without_weights_counts_by_its_rows():
    first, second = (X[:10], Y[:10]), (X[10:], Y[10:], np.full(40, 0.5))
    net = network(optimizer=fastbp.SGD(1e-300))
    history = net.fit_batches([first, second])
    losses = [net.evaluate(*first)["loss"], net.evaluate(*second[:2])["loss"]]
    np.testing.assert_allclose(history["loss"], (10 * losses[0] + 20 * losses[1]) / 30)


@pytest.mark.parametrize(
    "source",
    [
        lambda: cut(X, Y),
        lambda: [list(batch) for batch in cut(X, Y)],
        lambda: lambda: iter(cut(X, Y)),
        lambda: lambda: (batch for batch in cut(X, Y)),
        lambda: lambda: cut(X, Y),
    ],
    ids=["list", "lists", "iterators", "generators", "function"],
)
def test_what_can_be_gone_through_again(source):
    nets = [network() for _ in range(2)]
    nets[0].fit(X, Y, 3, 16, shuffle=False)
    assert nets[1].fit_batches(source(), 3).epochs == 3
    assert_same(contents(nets[0]), contents(nets[1]))


def test_a_generator_lasts_for_one_epoch():
    nets = [network() for _ in range(2)]
    nets[0].fit_batches(cut(X, Y))
    assert nets[1].fit_batches(batch for batch in cut(X, Y)).epochs == 1
    assert_same(contents(nets[0]), contents(nets[1]))


def test_steps_per_epoch():
    nets = [network() for _ in range(3)]
    some = cut(X, Y)
    nets[0].fit_batches([*some, *some], 2, 4)  # the first four, again
    nets[1].fit_batches(itertools.cycle(some), 2, 4)  # the next four
    nets[2].fit_batches(some, 2)
    for net in nets[1:]:
        assert_same(contents(nets[0]), contents(net))
    generator = itertools.cycle(some)
    nets[0].fit_batches(generator, 3, 3)
    assert next(generator)[0] is some[1][0]  # not one more was taken than nine


def test_loader_of_torch():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    nets = [network() for _ in range(2)]
    nets[0].fit(X, Y, 2, 16, shuffle=False)
    nets[1].fit_batches(torch.utils.data.DataLoader(data, 16), 2)
    assert_same(contents(nets[0]), contents(nets[1]))


def test_a_stream_of_torch_has_no_length():
    torch = pytest.importorskip("torch")

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return zip(X, Y, strict=True)

    nets = [network() for _ in range(2)]
    nets[0].fit(X, Y, 2, 16, shuffle=False)
    nets[1].fit_batches(torch.utils.data.DataLoader(Stream(), 16), 2)
    assert_same(contents(nets[0]), contents(nets[1]))


class Diary(Callback):
    def __init__(self, stop_at=None):
        self.notes, self.stop_at = [], stop_at

    def on_step_end(self, fit):
        self.notes.append((fit.step, fit.epoch, fit.batch_size, fit.steps_an_epoch, fit.loss))
        if fit.step == self.stop_at:
            fit.stop("enough")


def test_callbacks_see_every_batch():
    diary, silent = Diary(), Callback()
    nets = [network() for _ in range(3)]
    history = nets[0].fit_batches(iter(cut(X, Y)), 1, callbacks=[diary, silent])
    assert [note[:4] for note in diary.notes] == [
        (step, 0, rows, 0) for step, rows in ((1, 16), (2, 16), (3, 16), (4, 2))
    ]
    losses = [nets[1].train_step(*batch) for batch in cut(X, Y)]
    assert [note[4] for note in diary.notes] == losses
    np.testing.assert_allclose(history["loss"][0], np.dot(losses, [16, 16, 16, 2]) / 50)
    nets[2].fit_batches(cut(X, Y), 2, callbacks=[diary])
    assert [note[:4] for note in diary.notes[-2:]] == [(7, 1, 16, 4), (8, 1, 2, 4)]
    assert_same(contents(nets[0]), contents(nets[1]))


def test_a_callback_can_stop_between_batches():
    net = network()
    history = net.fit_batches(cut(X, Y), 5, callbacks=[Diary(stop_at=6)])
    assert (net.steps, history.epochs, history.stopped) == (6, 1, "enough")
    history = net.fit_batches(cut(X, Y), 5, 4, callbacks=[Diary(stop_at=8)])
    assert (net.steps, history.epochs) == (14, 2)


def test_checkpoints_are_written_between_batches(tmp_path):
    path = tmp_path / "fit.safetensors"
    net = network()
    net.fit_batches(cut(X, Y), 3, callbacks=[Checkpoint(path), Diary(stop_at=10)])
    kept, want = fastbp.load(path), network()
    want.fit_batches(cut(X, Y), 2)
    assert_same(contents(kept), contents(want))
    with raises(ValueError, "the method must be 'fit_batches'"):
        kept.fit(X, Y, epochs=3, resume=True)
    kept.fit_batches(cut(X, Y))  # forgets the fit
    with raises(ValueError, "resume=True needs a network that was loaded"):
        kept.fit(X, Y, epochs=3, resume=True)


def test_what_makes_batches_can_use_the_network():
    net = network()

    def batches():
        for features, _ in cut(X, Y):
            yield features, net.predict(features) + 1

    assert net.fit_batches(batches, 2).epochs == 2
    assert net.steps == 8

    def fitting():
        net.fit(X, Y)
        yield X, Y

    with raises(RuntimeError, "cannot fit the network that is being fitted"):
        net.fit_batches(fitting)


def assert_after(net, batches):
    """The network is what it is after these updates."""
    other = network()
    for batch in batches:
        other.train_step(*batch)
    assert_same(contents(net), contents(other))


def test_a_generator_that_ends_early():
    net, some = network(), cut(X, Y)
    with raises(ValueError, "batches ended in epoch 2 of 3 after 1 of 3 steps; the network is as"):
        net.fit_batches(iter(some), 3, 3)
    assert_after(net, some)
    with raises(ValueError, "batches ended in epoch 1 of 1 after 4 of 5 steps"):
        network().fit_batches(some, 1, 5)
    for nothing in ([], list, iter([])):
        with raises(ValueError, "batches ended in epoch 1 of 1 after 0 of its steps"):
            net.fit_batches(nothing)
    with raises(ValueError, "batches is an iterator, which one epoch uses up, and epochs is 2"):
        net.fit_batches(iter(some), 2)
    again = iter([some, []])
    with raises(ValueError, "batches ended in epoch 2 of 2 after 0 of its steps"):
        network().fit_batches(lambda: next(again), 2)
    assert_after(net, some)


def second_epoch_wrong(some, wrong):
    """A function whose second epoch has a wrong third batch."""
    epochs = iter([some, [*some[:2], wrong, some[3]]])
    return lambda: next(epochs)


NAN = X[:5].copy()
NAN[2, 1] = np.nan


@pytest.mark.parametrize(
    ("wrong", "error", "told"),
    [
        ((X[:5, :3], Y[:5]), ValueError, "X must have shape (rows, 4)"),
        ((X[:5], Y[:4]), ValueError, "y must have a row for each of the 5 rows of X; got 4"),
        ((NAN, Y[:5]), ValueError, "X holds nan at row 2, column 1"),
        ((X[:0], Y[:0]), ValueError, "X must have shape (rows, 4) with at least one row"),
        ((X[:5], Y[:5].astype(str)), TypeError, "y must hold real numbers"),
        ((X[:5], Y[:5], -WEIGHTS[:5]), ValueError, "sample_weight holds -"),
        ((X[:5],), TypeError, "a batch must be (X, y) or (X, y, sample_weight), got "),
        (X[:2], TypeError, "a batch must be (X, y) or (X, y, sample_weight), got "),
        ({"X": X, "y": Y}, TypeError, "a batch must be (X, y) or (X, y, sample_weight), got "),
        (None, TypeError, "a batch must be (X, y) or (X, y, sample_weight), got None"),
    ],
)
def test_a_batch_that_cannot_be_used_is_told_by_its_number(wrong, error, told):
    some = cut(X, Y)
    for callbacks in ([], [Diary()]):
        net = network()
        with raises(error, "batch 3 of epoch 2: ", told, "the network is as it was after"):
            net.fit_batches(second_epoch_wrong(some, wrong), 2, callbacks=callbacks)
        assert_after(net, [*some, *some[:2]])


def test_a_loss_that_is_not_finite():
    huge = np.full((5, 3), 1e200)
    some = cut(X, Y)
    net = network()
    with raises(FloatingPointError, "not finite in batch 5 of epoch 1; the network is as it was"):
        net.fit_batches([*some, (X[:5], huge), some[0]])
    assert_after(net, some)


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ((X, Y), TypeError, "epochs must be an integer"),
        ((3,), TypeError, "batches must be an iterable of (X, y) or a function that returns one"),
        ((lambda: 3,), TypeError, "the function batches must return an iterable; got 3"),
        (([], 0), ValueError, "epochs must be an integer of at least 1"),
        (([], 1, 2.5), TypeError, "steps_per_epoch must be an integer"),
        ((X,), TypeError, "batch 1 of epoch 1: a batch must be (X, y)"),
    ],
)
def test_bad_arguments(arguments, error, told):
    net = network()
    with raises(error, told):
        net.fit_batches(*arguments)
    assert_after(net, [])


def test_an_error_of_the_generator_is_its_own():
    class LostError(ValueError):
        pass

    def batches():
        yield X, Y
        raise LostError("lost")

    net = network()
    with pytest.raises(LostError, match=r"^lost$"):
        net.fit_batches(batches())
    assert_after(net, [(X, Y)])
    assert net.fit_batches([(X, Y)]).epochs == 1


def test_standard_scaling_is_not_learned_from_one_batch():
    net = network(scaling="standard")
    with raises(RuntimeError, "has not learned the scaling", "learn_scaling(X)"):
        net.fit_batches(cut(X, Y))
    net.learn_scaling(X)
    net.fit_batches(cut(X, Y))
    assert net.steps == 4


def test_partial_fit_goes_once_through_the_rows_in_their_order():
    nets = [network() for _ in range(2)]
    want = nets[0].fit(X, Y, 1, 16, shuffle=False, sample_weight=WEIGHTS)
    history = nets[1].partial_fit(X, Y, 16, sample_weight=WEIGHTS)
    assert dict(history) == dict(want)
    assert_same(contents(nets[0]), contents(nets[1]))
    nets[0].partial_fit(X[:3], Y[:3])
    nets[1].train_step(X[:3], Y[:3])
    assert_same(contents(nets[0]), contents(nets[1]))
