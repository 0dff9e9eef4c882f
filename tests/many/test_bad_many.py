"""Bad input of fit_many: told by the network's number, and nothing has changed."""

import numpy as np
import pytest
from cases import data
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp import each
from fastbp.callbacks import Callback, EarlyStopping

ROWS = 71
X, Y = data(ROWS, 5, 3)
LABELS = np.random.default_rng(1).integers(3, size=ROWS)


class Notes(Callback):
    """Any callback."""


def classes(seed=0, **options):
    return fastbp.Network([5, 8, 3], loss="cross_entropy", rng=seed, **options)


def refused(error, *parts, networks=None, given=(X, LABELS), **options):
    """Nothing changes, and what was not learned before is forgotten."""
    networks = networks or [classes(seed, scaling="standard") for seed in range(4)]
    before = [contents(network) for network in networks if isinstance(network, fastbp.Network)]
    with raises(error, *parts):
        fastbp.fit_many(networks, *given, **options)
    after = [network for network in networks if isinstance(network, fastbp.Network)]
    for network, held in zip(after, before, strict=True):
        assert_same(contents(network), held)
        assert network.scaling is None
        assert network.feature_names is None
        assert network.history is None


NAN = np.where(np.arange(ROWS * 5).reshape(ROWS, 5) == 17, np.nan, X)
BAD = [
    ({"epochs": each([1, 1, 0, 1])}, ValueError, ("network 2", "epochs", "got 0")),
    ({"epochs": each([1, 1, 1])}, ValueError, ("epochs=each(...)", "4 networks", "has 3")),
    ({"epochs": [1, 1, 1, 1]}, TypeError, ("network 0", "epochs")),
    ({"batch_size": each([1, 2, 3, "4"])}, TypeError, ("network 3", "batch_size", "'4'")),
    ({"rows": [0, ROWS]}, ValueError, ("network 0", "rows", "0 to 70", str(ROWS))),
    ({"rows": each([[0], [1], [-1], [0]])}, ValueError, ("network 2", "rows", "-1")),
    ({"rows": []}, ValueError, ("rows",)),
    ({"rows": np.zeros(ROWS, bool)}, ValueError, ("rows", "no row")),
    ({"rows": np.ones(ROWS - 1, bool)}, ValueError, ("rows", "mask of 71")),
    ({"rows": [[0]]}, ValueError, ("rows", "shape (1, 1)")),
    ({"rows": [0.5]}, ValueError, ("rows", "float64")),
    ({"validation_rows": [ROWS]}, ValueError, ("validation_rows", "0 to 70")),
    (
        {"validation_rows": [0], "validation_data": (X, LABELS)},
        ValueError,
        ("validation_data and validation_rows",),
    ),
    ({"validation_data": (NAN, LABELS)}, ValueError, ("validation_data X", "nan")),
    ({"sample_weight": np.zeros(ROWS)}, ValueError, ("network 0", "no row weighs")),
    (
        {"class_weight": each(["balanced"] * 3 + [{0: 1}])},
        ValueError,
        ("network 3", "class_weight"),
    ),
    ({"mask_nan": "yes"}, TypeError, ("mask_nan",)),
    ({"shuffle": 2}, TypeError, ("shuffle",)),
    ({"schedule": "cosine"}, TypeError, ("network 0", "schedule")),
    ({"metrics": each([None, None, ["f2"], None])}, ValueError, ("network 2", "f2")),
    ({"tol": each([None, None, None, -1.0])}, ValueError, ("network 3", "tol")),
    ({"callbacks": [EarlyStopping]}, TypeError, ("callbacks[0]", "brackets")),
    ({"callbacks": each([(), (), [3], ()])}, TypeError, ("callbacks[0]", "got 3")),
    ({"progress": "yes"}, TypeError, ("progress",)),
    ({"threads": 0}, ValueError, ("threads",)),
    ({"threads": 1.5}, TypeError, ("threads",)),
]


@pytest.mark.parametrize(("options", "error", "parts"), BAD, ids=str)
def test_bad_arguments_change_nothing(options, error, parts):
    refused(error, *parts, **options)


def test_bad_data_change_nothing():
    refused(ValueError, "network 0", "X", "nan", given=(NAN, LABELS))
    good = [X, X, NAN, X]
    refused(ValueError, "network 2", "X", "nan", given=(each(good), LABELS))
    refused(ValueError, "network 3", "y", "3", given=(X, each([LABELS] * 3 + [LABELS + 1])))
    refused(ValueError, "X", given=(X[:, :4], LABELS))
    wide = [*(classes(seed, scaling="standard") for seed in range(3))]
    wide.append(fastbp.Network([4, 3], loss="cross_entropy", scaling="standard"))
    refused(ValueError, "network 3", "X", "(rows, 4)", networks=wide)
    refused(ValueError, "X", given=(X[:0], LABELS[:0]))


def test_bad_networks_change_nothing():
    net = classes()
    refused(TypeError, "networks[1]", "Network", "got 3", networks=[classes(scaling="standard"), 3])
    with raises(ValueError, "networks[2]", "the same network as networks[0]", "deepcopy"):
        fastbp.fit_many([net, classes(1), net], X, LABELS)
    with raises(ValueError, "networks is empty"):
        fastbp.fit_many([], X, LABELS)
    with raises(TypeError, "networks must be a sequence"):
        fastbp.fit_many(net, X, LABELS)
    assert net.steps == 0


def test_the_700th_bad_option_is_found_before_anything_is_trained():
    networks = [fastbp.Network([5, 1], rng=seed) for seed in range(710)]
    epochs = [1] * 710
    epochs[700] = 0
    with raises(ValueError, "network 700", "epochs"):
        fastbp.fit_many(networks, X, Y[:, :1], epochs=each(epochs))
    assert all(network.steps == 0 for network in networks)


def test_callbacks_that_cannot_be_shared(tmp_path):
    networks = [classes(seed) for seed in range(2)]
    notes = Notes()
    with raises(ValueError, "one callback for network 0 and for network 1"):
        fastbp.fit_many(networks, X, LABELS, callbacks=each([[notes], [notes]]))
    for callback in (
        fastbp.callbacks.CSVLog(tmp_path / "log.csv"),
        fastbp.callbacks.Checkpoint(tmp_path / "model"),
    ):
        with raises(ValueError, type(callback).__name__, "each"):
            fastbp.fit_many(networks, X, LABELS, callbacks=[callback])
    assert not list(tmp_path.iterdir())
    fastbp.fit_many(networks[:1], X, LABELS, callbacks=[fastbp.callbacks.CSVLog(tmp_path / "a")])
    assert (tmp_path / "a").read_text().startswith("epoch,loss")
