"""A loss that is not finite: what is raised, what stays as it was, and that training goes on."""

import contextlib

import numpy as np
import pytest
from cases import data
from contents import assert_same, learned
from expect import raises

import fastbp
from fastbp import losses
from fastbp.callbacks import Callback
from fastbp.engine import engine

ROWS, BATCH = 37, 8
HUGE = 1e30  # its square overflows float32


def network(**arguments):
    return fastbp.Network([5, 9, 4], rng=0, **arguments)


def rows(bad=None):
    """Data of which one row, if any, makes the loss infinite."""
    X, y = data(ROWS, 5, 4)
    if bad is not None:
        y[bad] = HUGE
    return X, y


OPTIMIZERS = ["sgd", fastbp.SGD(0.01, momentum=0.9), "adam", "nadam"]


@pytest.mark.parametrize("steps_a_call", [1, 2, 3, 4, 1 << 16])
@pytest.mark.parametrize("bad", [0, 15, 31, 36])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_the_first_epoch_fails(optimizer, bad, steps_a_call, monkeypatch):
    monkeypatch.setattr(engine, "STEPS_A_CALL", steps_a_call)
    net = network(optimizer=optimizer)
    net.fit(*rows(), epochs=2, batch_size=BATCH)
    before = learned(net)
    where = f"epoch 1 of 3, step {bad // BATCH + 1} of 5"
    with raises(FloatingPointError, "loss is not finite", where):
        net.fit(*rows(bad), epochs=3, batch_size=BATCH, shuffle=False)
    assert_same(learned(net), before)


def linear():
    """A network whose error grows from step to step with the data of `rows()`."""
    return fastbp.Network([5, 4], optimizer=fastbp.SGD(10.0), rng=0)


def good_epochs():
    """How many epochs `linear` survives, found one by one."""
    net = linear()
    for good in range(100):
        try:
            net.fit(*rows(), batch_size=BATCH, shuffle=False)
        except FloatingPointError:
            return good
    raise AssertionError("it does not diverge")


@pytest.mark.parametrize("steps_a_call", [1, 2, 4, 1 << 16])
@pytest.mark.parametrize("validate", [False, True])
def test_a_later_epoch_of_one_call_fails(validate, steps_a_call, monkeypatch):
    good = good_epochs()
    assert good > 1
    net, stopped = linear(), linear()
    stopped.fit(*rows(), epochs=good, batch_size=BATCH, shuffle=False)
    monkeypatch.setattr(engine, "STEPS_A_CALL", steps_a_call)
    validation = data(9, 5, 4, seed=1) if validate else None
    with raises(FloatingPointError, f"epoch {good + 1} of 500"):
        net.fit(*rows(), 500, BATCH, shuffle=False, validation_data=validation)
    assert net.steps == 5 * good
    assert_same(learned(net), learned(stopped))


def test_shuffled_epochs_fail_too():
    net = network()
    before = learned(net)
    with raises(FloatingPointError, "epoch 1 of 5"):
        net.fit(*rows(17), epochs=5, batch_size=BATCH)
    assert_same(learned(net), before)


@pytest.mark.parametrize("batch_size", [ROWS, 1000])
def test_an_epoch_of_one_batch_fails(batch_size):
    net = network()
    before = learned(net)
    with raises(FloatingPointError, "epoch 1 of 2, step 1 of 1"):
        net.fit(*rows(3), epochs=2, batch_size=batch_size)
    assert_same(learned(net), before)


def test_a_batch_of_several_slabs_fails_in_the_last_one():
    X, y = data(3000, 5, 4)
    y[-1] = HUGE
    net = network()
    before = learned(net)
    with raises(FloatingPointError, "epoch 1 of 1, step 1 of 1"):
        net.fit(X, y, batch_size=3000, shuffle=False)
    with raises(FloatingPointError, "not finite"):
        net.train_step(X, y)
    assert_same(learned(net), before)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_train_step_changes_nothing(optimizer):
    net = network(optimizer=optimizer)
    net.train_step(*rows())
    before = learned(net)
    with raises(FloatingPointError, "the loss is not finite; no update was made"):
        net.train_step(*rows(5))
    assert_same(learned(net), before)


def test_weights_that_are_not_finite_are_found_at_the_first_step():
    net = network()
    net.weights[1][2, 3] = np.nan
    with raises(FloatingPointError, "epoch 1 of 2, step 1 of 5"):
        net.fit(*rows(), epochs=2, batch_size=BATCH)


def test_gradients_of_a_loss_that_is_not_finite_are_not_those_of_another_call():
    net = network()
    net.loss_and_gradients(*rows())
    with raises(FloatingPointError, "the loss is not finite"):
        net.loss_and_gradients(*rows(5))


def test_an_infinite_loss_is_what_evaluate_reports():
    assert network().evaluate(*rows(5))["loss"] == np.inf


@pytest.mark.parametrize("steps_a_call", [2, 1 << 16])
def test_the_network_trains_on_as_if_nothing_had_happened(steps_a_call, monkeypatch):
    monkeypatch.setattr(engine, "STEPS_A_CALL", steps_a_call)
    net, twin = network(), network()
    X, y = rows()
    for n in (net, twin):
        n.fit(X, y, epochs=2, batch_size=BATCH, shuffle=False)
        if n is net:
            with pytest.raises(FloatingPointError):
                n.train_step(*rows(36))
            with pytest.raises(FloatingPointError):
                n.fit(*rows(36), batch_size=BATCH, shuffle=False)
        n.fit(X, y, epochs=2, batch_size=BATCH, shuffle=False)
        n.train_step(X, y)
    assert_same(learned(net), learned(twin))


# ---- data that are changed while they are read --------------------------------------------------


class Spoiling(Callback):
    """Changes the data of the fit after its first epoch."""

    def __init__(self, change):
        self.change = change

    def on_epoch_end(self, fit):
        self.change()


@pytest.mark.parametrize("label", [-1, 4, 10**12, -(10**15)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rows", [7, 40])
@pytest.mark.parametrize("outputs", [4, 300])
def test_a_label_that_is_none_any_more_is_an_error(label, smoothing, rows, outputs):
    """And no write to where it points: 10**12 rows of logits away nothing is mapped."""
    X, _ = data(rows, 5, 4)
    y = np.arange(rows) % 4
    loss = losses.CrossEntropy(smoothing)
    net, twin = (fastbp.Network([5, 9, outputs], loss=loss, rng=0) for _ in range(2))
    if label == 4:
        label = outputs
    spoiling = Spoiling(lambda: y.__setitem__(rows // 2, label))
    with raises(ValueError, "y was changed", "labels of no class", "last good epoch"):
        net.fit(X, y, 3, 16, callbacks=[spoiling])
    twin.fit(X, np.arange(rows) % 4, 1, 16)
    assert_same(learned(net), learned(twin))


def test_labels_of_batches_and_of_tasks_that_are_none_any_more():
    X, _ = data(40, 5, 4)
    y = np.arange(40) % 4
    net = fastbp.Network([5, 9, 4], loss="cross_entropy", rng=0)

    class OneStep(Spoiling):
        def on_step_end(self, fit):
            self.change()

    with raises(ValueError, "y was changed"):
        net.fit(X, y, 1, 16, callbacks=[OneStep(lambda: y.fill(9))])
    y = np.arange(40) % 2
    both = fastbp.Network(
        [5, 9, 3], loss={"a": "cross_entropy", "b": "mse"}, outputs={"a": 2, "b": 1}, rng=0
    )
    with raises(ValueError, "y was changed"):
        both.fit(X, {"a": y, "b": X[:, 0]}, 3, 16, callbacks=[Spoiling(lambda: y.fill(2))])


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("part", ["indices", "indptr"])
def test_sparse_rows_whose_structure_is_damaged_meanwhile(part, index):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    dense, y = data(40, 50, 4)
    X = scipy_sparse.csr_array(np.where(dense > 1, dense, 0))
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype("int64")
    net = fastbp.Network([50, 9, 4], rng=0)
    array = getattr(X, part)
    changed = raises(ValueError, "X was changed", "columns of none", "last good epoch")
    with changed if part == "indices" else contextlib.suppress(FloatingPointError):
        net.fit(X, y, 3, 16, callbacks=[Spoiling(lambda: array.fill(2**30))])
    assert net.steps in (3, 9)
    assert all(np.isfinite(weights).all() for weights in net.weights)


@pytest.mark.parametrize("metric", ["accuracy", "top_2_accuracy", "auc"])
@pytest.mark.parametrize("label", [-1, 4, 10**12])
def test_labels_of_validation_data_that_are_none_any_more(metric, label):
    X, _ = data(40, 5, 4)
    y, other = np.arange(40) % 4, np.arange(40) % 4
    net = fastbp.Network([5, 9, 4], loss="cross_entropy", rng=0)
    spoiling = Spoiling(lambda: other.fill(label))
    with raises(ValueError, "validation_data y was changed", "labels of no class"):
        net.fit(X, y, 3, 16, validation_data=(X, other), metrics=[metric], callbacks=[spoiling])
    assert net.history.epochs == 1
