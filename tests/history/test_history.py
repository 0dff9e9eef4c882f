"""History: a read-only mapping from quantities to one value an epoch."""

import copy
import pickle

import pytest

import fastbp
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


def test_to_frame(history):
    pytest.importorskip("pandas")
    frame = history.to_frame()
    assert list(frame.columns) == ["loss", "val_loss"]
    assert frame.index.name == "epoch"
    assert frame.index.tolist() == [1, 2]
    assert frame["val_loss"].tolist() == [3.0, 2.5]
    assert History().to_frame().shape == (0, 1)


@pytest.fixture
def axes():
    figures = pytest.importorskip("matplotlib.figure")
    return figures.Figure().add_subplot()


def drawn(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}


def test_plot_draws_the_losses(history, axes):
    assert history.plot(axes) is axes
    assert drawn(axes) == {"loss": [[1, 2], [2, 1]], "val_loss": [[1, 3], [2, 2.5]]}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["loss", "val_loss"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss")
    assert len(axes.figure.axes) == 1


def test_plot_draws_a_recorded_learning_rate_on_an_axis_of_its_own(axes):
    history = History({"loss": [2, 1], "learning_rate": [0.1, 0.01]})
    history.plot(axes)
    assert drawn(axes) == {"loss": [[1, 2], [2, 1]]}
    (right,) = [one for one in axes.figure.axes if one is not axes]
    assert drawn(right) == {"learning rate": [[1, 0.1], [2, 0.01]]}
    assert right.get_yscale() == "log"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["loss", "learning rate"]


def test_plot_makes_a_figure_where_none_is_given(history):
    matplotlib = pytest.importorskip("matplotlib")
    plt = pytest.importorskip("matplotlib.pyplot")
    matplotlib.use("Agg")
    ax = history.plot()
    assert ax.figure.number in plt.get_fignums()
    plt.close(ax.figure)


def test_fit_records_what_plot_draws(axes):
    fastbp.Network([1, 1]).fit([[1], [2]], [1, 2], epochs=3).plot(axes)
    assert len(drawn(axes)["loss"]) == 3


def test_the_lists_are_copies():
    history = History({"loss": [3.0, 2.0]})
    history["loss"].append(1.0)
    assert history["loss"] == [3.0, 2.0]
    assert history.epochs == 2
    assert history.last("loss") == 2.0
