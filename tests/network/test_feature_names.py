"""Names of features: which call brings them, where they are expected, how they are kept."""

import copy
import pickle

import numpy as np
import pytest
from contents import assert_same, contents, learned
from expect import raises

import fastbp
from fastbp.callbacks import Callback, Checkpoint
from fastbp.files import container

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype("f4")
Y = RNG.normal(size=(40, 2)).astype("f4")
NAMES = ("height", "width", "depth")
LIBRARIES = ["pandas", "polars", "pyarrow"]
TOLD = "X must have the columns that the network was trained on, in their order; it "


def frame(array=X, names=NAMES, library="pandas"):
    module = pytest.importorskip(library)
    columns = {name: array[:, j].copy() for j, name in enumerate(names)}
    return module.table(columns) if library == "pyarrow" else module.DataFrame(columns)


def network(**options):
    return fastbp.Network([3, 5, 2], rng=0, **options)


def trained(**options):
    net = network(**options)
    net.fit(frame(), Y)
    return net


# ---- where they come from -----------------------------------------------------------------------

TRAINING = {
    "fit": lambda net, X: net.fit(X, Y),
    "fit with a split": lambda net, X: net.fit(X, Y, validation_split=0.25),
    "fit with validation data": lambda net, X: net.fit(X, Y, validation_data=(X, Y)),
    "partial_fit": lambda net, X: net.partial_fit(X, Y),
    "train_step": lambda net, X: net.train_step(X, Y),
    "fit_batches": lambda net, X: net.fit_batches([(X, Y), (X, Y)]),
    "fit_batches after arrays": lambda net, X: net.fit_batches([(np.asarray(X), Y), (X, Y)]),
}
every_training = pytest.mark.parametrize("call", TRAINING.values(), ids=TRAINING)


@every_training
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_method_of_training_keeps_them(call, library):
    net, plain = network(), network()
    call(net, frame(library=library))
    assert net.feature_names == NAMES
    assert [type(name) for name in net.feature_names] == [str] * 3
    call(plain, X)
    assert plain.feature_names is None
    assert_same(contents(net), contents(plain))
    with raises(ValueError, TOLD):
        call(net, frame(names=NAMES[::-1]))


def test_what_uses_a_network_teaches_it_no_names():
    net = network()
    for names in (NAMES, "abc"):
        net.predict(frame(names=names))
        net.evaluate(frame(names=names), Y)
        net.loss_and_gradients(frame(names=names), Y)
    assert net.feature_names is None


def test_learning_the_scaling_keeps_them():
    net = network(scaling="standard")
    net.learn_scaling(frame())
    assert net.feature_names == NAMES
    with raises(ValueError, TOLD + "lacks "):
        net.learn_scaling(frame(names="abc"))
    with raises(ValueError, "X holds nan"):
        network(scaling="standard").learn_scaling(frame(X * np.nan))


def test_what_was_trained_on_arrays_takes_the_names_of_the_first_frame():
    net = network()
    net.fit(X, Y)
    net.fit(frame(), Y)
    assert net.feature_names == NAMES


@pytest.mark.parametrize("scaling", [None, "standard"])
def test_a_call_without_a_step_teaches_nothing(scaling):
    net, huge = network(scaling=scaling), np.full_like(Y, 1e38)
    before = learned(net)
    for call in (
        lambda: net.fit(frame(), Y[:7]),
        lambda: net.fit(frame(), Y, epochs=0),
        lambda: net.fit(frame(X[:, :2], "ab"), Y),
        lambda: net.fit(frame(), Y, validation_data=(frame(names="abc"), Y)),
        lambda: net.fit(frame(), Y, validation_split=0.5, batch_size=0),
        lambda: net.fit(X, Y, validation_data=(frame(), Y[:7])),
        lambda: net.partial_fit(frame(), Y[:7]),
    ):
        with pytest.raises(ValueError, match="must"):
            call()
        assert (net.feature_names, net.scaling) == (None, None)
    with pytest.raises(FloatingPointError):
        net.fit(frame(), huge, batch_size=40)
    assert (net.feature_names, net.scaling) == (None, None)
    if scaling is None:
        for call in (
            lambda: net.train_step(frame(), huge),
            lambda: net.fit_batches([(frame(), huge)]),
            lambda: net.fit_batches([(frame(), Y[:7])]),
            lambda: net.fit_batches([(X, Y[:7])], validation_data=(frame(), Y)),
        ):
            with pytest.raises((FloatingPointError, ValueError)):
                call()
            assert net.feature_names is None
    assert_same(learned(net), before)


def test_a_batch_that_is_refused_leaves_no_names():
    net = network()
    with raises(ValueError, "batch 2 of epoch 1: X must have shape (rows, 3)"):
        net.fit_batches([(X, Y), (frame(X[:, :2], "ab"), Y)])
    assert (net.steps, net.feature_names) == (1, None)


def test_columns_without_names():
    """Not all labels are strings, or a file could not hold them: as an array."""
    pandas = pytest.importorskip("pandas")
    labels = [range(3), ["a", "b", 3], ["a", "b", None], [("a", 1), ("a", 2), ("b", 1)]]
    labels.append(pandas.Index(["a", "b", "\ud800"], dtype=object))
    for columns in labels:
        net = network()
        net.fit(pandas.DataFrame(X, columns=columns), Y)
        assert net.feature_names is None
        net = trained()
        assert (net.predict(pandas.DataFrame(X, columns=columns)) == net.predict(X)).all()


def test_columns_may_have_one_name():
    pandas = pytest.importorskip("pandas")
    net = network()
    net.fit(pandas.DataFrame(X, columns=["a", "a", "b"]), Y)
    assert net.feature_names == ("a", "a", "b")
    net.predict(pandas.DataFrame(X, columns=["a", "a", "b"]))
    with raises(ValueError, "lacks 'a' and has 'b', which the network does not know"):
        net.predict(pandas.DataFrame(X, columns=["a", "b", "b"]))
    with raises(ValueError, "another order: column 1 is 'b', not 'a'"):
        net.predict(pandas.DataFrame(X, columns=["a", "b", "a"]))


# ---- where they are expected --------------------------------------------------------------------

USES = {
    "predict": lambda net, X: net.predict(X),
    "evaluate": lambda net, X: net.evaluate(X, Y),
    "loss_and_gradients": lambda net, X: net.loss_and_gradients(X, Y),
    **TRAINING,
}
PREFIXED = {
    "validation_data ": lambda net, data: net.fit(X, Y, validation_data=(data, Y)),
    "batch 1 of epoch 1: ": lambda net, data: net.fit_batches([(data, Y)]),
    "validation_data  ": lambda net, data: net.fit_batches([(X, Y)], validation_data=(data, Y)),
}
OTHERS = [
    (NAMES[::-1], X, "has them in another order: column 0 is 'depth', not 'height' (see"),
    (("height", "width", "Depth"), X, "lacks 'depth' and has 'Depth', which the network does not"),
    (("height", "width"), X[:, :2], "lacks 'depth' (see feature_names; an array has no names)"),
    ((*NAMES, "x"), X[:, [0, 1, 2, 0]], "has 'x', which the network does not know (see"),
]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("names", "array", "told"), OTHERS, ids=range(len(OTHERS)))
def test_other_names(names, array, told, library):
    net, other = trained(), frame(array, names, library)
    before = contents(net)
    for call in USES.values():
        if call is not TRAINING["fit_batches after arrays"]:
            with raises(ValueError, TOLD + told):
                call(net, other)
    for prefix, call in PREFIXED.items():
        with raises(ValueError, prefix.strip() + " " + TOLD + told):
            call(net, other)
    assert_same(contents(net), before)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_same_names_and_arrays(library):
    net, twin = trained(), trained()
    for call in [*USES.values(), *PREFIXED.values()]:
        call(net, frame(library=library))
        call(twin, X)
    assert net.feature_names == NAMES
    assert_same(contents(net), contents(twin))


def test_validation_data_must_have_those_of_the_training_data():
    other = frame(names=NAMES[::-1])
    with raises(ValueError, "validation_data " + TOLD + "has them in another order"):
        network().fit(frame(), Y, validation_data=(other, Y))
    with raises(ValueError, "batch 1 of epoch 1: " + TOLD + "has them in another order"):
        network().fit_batches([(frame(), Y)], validation_data=(other, Y))


def test_within_a_fit():
    """A callback and what makes batches use the network, which knows its names by then."""
    seen = []

    class Look(Callback):
        def on_fit_begin(self, fit):
            seen.append(fit.network.feature_names)
            with raises(ValueError, TOLD):
                fit.network.predict(frame(names="abc"))

    network().fit(frame(), Y, callbacks=[Look()])
    assert seen == [NAMES]


def test_many_and_long_names_make_a_short_message():
    pandas = pytest.importorskip("pandas")
    wide = np.ones((4, 300), "f4")
    net = fastbp.Network([300, 2], rng=0)
    net.fit(pandas.DataFrame(wide, columns=[f"{i}{'x' * 900}" for i in range(300)]), Y[:4])
    with raises(ValueError, "lacks '0xxx", "...'", "and 295 more and has 'y0'") as caught:
        net.predict(pandas.DataFrame(wide, columns=[f"y{i}" for i in range(300)]))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("letter", ["x", '"', "\0", "é"])
def test_names_for_which_a_file_has_no_room_are_not_kept(letter, tmp_path):
    pandas = pytest.importorskip("pandas")
    wide = np.ones((4, 40), "f4")
    for length, kept in ((7_000, True), (60_000, False)):
        net = fastbp.Network([40, 2], rng=0)
        names = [f"{i}{letter * length}" for i in range(40)]
        net.train_step(pandas.DataFrame(wide, columns=names), Y[:4])
        assert (net.feature_names is not None) == kept
        net.save(tmp_path / "m")
        assert fastbp.load(tmp_path / "m").feature_names == net.feature_names


# ---- how they are kept --------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda net: net, trained], ids=["none", "some"])
def test_files_pickles_and_copies(make, tmp_path):
    net = make(network()) if make is not trained else trained()
    net.save(tmp_path / "m")
    loaded = fastbp.load(tmp_path / "m")
    copies = [loaded, copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    for other in copies:
        assert other.feature_names == net.feature_names
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes()
    assert ("feature_names" in container.read(tmp_path / "m")[1]) == (make is trained)


def test_they_cannot_be_set():
    with pytest.raises(AttributeError):
        trained().feature_names = NAMES


def test_a_checkpoint_has_them(tmp_path):
    path, whole = tmp_path / "fit", network()
    whole.fit(frame(), Y, 4, 8)
    network().fit(frame(), Y, 2, 8, callbacks=[Checkpoint(path)])
    net = fastbp.load(path)
    assert net.feature_names == NAMES
    with raises(ValueError, TOLD):
        net.fit(frame(names="abc"), Y, 4, 8, resume=True)
    net.fit(frame(), Y, 4, 8, resume=True)
    assert_same(contents(net), contents(whole))


@pytest.mark.parametrize(
    "names",
    [None, "abc", 3, {}, [], ["a"], ["a", "b", "c", "d"], ["a", "b", 3], ["a", "b", None],
     [["a"], "b", "c"], [True, "b", "c"], {"a": 1, "b": 2, "c": 3}],
    ids=repr,
)  # fmt: skip
def test_hostile_files(names, tmp_path):
    trained().save(tmp_path / "m")
    arrays, configuration = container.read(tmp_path / "m")
    container.write(tmp_path / "m", arrays, {**configuration, "feature_names": names})
    told = "cannot load", "feature_names must be a list of 3 strings, got"
    with raises(ValueError, *told):
        fastbp.load(tmp_path / "m")


def test_names_that_a_file_cannot_hold_are_refused():
    from fastbp.data.names import from_file

    with raises(ValueError, "feature_names must be a list of 1 strings, got"):
        from_file(["\ud800"], 1)


def test_an_old_file_has_none(tmp_path):
    trained().save(tmp_path / "m")
    arrays, configuration = container.read(tmp_path / "m")
    del configuration["feature_names"]
    container.write(tmp_path / "m", arrays, configuration)
    net = fastbp.load(tmp_path / "m")
    assert net.feature_names is None
    net.predict(frame(names="abc"))
