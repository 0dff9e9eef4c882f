"""Files that are whole, with a checksum that fits, but say what no network has said."""

import copy
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastbp
from fastbp.callbacks import Callback, Checkpoint
from fastbp.files import container


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The arrays and the configuration of a file that loads."""
    path = tmp_path_factory.mktemp("model") / "m"
    net = fastbp.Network([3, 4, 2], "tanh", fastbp.losses.Huber(0.5), rng=0)
    net.train_step(np.ones((2, 3)), np.ones((2, 2)))
    net.save(path)
    fastbp.load(path)
    return container.read(path)


def refused(path, arrays, configuration, megabytes=20):
    """The file is refused with a ValueError that names it, and little is allocated."""
    container.write(path, arrays, configuration)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="cannot load") as caught:
            fastbp.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 1e6, f"{peak / 1e6:.0f} MB"
    assert len(str(caught.value)) < 2000
    return str(caught.value)


def edited(configuration, path, value):
    """The configuration with the entry at `path` replaced, or dropped where `value` is `...`."""
    configuration = copy.deepcopy(configuration)
    at = configuration
    for key in path[:-1]:
        at = at[key]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return configuration


HUGE = 10**9
EDITS = [
    (["layers"], [HUGE, HUGE, HUGE]),
    (["layers"], [3, 10**100, 2]),
    (["layers"], [3, 5, 2]),
    (["layers"], [3, 2]),
    (["layers"], [3, -4, 2]),
    (["layers"], [3, 4.0, 2]),
    (["layers"], [3, True, 2]),
    (["layers"], []),
    (["layers"], "342"),
    (["layers"], {"3": 4}),
    (["layers"], None),
    (["layers"], ...),
    (["dtype"], "float64"),
    (["dtype"], "float16"),
    (["dtype"], "object"),
    (["dtype"], None),
    (["dtype"], 4),
    (["dtype"], [["a", "f4"]]),
    (["dtype"], {"names": ["a"], "formats": ["f4"], "offsets": [10**30]}),
    (["dtype"], {"a": 1}),
    (["dtype"], "1000000000f4"),
    (["dtype"], ...),
    (["activations"], ["tanh"]),
    (["activations"], ["tanh", "tanh", "identity"]),
    (["activations"], ["softmax", "identity"]),
    (["activations"], ["os.system", "identity"]),
    (["activations"], [None, "identity"]),
    (["activations"], [["tanh"], "identity"]),
    (["activations"], "tanh"),
    (["activations"], []),
    (["activations"], ...),
    (["loss"], "huber"),
    (["loss"], {"delta": 0.5}),
    (["loss"], {"name": "hubris", "delta": 0.5}),
    (["loss"], {"name": ["huber"], "delta": 0.5}),
    (["loss"], {"name": "huber", "delta": -1.0}),
    (["loss"], {"name": "huber", "delta": "0.5"}),
    (["loss"], {"name": "huber", "delta": 0.5, "more": 1}),
    (["loss"], {"name": "mse", "delta": 0.5}),
    (["loss"], {"name": "cross_entropy", "label_smoothing": 0.0}),
    (["loss"], None),
    (["loss"], ...),
    (["optimizer"], "adam"),
    (["optimizer"], {"name": "sgd"}),
    (["optimizer", "name"], "adamax"),
    (["optimizer", "name"], "rmsprop"),
    (["optimizer", "name"], ...),
    (["optimizer", "lr"], -1.0),
    (["optimizer", "lr"], None),
    (["optimizer", "lr"], "1e-3"),
    (["optimizer", "beta1"], 1.0),
    (["optimizer", "amsgrad"], 1),
    (["optimizer", "amsgrad"], True),
    (["optimizer", "__class__"], "x"),
    (["optimizer", "self"], 1),
    (["initializer"], "hee"),
    (["initializer"], None),
    (["initializer"], True),
    (["initializer"], {"name": "zeros"}),
    (["initializer"], ...),
    (["steps"], -1),
    (["steps"], 1.0),
    (["steps"], True),
    (["steps"], "1"),
    (["steps"], None),
    (["steps"], 1 << 62),
    (["steps"], 10**100),
    (["steps"], ...),
    (["more"], 1),
    (["rng"], None),
    (["rng"], 5),
    (["rng", "bit_generator"], "os.system"),
    (["rng", "state", "inc"], 2),
    (["rng", "state", "state"], 10**100),
    (["rng", "has_uint32"], ...),
    (["regularization"], None),
    (["regularization"], {"dropout": 1.0}),
    (["regularization"], {"dropout": 0.5}),  # without a seed
    (["regularization"], {"dropout": [0.5, 0.5]}),
    (["regularization"], {"l1": "0.1"}),
    (["regularization"], {"hidden": 1}),
    (["regularization"], {"layers": [3, 4]}),
    (["dropout_seed"], 5),  # without dropout
    (["dropout_seed"], None),
    (["fit"], None),
    (["fit"], {"a": {"$array": 0}}),
]


@pytest.mark.parametrize(("path", "value"), EDITS, ids=str)
def test_configurations(path, value, model, tmp_path):
    arrays, configuration = model
    refused(tmp_path / "m", arrays, edited(configuration, path, value))


def test_a_file_of_before_generators_were_kept_still_loads(model, tmp_path):
    arrays, configuration = model
    container.write(tmp_path / "m", arrays, edited(configuration, ["rng"], ...))
    net = fastbp.load(tmp_path / "m", rng=3)
    net.fit(np.ones((4, 3)), np.ones((4, 2)))
    assert net.steps == 2


def test_arrays(model, tmp_path):
    arrays, configuration = model
    one = arrays["weights.0"]
    for change in (
        {"more": one},
        {"slot3.weights.0": one},
        {"state.0": one},
        {"weights.0": one.T},
        {"weights.0": one.reshape(12)},
        {"weights.0": one.astype("f8")},
        {"weights.0": one.astype("i4")},
        {"weights.0": one[:2]},
        {"biases.1": np.array(1, "f4")},
    ):
        refused(tmp_path / "m", arrays | change, configuration)
    for name in arrays:
        rest = {other: array for other, array in arrays.items() if other != name}
        refused(tmp_path / "m", rest, configuration)


def test_a_small_file_cannot_ask_for_many_layers(model, tmp_path):
    """The arrays' names alone would take 300 megabytes."""
    arrays, configuration = model
    layers = 60_000
    deep = configuration | {"layers": [1] * (layers + 1), "activations": ["selu"] * layers}
    refused(tmp_path / "m", arrays, deep, megabytes=45)  # the file's own JSON takes most of it


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 10**20)
    | st.floats(-1e300, 1e300)
    | st.text("as0f"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("as0f"), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    ["layers"], ["layers", 1], ["dtype"], ["activations"], ["activations", 0], ["loss"],
    ["loss", "name"], ["loss", "delta"], ["optimizer"], ["optimizer", "name"], ["optimizer", "eps"],
    ["optimizer", "amsgrad"], ["initializer"], ["steps"],
    ["rng"], ["rng", "state"], ["rng", "state", "state"],
]  # fmt: skip


@settings(max_examples=150)
@given(place=st.sampled_from(PLACES), value=JSON)
def test_any_edit_is_refused_with_a_value_error_or_harmless(place, value, model, tmp_path_factory):
    arrays, configuration = model
    path = tmp_path_factory.getbasetemp() / "edited"
    container.write(path, arrays, edited(configuration, place, value))
    try:
        net = fastbp.load(path)
    except ValueError as error:
        assert str(error).startswith("cannot load")  # noqa: PT017 - not every edit is refused
        return
    assert net.layers == (3, 4, 2)
    assert np.isfinite(net.predict(np.ones((2, 3)))).all()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The arrays and the configuration of a checkpoint, with a callback's state."""
    path = tmp_path_factory.mktemp("checkpoint") / "m"
    one = [Weight(), Checkpoint(path)]
    fastbp.Network([3, 4, 2], rng=0).fit(*ROWS, 2, 4, callbacks=one)
    resumed(path)
    return container.read(path)


ROWS = np.arange(27.0).reshape(9, 3) / 27, np.ones((9, 2))


class Weight(Callback):
    """Its state is a number and an array, which it checks no more than most would."""

    def __init__(self):
        self.count, self.best = 0, np.zeros(3)

    def on_epoch_end(self, fit):
        self.count += 1
        self.best += fit.network.biases[0][:3]

    def state(self):
        return {"count": self.count, "best": self.best.copy()}

    def restore(self, state):
        self.count = state["count"] + 0
        self.best[:] = state["best"]


def resumed(path):
    return fastbp.load(path).fit(*ROWS, 4, 4, callbacks=[Weight()], resume=True)


FIT_EDITS = [
    ([], None),
    ([], []),
    ([], {}),
    ([], {"$array": 0}),
    (["more"], 1),
    (["epoch"], ...),
    (["epoch"], -1),
    (["epoch"], 1),
    (["epoch"], 3),
    (["epoch"], 2.0),
    (["epoch"], True),
    (["epoch"], 1 << 62),
    (["epoch"], 10**100),
    (["step"], -1),
    (["step"], 1 << 62),
    (["step"], None),
    (["step"], ...),
    (["history"], ...),
    (["history"], []),
    (["history"], {}),
    (["history"], [["loss"]]),
    (["history"], [["loss", [1.0, 2.0]]]),
    (["history"], [["loss", {"$array": 1}]]),
    (["history"], [["val_loss", {"$array": 0}]]),
    (["history"], [[1, {"$array": 0}]]),
    (["history"], [["loss", {"$array": 0}, 1]]),
    (["stopped"], 1),
    (["stopped"], ...),
    (["arguments"], None),
    (["arguments"], ...),
    (["callbacks"], None),
    (["callbacks"], [["Weight", None]]),
    (["callbacks"], [["Weight", []]]),
    (["callbacks"], [None]),
    (["callbacks", 0, 0], 3),
    (["callbacks", 0, 1, "best"], {"$array": 0}),
    (["callbacks", 0, 1, "best"], 3),
]


@pytest.mark.parametrize(("path", "value"), FIT_EDITS, ids=str)
def test_fits(path, value, checkpoint, tmp_path):
    arrays, configuration = checkpoint
    refused(tmp_path / "m", arrays, edited(configuration, ["fit", *path], value))


def test_the_arrays_of_a_fit(checkpoint, tmp_path):
    arrays, configuration = checkpoint
    losses = arrays["state.0"]
    for change in (
        {"state.2": losses},
        {"state.-1": losses},
        {"state.00": losses},
        {"state.0": losses[:1]},
        {"state.0": losses[:, None]},
        {"state.0": losses.astype("f4")},
        {"state.0": np.ones(3)},
    ):
        refused(tmp_path / "m", arrays | change, configuration)
    del (rest := dict(arrays))["state.0"]
    refused(tmp_path / "m", rest, configuration)


DATA = "X, y and sample_weight"
FIT_PLACES = [
    [], ["arguments"], ["arguments", DATA], ["arguments", DATA, "rows"],
    ["arguments", DATA, "sample"], ["arguments", "batch_size"], ["arguments", "shuffle"],
    ["arguments", "validation_data"], ["callbacks"], ["callbacks", 0], ["callbacks", 0, 0],
    ["callbacks", 0, 1], ["callbacks", 0, 1, "count"], ["callbacks", 0, 1, "best"], ["epoch"],
    ["step"],
    ["history"], ["history", 0], ["history", 0, 0], ["history", 0, 1], ["stopped"],
]  # fmt: skip


@settings(max_examples=150)
@given(place=st.sampled_from(FIT_PLACES), value=JSON)
def test_any_edit_of_a_fit_is_refused_or_harmless(place, value, checkpoint, tmp_path_factory):
    arrays, configuration = checkpoint
    path = tmp_path_factory.getbasetemp() / "edited"
    container.write(path, arrays, edited(configuration, ["fit", *place], value))
    try:
        history = resumed(path)
    except ValueError as error:
        assert len(str(error)) < 2000  # noqa: PT017 - not every edit is refused
        return
    assert history.epochs == (2 if history.stopped is not None else 4)


def test_a_step_count_at_the_limit_trains_on(model, tmp_path):
    arrays, configuration = model
    for optimizer in ({"name": "adam"}, {"name": "nadam", "beta1": 0.999}):
        late = configuration | {"steps": (1 << 62) - 1, "optimizer": optimizer}
        container.write(tmp_path / "m", arrays, late)
        net = fastbp.load(tmp_path / "m")
        assert np.isfinite(net.train_step(np.ones((2, 3)), np.ones((2, 2))))
        assert net.steps == 1 << 62
