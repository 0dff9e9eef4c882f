"""The reference itself: derivatives against central differences, updates against closed forms."""

from itertools import pairwise

import numpy as np
import pytest
import reference_optimizers as rules
from reference import LOSSES, Reference, output, softmax, through_output
from reference_activations import ACTIVATIONS

OUTPUTS = [*ACTIVATIONS, "softmax", "exponential"]
OPTIONS = {"huber": {"delta": 0.7}, "cross_entropy": {"label_smoothing": 0.1}}
H = 1e-5


def targets(loss, rng, shape):
    if loss == "cross_entropy":
        return rng.dirichlet(np.ones(shape[1]), size=shape[0])
    return rng.random(shape) if loss == "binary_cross_entropy" else rng.standard_normal(shape)


def numeric_gradient(f, x):
    """Central differences of f() in every entry of x, which f reads."""
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        old = x[i]
        x[i] = old + H
        above = f()
        x[i] = old - H
        gradient[i] = (above - f()) / (2 * H)
        x[i] = old
    return gradient


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_of_activation(name):
    f, df = ACTIVATIONS[name]
    z = np.arange(-8, 8, 1 / 32) + 1 / 64  # no point on a kink
    np.testing.assert_allclose(df(z), (f(z + H) - f(z - H)) / (2 * H), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "points", "values"),
    [
        ("relu", [-2, 0, 3], [0, 0, 3]),
        ("leaky_relu", [-2, 0, 3], [-0.02, 0, 3]),
        ("elu", [-1, 2], [np.exp(-1) - 1, 2]),
        ("selu", [-1, 1], [-1.1113307378125625, 1.0507009873554805]),
        ("gelu", [-1, 1], [-0.15865525393145707, 0.8413447460685429]),
        ("gelu_tanh", [-1, 1], [-0.15880800939172324, 0.8411919906082768]),
        ("silu", [0, 1], [0, 0.7310585786300049]),
        ("softplus", [0, 1], [np.log(2), 1.3132616875182228]),
        ("softsign", [-3, 1], [-0.75, 0.5]),
        ("hard_tanh", [-2, 0.5, 2], [-1, 0.5, 1]),
        ("sigmoid", [0, 1], [0.5, 0.7310585786300049]),
        ("tanh", [0, 1], [0, 0.7615941559557649]),
        ("exponential", [0, 1], [1, np.e]),
    ],
)
def test_values_of_activation(name, points, values):
    np.testing.assert_allclose(output(name, np.array(points, float)), values, rtol=1e-14)


def test_softmax_sums_to_one_and_ignores_a_shift():
    z = np.random.default_rng(0).standard_normal((5, 4))
    np.testing.assert_allclose(softmax(z).sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_allclose(softmax(z + 1000), softmax(z), rtol=1e-12)


@pytest.mark.parametrize("name", OUTPUTS)
def test_gradient_through_output_activation(name):
    rng = np.random.default_rng(1)
    z, up = rng.standard_normal((2, 4, 3))
    want = numeric_gradient(lambda: np.vdot(output(name, z), up), z)
    np.testing.assert_allclose(through_output(name, z, up), want, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_of_loss(name):
    rng = np.random.default_rng(2)
    loss, default = LOSSES[name]
    z = 2 * rng.standard_normal((6, 4))
    y, options = targets(name, rng, z.shape), OPTIONS.get(name, {})
    want = numeric_gradient(lambda: loss(z, y, **options)[0], z)
    np.testing.assert_allclose(loss(z, y, **options)[1], want, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(loss(z, y, **options)[1], loss(z, y, default, **options)[1])


FROM_PREDICTION = {
    "cross_entropy": lambda a, y: -(y * np.log(a)).sum(axis=1).mean(),
    "binary_cross_entropy": lambda a, y: -(y * np.log(a) + (1 - y) * np.log(1 - a)).mean(),
    "poisson": lambda a, y: (a - y * np.log(a)).mean(),
}


@pytest.mark.parametrize("name", FROM_PREDICTION)
def test_loss_from_logits_is_loss_of_prediction(name):
    rng = np.random.default_rng(3)
    z = rng.standard_normal((6, 4))
    y = targets(name, rng, z.shape)
    loss, activation = LOSSES[name]
    want = FROM_PREDICTION[name](output(activation, z), y)
    assert loss(z, y)[0] == pytest.approx(want, rel=1e-13)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_of_network(activation, loss):
    rng = np.random.default_rng(4)
    layers = [3, 5, 4, 2]
    weights = [rng.standard_normal(s) for s in pairwise(layers)]
    biases = [rng.standard_normal(n) for n in layers[1:]]
    ref = Reference(weights, biases, activation, loss, loss_options=OPTIONS.get(loss))
    X, y = rng.standard_normal((3, 3)), targets(loss, rng, (3, 2))
    _, dW, db = ref.loss_and_gradients(X, y)
    for p, g in zip(ref.weights + ref.biases, dW + db, strict=True):
        want = numeric_gradient(lambda: ref.loss_and_gradients(X, y)[0], p)
        np.testing.assert_allclose(g, want, rtol=1e-6, atol=1e-8 * max(1, np.abs(want).max()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OUTPUTS)
def test_huge_pre_activations_stay_finite_and_keep_the_dtype(name, dtype):
    z = np.array([[-1e4, 0.0, 80.0 if name == "exponential" else 1e4]], dtype)
    for result in (output(name, z), through_output(name, z, np.ones_like(z))):
        assert result.dtype == dtype
        assert np.isfinite(result).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
def test_huge_logits_give_finite_losses(name, dtype):
    z = np.array([[-1e4, 1e4], [1e4, -1e4]], dtype)
    value, delta = LOSSES[name][0](z, np.eye(2, dtype=dtype))
    assert np.isfinite(value)
    assert np.isfinite(delta).all()
    assert delta.dtype == dtype


# ---- optimizers: a constant gradient g, from w = 1, after T steps ------------------------------

G, T, STEPS = 0.3, 7, np.arange(1, 8)


def run(name, **options):
    w = np.ones(1)
    state = rules.initial_state(name, w)
    for t in STEPS:
        w = rules.OPTIMIZERS[name](w, np.full(1, G), state, int(t), **options)
    return w[0]


CLOSED_FORMS = {
    "sgd": ({"lr": 0.1}, 1 - 0.1 * T * G),
    "momentum": (
        {"lr": 0.1, "momentum": 0.9},
        1 - 0.1 * sum(G * (1 - 0.9**t) / (1 - 0.9) for t in STEPS),
    ),
    "nesterov": (
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        1 - 0.1 * sum(G * (1 + 0.9 * (1 - 0.9**t) / (1 - 0.9)) for t in STEPS),
    ),
    "sgd weight decay": ({"lr": 0.1, "weight_decay": 0.5}, (1 + G / 0.5) * 0.95**T - G / 0.5),
    "adam": ({"lr": 0.1, "eps": 0.2}, 1 - 0.1 * T * G / (G + 0.2)),
    "amsgrad": (  # v grows under a constant gradient, so the maximum is v itself
        {"lr": 0.1, "eps": 0.2, "amsgrad": True},
        1 - 0.1 * T * G / (G + 0.2),
    ),
    "adam epsilon hat": (  # sqrt(v) = G sqrt(1 - beta2**t), and eps is left as it is
        {"lr": 0.1, "beta2": 0.8, "eps": 0.2, "epsilon_hat": True},
        1 - 0.1 * sum(G / (G + 0.2 / np.sqrt(1 - 0.8**t)) for t in STEPS),
    ),
    "adamw": (
        {"lr": 0.1, "eps": 0.2, "weight_decay": 0.5},
        0.95**T - 0.1 * G / (G + 0.2) * sum(0.95 ** (T - t) for t in STEPS),
    ),
    "rmsprop": (
        {"lr": 0.1, "rho": 0.8, "eps": 0.2},
        1 - 0.1 * sum(G / (G * np.sqrt(1 - 0.8**t) + 0.2) for t in STEPS),
    ),
    "centered": (  # square - mean^2 = g^2 rho^t (1 - rho^t)
        {"lr": 0.1, "rho": 0.8, "eps": 0.2, "centered": True},
        1 - 0.1 * sum(G / (G * np.sqrt(0.8**t * (1 - 0.8**t)) + 0.2) for t in STEPS),
    ),
    "adagrad": (
        {"lr": 0.1, "eps": 0.2},
        1 - 0.1 * sum(G / (G * np.sqrt(t) + 0.2) for t in STEPS),
    ),
}
RULE = {"momentum": "sgd", "nesterov": "sgd", "amsgrad": "adam", "centered": "rmsprop"}


@pytest.mark.parametrize("case", CLOSED_FORMS)
def test_update_with_a_constant_gradient(case):
    options, want = CLOSED_FORMS[case]
    assert run(RULE.get(case, case.split()[0]), **options) == pytest.approx(want, rel=1e-12)


def test_rmsprop_momentum_accumulates_scaled_gradients():
    scaled = [G / (G * np.sqrt(1 - 0.8**t) + 0.2) for t in STEPS]
    want = 1 - 0.1 * sum(s * sum(0.5**k for k in range(T - i)) for i, s in enumerate(scaled))
    got = run("rmsprop", lr=0.1, rho=0.8, eps=0.2, momentum=0.5)
    assert got == pytest.approx(want, rel=1e-12)


def test_first_nadam_step():
    mu, mu_next = (0.9 * (1 - 0.5 * 0.96 ** (t * 0.1)) for t in (1, 2))
    m_hat = mu_next * 0.1 * G / (1 - mu * mu_next) + (1 - mu) * G / (1 - mu)
    w, g = np.ones(1), np.full(1, G)
    got = rules.nadam(w, g, rules.initial_state("nadam", w), 1, lr=0.1, eps=0.2, momentum_decay=0.1)
    assert got[0] == pytest.approx(1 - 0.1 * m_hat / (G + 0.2), rel=1e-12)


def test_amsgrad_keeps_the_largest_second_moment():
    w = np.ones(1)
    state = rules.initial_state("adam", w)
    for t, g in enumerate([5.0, 0.0, 0.0], start=1):
        w = rules.adam(w, np.full(1, g), state, t, beta2=0.5, amsgrad=True)
    assert state["v_max"][0] == 12.5
    assert state["v"][0] == 12.5 / 4


def test_fit_follows_the_order_and_weighs_the_last_batch_by_its_rows():
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((5, 2)), rng.standard_normal((5, 1))
    W, b, order = [rng.standard_normal((2, 1))], [np.zeros(1)], [3, 1, 4, 0, 2]
    by_fit, by_step = Reference(W, b), Reference(W, b)
    first = by_step.train_step(X[[3, 1, 4]], y[[3, 1, 4]])
    last = by_step.train_step(X[[0, 2]], y[[0, 2]])
    assert by_fit.fit(X, y, batch_size=3, order=order) == [(3 * first + 2 * last) / 5]
    np.testing.assert_array_equal(by_fit.weights[0], by_step.weights[0])
