"""What an ensemble is made of, and what it answers."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse
from ensembles import LABELS, TARGETS, VALUES, X, ensemble, fitted, maker
from expect import raises

import fastbp
from fastbp.ensemble import outputs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 2, 97])
def test_mean_spread_and_quantiles(dtype, rows):
    made = fitted(5, "mse", dtype=dtype)
    each = np.stack([net.predict(X[:rows]) for net in made]).astype(float)
    total = np.zeros(each.shape[1:])
    for of_one in each:
        total += of_one
    mean, spread = made.predict(X[:rows]), made.spread(X[:rows])
    assert mean.dtype == spread.dtype == dtype
    np.testing.assert_array_equal(mean, (total / 5).astype(dtype))
    np.testing.assert_allclose(spread, each.std(axis=0), rtol=1e-6)
    quantiles = made.quantiles(X[:rows], [0.1, 0.5])
    np.testing.assert_array_equal(quantiles, np.quantile(each, [0.1, 0.5], axis=0).astype(dtype))
    np.testing.assert_array_equal(made.quantiles(X[:rows], 0.5), quantiles[1])


def test_votes():
    made = fitted(5)
    each = np.stack([net.predict(X) for net in made])
    for c in range(3):
        np.testing.assert_array_equal(
            made.votes(X)[:, c], (each.argmax(axis=2) == c).mean(axis=0).astype("f4")
        )
    np.testing.assert_allclose(made.votes(X).sum(axis=1), 1, rtol=1e-6)
    for loss, threshold in {"binary_cross_entropy": 0.5, "focal": 0.5, "hinge": 0.0}.items():
        made = fitted(3, loss)
        each = np.stack([net.predict(X) for net in made])
        want = (each > threshold).mean(axis=0).astype("f4")
        np.testing.assert_array_equal(made.votes(X), want)
        assert 0 < want.mean() < 1
    for loss in ("mse", "poisson", "kl_divergence"):
        with raises(ValueError, "votes", loss):
            ensemble(2, loss).votes(X)


def test_bits_depend_on_neither_threads_nor_how_many_predict_at_a_time(monkeypatch):
    made = fitted(7)
    want = made.predict(X), made.spread(X), made.votes(X)
    monkeypatch.setattr(outputs, "AT_ONCE", 1)
    monkeypatch.setattr(outputs, "LEAST", 2)
    for threads in (1, 2):
        found = (made.predict(X, threads=threads), made.spread(X), made.votes(X, threads=threads))
        for a, b in zip(found, want, strict=True):
            np.testing.assert_array_equal(a, b)


def test_one_network_answers_as_it_is():
    made = fitted(1, dtype="float64")
    np.testing.assert_array_equal(made.predict(X), made[0].predict(X))
    assert not made.spread(X).any()


def test_networks_may_differ_in_all_else():
    networks = [
        fastbp.Network([3, 2], rng=0),
        fastbp.Network([3, 8, 4, 2], "tanh", output_activation="tanh", rng=1, dtype="float64"),
        fastbp.Network([3, 5, 2], optimizer="sgd", dropout=0.1, scaling="standard", rng=2),
    ]
    made = fastbp.Ensemble(networks)
    made.fit(X, VALUES, 2, progress=False)
    assert made.dtype == made.predict(X).dtype == "float64"
    assert [*made] == networks == list(made.networks)


def test_sparse_rows_and_frames():
    made = fitted(3, "mse")
    sparse = scipy.sparse.csr_array(np.where(X > 0, X, 0))
    np.testing.assert_allclose(
        made.predict(sparse), made.predict(sparse.toarray()), rtol=1e-5, atol=1e-6
    )
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X)
    np.testing.assert_array_equal(made.predict(frame), made.predict(X))


def test_of_spawns_a_generator_for_each_network():
    first, again, other = ensemble(3, rng=0), ensemble(3, rng=0), ensemble(3, rng=1)
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.weights[0], b.weights[0])
        assert (a.weights[0] != c.weights[0]).any()
    assert (first[0].weights[0] != first[1].weights[0]).any()
    longer = ensemble(5, rng=0)  # more networks leave the first as they are
    np.testing.assert_array_equal(longer[2].weights[0], first[2].weights[0])


def test_parts():
    made = fitted(5)
    assert len(made) == 5
    assert made[-1] is made.networks[4]
    some = made[1:4]
    assert isinstance(some, fastbp.Ensemble)
    assert [*some] == [*made.networks[1:4]]
    assert repr(made).startswith("Ensemble(5 networks, 3 -> 3, CrossEntropy")
    assert [history.epochs for history in made.histories] == [3] * 5
    assert ensemble(2).histories == [None, None]
    with raises(IndexError, "none of the 5"):
        made[5:]
    with pytest.raises(IndexError):
        made[5]


@pytest.mark.parametrize("kind", ["pickle", "deepcopy"])
def test_copies_train_on_to_the_same_bits(kind):
    made = fitted(3, options={"bootstrap": True}, dropout=0.2)
    other = pickle.loads(pickle.dumps(made)) if kind == "pickle" else copy.deepcopy(made)
    np.testing.assert_array_equal(other.predict(X), made.predict(X))
    for one in (made, other):
        one.fit(X[:50], LABELS[:50], 2, bootstrap=True, progress=False)  # draws anew
    np.testing.assert_array_equal(other.predict(X), made.predict(X))
    assert other[0] is not made[0]


def tasks(rng):
    outputs = {"a": 1, "b": 1}
    return fastbp.Network([3, 2], loss={"a": "mse", "b": "mae"}, outputs=outputs, rng=rng)


REFUSED = {
    "tasks": (tasks, "tasks", "groups of outputs"),
    "gaussian_nll": (lambda rng: fastbp.Network([3, 2], loss="gaussian_nll"), "gaussian_nll"),
    "cosine": (lambda rng: fastbp.Network([3, 2], loss="cosine"), "cosine"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_losses_whose_outputs_have_no_mean_are_refused(name):
    make, *parts = REFUSED[name]
    with raises(ValueError, "networks", *parts):
        fastbp.Ensemble.of(make, 2, rng=0)


def test_networks_that_are_not_alike_are_refused():
    first = fastbp.Network([3, 2])
    for other, what in {
        fastbp.Network([4, 2]): "inputs",
        fastbp.Network([3, 1]): "outputs",
        fastbp.Network([3, 2], loss="mae"): "loss",
        fastbp.Network([3, 2], loss_weights=[1, 2]): "loss_weights",
    }.items():
        with raises(ValueError, f"the same {what}", "networks[1]"):
            fastbp.Ensemble([first, other])
    with raises(ValueError, "networks[1]", "networks[0]"):
        fastbp.Ensemble([first, first])
    with raises(ValueError, "networks is empty"):
        fastbp.Ensemble([])
    with raises(TypeError, "networks"):
        fastbp.Ensemble(first)
    with raises(TypeError, "networks[1]"):
        fastbp.Ensemble([first, 3])


def test_what_of_refuses():
    with raises(TypeError, "make must be a function", "3"):
        fastbp.Ensemble.of(3, 2)
    with raises(TypeError, "make must return a fastbp.Network", "dict"):
        fastbp.Ensemble.of(dict, 2)
    for count, error in {0: ValueError, 2.5: TypeError, True: TypeError}.items():
        with raises(error, "count"):
            fastbp.Ensemble.of(maker(), count)
    with raises(ValueError, "rng"):
        fastbp.Ensemble.of(maker(), 2, rng=-1)
    with raises(TypeError, "rng", "spawn"):
        legacy = np.random.Generator(np.random.RandomState(0)._bit_generator)
        fastbp.Ensemble.of(maker(), 2, rng=legacy)


def test_bad_input():
    made = fitted(2, "mse")
    for method in (made.predict, made.spread):
        with raises(TypeError, "X must hold rows", "3"):
            method(3)
    with raises(ValueError, "X"):
        made.predict(X[:, :2])
    with raises(ValueError, "threads"):
        made.predict(X, threads=0)
    for q in (1.5, -0.1, [[0.5]], [0.5, np.nan]):
        with raises(ValueError, "q must be"):
            made.quantiles(X, q)
    with raises(RuntimeError, "scaling"):
        fastbp.Ensemble([fastbp.Network([3, 2], scaling="standard")]).predict(X)


@pytest.mark.parametrize("loss", TARGETS)
def test_every_loss_trains(loss):
    made = ensemble(2, loss)
    before = made.evaluate(X, TARGETS[loss])["loss"]
    made.fit(X, TARGETS[loss], 30, 16, progress=False)
    assert made.evaluate(X, TARGETS[loss])["loss"] < before
