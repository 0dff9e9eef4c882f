"""Tests of the panels: activations, softmax and cross-entropy over blocks of every odd size."""

import numpy as np
import pytest
from cases import HIDDEN, both_dtypes, data
from cases import LOSSES as CASES
from guarded import Guarded, bits, canaries
from reference import LOSSES, softmax, through_output
from reference_activations import ACTIVATIONS as REFERENCE

import fastbp
from fastbp.activations import ACTIVATIONS
from fastbp.kernels.machine import jit
from fastbp.kernels.panels import output_panels
from fastbp.layout.aligned import row_stride

WRITTEN = [name for name in HIDDEN if name != "identity"]  # identity has no panels
BLOCKS = [(1, 1, 1), (1, 3, 5), (3, 7, 8), (5, 16, 16), (2, 17, 19), (7, 33, 48)]  # rows, n, ld
TOLERANCE = {"float32": 4e-6, "float64": 1e-14}
each_activation = pytest.mark.parametrize("name", WRITTEN)


def logits(rows, ld, dtype, seed=0):
    """Values of every size with the kinks of all activations among them."""
    rng = np.random.default_rng([seed, rows, ld])
    z = rng.standard_normal((rows, ld)) * np.exp(rng.uniform(-4, 3, (rows, ld)))
    z.ravel()[::7] = rng.choice([0.0, -1.0, 1.0, 1e-4, -1e4, 1e4], z.ravel()[::7].size)
    return z.astype(dtype)


def run(panel, first, second, rows, n, ld):
    """The two blocks of a panel after its call, with canaries around them left alone."""
    a, b = Guarded(first, 1), Guarded(second, 1)
    panel.call(first.dtype)(a.at, b.at, rows, n, ld)
    assert a.intact()
    assert b.intact()
    return a.array, b.array


def assert_near(got, want, dtype):
    np.testing.assert_allclose(got, want, TOLERANCE[dtype], TOLERANCE[dtype])


@both_dtypes
@each_activation
@pytest.mark.parametrize(("rows", "n", "ld"), BLOCKS)
def test_forward_and_backward_are_the_references(rows, n, ld, name, dtype):
    activation, (f, df) = ACTIVATIONS[name], REFERENCE[name]
    z, empty = logits(rows, ld, dtype), canaries((rows, ld), dtype)
    exact = z.astype(float)
    alone, untouched = run(activation.forward, z, empty, rows, n, ld)
    output, slope = run(activation.training_forward, z, empty, rows, n, ld)
    assert_near(alone, f(exact), dtype)
    assert (bits(output) == bits(alone)).all()  # prediction and training agree
    assert (bits(untouched) == bits(empty)).all()
    operand = output if activation.from_output else slope
    assert activation.from_output == (bits(slope) == bits(empty)).all()
    delta = logits(rows, ld, dtype, seed=1).clip(-9, 9)
    back, read = run(activation.backward, delta, operand, rows, n, ld)
    assert_near(back, delta * df(exact), dtype)
    assert (bits(read) == bits(operand)).all()


@both_dtypes
@each_activation
def test_an_element_has_the_same_bits_in_a_vector_and_alone(name, dtype):
    activation = ACTIVATIONS[name]
    z = logits(1, 301, dtype)
    z[0, :6] = np.nan, np.inf, -np.inf, 1e-40, 3e38, -3e38
    empty = np.zeros_like(z)
    output, slope = run(activation.training_forward, z, empty, 1, 301, 301)
    operand = output if activation.from_output else slope
    back, _ = run(activation.backward, z, operand, 1, 301, 301)
    for i in range(z.size):
        one = slice(i, i + 1)
        a, d = run(activation.training_forward, z[:, one], empty[:, one], 1, 1, 1)
        delta, _ = run(activation.backward, z[:, one], operand[:, one], 1, 1, 1)
        for got, want in ((a, output), (d, slope), (delta, back)):
            assert (
                np.array_equal(bits(got)[0], bits(want)[0, one])
                or np.isnan([got, want[:, one]]).all()
            )
    assert np.isnan(output[0, 0])


# ---- panels of whole rows -----------------------------------------------------------------------

WIDTHS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 100]


@both_dtypes
@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("rows", [1, 5])
def test_softmax(rows, n, dtype):
    ld = row_stride(n, np.dtype(dtype).itemsize)
    z = logits(rows, ld, dtype)
    z[:, n:] = np.nan  # padding must not count
    empty = canaries(z.shape, dtype)
    a, untouched = run(output_panels.softmax, z, empty, rows, n, ld)
    assert (bits(untouched) == bits(empty)).all()
    assert (a[:, n:] == 0).all()
    exact = z[:, :n].astype(float)
    assert_near(a[:, :n], softmax(exact), dtype)
    delta = logits(rows, ld, dtype, seed=1).clip(-9, 9)
    back, _ = run(output_panels.softmax_backward, delta, a, rows, n, ld)
    want = through_output("softmax", exact, delta[:, :n].astype(float))
    np.testing.assert_allclose(back[:, :n], want, 0, 20 * TOLERANCE[dtype])
    assert (bits(back[:, n:]) == bits(delta[:, n:])).all()


@both_dtypes
@pytest.mark.parametrize("n", WIDTHS)
def test_exponential(n, dtype):
    ld = row_stride(n, np.dtype(dtype).itemsize)
    z = logits(3, ld, dtype).clip(-20, 20)
    a, _ = run(output_panels.exponential, z, z, 3, n, ld)
    back, _ = run(output_panels.exponential_backward, z, a, 3, n, ld)
    exact = z[:, :n].astype(float)
    np.testing.assert_allclose(a[:, :n], np.exp(exact), TOLERANCE[dtype])
    np.testing.assert_allclose(back[:, :n], exact * np.exp(exact), TOLERANCE[dtype])
    for block in (a, back):
        assert (bits(block[:, n:]) == bits(z[:, n:])).all()


def cross_entropy(z, n, targets, order, smoothing=0.0, batch=None):
    """(delta, row losses) of a call; z holds the logits in its first n columns."""
    rows, ld = z.shape
    panels = output_panels.cross_entropy_labels, output_panels.cross_entropy_probabilities
    delta, values = Guarded(canaries(z.shape, z.dtype)), Guarded(canaries(rows, "f8"))
    inputs = Guarded(z), Guarded(targets), Guarded(order), Guarded([smoothing])
    block, y, index, parameters = inputs
    panels[targets.ndim - 1].call(z.dtype)(
        block.at, delta.at, y.at, index.at, values.at, parameters.at, rows, n, ld, batch or rows, 0
    )
    assert all(array.intact() for array in (delta, values, *inputs))
    assert (bits(block.array) == bits(z)).all()
    return delta.array, values.array


@both_dtypes
@pytest.mark.parametrize("n", [1, 2, 3, 8, 9, 15, 16])
def test_cross_entropy_in_groups_has_the_bits_of_row_by_row(n, dtype):
    rows, ld = 37, row_stride(n, np.dtype(dtype).itemsize)  # two groups of 16, and 5 rows
    z, order = logits(rows, ld, dtype), np.random.default_rng(0).permutation(50)[:rows]
    z[3, n - 1], z[4, 0], z[5, 0] = np.nan, np.inf, -np.inf
    labels = np.random.default_rng(1).integers(n, size=50)
    delta, values = cross_entropy(z, n, labels, order)
    for r in range(rows):
        one = slice(r, r + 1)
        d, v = cross_entropy(z[one], n, labels, order[one], batch=rows)
        for got, want in ((d, delta[one]), (v, values[one])):
            assert ((bits(got) == bits(want)) | (np.isnan(got) & np.isnan(want))).all(), r
    assert np.isnan(values[3])
    assert (delta[np.isfinite(delta).all(axis=1)][:, n:] == 0).all()


@both_dtypes
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@pytest.mark.parametrize("n", WIDTHS)
def test_cross_entropy_is_the_references(n, kind, smoothing, dtype):
    rows, ld = 21, row_stride(n, np.dtype(dtype).itemsize)
    z = logits(rows, ld, dtype)
    _, y = data(30, 1, n, kind)
    y = y if kind == "labels" else y.astype(dtype)
    order = np.random.default_rng(2).permutation(30)[:rows]
    delta, values = cross_entropy(z, n, y, order, smoothing)
    dense = (np.eye(n)[y] if kind == "labels" else y.astype(float))[order]
    loss, slope = LOSSES["cross_entropy"][0](
        z[:, :n].astype(float), dense, label_smoothing=smoothing
    )
    np.testing.assert_allclose(values.mean(), loss, TOLERANCE[dtype], TOLERANCE[dtype])
    np.testing.assert_allclose(delta[:, :n], slope, 0, TOLERANCE[dtype])
    assert (delta[:, n:] == 0).all()


# ---- an activation of the user's own ------------------------------------------------------------


def cube_and_line(z):
    return z * z * z + z


def cube_and_line_slope(z):
    return z * z * 3 + 1


def test_a_users_own_activation_trains_right_and_compiles_nothing_else(monkeypatch):
    own = fastbp.Activation(cube_and_line, cube_and_line_slope, name="own")
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))

    def train(activation):
        net = fastbp.Network([3, 4, 2], activation=activation, loss="mse", dtype="float64", rng=0)
        net.loss_and_gradients(X, y)
        net.fit(X, y, epochs=1, progress=False)
        net.predict(X)
        return net

    train("gelu")  # leaves its slopes behind as well
    compiled, compile_one = [], jit.CFunc.compile
    monkeypatch.setattr(jit.CFunc, "compile", lambda f: (compiled.append(f), compile_one(f)))
    net = train(own)
    names = sorted(f.__qualname__ for f in compiled)
    assert names == ["own.own.forward", "own.own.forward_with_derivative"]

    _, gradients = net.loss_and_gradients(X, y)
    for view, gradient in zip(
        [*net.weights, *net.biases], [*gradients.weights, *gradients.biases], strict=True
    ):
        for i in np.ndindex(view.shape):
            kept, losses = view[i], []
            for step in (1e-5, -1e-5):
                view[i] = kept + step
                losses.append(net.evaluate(X, y)["loss"])
            view[i] = kept
            assert gradient[i] == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-6, abs=1e-8)


@both_dtypes
@pytest.mark.parametrize("n", [1, 3, 4, 16, 17, 40, 255, 257, 600])
@pytest.mark.parametrize("loss", [case for case in CASES if case.name != "cross_entropy"], ids=str)
def test_elementwise_losses_are_the_references(loss, n, dtype):
    """Blocks of rows, rows of several blocks, and the rows left over."""
    ld = row_stride(n, np.dtype(dtype).itemsize)
    for rows in (1, 15, 16, 17, 70) if n < 100 else (1, 3):
        z, order = logits(rows, ld, dtype).clip(-9, 9), np.random.default_rng(n).permutation(rows)
        y = data(rows, 1, n, loss.targets)[1].reshape(rows, n).astype(dtype)
        delta, values = Guarded(np.zeros_like(z)), Guarded(canaries(rows, "f8"))
        inputs = Guarded(z), Guarded(y), Guarded(order), Guarded([loss.loss().parameter()])
        block, targets, index, parameters = inputs
        loss.loss().panel().call(dtype)(
            block.at, delta.at, targets.at, index.at, values.at, parameters.at, rows, n, ld, rows, 0
        )
        assert all(array.intact() for array in (delta, values, *inputs))
        function, output_activation = LOSSES[loss.name]
        want = [
            function(exact[None], wanted[None], output_activation, **loss.options)
            for exact, wanted in zip(z[:, :n].astype(float), y[order].astype(float), strict=True)
        ]
        assert_near(values.array, [value for value, _ in want], dtype)
        slopes = np.concatenate([slope for _, slope in want]) / rows
        np.testing.assert_allclose(
            delta.array[:, :n], slopes, TOLERANCE[dtype], 10 * TOLERANCE[dtype] / (rows * n)
        )
        assert (delta.array[:, n:] == 0).all()
