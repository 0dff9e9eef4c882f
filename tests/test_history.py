"""History: a read-only mapping from quantities to one value an epoch."""

import copy
import pickle

import pytest

from fastbp import History


@pytest.fixture
def history():
    made = History()
    made.append({"loss": 2.0, "val_loss": 3.0})
    made.append({"loss": 1.0, "val_loss": 2.5})
    return made


def test_a_new_one_is_empty():
    assert dict(History()) == {"loss": []}
    assert History().epochs == 0
    assert repr(History()) == "History(0 epochs)"


def test_it_is_a_mapping(history):
    assert history["loss"] == [2.0, 1.0]
    assert dict(history) == {"loss": [2.0, 1.0], "val_loss": [3.0, 2.5]}
    assert (len(history), history.epochs) == (2, 2)
    assert "val_accuracy" not in history
    with pytest.raises(KeyError, match="val_accuracy"):
        history["val_accuracy"]
    with pytest.raises(TypeError):
        history["loss"] = []


def test_values_are_python_floats(history):
    assert all(type(value) is float for column in history.values() for value in column)


def test_repr_tells_epochs_and_the_last_values(history):
    assert repr(history) == "History(2 epochs; last: loss=1, val_loss=2.5)"


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda h: pickle.loads(pickle.dumps(h))])
def test_copies_are_equal_and_independent(history, duplicate):
    other = duplicate(history)
    assert other == history
    other.append({"loss": 0.5, "val_loss": 2.0})
    assert (history.epochs, other.epochs) == (2, 3)
