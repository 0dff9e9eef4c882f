"""predict_many and evaluate_many: what each network's own methods give."""

import numpy as np
import pytest
from cases import data, sparse_rows
from expect import raises

import fastbp
from fastbp import each

ROWS = 57
X, Y = data(ROWS, 5, 3)
LABELS = np.random.default_rng(1).integers(3, size=ROWS)
CHOSEN = [np.arange(20), [5], np.random.default_rng(0).integers(ROWS, size=80), np.r_[:ROWS:2]]


def networks(**options):
    made = [
        fastbp.Network([5, 6 + seed, 3], loss="cross_entropy", rng=seed, **options)
        for seed in range(3)
    ]
    made.append(fastbp.Network([5, 3], loss="cross_entropy", dtype="float64", rng=3, **options))
    fastbp.fit_many(made, X, LABELS, epochs=2)
    return made


def assert_predictions(got, want):
    assert len(got) == len(want)
    for one, other in zip(got, want, strict=True):
        assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes())


@pytest.mark.parametrize("threads", [None, 1, 3])
@pytest.mark.parametrize("options", [{}, {"scaling": "standard"}, {"scaling": 0.5}], ids=str)
def test_predictions_have_the_bits_of_predict(options, threads):
    nets = networks(**options)
    given = {"threads": threads}
    assert_predictions(fastbp.predict_many(nets, X, **given), [net.predict(X) for net in nets])
    own = [X[: 5 * number + 1] for number in range(4)]
    want = [net.predict(rows) for net, rows in zip(nets, own, strict=True)]
    assert_predictions(fastbp.predict_many(nets, each(own), **given), want)
    want = [net.predict(X[rows]) for net, rows in zip(nets, CHOSEN, strict=True)]
    assert_predictions(fastbp.predict_many(nets, X, rows=each(CHOSEN), **given), want)


def test_predictions_of_bytes_sparse_rows_frames_and_tasks():
    nets = networks()
    small = np.random.default_rng(0).integers(256, size=(40, 5)).astype("u1")
    assert_predictions(fastbp.predict_many(nets, small), [net.predict(small) for net in nets])
    A = sparse_rows(ROWS, 5, 0.4)
    assert_predictions(fastbp.predict_many(nets, A), [net.predict(A) for net in nets])
    want = [net.predict(A[rows]) for net, rows in zip(nets, CHOSEN, strict=True)]
    assert_predictions(fastbp.predict_many(nets, A, rows=each(CHOSEN)), want)
    losses = {"kind": "cross_entropy", "size": "mse"}
    net = fastbp.Network([5, 4], loss=losses, outputs={"kind": 3, "size": 1}, rng=0)
    (got,) = fastbp.predict_many([net], X)
    want = net.predict(X)
    assert got.keys() == want.keys()
    assert_predictions(list(got.values()), list(want.values()))


@pytest.mark.parametrize("weighted", [False, True])
def test_evaluations_are_those_of_evaluate(weighted):
    nets, rng = networks(scaling="standard"), np.random.default_rng(2)
    weights = rng.random(ROWS) if weighted else None
    options = {"class_weight": "balanced"} if weighted else {}
    got = fastbp.evaluate_many(nets, X, LABELS, sample_weight=weights, metrics=["f1"], **options)
    want = [
        net.evaluate(X, LABELS, sample_weight=weights, metrics=["f1"], **options) for net in nets
    ]
    assert got == want
    got = fastbp.evaluate_many(nets, X, LABELS, rows=each(CHOSEN), sample_weight=weights)
    want = [
        net.evaluate(
            X[rows], LABELS[rows], sample_weight=None if weights is None else weights[rows]
        )
        for net, rows in zip(nets, CHOSEN, strict=True)
    ]
    assert got == want


def test_bad_input():
    nets = networks()
    standard = fastbp.Network([5, 3], scaling="standard", rng=0)
    with raises(RuntimeError, "network 4", "scaling"):
        fastbp.predict_many([*nets, standard], X)
    with raises(ValueError, "network 2", "rows", "0 to 56"):
        fastbp.predict_many(nets, X, rows=each([[0], [0], [57], [0]]))
    with raises(ValueError, "network 0", "X", "nan"):
        fastbp.predict_many(nets, np.full((3, 5), np.nan))
    with raises(ValueError, "X=each(...)", "4 networks", "has 1"):
        fastbp.predict_many(nets, each([X]))
    with raises(ValueError, "networks[1]", "same network"):
        fastbp.predict_many([nets[0], nets[0]], X)
    with raises(ValueError, "threads"):
        fastbp.predict_many(nets, X, threads=0)
    with raises(ValueError, "network 1", "y"):
        fastbp.evaluate_many(nets, X, each([LABELS, LABELS + 5, LABELS, LABELS]))
    with raises(ValueError, "network 0", "f2"):
        fastbp.evaluate_many(nets, X, LABELS, metrics=["f2"])


def test_each_scaling_of_shared_data_is_looked_at():
    first, small, unlearned = (fastbp.Network([5, 3], scaling="standard", rng=0) for _ in "123")
    first.learn_scaling(X)
    small.learn_scaling(X * 1e-30)
    for nets, error, parts in (
        ([first, small], ValueError, ("network 1", "X holds", "once it is scaled")),
        ([first, unlearned], RuntimeError, ("network 1", "has not learned the scaling")),
    ):
        with raises(error, *parts):
            fastbp.predict_many(nets, X * 1e20)
        with raises(error, *parts):
            fastbp.evaluate_many(nets, X * 1e20, LABELS[:, None] == np.arange(3))


def test_an_exception_of_a_metric_is_raised():
    def metric(y, outputs):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        fastbp.evaluate_many(networks(), X, LABELS, metrics=[metric])
