"""The losses that came later: their numbers, all of fit's features with them, what is refused."""

import copy
import pickle

import numpy as np
import pytest
from expect import raises
from loss_cases import BITS, COLUMNS, LATER, REAL, ROWS, SHARES

import fastbp
from fastbp import losses

X = np.random.default_rng(1).standard_normal((ROWS, 5))
WEIGHTS = np.random.default_rng(2).integers(0, 4, ROWS).astype(float)
H = 1e-6
every = pytest.mark.parametrize("case", LATER, ids=str)
elementwise = pytest.mark.parametrize("case", [c for c in LATER if c.elementwise], ids=str)


def network(loss, outputs=COLUMNS, dtype="float64", widths=None, **options):
    net = fastbp.Network([5, outputs], loss=loss, dtype=dtype, rng=3, outputs=widths, **options)
    net.biases[0][:] = np.linspace(-0.5, 0.5, outputs)
    return net


def logits(net):
    return X @ np.asarray(net.weights[0], float) + np.asarray(net.biases[0], float)


def slopes(case, z, mean):
    """Central differences of the mean that `mean` makes of the losses, by every logit."""
    found = np.empty_like(z)
    for at in np.ndindex(z.shape):
        sides = []
        for step in (H, -H):
            moved = z.copy()
            moved[at] += step
            sides.append(mean(case.each(moved, case.y)))
        found[at] = (sides[0] - sides[1]) / (2 * H)
    return found


@every
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_and_gradients_are_the_formulas(case, dtype):
    net = network(case.loss, dtype=dtype)
    z = logits(net)
    value, gradients = net.loss_and_gradients(X, case.y)
    rtol, atol = (1e-12, 1e-8) if dtype == "float64" else (1e-5, 1e-6)
    assert value == pytest.approx(case.each(z, case.y).mean(), rel=rtol)
    assert net.evaluate(X, case.y)["loss"] == pytest.approx(value, rel=rtol)
    want = slopes(case, z, np.mean)
    np.testing.assert_allclose(gradients.weights[0], X.T @ want, 0, atol)
    np.testing.assert_allclose(gradients.biases[0], want.sum(axis=0), 0, atol)


@every
def test_weights_of_rows(case):
    net = network(case.loss)

    def mean(each):
        return np.average(each.mean(axis=1), weights=WEIGHTS)

    value, gradients = net.loss_and_gradients(X, case.y, sample_weight=WEIGHTS)
    assert value == pytest.approx(mean(case.each(logits(net), case.y)), rel=1e-12)
    want = X.T @ slopes(case, logits(net), mean)
    np.testing.assert_allclose(gradients.weights[0], want, 0, 1e-8)


@elementwise
def test_weights_of_outputs_and_targets_that_are_missing(case):
    holes = np.random.default_rng(4).random(case.y.shape) < 0.3
    of_outputs = np.array([1.0, 0.5, 0.0, 2.0])
    net = network(case.loss, loss_weights=of_outputs)
    known = np.repeat(~holes, COLUMNS // holes.shape[1], axis=1)
    each = case.each(logits(net), case.y) * of_outputs
    y = np.where(holes, np.nan, case.y)
    value, _ = net.loss_and_gradients(X, y, mask_nan=True)
    assert value == pytest.approx(each[known].sum() / known.sum(), rel=1e-12)


@pytest.mark.parametrize("case", [c for c in LATER if not c.elementwise], ids=str)
def test_rows_with_missing_targets_of_losses_of_rows(case):
    y = case.y.copy()
    y[::3, 0] = np.nan
    net, known = network(case.loss), np.arange(ROWS) % 3 > 0
    value, _ = net.loss_and_gradients(X, y, mask_nan=True)
    assert value == pytest.approx(case.each(logits(net), case.y)[known].mean(), rel=1e-12)
    with raises(ValueError, "loss_weights are for losses of single outputs"):
        network(case.loss, loss_weights=[1] * 4)


@every
def test_it_falls_and_goes_through_files_and_pickles(case, tmp_path):
    net = network(case.loss, optimizer=fastbp.Adam(0.02))
    history = net.fit(X, case.y, 8, 16, progress=False)
    assert history["loss"][-1] < history["loss"][0]
    net.save(tmp_path / "m")
    for other in (fastbp.load(tmp_path / "m"), pickle.loads(pickle.dumps(net))):
        assert other.loss == case.loss == copy.deepcopy(case.loss)
        assert other.evaluate(X, case.y) == net.evaluate(X, case.y)
    assert eval(repr(case.loss), vars(losses)) == case.loss
    assert fastbp.Network([5, 4], loss=case.loss.name).loss.name == case.loss.name


def test_as_tasks():
    chosen = {"a": losses.Quantile((0.2, 0.9)), "b": losses.GaussianNLL(), "c": losses.Cosine()}
    net = network(chosen, 10, widths={"a": 4, "b": 4, "c": 2})
    y = {"a": REAL[:, :2], "b": REAL[:, 2:], "c": REAL[:, 1:3]}
    z, found = logits(net), net.evaluate(X, y, metrics={"b": ["mae"]})
    quantiles, _, normal, cosine = (
        {str(case): case for case in LATER}[name]
        for name in ("quantiles", "focal", "gaussian_nll", "cosine")
    )
    assert found["a_loss"] == pytest.approx(quantiles.each(z[:, :4], y["a"]).mean(), rel=1e-12)
    assert found["b_loss"] == pytest.approx(normal.each(z[:, 4:8], y["b"]).mean(), rel=1e-12)
    assert found["c_loss"] == pytest.approx(cosine.each(z[:, 8:], y["c"]).mean(), rel=1e-12)
    assert found["b_mae"] == pytest.approx(abs(z[:, 4:6] - y["b"]).mean(), rel=1e-12)
    with raises(ValueError, "outputs['b'] must be a multiple of 2", "'gaussian_nll'", "got 3"):
        network(chosen, 9, widths={"a": 4, "b": 3, "c": 2})


@every
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_huge_outputs_have_finite_losses_and_gradients(case, dtype):
    net = fastbp.Network([1, 4], loss=case.loss, initializer="zeros", dtype=dtype)
    net.weights[0][:] = [[1e4, -1e4, 0.0, 5e3]]
    value, gradients = net.loss_and_gradients([[1.0], [-1.0], [0.0]], case.y[:3])
    assert np.isfinite(value)
    assert np.isfinite(gradients.weights[0]).all()
    assert (np.abs(gradients.weights[0]) > 0).any()


def test_small_errors_of_log_cosh_keep_their_digits():
    net = fastbp.Network([1, 1], loss="log_cosh", initializer=1.0)
    X = np.array([[1e-3], [3e-3]], "float32")
    assert net.evaluate(X, [[0.0], [0.0]])["loss"] == pytest.approx(2.5e-6, rel=1e-5)


def test_below_its_least_variance_the_gaussian_likelihood_is_its_tangent():
    """Of variance 1e-8, where errors of 0.1 would weigh 5e5; the slope is that of the value."""
    net = fastbp.Network([1, 2], loss="gaussian_nll", dtype="float64", initializer="zeros")
    net.biases[0][:] = 0.0, np.log(1e-8)
    x, y, low = [[1.0]], [[0.1]], np.log(1e-6)
    value, gradients = net.loss_and_gradients(x, y)
    tangent = 0.5 * (1 - 0.01 / 1e-6)
    at_low = 0.5 * (low + 0.01 / 1e-6)
    assert value == pytest.approx(at_low + tangent * (np.log(1e-8) - low), rel=1e-12)
    assert gradients.biases[0][1] == pytest.approx(tangent, rel=1e-12)


def test_quantiles_are_learned():
    y = np.linspace(0, 1, 201)
    loss, optimizer = losses.Quantile((0.1, 0.5, 0.8)), fastbp.SGD(0.1)
    net = fastbp.Network([1, 3], loss=loss, optimizer=optimizer, rng=0)
    net.fit(np.zeros((201, 1)), y, 500, 201, progress=False)
    assert net.predict([[0.0]])[0] == pytest.approx([0.1, 0.5, 0.8], abs=0.02)


def test_classes_of_the_hinge_and_the_focal_loss():
    z = logits(network("hinge"))
    for loss, y in (("hinge", BITS), ("hinge", 2 * BITS - 1), ("focal", BITS)):
        right = ((z > 0) == (BITS == 1)).mean()
        assert network(loss).evaluate(X, y)["accuracy"] == pytest.approx(right)
    one = BITS[:, 0]
    for loss in ("hinge", "focal"):
        net = network(loss, 1)
        by_class = net.loss_and_gradients(X, one, class_weight={0: 1.0, 1: 3.0})[0]
        by_row = net.loss_and_gradients(X, one, sample_weight=1 + 2 * one)[0]
        assert by_class == pytest.approx(by_row, rel=1e-12)


def test_metrics_of_the_hinge_loss_split_at_zero():
    pytest.importorskip("sklearn")
    net, one = network("hinge", 1), BITS[:, 0]
    z = logits(net)[:, 0]
    got = net.evaluate(X, one, metrics=["recall"])["recall"]
    assert got == pytest.approx(((z > 0) & (one == 1)).sum() / one.sum())


@pytest.mark.parametrize(
    ("make", "error", "parts"),
    [
        (lambda: losses.Quantile(0), ValueError, ("q must be", "greater than 0")),
        (lambda: losses.Quantile(1.0), ValueError, ("q must be", "less than 1")),
        (lambda: losses.Quantile((0.5, 2)), ValueError, ("q[1] must be", "got 2")),
        (lambda: losses.Quantile((0.5, 0.5)), ValueError, ("q must not hold", "twice")),
        (lambda: losses.Quantile(()), ValueError, ("q must be a quantile or several", "got ()")),
        (lambda: losses.Quantile("0.5"), TypeError, ("q must be", "'0.5'")),
        (lambda: losses.Quantile(None), TypeError, ("q must be", "None")),
        (lambda: losses.Focal(-1), ValueError, ("gamma must be", "at least 0")),
        (lambda: losses.GaussianNLL(0), ValueError, ("eps must be", "got 0")),
        (lambda: network("gaussian_nll", 3), ValueError, ("layers must be a multiple of 2", "3")),
    ],
)
def test_settings_that_are_refused(make, error, parts):
    with raises(error, *parts):
        make()


@pytest.mark.parametrize(
    ("loss", "y", "parts"),
    [
        ("hinge", 2 * BITS, ("y holds 2.0", "-1 and 1, or 0 and 1")),
        ("hinge", BITS - (np.arange(ROWS) % 2)[:, None], ("y holds -1.0", "-1 and 1, or 0 and 1")),
        ("gaussian_nll", REAL, (f"y must have shape ({ROWS}, 2)", f"got shape ({ROWS}, 4)")),
        (losses.Quantile((0.1, 0.9)), REAL, (f"y must have shape ({ROWS}, 2)",)),
        ("kl_divergence", np.arange(ROWS) % 4, (f"y must have shape ({ROWS}, 4)",)),
        ("kl_divergence", 2 * SHARES, ("y sums to", "must sum to 1")),
        ("focal", 2 * BITS, ("y holds 2.0", "at most 1")),
    ],
)
def test_targets_that_are_refused(loss, y, parts):
    with raises(ValueError, *parts):
        network(loss).fit(X, y, progress=False)
