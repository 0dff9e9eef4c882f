"""Weights of rows and classes, and masked targets: the numbers, against the plain network's."""

import pickle

import numpy as np
import pytest
from cases import (
    LOSSES,
    OUTPUTS,
    Case,
    assert_close,
    assert_same_parameters,
    both_dtypes,
    data,
    every_loss,
    every_optimizer,
    network,
    twins,
)

import fastbp

LABELS, PROBABILITIES, BITS = LOSSES[4], LOSSES[6], LOSSES[8]
ELEMENTWISE = [loss for loss in LOSSES if loss.name != "cross_entropy"]
every_elementwise = pytest.mark.parametrize("loss", ELEMENTWISE, ids=str)
CUTS = [  # layers, rows, batch size
    pytest.param([5, 17, 9, 4], 50, 16, id="batches"),
    pytest.param([5, 9, 4], 33, 16, id="last-of-one"),
    pytest.param([4, 9, 3], 901, 601, id="parts"),
    pytest.param([20, 260, 260, 3], 500, 400, id="slabs"),
    pytest.param([3, 270], 40, 17, id="wide-output"),
    pytest.param([1, 1], 7, 3, id="one"),
]


def row_weights(rows, seed=0):
    """Weights of every size, zeros among them."""
    rng = np.random.default_rng([seed, 2])
    return rng.exponential(size=rows) * (rng.random(rows) > 0.3)


def with_holes(y, seed=0, share=0.3):
    """`y` with NaN here and there, and where it is not NaN."""
    known = np.random.default_rng([seed, 3]).random(y.shape) > share
    return np.where(known, y, np.nan), known


def fit(net, ref, X, y, weights, batch, epochs=4, **arguments):
    """Train both; their curves and parameters agree."""
    history = net.fit(X, y, epochs, batch, shuffle=False, progress=False, **arguments)
    filled = np.where(np.isnan(y), 0, y) if y.dtype.kind == "f" else y
    np.testing.assert_allclose(
        history["loss"], ref.fit(X, filled, epochs, batch, weights=weights), rtol=1e-10
    )
    assert_same_parameters(net, ref, 1e-10)


@every_loss
def test_sample_weights_with_every_loss(loss):
    X, y = data(50, 5, 4, loss.targets)
    weights = row_weights(50)
    fit(*twins([5, 17, 9, 4], loss=loss), X, y, weights, 16, sample_weight=weights)


@pytest.mark.parametrize("output", OUTPUTS)
def test_sample_weights_with_every_output_activation(output):
    X, y = data(50, 5, 4)
    weights = row_weights(50)
    nets = twins([5, 9, 4], output_activation=output)
    fit(*nets, X, y, weights, 16, sample_weight=weights)


@every_optimizer
def test_sample_weights_with_every_optimizer(optimizer):
    X, y = data(19, 5, 4, "labels")
    weights = row_weights(19)
    nets = twins([5, 9, 4], loss=LABELS, optimizer=optimizer)
    fit(*nets, X, y, weights, 8, sample_weight=weights)


@pytest.mark.parametrize(("layers", "rows", "batch"), CUTS)
def test_sample_weights_however_a_batch_is_cut(layers, rows, batch):
    for loss in (Case("mse"), LABELS):
        X, y = data(rows, layers[0], layers[-1], loss.targets)
        weights = row_weights(rows)
        nets = twins(layers, loss=loss, optimizer=Case("sgd", {"lr": 0.01}))
        fit(*nets, X, y, weights, batch, 2, sample_weight=weights)


@every_elementwise
def test_masked_targets_with_every_loss(loss):
    X, y = data(50, 5, 4, loss.targets)
    y, known = with_holes(y)
    fit(*twins([5, 17, 9, 4], loss=loss), X, y, known.astype(float), 16, mask_nan=True)


@pytest.mark.parametrize(("layers", "rows", "batch"), CUTS)
def test_masked_targets_however_a_batch_is_cut(layers, rows, batch):
    X, y = data(rows, layers[0], layers[-1])
    y, known = with_holes(y)
    nets = twins(layers, optimizer=Case("sgd", {"lr": 0.01}))
    fit(*nets, X, y, known.astype(float), batch, 2, mask_nan=True)


@pytest.mark.parametrize("loss", [Case("mae"), BITS], ids=str)
def test_masked_targets_of_weighted_rows(loss):
    X, y = data(50, 5, 4, loss.targets)
    (y, known), weights = with_holes(y), row_weights(50)
    cells = weights[:, None] * known
    nets = twins([5, 9, 4], loss=loss)
    fit(*nets, X, y, cells, 16, sample_weight=weights, mask_nan=True)


@pytest.mark.parametrize("loss", [LABELS, LOSSES[5], PROBABILITIES, LOSSES[7]], ids=str)
def test_labels_that_are_nan_leave_out_rows(loss):
    X, y = data(50, 5, 4, loss.targets)
    known = with_holes(np.zeros(50))[1]
    holed = y.astype(float)
    holed[(~known, 1) if y.ndim == 2 else ~known] = np.nan
    net, ref = twins([5, 9, 4], loss=loss)
    history = net.fit(X, holed, 3, 16, shuffle=False, progress=False, mask_nan=True)
    want = ref.fit(X, y, 3, 16, weights=known.astype(float))
    np.testing.assert_allclose(history["loss"], want, rtol=1e-10)
    assert_same_parameters(net, ref, 1e-10)
    column = holed.reshape(50, 1) if y.ndim == 1 else holed
    assert net.evaluate(X, column, mask_nan=True) == net.evaluate(X[known], y[known])


@pytest.mark.parametrize("given", [{0: 1, 1: 0.5, 2: 3.0, 3: 0}, "balanced"], ids=str)
def test_class_weights_are_weights_of_rows(given):
    X, y = data(50, 5, 4, "labels")
    y[y == 3] = 0
    counts = np.bincount(y, minlength=4)
    of_classes = 50 / (3 * np.maximum(counts, 1)) if given == "balanced" else [1, 0.5, 3, 0]
    weights = np.take(of_classes, y)
    fit(*twins([5, 9, 4], loss=LABELS), X, y, weights, 16, class_weight=given)
    rows = row_weights(50)
    nets = twins([5, 9, 4], loss=LOSSES[5])
    fit(*nets, X, y, rows * weights, 16, class_weight=given, sample_weight=rows)


@pytest.mark.parametrize("given", [{0: 1, 1: 0.2}, "balanced"], ids=str)
def test_class_weights_of_a_single_output(given):
    X, y = data(50, 5, 1, "bits")
    y[:5] = 1
    ones = y.mean()
    of_classes = [0.5 / (1 - ones), 0.5 / ones] if given == "balanced" else [1, 0.2]
    weights = np.take(of_classes, y[:, 0].astype(int))
    fit(*twins([5, 9, 1], loss=BITS), X, y, weights, 16, class_weight=given)


def test_balanced_classes_do_not_count_what_is_masked():
    X, y = data(50, 5, 3, "labels")
    y[:10] = 0
    holed = np.where(np.arange(50) < 10, np.nan, y)
    options = {"mask_nan": True, "class_weight": "balanced"}
    net = network([5, 9, 3], loss=LABELS)
    want = net.loss_and_gradients(X[10:], y[10:], class_weight="balanced")
    got = net.loss_and_gradients(X, holed, **options)
    assert got[0] == pytest.approx(want[0], rel=1e-14)
    one = network([5, 9, 1], loss=BITS)
    bits = np.where(np.isnan(holed), np.nan, holed == 0)
    want = one.loss_and_gradients(X[10:], bits[10:], class_weight="balanced")
    got = one.loss_and_gradients(X, bits, **options)
    assert got[0] == pytest.approx(want[0], rel=1e-14)


@both_dtypes
@pytest.mark.parametrize("loss", [PROBABILITIES, LOSSES[7]], ids=str)
def test_class_weights_of_probabilities(loss, dtype):
    """-sum_c w_c y_c log p_c over sum_c w_c y_c; those of one-hot rows are those of labels."""
    X, y = data(20, 5, 4, "probabilities")
    of_classes = {0: 0.5, 1: 2.0, 2: 0.0, 3: 1.0}
    w = np.array([*of_classes.values()])
    rtol = {"float32": 1e-5, "float64": 1e-12}[dtype]
    net = network([5, 9, 4], loss=loss, dtype=dtype)
    if not loss.options:
        log_p = np.log(net.predict(X).astype(float))
        want = -(w * y * log_p).sum() / (w * y).sum()
        assert net.evaluate(X, y, class_weight=of_classes)["loss"] == pytest.approx(want, rel=rtol)
    labels = y.argmax(axis=1)
    got = net.loss_and_gradients(X, np.eye(4)[labels], class_weight=of_classes)
    want = net.loss_and_gradients(X, labels, class_weight=of_classes)
    assert got[0] == pytest.approx(want[0], rel=rtol)
    assert_close(got[1].weights, want[1].weights, rtol)


@pytest.mark.parametrize("loss", [Case("mse"), LABELS, BITS, PROBABILITIES], ids=str)
def test_gradients_are_finite_differences(loss):
    X, y = data(7, 3, 4, loss.targets)
    options = {"sample_weight": row_weights(7)}
    if loss in ELEMENTWISE:
        y, options["mask_nan"] = with_holes(y)[0], True
    else:
        options["class_weight"] = {0: 1, 1: 2, 2: 0.5, 3: 0}
    net = network([3, 5, 4], loss=loss)
    _, gradients = net.loss_and_gradients(X, y, **options)
    for views, of in ((net.weights, gradients.weights), (net.biases, gradients.biases)):
        for view, gradient in zip(views, of, strict=True):
            for place in np.ndindex(view.shape):
                kept, found = view[place], []
                for step in (1e-5, -1e-5):
                    view[place] = kept + step
                    found.append(net.loss_and_gradients(X, y, **options)[0])
                view[place] = kept
                assert gradient[place] == pytest.approx((found[0] - found[1]) / 2e-5, abs=1e-8)


@both_dtypes
@every_loss
def test_weights_of_one_give_the_bits_of_none(loss, dtype):
    X, y = data(50, 5, 3, loss.targets)
    nets = [network([5, 9, 3], loss=loss, dtype=dtype) for _ in range(3)]
    for net, weights in zip(nets, (None, np.ones(50), np.full(50, 0.125)), strict=True):
        net.fit(X, y, 2, 17, shuffle=False, progress=False, sample_weight=weights)
        net.train_step(X, y, sample_weight=weights)
    for net in nets[1:]:
        for got, want in zip(net.weights, nets[0].weights, strict=True):
            assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("given", ["float32", "int64", "list", "bool", "strided"])
def test_weights_in_any_form(given):
    X, y = data(6, 3, 2)
    weights = np.array([1.0, 0, 3, 1, 0, 2])
    forms = {"list": weights.tolist(), "bool": weights > 0, "strided": np.repeat(weights, 2)[::2]}
    form = forms[given] if given in forms else weights.astype(given)
    net = network([3, 2])
    want = net.loss_and_gradients(X, y, sample_weight=np.asarray(form, float))[0]
    assert net.loss_and_gradients(X, y, sample_weight=form)[0] == want


def test_weights_of_any_size():
    """Only their ratios count: sums neither overflow nor vanish."""
    X, y = data(6, 3, 2)
    weights = np.array([1.0, 0, 3, 1, 0, 2])
    for dtype in ("float32", "float64"):
        net = network([3, 4, 2], dtype=dtype)
        want = net.loss_and_gradients(X, y, sample_weight=weights)
        for factor in (2.0**1000, 2.0**-1060):
            got = net.loss_and_gradients(X, y, sample_weight=factor * weights)
            assert got[0] == want[0]
            assert (got[1].weights[0] == want[1].weights[0]).all()
        tiny = net.fit(X, y, 1, 2, progress=False, sample_weight=[1, 1, 1e-200, 1, 1e-200, 1])
        assert np.isfinite(tiny["loss"]).all()


def test_what_weighs_nothing_may_overflow():
    X = np.array([[1.0, 0.0], [1e30, -1e30]], "float32")
    for loss, y in (("mse", [[1.0], [1.0]]), ("cross_entropy", [0, 1])):
        net = fastbp.Network([2, len(np.unique(y)) if loss != "mse" else 1], loss=loss, rng=0)
        net.weights[0][:] = 1e10
        alone = net.loss_and_gradients(X[:1], y[:1])
        for options in ({"sample_weight": [1, 0]}, {"sample_weight": [1e-30, 0]}):
            got = net.loss_and_gradients(X, y, **options)
            assert got[0] == alone[0]
            assert (got[1].weights[0] == alone[1].weights[0]).all()
            assert net.evaluate(X, y, **options)["loss"] == alone[0]


def test_a_batch_without_weight_counts_for_nothing():
    X, y = data(12, 3, 2)
    weights = np.r_[np.ones(4), np.zeros(4), np.ones(4)]
    net = network([3, 2], optimizer=Case("sgd", {"lr": 0.1}))
    other = network([3, 2], optimizer=Case("sgd", {"lr": 0.1}))
    history = net.fit(X, y, 1, 4, shuffle=False, progress=False, sample_weight=weights)
    kept = np.r_[0:4, 8:12]
    want = other.fit(X[kept], y[kept], 1, 4, shuffle=False, progress=False)
    assert history["loss"] == want["loss"]
    assert (net.weights[0] == other.weights[0]).all()
    assert (net.steps, other.steps) == (3, 2)
    holed = np.where(weights[:, None] > 0, y, np.nan)
    masked = network([3, 2], optimizer=Case("sgd", {"lr": 0.1}))
    history = masked.fit(X, holed, 1, 4, shuffle=False, progress=False, mask_nan=True)
    assert history["loss"] == want["loss"]
    assert (masked.weights[0] == other.weights[0]).all()


def test_losses_and_accuracies_are_weighted_means():
    weights = np.array([0.0, 1, 2, 3])
    X = np.eye(4)
    net = fastbp.Network([4, 3], loss="cross_entropy", initializer="zeros", dtype="float64")
    net.weights[0][:] = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    found = net.evaluate(X, [0, 1, 0, 0], sample_weight=weights)
    log_p = np.log(net.predict(X))[np.arange(4), [0, 1, 0, 0]]
    assert found["loss"] == pytest.approx(-(weights * log_p).sum() / 6, rel=1e-14)
    assert found["accuracy"] == pytest.approx(4 / 6)
    holed = [np.nan, 1, 0, 0]
    assert net.evaluate(X, holed, mask_nan=True)["accuracy"] == pytest.approx(2 / 3)
    bits = fastbp.Network([4, 2], loss="binary_cross_entropy", initializer="zeros")
    bits.weights[0][:] = [[1, 1], [1, -1], [-1, 1], [-1, -1]]
    y = np.array([[1, 0], [1, np.nan], [np.nan, np.nan], [0, 1]])
    found = bits.evaluate(X, y, mask_nan=True, sample_weight=[1, 1, 1, 4])
    assert found["accuracy"] == pytest.approx((1 + 1 + 4) / (2 + 1 + 8))


def test_validation_data_have_weights_and_masks_of_their_own():
    X, y = data(20, 5, 4)
    holed, weights = with_holes(y)[0], row_weights(20)
    net = network([5, 9, 4])
    history = net.fit(
        X, y, 2, 8, validation_data=(X, holed, weights), mask_nan=True, progress=False
    )
    found = net.evaluate(X, holed, sample_weight=weights, mask_nan=True)
    assert history["val_loss"][-1] == found["loss"]
    assert net.fit(X, y, validation_data=(X, y, None), progress=False)["val_loss"]


def test_steps_one_by_one_have_the_losses_of_a_fit():
    """Through the callback that is called after every step, too."""
    X, y = data(50, 5, 4)
    weights = row_weights(50)
    nets = [network([5, 9, 4]) for _ in range(2)]
    seen = []

    class Watch(fastbp.callbacks.Callback):
        def on_step_end(self, fit):
            seen.append(fit.loss)

    arguments = {"shuffle": False, "progress": False, "sample_weight": weights}
    whole = nets[0].fit(X, y, 2, 16, **arguments)
    single = nets[1].fit(X, y, 2, 16, callbacks=[Watch()], **arguments)
    np.testing.assert_allclose(single["loss"], whole["loss"], rtol=1e-14)
    masses = np.add.reduceat(weights, range(0, 50, 16))
    np.testing.assert_allclose(np.average(seen[:4], weights=masses), whole["loss"][0], rtol=1e-14)
    assert_same_parameters(*nets, 1e-14)


def test_train_steps_give_the_bits_of_an_epoch():
    """The total weight of a batch is added up in the same order, however its rows come."""
    X, y = data(99, 5, 4)
    weights = row_weights(99)
    fitted, stepped, fed = (network([5, 9, 4], dtype="float64") for _ in range(3))
    fitted.fit(X, y, 1, 33, shuffle=False, progress=False, sample_weight=weights)
    batches = [np.s_[start : start + 33] for start in range(0, 99, 33)]
    for rows in batches:
        stepped.train_step(X[rows], y[rows], sample_weight=weights[rows])
    fed.fit_batches([(X[rows], y[rows], weights[rows]) for rows in batches], progress=False)
    for net in (stepped, fed):
        assert [w.tobytes() for w in net.weights] == [w.tobytes() for w in fitted.weights]


def test_the_callers_arrays_stay_as_they_are():
    X, y = data(20, 5, 4)
    y = with_holes(y)[0]
    weights = row_weights(20)
    kept = y.copy(), weights.copy()
    net = network([5, 4])
    net.fit(X, y, 2, 8, mask_nan=True, sample_weight=weights, progress=False)
    P = data(20, 5, 4, "probabilities")[1]
    P[3, 2] = np.nan
    P_kept = P.copy()
    net = network([5, 4], loss=PROBABILITIES)
    net.fit(X, P, mask_nan=True, class_weight={0: 1, 1: 2, 2: 3, 3: 4}, progress=False)
    for got, want in zip((y, weights, P), (*kept, P_kept), strict=True):
        np.testing.assert_array_equal(got, want)


def test_without_nan_a_mask_changes_nothing():
    X, y = data(20, 5, 4)
    nets = [network([5, 4]) for _ in range(2)]
    curves = [
        net.fit(X, y, 3, 8, shuffle=False, mask_nan=mask, progress=False)["loss"]
        for net, mask in zip(nets, (True, False), strict=True)
    ]
    assert curves[0] == curves[1]
    assert (nets[0].weights[0] == nets[1].weights[0]).all()


@every_elementwise
def test_weights_of_outputs_multiply_their_losses(loss):
    """mean(v_j l_ij): the mean over one output alone is n times as large."""
    X, y = data(20, 5, 4, loss.targets)
    holed, known = with_holes(y)
    v, rows = np.array([2.0, 0, 0.5, 3]), row_weights(20)
    net = network([5, 4], loss=loss)
    weighted = fastbp.Network([5, 4], loss=loss.loss(), loss_weights=v, dtype="float64", threads=1)
    for target, source in zip(
        weighted.weights + weighted.biases, net.weights + net.biases, strict=True
    ):
        target[:] = source
    value = weighted.loss_and_gradients(X, y)[0]
    assert weighted.evaluate(X, y)["loss"] == pytest.approx(value, rel=1e-14)
    for y_given, options, cells in (
        (y, {}, np.ones((20, 4))),
        (y, {"sample_weight": rows}, rows[:, None] * np.ones(4)),
        (holed, {"mask_nan": True, "sample_weight": rows}, rows[:, None] * known),
    ):
        value, gradients = weighted.loss_and_gradients(X, y_given, **options)
        losses, slopes = [], []
        for j in range(4):
            column = np.where(np.arange(4) == j, y, np.nan)
            alone = net.loss_and_gradients(X, column, sample_weight=cells[:, j], mask_nan=True)
            share = v[j] * cells[:, j].sum() / cells.sum()
            losses.append(share * alone[0])
            slopes.append(share * alone[1].weights[0])
        assert value == pytest.approx(sum(losses), rel=1e-12)
        np.testing.assert_allclose(gradients.weights[0], sum(slopes), rtol=1e-9, atol=1e-15)


@both_dtypes
def test_output_weights_of_one_change_no_bit(dtype):
    X, y = data(50, 5, 3)
    nets = [
        fastbp.Network([5, 9, 3], loss="huber", dtype=dtype, rng=0, loss_weights=weights)
        for weights in (None, [1, 1, 1])
    ]
    curves = [net.fit(X, y, 3, 16, progress=False)["loss"] for net in nets]
    assert curves[0] == curves[1]
    assert nets[0].weights[0].tobytes() == nets[1].weights[0].tobytes()


def test_output_weights_are_saved_and_pickled(tmp_path):
    X, y = data(20, 5, 3)
    net = fastbp.Network([5, 3], loss_weights=(1, 0.5, 2), rng=0)
    net.save(tmp_path / "model.safetensors")
    for other in (fastbp.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(net))):
        assert other.evaluate(X, y) == net.evaluate(X, y)
