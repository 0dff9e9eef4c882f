"""Sizes of blocks change no bit: training by tables at random beside training by the one in use."""

import numpy as np
import pytest
from cases import DTYPES, data
from contents import assert_same, learned
from random_sizes import random_sizes
from scipy import sparse

import fastbp
from fastbp.kernels.machine.sizes import current, using


def _fit(widths, rows, batch, **arguments):
    """A training, as a function of dtype and threads; returns what it leaves behind."""
    as_sparse = arguments.pop("sparse", False)

    def run(dtype, threads):
        X, y = data(rows, widths[0], widths[-1])
        if as_sparse:
            X = sparse.csr_array(np.where(X > 0.8, X, 0))
        network = fastbp.Network(
            widths, loss="mse", rng=0, dtype=dtype, threads=threads, **arguments
        )
        losses = network.fit(X, y, epochs=2, batch_size=batch, progress=False)["loss"]
        loss, gradients = network.loss_and_gradients(X, y)
        found = learned(network) | {"losses": losses, "loss": loss, "outputs": network.predict(X)}
        for name in ("weights", "biases"):
            for number, array in enumerate(getattr(gradients, name)):
                found[f"gradient of {name}.{number}"] = array
        return found

    return run


def _together(dtype, threads):
    """Networks side by side, one in each lane of the vectors."""
    X, y = data(50, 3, 2)
    networks = [fastbp.Network([3, 12, 12, 2], rng=i, dtype=dtype) for i in range(16)]
    fastbp.fit_many(networks, X, y, epochs=2, batch_size=24, threads=threads, progress=False)
    return {
        f"{number}.{name}": array
        for number, network in enumerate(networks)
        for name, array in learned(network).items()
    }


def _derived(dtype, threads):
    """Derivatives of more rows than a slab has."""
    X, y = data(900, 40, 3)
    network = fastbp.Network(
        [40, 120, 120, 3], activation="tanh", loss="mse", rng=0, dtype=dtype, threads=threads
    )
    direction = np.random.default_rng(1).standard_normal(network.flat.size)
    return {
        "hessian": network.hessian_vector(X, y, direction),
        "gauss-newton": network.gauss_newton_vector(X, y, direction),
        "slopes": network.input_gradient(X, y),
    }


TRAININGS = {
    "narrow": _fit([5, 19, 9, 3], 43, 24),
    "wide": _fit([41, 640, 7], 130, 65, optimizer="adam"),
    "squares": _fit([20, 210, 230, 7], 79, 40, optimizer="adam"),
    "few rows": _fit([9, 900, 5], 5, 2),
    "few outputs": _fit([300, 33, 1], 70, 64),
    "long sums": _fit([1700, 20, 3], 40, 17),
    "slabs": _fit([60, 300, 260, 3], 700, 650, optimizer="adam"),
    "parts": _fit([4, 32, 16, 4], 2600, 2500),
    "sparse": _fit([90, 200, 3], 60, 33, sparse=True, optimizer="adam"),
    "dropout": _fit([30, 300, 300, 4], 61, 40, dropout=0.3),
    "clipping": _fit([30, 200, 4], 300, 280, clip_norm=0.1, l1=1e-3),
    "maximum norm": _fit([30, 420, 4], 50, 40, max_norm=0.5, alpha=1e-3),
    "side by side": _together,
    "derivatives": _derived,
}
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_training = pytest.mark.parametrize("name", TRAININGS)


def _check(name, dtype, tables, threads):
    rng, run = np.random.default_rng(list(f"{name} {dtype} {tables}".encode())), TRAININGS[name]
    want = run(dtype, 1)
    for number in range(tables):
        with using(random_sizes(rng)):
            got = run(dtype, threads[number % len(threads)])
        assert_same(got, want)


@pytest.mark.parametrize("threads", [1, 2])
@every_dtype
def test_turned_deltas_leave_nothing_in_the_mirrors(dtype, threads):
    """A padding that is not zero would be trained, and count in the norm of the gradient."""

    def trained(**sizes):
        X, y = data(100, 20, 3)
        with using(current()._replace(**sizes)):
            network = fastbp.Network(
                [20, 260, 250, 3],
                "tanh",
                loss="mse",
                rng=0,
                dtype=dtype,
                threads=threads,
                clip_norm=0.01,
            )
        for batch in (50, 24, 50):
            network.fit(X, y, epochs=2, batch_size=batch, progress=False)
            network.input_gradient(X[:9], y[:9])
        assert network.flat.any()
        return learned(network), network._core.engine.state

    (got, state), (want, never) = trained(turned_rows=24, turned_bytes=0), trained(turned_rows=8)
    assert_same(got, want)
    assert np.array_equal(state, never)  # with all padding


@every_dtype
@every_training
def test_a_table_at_random_changes_no_bit(name, dtype):
    _check(name, dtype, 2, (1, 2))


@pytest.mark.slow
@every_dtype
@every_training
def test_tables_at_random_change_no_bit(name, dtype):
    _check(name, dtype, 8, (1, 2, 1, 3))
