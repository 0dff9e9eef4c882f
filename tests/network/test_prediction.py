"""`Network.predict`: any number of rows, rows that are converted, bounded memory, bad values."""

import copy
import tracemalloc

import numpy as np
import pytest
from cases import HIDDEN, both_dtypes, data
from expect import raises

import fastbp
from fastbp.data.arrays import finite
from fastbp.engine import engine, prediction, work


def network(layers=(5, 33, 18, 4), dtype="float32", **arguments):
    return fastbp.Network(layers, rng=0, dtype=dtype, **arguments)


@pytest.fixture
def teams(monkeypatch, every_thread_pays):
    """The numbers of threads that predictions had."""
    seen, run_team = [], engine.team.run_team

    def noted(kernel, program, members, *rest):
        seen.append(members)
        run_team(kernel, program, members, *rest)

    monkeypatch.setattr(engine.team, "run_team", noted)
    return seen


# ---- rows and teams -----------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize("output", [None, "softmax", "exponential", "tanh"])
def test_a_row_has_the_same_bits_alone_and_among_others(output, dtype):
    net = network(output_activation=output, dtype=dtype)
    X = data(600, 5, 4)[0].astype(dtype)
    want = net.predict(X)
    for rows in (*range(1, 36), 63, 64, 65, 100, 255, 256, 257, 599):
        np.testing.assert_array_equal(net.predict(X[-rows:]), want[-rows:])


@pytest.mark.parametrize("activation", HIDDEN)
def test_every_activation_gives_the_bits_that_training_computes(activation):
    net = network(activation=activation)
    X, y = data(100, 5, 4)
    outputs = net.predict(X)
    loss = net.evaluate(X, y)["loss"]
    assert loss == pytest.approx(((outputs - y) ** 2).mean(), rel=1e-5)


@pytest.mark.parametrize("threads", [2, 3])
def test_teams_give_the_same_bits(threads, teams):
    net, alone = network(threads=threads), network(threads=1)
    X, y = data(5000, 5, 4)
    for rows in (1, 8, 9, 17, 100, 1000, 5000):
        np.testing.assert_array_equal(net.predict(X[:rows]), alone.predict(X[:rows]))
        assert net.evaluate(X[:rows], y[:rows]) == alone.evaluate(X[:rows], y[:rows])
    assert set(teams) == set(range(1, threads + 1))


def test_no_more_threads_than_pay_for_their_call(teams, monkeypatch):
    net = network(threads=4)
    X, _ = data(1000, 5, 4)
    flops = net._core.engine.layout.row_flops // 3  # what is counted for a row
    for call, rows, want in (
        (1, 1, 1), (1, 8, 1), (1, 9, 2), (1, 24, 3), (1, 1000, 4),
        (100 * flops, 199, 1), (100 * flops, 200, 2), (100 * flops, 300, 3),
    ):  # fmt: skip
        monkeypatch.setattr(work, "TEAM_CALL", call)
        net.predict(X[:rows])
        assert teams[-1] == want, (call, rows)


# ---- conversion ---------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 12, 64, 1000])
@pytest.mark.parametrize(
    "given",
    [
        lambda X: X,
        lambda X: X.astype(">f4"),
        lambda X: np.asfortranarray(X.astype("f4")),
        lambda X: np.repeat(X.astype("f4"), 2, axis=0)[::2],
        lambda X: X.tolist(),
        lambda X: (100 * X).astype("i2"),
    ],
    ids=["float64", "big-endian", "Fortran", "strided", "list", "int16"],
)
def test_rows_that_are_converted_by_pieces(given, piece, monkeypatch):
    monkeypatch.setattr(prediction, "PIECE", piece)
    net = network()
    X = given(data(50, 5, 4)[0])
    want = net.predict(np.ascontiguousarray(X, np.float32))
    np.testing.assert_array_equal(net.predict(X), want)


@pytest.mark.parametrize("kind", ["float32", "float64", "int8"])
def test_memory_is_bounded(kind):
    """Beside the outputs there is room for a piece, never for a converted copy of X."""
    net = network([64, 16, 1])
    X = np.ones((200_000, 64), kind)
    net.predict(X)
    tracemalloc.start()
    try:
        outputs = net.predict(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    piece = 0 if kind == "float32" else 4 * prediction.PIECE
    assert peak - outputs.nbytes < 1.1 * piece + 100_000
    assert 4 * X.size > 10 * 4 * prediction.PIECE  # what a copy would take


# ---- values that are not finite -----------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named_and_the_next_call_is_right(value, dtype):
    net = network(dtype=dtype)
    X = data(700, 5, 4)[0].astype(dtype)
    want = net.predict(X)
    for rows, row, column in (
        (1, 0, 0), (1, 0, 4), (3, 2, 1), (16, 15, 4), (17, 16, 0), (700, 0, 0), (700, 699, 4),
        (700, 300, 2),
    ):  # fmt: skip
        wrong = X[:rows].copy()
        wrong[row, column] = value
        for values in (wrong, wrong.astype(float), np.asfortranarray(wrong), wrong.tolist()):
            told = f"X holds {value} at row {row}, column {column}; every value must be finite"
            with raises(ValueError, told):
                net.predict(values)
            np.testing.assert_array_equal(net.predict(X[:rows]), want[:rows])


def test_of_several_the_first_is_named(teams):
    X = data(5000, 5, 4)[0].astype("f4")
    X[4000:, 3] = np.inf
    X[2500, 1] = X[4999, 0] = np.nan
    for threads in (1, 2, 3):
        with raises(ValueError, "X holds nan at row 2500, column 1; every value"):
            network(threads=threads).predict(X)
    assert max(teams) == 3


@pytest.mark.parametrize("piece", [64, 1 << 20])
@pytest.mark.parametrize("row", [0, 13, 49])
def test_too_large_for_the_networks_dtype(row, piece, monkeypatch):
    monkeypatch.setattr(prediction, "PIECE", piece)
    X = data(50, 5, 4)[0]
    X[row, 2] = -1e300
    told = f"X holds -1e+300 at row {row}, column 2, which is too large for float32; every value"
    with np.errstate(all="raise"), raises(ValueError, told):
        network().predict(X)
    assert np.isfinite(network(dtype="float64").predict(X)).all()


def test_finite_features_whose_sum_overflows_are_accepted():
    net = fastbp.Network([40, 4], initializer=0.0, rng=0)
    assert not net.predict(np.full((30, 40), np.finfo(np.float32).max)).any()


def test_weights_that_are_not_finite_are_no_fault_of_the_features():
    net = network()
    net.biases[-1][1] = np.nan
    outputs = net.predict(np.ones((3, 5)))
    assert np.isnan(outputs[:, 1]).all()
    assert np.isfinite(outputs[:, [0, 2, 3]]).all()


def test_a_value_that_another_thread_mends_is_read_again(monkeypatch):
    X = data(20, 5, 4)[0].astype("f4")
    net, want = network(), network().predict(X)
    held, X[7, 3] = X[7, 3], np.nan

    def mended(source, *arguments):
        source[7, 3] = held
        return finite(source, *arguments)

    monkeypatch.setattr(prediction, "finite", mended)
    np.testing.assert_array_equal(net.predict(X), want)


# ---- what outlasts a call -----------------------------------------------------------------------


def calls(rng):
    """Calls of every kind with various numbers of rows, in random order."""
    kinds = ["predict", "evaluate", "train_step", "loss_and_gradients", "fit", "edit"]
    return [(kinds[rng.integers(6)], int(rng.choice([1, 7, 40, 300, 2100]))) for _ in range(60)]


def returned(net, kind, X, y):
    """What the call gives, as arrays."""
    if kind == "edit":
        net.weights[1][:] *= 0.9
        net.biases[0][:] += 0.01
        return [net.predict(X[:3])]
    if kind == "predict":
        return [net.predict(X)]
    if kind == "fit":
        return net.fit(X, y, epochs=2, batch_size=32, shuffle=False, progress=False)["loss"]
    if kind == "loss_and_gradients":
        loss, gradients = net.loss_and_gradients(X, y)
        return [loss, *gradients.weights, *gradients.biases]
    found = getattr(net, kind)(X, y)
    return list(found.values()) if kind == "evaluate" else [found]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("loss", "kinds"), [("cross_entropy", ["labels", "probabilities"]),
                                             ("mse", ["real"])])  # fmt: skip
def test_no_call_depends_on_what_was_called_before(loss, kinds, threads):
    """A copy, which begins without anything that calls leave behind, gives the same bits."""
    rng = np.random.default_rng(0)
    net = network([5, 19, 4], activation="gelu", loss=loss, threads=threads)
    for kind, rows in calls(rng):
        X, y = data(rows, 5, 4, str(rng.choice(kinds)), seed=rows)
        other = copy.deepcopy(net)
        for got, want in zip(returned(net, kind, X, y), returned(other, kind, X, y), strict=True):
            np.testing.assert_array_equal(got, want, err_msg=f"{kind} of {rows} rows")


def test_a_copy_shares_no_address_with_its_original():
    net, (X, y) = network(), data(100, 5, 4)
    net.train_step(X, y)
    want = net.predict(X)
    other = copy.deepcopy(net)
    net.weights[0][:] = np.nan  # what a copy that reads the original's memory would see
    np.testing.assert_array_equal(other.predict(X), want)
    other.train_step(X, y)
    assert np.isfinite(other.predict(X)).all()
    assert np.isnan(net.weights[0]).all()
    assert (net.steps, other.steps) == (1, 2)
