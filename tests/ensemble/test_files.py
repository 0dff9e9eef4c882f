"""Files of ensembles: the same bits again, and refusals of what no ensemble has said."""

import copy

import numpy as np
import pytest
from contents import assert_same, contents
from ensembles import LABELS, VALUES, X, ensemble, failing, fitted
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st
from importable import swish
from safetensors.numpy import load_file

import fastbp
from fastbp.callbacks import Checkpoint
from fastbp.files import container

BAGGED = {"bootstrap": True, "progress": False}


def mixed():
    """Networks of three kinds, some alike."""
    made = fastbp.Ensemble(
        [
            fastbp.Network([3, 4, 2], rng=0),
            fastbp.Network([3, 6, 5, 2], "tanh", dropout=[0.1, 0.2], optimizer="sgd", rng=1),
            fastbp.Network([3, 4, 2], rng=2),
            fastbp.Network([3, 2], dtype="float64", scaling="standard", rng=3),
            fastbp.Network([3, 4, 2], fastbp.Activation(swish), rng=4),
            fastbp.Network([3, 6, 5, 2], "tanh", dropout=[0.1, 0.2], optimizer="sgd", rng=5),
        ],
        rng=7,
    )
    made.fit(X, VALUES, 2, 16, **BAGGED)
    return made


def test_bits_are_the_same_and_training_goes_on(tmp_path):
    made = mixed()
    made.save(tmp_path / "m")
    other = fastbp.load(tmp_path / "m")
    assert isinstance(other, fastbp.Ensemble)
    assert len(other) == 6
    for rows in (X, X[:50]):  # on the same rows, then on new ones
        for a, b in zip(made, other, strict=True):
            assert_same(contents(b), contents(a))
            assert repr(b) == repr(a)
        np.testing.assert_array_equal(other.predict(X), made.predict(X))
        assert other._members.bags == made._members.bags
        for one in (made, other):
            one.fit(rows, VALUES[: len(rows)], 2, 16, **BAGGED)
    assert_same(contents(other[3]), contents(made[3]))


def test_out_of_bag_estimates_need_no_other_file(tmp_path):
    made = fitted(24, options=BAGGED)
    made.save(tmp_path / "m")
    other = fastbp.load(tmp_path / "m")
    np.testing.assert_array_equal(other.oob_predictions(X), made.oob_predictions(X))


def test_equal_ensembles_have_equal_bytes(tmp_path):
    for name in ("a", "b"):
        mixed().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_arrays_of_networks_that_are_alike_lie_in_one(tmp_path):
    made = fitted(5)
    made.save(tmp_path / "m")
    arrays = load_file(tmp_path / "m")
    np.testing.assert_array_equal(arrays["0.weights.0"], [net.weights[0] for net in made])
    assert len(arrays) == 12  # weights and biases of 2 layers, and twice as many of Adam


def test_thousands_of_networks_fit_into_a_file(tmp_path):
    made = fastbp.Ensemble.of(lambda rng: fastbp.Network([1, 2, 1], rng=rng), 3000, rng=0)
    made.save(tmp_path / "m")
    other = fastbp.load(tmp_path / "m")
    np.testing.assert_array_equal(other.predict([[1.0]]), made.predict([[1.0]]))


def test_what_failed_stays_told(tmp_path):
    made = ensemble(3, optimizer=fastbp.SGD(0.1))
    failing(made[1])
    with pytest.warns(RuntimeWarning, match="1 of 3"):
        made.fit(X, LABELS, progress=False)
    made.save(tmp_path / "m")
    other = fastbp.load(tmp_path / "m")
    assert other.failed == (1,)
    with raises(RuntimeError, "network 1 of 3"):
        other.predict(X)


def test_a_fit_in_whose_midst_a_network_is_can_still_be_resumed(tmp_path):
    for number in range(2):
        net = fastbp.Network([3, 2], rng=number)
        keep = Checkpoint(tmp_path / f"{number}")
        net.fit(X, VALUES, 2, 16, callbacks=[keep], progress=False)
    networks = [fastbp.load(tmp_path / f"{number}") for number in range(2)]
    fastbp.Ensemble([*networks, fastbp.Network([3, 2], rng=3)]).save(tmp_path / "m")
    other = fastbp.load(tmp_path / "m")
    for a, b in zip(networks, other, strict=False):
        options = {"callbacks": [Checkpoint(tmp_path / "more")], "progress": False}
        for net in (a, b):
            net.fit(X, VALUES, 5, 16, resume=True, **options)
        assert_same(contents(b), contents(a))


def test_load_takes_threads_and_another_generator(tmp_path):
    made = fitted(3, options=BAGGED)
    made.save(tmp_path / "m")
    first, again, other = (fastbp.load(tmp_path / "m", rng=rng, threads=1) for rng in (5, 5, 6))
    for one in (first, again, other):
        one.fit(X[:50], LABELS[:50], 1, 16, **BAGGED)
    np.testing.assert_array_equal(first.predict(X), again.predict(X))
    assert (first.predict(X) != other.predict(X)).any()
    assert first[0]._core.engine.threads == 1
    with raises(ValueError, "threads"):
        fastbp.load(tmp_path / "m", threads=0)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    fitted(2).save(tmp_path / "m")
    before = (tmp_path / "m").read_bytes()
    own = fastbp.Activation(lambda z: z * z, name="own")
    made = fastbp.Ensemble([fastbp.Network([3, 2, 1], own), fastbp.Network([3, 2, 1])])
    with raises(ValueError, "own"):
        made.save(tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    with raises(FileNotFoundError, "cannot save"):
        made[1:].save(tmp_path / "none" / "m")


# Hostile files: whole, with a checksum that fits.


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("ensemble") / "m"
    mixed().save(path)
    return container.read(path)


def edited(configuration, path, value):
    configuration = copy.deepcopy(configuration)
    at = configuration
    for key in path[:-1]:
        at = at[key]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return configuration


EDITS = [
    (["ensemble"], None),
    (["ensemble"], {}),
    (["ensemble"], [1]),
    (["ensemble", "more"], 1),
    (["ensemble", "failed"], ...),
    (["ensemble", "failed"], [6]),
    (["ensemble", "failed"], [-1]),
    (["ensemble", "failed"], [1, 1]),
    (["ensemble", "failed"], [2, 1]),
    (["ensemble", "failed"], [True]),
    (["ensemble", "failed"], [0.0]),
    (["ensemble", "failed"], "0"),
    (["ensemble", "rng"], None),
    (["ensemble", "rng", "bit_generator"], "os.system"),
    (["ensemble", "bags"], None),
    (["ensemble", "bags", "seeds"], [1, 2]),
    (["ensemble", "bags", "seeds"], [1, 2, 3, 4, 5, -6]),
    (["ensemble", "bags", "seeds"], [1, 2, 3, 4, 5, 1 << 63]),
    (["ensemble", "bags", "seeds"], [1, 2, 3, 4, 5, "6"]),
    (["ensemble", "bags", "seeds"], {"0": 1}),
    (["ensemble", "bags", "rows"], 0),
    (["ensemble", "bags", "rows"], 1 << 60),
    (["ensemble", "bags", "rows"], 97.0),
    (["ensemble", "bags", "drawn"], 98),
    (["ensemble", "bags", "drawn"], 0),
    (["ensemble", "bags", "replace"], 1),
    (["ensemble", "bags", "replace"], ...),
    (["ensemble", "bags", "more"], 1),
    (["groups"], ...),
    (["groups"], []),
    (["groups"], {}),
    (["groups"], [1]),
    (["groups", 0], {}),
    (["groups", 0, "more"], 1),
    (["groups", 0, "networks"], [0]),
    (["groups", 0, "networks"], [0, 0]),
    (["groups", 0, "networks"], [0, 1]),
    (["groups", 0, "networks"], [0, 60]),
    (["groups", 0, "networks"], [0, 2.0]),
    (["groups", 0, "networks"], [False, 2]),
    (["groups", 0, "networks"], [[0], 2]),
    (["groups", 0, "networks"], "02"),
    (["groups", 0, "own"], None),
    (["groups", 0, "own"], [{}, {}]),
    (["groups", 0, "own"], [1, 2]),
    (["groups", 0, "own", 0, "layers"], [3, 2]),
    (["groups", 0, "own", 0, "steps"], -1),
    (["groups", 0, "own", 0, "rng"], 5),
    (["groups", 0, "own", 0, "fit"], {"a": {"$array": 0}}),
    (["groups", 0, "configuration"], None),
    (["groups", 0, "configuration"], {}),
    (["groups", 0, "configuration", "layers"], [3, 5, 2]),
    (["groups", 0, "configuration", "layers"], [3, 10**9, 2]),
    (["groups", 0, "configuration", "loss"], {"name": "mae"}),
    (["groups", 0, "configuration", "more"], 1),
    (["groups", 0, "configuration", "ensemble"], {}),
    (["more"], 1),
    (["layers"], [3, 2]),
]


def refused(path, arrays, configuration):
    container.write(path, arrays, configuration)
    with pytest.raises(ValueError, match="cannot load") as caught:
        fastbp.load(path)
    assert len(str(caught.value)) < 2000
    return str(caught.value)


@pytest.mark.parametrize(("path", "value"), EDITS, ids=str)
def test_configurations_that_are_refused(path, value, content, tmp_path):
    arrays, configuration = content
    refused(tmp_path / "m", arrays, edited(configuration, path, value))


PLACES = sorted({tuple(path[:depth]) for path, _ in EDITS for depth in (1, 2, 3, 4)}, key=str)
PLAIN = st.none() | st.booleans() | st.integers(-2, 10**20) | st.floats(-1e300, 1e300)
JSON = st.recursive(
    PLAIN | st.text("as0f"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("as0f"), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150)
@given(place=st.sampled_from(PLACES), value=JSON)
def test_any_edit_is_refused_or_harmless(place, value, content, tmp_path_factory):
    arrays, configuration = content
    path = tmp_path_factory.getbasetemp() / "edited"
    try:
        changed = edited(configuration, place, value)
    except (KeyError, TypeError, IndexError):  # there is no such place
        return
    container.write(path, arrays, changed)
    try:
        made = fastbp.load(path)
    except ValueError as error:
        assert str(error).startswith("cannot load")  # noqa: PT017 - not every edit is refused
        return
    assert len(made) == 6
    if not made.failed:
        assert np.isfinite(made.predict(X)).all()


def test_arrays_that_are_refused(content, tmp_path):
    arrays, configuration = content
    one = arrays["0.weights.0"]
    for change in (
        {"more": one},
        {"9.weights.0": one},
        {"00.weights.0": one},
        {"0.more": one},
        {"weights.0": one},
        {"0.weights.0": one[:1]},
        {"0.weights.0": one[0]},
        {"0.weights.0": one.reshape(-1)},
        {"0.weights.0": np.array(1, "f4")},
        {"0.weights.0": one.astype("f8")},
        {"0.weights.0": np.concatenate([one, one])},
    ):
        refused(tmp_path / "m", arrays | change, configuration)
    for name in arrays:
        refused(tmp_path / "m", {n: a for n, a in arrays.items() if n != name}, configuration)


def test_damaged_files_are_refused(content, tmp_path):
    arrays, configuration = content
    container.write(tmp_path / "m", arrays, configuration)
    whole = (tmp_path / "m").read_bytes()
    for damaged in (whole[:-1], whole[:100], b"", whole[:-5] + b"\0" + whole[-4:], whole + b"\0"):
        (tmp_path / "d").write_bytes(damaged)
        with raises(ValueError, "cannot load", "d"):
            fastbp.load(tmp_path / "d")


def test_files_of_networks_are_read_as_before(tmp_path):
    net = fastbp.Network([3, 2], rng=0)
    net.save(tmp_path / "m")
    other = fastbp.load(tmp_path / "m")
    assert type(other) is fastbp.Network
    assert_same(contents(other), contents(net))
    arrays, configuration = container.read(tmp_path / "m")
    refused(tmp_path / "m", arrays, configuration | {"groups": []})
