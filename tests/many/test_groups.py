"""Networks of one shape go side by side in vector lanes: nothing but the time tells."""

import copy

import numpy as np
import pytest
from cases import both_dtypes, data
from contents import assert_same, contents
from meanwhile import reading

import fastbp
from fastbp import each
from fastbp.engine import lane_group, lanes
from fastbp.engine.lane_group import width
from fastbp.fit import row_fit

ROWS = 45
X, Y = data(ROWS, 2, 1)
LABELS = np.random.default_rng(1).integers(3, size=ROWS)


@pytest.fixture(autouse=True)
def groups(monkeypatch):
    """How many networks went together in each call."""
    seen, train = [], lanes.train_together

    def noted(engines, courses, go_on):
        seen.append(len(engines))
        train(engines, courses, go_on)

    monkeypatch.setattr(lanes, "train_together", noted)
    return seen


def network(number=0, layers=(2, 8, 1), **options):
    options = {"activation": "tanh", "optimizer": fastbp.Adam(1e-2 / (1 + number)), **options}
    return fastbp.Network(list(layers), rng=number, **options)


def compare(networks, *given, fits=None, **options):
    """fits: the arguments of each network's own fit, where they are not the same."""
    twins = copy.deepcopy(networks)
    histories = fastbp.fit_many(networks, *given, **options)
    fits = fits or [(given, options)] * len(networks)
    for net, twin, history, (own, rest) in zip(networks, twins, histories, fits, strict=True):
        want = twin.fit(*own, **{k: v for k, v in rest.items() if k != "threads"})
        assert_same(contents(net), contents(twin))
        assert dict(history) == dict(want)


@both_dtypes
@pytest.mark.parametrize("threads", [1, 2])
def test_networks_with_rates_seeds_and_steps_of_their_own(dtype, threads, groups):
    networks = [network(number, dtype=dtype) for number in range(37)]
    for number, net in enumerate(networks):
        net.fit(X, Y, epochs=1 + number % 3)
    compare(networks, X, Y, epochs=3, batch_size=16, threads=threads)
    assert sum(groups) >= 30
    assert max(groups) == width(np.dtype(dtype))
    compare(networks, X, Y, epochs=2, batch_size=16, shuffle=False, threads=threads)


def test_data_of_their_own(groups):
    rng = np.random.default_rng(0)
    many = [(rng.standard_normal((ROWS, 2)), rng.integers(3, size=ROWS)) for _ in range(20)]
    options = {"epochs": 3, "batch_size": 10}
    networks = [network(n, (2, 8, 3), loss="cross_entropy") for n in range(20)]
    fits = [(own, options) for own in many]
    features, targets = (each(one) for one in zip(*many, strict=True))
    compare(networks, features, targets, fits=fits, **options)
    assert groups


def test_kinds_are_kept_apart(groups):
    def mixed():
        for number in range(60):
            shape = [(2, 8, 1), (2, 5, 1), (2, 8, 1)][number % 3]
            yield network(number, shape, loss="mae" if number % 3 == 2 else "mse")

    compare(list(mixed()), X, Y, epochs=2, batch_size=16)
    assert groups
    assert max(groups) <= 16


def test_fits_of_many_stretches(groups, monkeypatch):
    monkeypatch.setattr(row_fit, "ORDER_A_CALL", 20 * 4 * ROWS)
    networks = [network(number) for number in range(20)]
    compare(networks, X, Y, epochs=9, batch_size=16)
    assert len(groups) > 2


def test_a_network_that_fails_leaves_the_others_as_they_would_be(groups):
    bad = (3, 11)

    def made():
        return [
            network(n, optimizer=fastbp.SGD(1e25 if n in bad else 1e-3), dtype="float64")
            for n in range(16)
        ]

    networks, twins = made(), made()
    with pytest.warns(RuntimeWarning, match="2 of 16 networks failed"):
        histories = fastbp.fit_many(networks, X, Y, epochs=5, batch_size=4)
    for number, (net, twin, history) in enumerate(zip(networks, twins, histories, strict=True)):
        if number in bad:
            with pytest.raises(FloatingPointError) as caught:
                twin.fit(X, Y, epochs=5, batch_size=4)
            assert str(history.failure) == str(caught.value)
            assert dict(history) == dict(caught.value.history)
        else:
            assert dict(history) == dict(twin.fit(X, Y, epochs=5, batch_size=4))
        assert_same(contents(net), contents(twin))
    assert groups


def test_what_calls_the_user_goes_alone(groups):
    networks = [network(number) for number in range(8)]
    compare(networks, X, Y, epochs=2, schedule=fastbp.schedules.Exponential(0.5))
    compare(networks, X, Y, epochs=2, validation_data=(X, Y))
    compare(networks, X, Y, epochs=2, tol=0.0)
    assert groups == []


def test_networks_that_others_use_meanwhile():
    networks = [network(number) for number in range(16)]
    with reading(networks, X):
        compare(networks, X, Y, epochs=400, batch_size=8)


@pytest.mark.parametrize("calls", [0, 1])
def test_where_memory_is_short_each_goes_on_alone(calls, groups, monkeypatch):
    class Short(lane_group.LaneGroup):
        def __init__(self, *given):
            super().__init__(*given)
            self.calls = calls

        def go_on(self):
            self.calls -= 1
            if self.calls < 0:
                raise MemoryError
            super().go_on()

    monkeypatch.setattr(lanes, "LaneGroup", Short)
    monkeypatch.setattr(lane_group, "steps_a_call", lambda *_: 2)
    compare([network(number) for number in range(16)], X, Y, epochs=3, batch_size=16)
    assert groups


def test_a_network_whose_orders_cannot_be_drawn_stops_no_other(groups, monkeypatch):
    def orders(fit, epochs):
        if fit.network is networks[3]:
            raise MemoryError("no room for orders")
        return drawn(fit, epochs)

    drawn, networks = row_fit.RowFit._orders, [network(number) for number in range(16)]
    twins = copy.deepcopy(networks)
    monkeypatch.setattr(row_fit.RowFit, "_orders", orders)
    with pytest.warns(RuntimeWarning, match="network 3: MemoryError"):
        histories = fastbp.fit_many(networks, X, Y, epochs=2, batch_size=16)
    for number, (net, twin) in enumerate(zip(networks, twins, strict=True)):
        if number != 3:
            twin.fit(X, Y, epochs=2, batch_size=16)
        assert_same(contents(net), contents(twin))
        assert (histories[number].failure is None) == (number != 3)
    assert groups
