"""Networks trained side by side have the bits that each has alone."""

import contextlib
import copy
import threading
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from cases import (
    ADAM,
    HIDDEN,
    LOSSES,
    MSE,
    OUTPUTS,
    SOLVERS,
    Case,
    both_dtypes,
    data,
    every_activation,
    every_loss,
    every_optimizer,
)
from guarded import bits

import fastbp
from fastbp.engine import lane_group, lanes
from fastbp.engine.course import Course
from fastbp.layout.layout import Layout
from fastbp.rows.rows import row_orders

LAYERS = (3, 17, 5, 4)


@pytest.fixture(autouse=True)
def every_shape_pays(monkeypatch):
    monkeypatch.setattr(lanes, "pays", lambda *shape: True)


def same(got, want):
    """Whether all bits are alike, but for those of what is not a number."""
    got, want = (np.ascontiguousarray(array) for array in (got, want))
    nothing = np.isnan(want)
    return bool((nothing == np.isnan(got)).all() and (bits(got) == bits(want))[~nothing].all())


class Group:
    """Networks of one shape, and twins of them that are trained alone.

    Attributes
    ----------
    nets, twins : list of Network
    courses, alone : list of Course
        What they go through.
    """

    def __init__(self, count, layers=LAYERS, rows=23, batch=8, epochs=2, **options):
        self.loss = options.pop("loss", MSE)
        self.own, self.shuffle = options.pop("own", True), options.pop("shuffle", True)
        optimizer = options.pop("optimizer", ADAM)
        self.rows, self.batch, self.epochs, self.layers = rows, min(batch, rows), epochs, layers
        self.nets = [
            fastbp.Network(
                layers,
                loss=self.loss.loss(),
                optimizer=optimizer(n) if callable(optimizer) else optimizer.optimizer(),
                rng=n,
                threads=1,
                **options,
            )
            for n in range(count)
        ]
        self.twins = copy.deepcopy(self.nets)
        self.courses, self.alone = [], []
        self.begin()

    def begin(self, rates=None):
        """New courses."""
        drawn = self.shuffle and self.batch < self.rows
        self.courses, self.alone = [], []
        for n, (net, twin) in enumerate(zip(self.nets, self.twins, strict=True)):
            given = data(
                self.rows, self.layers[0], self.layers[-1], self.loss.targets, n * self.own
            )
            rows = self.courses[0].data if n and not self.own else net._core.rows(*given)
            for one, to in ((net, self.courses), (twin, self.alone)):
                rng = one._core.rng if drawn else None
                order = row_orders(self.rows, self.epochs, self.batch, rng)
                to.append(Course(rows, order, self.batch, None if rates is None else rates[n]))

    @property
    def engines(self):
        return [net._core.engine for net in self.nets]

    def keys(self):
        pairs = zip(self.engines, self.courses, strict=True)
        return [lanes.alike(engine, course) for engine, course in pairs]

    def train(self, **options):
        keys = set(self.keys())
        assert len(keys) == 1
        assert None not in keys
        lanes.train_together(self.engines, self.courses, **options)

    def expect_twins(self, until=None):
        """Train the twins, and compare everything."""
        for twin, course in zip(self.twins, self.alone, strict=True):
            twin._core.engine.train(course, until=until)
        for n in range(len(self.nets)):
            net, twin = self.nets[n]._core.engine, self.twins[n]._core.engine
            got, want = self.courses[n], self.alone[n]
            assert (got.done, got.failure, net.step) == (want.done, want.failure, twin.step)
            assert same(got.losses, want.losses)
            assert same(np.array([got.last_loss]), np.array([want.last_loss]))
            slots = range(1 + net.parts.optimizer.slots)
            for slot, layer in product(slots, range(net.layout.layers)):
                for view in (net.layout.weights, net.layout.biases):
                    mine, other = view(net.slot(slot), layer), view(twin.slot(slot), layer)
                    assert same(mine, other), (n, slot, layer)


def check(*arguments, **options):
    group = Group(*arguments, **options)
    group.train()
    group.expect_twins()
    assert group.courses[0].done == group.courses[0].steps
    return group


@both_dtypes
@every_activation
def test_activations(activation, dtype):
    check(3, activation=activation, dtype=dtype)


@both_dtypes
@pytest.mark.parametrize("output", OUTPUTS)
def test_output_activations(output, dtype):
    check(3, output_activation=output, loss=LOSSES[2], dtype=dtype)


@both_dtypes
@every_loss
@pytest.mark.parametrize("outputs", [2, 16, 19])
def test_losses(outputs, loss, dtype):
    check(3, (3, 9, outputs), loss=loss, dtype=dtype)


class Later(Case):
    """A loss that the reference does not know."""

    def loss(self):
        return getattr(fastbp.losses, self.name)(**self.options)


LATER = [
    Later("Quantile", {"q": 0.3}),
    Later("LogCosh"),
    Later("Hinge", targets="bits"),
    Later("Focal", targets="bits"),
    Later("Cosine"),
    Later("KLDivergence", targets="probabilities"),
]


@both_dtypes
@pytest.mark.parametrize("loss", LATER, ids=str)
def test_more_losses(loss, dtype):
    check(3, (3, 9, 5), loss=loss, dtype=dtype)


def test_losses_with_outputs_of_their_own():
    for loss in (fastbp.losses.GaussianNLL(), fastbp.losses.Quantile((0.1, 0.5))):
        X, y = data(23, 3, 3)
        nets = [fastbp.Network([3, 9, 6], loss=loss, rng=n) for n in range(3)]
        twins = copy.deepcopy(nets)
        for net, twin in zip(nets, twins, strict=True):
            twin.fit(X, y, 2, 8, progress=False)
            course = Course(net._core.rows(X, y), row_orders(23, 2, 8, net._core.rng), 8)
            assert lanes.alike(net._core.engine, course) is not None
            lanes.train_together([net._core.engine], [course])
            assert all(same(a, b) for a, b in zip(net.weights, twin.weights, strict=True))


@both_dtypes
@every_optimizer
def test_optimizers(optimizer, dtype):
    check(3, optimizer=optimizer, dtype=dtype)


def lion(w, g, m, lr, t):
    return w - lr * np.sign(0.9 * m + 0.1 * g) / t, 0.99 * m + 0.01 * g


def plain(w, g, lr, t):
    return w - lr * g


def bent(z):
    return z / (1 + abs(z))


def cauchy(a, y):
    return np.log1p((a - y) ** 2)


@dataclass(frozen=True)
class Own:
    """A loss of a user's own as a case."""

    made: fastbp.Loss
    targets: str = "real"

    def loss(self):
        return self.made


@both_dtypes
def test_rules_of_a_user(dtype):
    activation, loss = fastbp.Activation(bent), fastbp.Loss(cauchy)
    for rule, slots in ((lion, 1), (plain, 0)):
        own = fastbp.Optimizer(rule, slots=slots, lr=0.01)
        options = {"loss": Own(loss), "activation": activation, "dtype": dtype}
        group = Group(3, optimizer=lambda n, own=own: own, **options)
        group.train()
        group.expect_twins()


@both_dtypes
def test_each_has_its_own_settings_of_an_optimizer(dtype):
    def adam(n):
        return fastbp.optimizers.Adam(lr=0.01 * (1 + n), beta1=0.9 - 0.02 * n, weight_decay=n / 99)

    group = check(lanes.width(np.dtype(dtype)), optimizer=adam, dtype=dtype)
    for n, net in enumerate(group.nets):  # and steps made before
        net._core.engine.step = group.twins[n]._core.engine.step = 7 * n
    group.begin()
    group.train()
    group.expect_twins()


def test_each_has_its_own_rates():
    group = Group(5)
    steps = group.courses[0].steps
    group.begin([np.linspace(0.001, 0.1, steps) * (1 + n) for n in range(5)])
    group.train()
    group.expect_twins()


@both_dtypes
@pytest.mark.parametrize("batch", [1, 2, 7, 8, 16, 17, 64, 200])
def test_batches(batch, dtype):
    check(2, rows=65, batch=batch, dtype=dtype)  # 64: the last batch has one row


@both_dtypes
@pytest.mark.parametrize("count", [1, 2, -1, 0])  # or so many more than are possible
def test_groups(count, dtype):
    check(count if count > 0 else lanes.width(np.dtype(dtype)) + count, dtype=dtype)


@pytest.mark.parametrize("loss", [MSE, LOSSES[4], LOSSES[5]], ids=str)
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("batch", [5, 64])
def test_data_and_orders(batch, own, shuffle, loss):
    check(3, own=own, shuffle=shuffle, loss=loss, epochs=5, batch=batch)


@both_dtypes
def test_penalties(dtype):
    check(3, l1=0.01, l2=0.1, clip_value=0.03, dtype=dtype)


@both_dtypes
@pytest.mark.parametrize("steps", [1, 2, 4])  # of a call; an epoch has 3
def test_calls_end_anywhere(steps, dtype, monkeypatch):
    monkeypatch.setattr(lane_group, "steps_a_call", lambda layout, batch: steps)
    group = check(3, epochs=3, dtype=dtype)
    group.begin()  # and again
    group.train()
    group.expect_twins()


def test_it_ends_where_it_is_told_to(monkeypatch):
    monkeypatch.setattr(lane_group, "steps_a_call", lambda layout, batch: 2)
    group, asked = Group(3, epochs=3), []

    def go_on():
        asked.append(group.courses[0].done)
        return len(asked) < 3

    group.train(go_on=go_on)
    assert asked == [0, 2, 4]
    group.expect_twins(until=4)
    group.train()
    group.expect_twins()


def test_an_exception_leaves_whole_networks(monkeypatch):
    monkeypatch.setattr(lane_group, "steps_a_call", lambda layout, batch: 2)
    group = Group(3, epochs=3)

    def go_on():
        if group.courses[0].done == 4:
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        group.train(go_on=go_on)
    group.expect_twins(until=4)


@both_dtypes
@pytest.mark.parametrize("loss", [MSE, LOSSES[4], LOSSES[5]], ids=str)
@pytest.mark.parametrize("ends", [{0: 2}, {2: 3}, {0: 2, 1: 5}, {0: 1, 1: 1, 2: 4, 3: 8}])
def test_a_loss_that_is_not_finite_ends_one_network(ends, loss, dtype):
    group = Group(4, epochs=3, loss=loss, optimizer=SOLVERS[0], activation="relu", dtype=dtype)
    even = np.full(group.courses[0].steps, 0.01)
    rates = [even.copy() for _ in range(4)]
    for n, step in ends.items():
        rates[n][step - 1] = np.inf
    group.begin(rates)
    group.train()
    group.expect_twins()
    failed = {n: course.done for n, course in enumerate(group.courses) if course.failure}
    assert failed == ends


def test_labels_that_were_changed_end_their_network_alone():
    group = Group(3, loss=LOSSES[4])
    group.courses[1].data.targets[3] = 4  # the twin's, too
    group.train()
    group.expect_twins()
    assert [course.failure is None for course in group.courses] == [True, False, True]


def test_as_fit_does():
    X, y = data(50, 3, 4)
    nets = [fastbp.Network(LAYERS, rng=n) for n in range(5)]
    twins = copy.deepcopy(nets)
    courses = [
        Course(net._core.rows(X, y), row_orders(50, 3, 16, net._core.rng), 16) for net in nets
    ]
    lanes.train_together([net._core.engine for net in nets], courses)
    for net, twin, course in zip(nets, twins, courses, strict=True):
        assert twin.fit(X, y, 3, 16, progress=False)["loss"] == course.losses.tolist()
        for a, b in zip([*net.weights, *net.biases], [*twin.weights, *twin.biases], strict=True):
            assert same(a, b)


@pytest.mark.parametrize("seed", range(60))
def test_anything(seed):
    rng = np.random.default_rng([seed, 5])
    depth = rng.integers(1, 6)
    layers = tuple(int(n) for n in rng.integers(1, 34, depth + 1))
    loss = LOSSES[rng.integers(len(LOSSES))]
    if loss.name == "cross_entropy":
        layers = (*layers[:-1], max(2, layers[-1]))
    dtype = ("float32", "float64")[rng.integers(2)]
    rows, batch = (int(n) for n in rng.integers(1, (90, 40)))
    solver = SOLVERS[rng.integers(len(SOLVERS))]
    check(
        int(rng.integers(1, lanes.width(np.dtype(dtype)) + 1)),
        layers,
        rows,
        batch,
        int(rng.integers(1, 6)),
        loss=loss,
        optimizer=solver,
        activation=HIDDEN[rng.integers(len(HIDDEN))],
        dtype=dtype,
        own=bool(rng.integers(2)),
        shuffle=bool(rng.integers(2)),
    )


def course_of(net, X, y, batch=8, **given):
    rows = net._core.rows(X, y, **given)
    return Course(rows, row_orders(len(X), 2, batch, None), batch)


X, Y = data(20, 3, 4)
APART = {
    "dropout": ({"dropout": 0.2}, {}),
    "alpha": ({"alpha": 1.0}, {}),
    "clip_norm": ({"clip_norm": 1.0}, {}),
    "max_norm": ({"max_norm": 1.0}, {}),
    "frozen layer": ({"trainable": [False, True, True]}, {}),
    "scaling": ({"scaling": 2.0}, {}),
    "loss_weights": ({"loss_weights": [1, 2, 3, 4]}, {}),
    "weights": ({}, {"sample_weight": np.ones(20) * 2}),
    "masked": ({}, {"mask_nan": True}),
    "tasks": ({"loss": {"a": "mse"}, "outputs": {"a": 4}}, {}),
}


@pytest.mark.parametrize("kind", APART)
def test_who_is_trained_alone(kind):
    options, given = APART[kind]
    net = fastbp.Network(LAYERS, rng=0, **options)
    y = np.where(Y > 1, np.nan, Y) if kind == "masked" else Y
    course = course_of(net, X, {"a": y} if kind == "tasks" else y, **given)
    assert lanes.alike(net._core.engine, course) is None


def test_who_goes_together():
    def key(layers=LAYERS, batch=8, rows=20, **options):
        net = fastbp.Network(layers, rng=0, **options)
        return lanes.alike(net._core.engine, course_of(net, X[:rows], Y[:rows], batch))

    one = key()
    assert one == key()
    assert one == key(optimizer=fastbp.optimizers.Adam(lr=0.5, beta1=0.1))
    assert one == key(optimizer=fastbp.optimizers.AdamW(weight_decay=0.1))
    others = [
        key(layers=(3, 9, 4)), key(batch=7), key(rows=19), key(dtype="float64"), key(loss="mae"),
        key(optimizer="sgd"), key(activation="tanh"), key(output_activation="tanh"), key(l2=0.1),
        key(optimizer=fastbp.optimizers.Adam(amsgrad=True)),
    ]  # fmt: skip
    assert None not in others
    assert len({one, *others}) == 11


def test_who_pays(monkeypatch):
    monkeypatch.undo()

    def pays(layers, batch, networks, dtype="float32"):
        return lanes.pays(Layout(layers, np.dtype(dtype)), batch, networks)

    assert pays((2, 8, 1), 16, 16)
    assert pays((2, 8, 1), 16, 4)
    assert not pays((2, 8, 1), 16, 3)
    assert pays((4, 32, 16, 4), 64, 16)
    assert not pays((4, 32, 16, 4), 64, 12)
    assert not pays((32, 32, 32, 32), 64, 16)
    assert not pays((8, 64, 64, 4), 64, 16)
    assert pays((4, 32, 16, 4), 16, 8, "float64")
    assert not pays((4, 32, 16, 4), 64, 8, "float64")
    assert not pays((300, 300, 2), 1, 16)


def test_readers_have_their_turn(monkeypatch):
    monkeypatch.setattr(lane_group, "steps_a_call", lambda layout, batch: 500)
    group, done = Group(4, epochs=4000), threading.Event()

    def fit():
        with contextlib.ExitStack() as stack:
            for engine in group.engines:
                stack.enter_context(engine.turns.fit_changing)
                stack.enter_context(engine.turns.fitting(False))
            group.train()
        done.set()

    thread = threading.Thread(target=fit)
    thread.start()
    seen = set()
    while not done.is_set():
        outputs = group.nets[2].predict(X)
        assert np.isfinite(outputs).all()
        seen.add(outputs.tobytes())
    thread.join()
    assert len(seen) > 1
    group.expect_twins()
