"""Tests of the update panels: odd lengths against the reference, and nothing else written."""

import numpy as np
import pytest
from cases import Case, both_dtypes, every_optimizer
from guarded import Guarded, bits, canaries
from reference_optimizers import OPTIMIZERS, initial_state

LENGTHS = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 100, 1001]
TOLERANCE = {"float32": 2e-5, "float64": 1e-13}
STEPS = 4


class Parameters:
    """A run of parameters and its slots, with canaries behind each of them.

    Attributes
    ----------
    state : Guarded
        (1 + slots, n + gap): the parameters, then the slots.
    """

    def __init__(self, optimizer, n, dtype, seed=0):
        self.n, self.dtype, self.panel = n, np.dtype(dtype), optimizer.panel
        self.coefficients = optimizer.coefficients(np.arange(1.0, STEPS + 1), optimizer.lr)
        state = canaries((1 + optimizer.slots, n + 5), dtype)
        state[0, :n] = np.random.default_rng([seed, n]).standard_normal(n)
        state[1:, :n] = 0
        self.state = Guarded(state, 1)

    def update(self, gradient, step, first=0, count=None):
        """One update of `count` parameters from `first` on."""
        g, c = Guarded(gradient, 1), Guarded(self.coefficients[step])
        offset = first * self.dtype.itemsize
        self.panel.call(self.dtype)(
            self.state.at + offset, g.at + offset, self.state.array[0].nbytes,
            self.n if count is None else count, c.at,
        )  # fmt: skip
        assert self.state.intact()
        assert g.intact()
        assert c.intact()
        assert (bits(g.array) == bits(gradient)).all()
        assert (bits(c.array) == bits(self.coefficients[step])).all()

    def gaps_intact(self):
        behind = self.state.array[:, self.n :]
        return bool((bits(behind) == bits(canaries(behind.shape, self.dtype))).all())


def gradients(n, dtype):
    rng = np.random.default_rng([n, 7])
    return (rng.standard_normal((STEPS, n)) * np.exp(rng.uniform(-3, 1, n))).astype(dtype)


@both_dtypes
@every_optimizer
@pytest.mark.parametrize("n", LENGTHS)
def test_updates_are_the_references(n, optimizer, dtype):
    run = Parameters(optimizer.optimizer(), n, dtype)
    w = run.state.array[0, :n].astype(float)
    state = initial_state(optimizer.name, w)
    for step, gradient in enumerate(gradients(n, dtype)):
        run.update(gradient, step)
        rule = OPTIMIZERS[optimizer.name]
        w = rule(w, gradient.astype(float), state, step + 1, **optimizer.options)
    assert run.gaps_intact()
    np.testing.assert_allclose(run.state.array[0, :n], w, TOLERANCE[dtype], TOLERANCE[dtype])


@both_dtypes
@every_optimizer
def test_an_element_has_the_same_bits_in_a_vector_and_alone(optimizer, dtype):
    n = 77
    whole, single = (Parameters(optimizer.optimizer(), n, dtype) for _ in range(2))
    for step, gradient in enumerate(gradients(n, dtype)):
        whole.update(gradient, step)
        for i in range(n):
            single.update(gradient, step, first=i, count=1)
    assert (bits(whole.state.array) == bits(single.state.array)).all()


@every_optimizer
def test_an_empty_run_writes_nothing(optimizer):
    run = Parameters(optimizer.optimizer(), 9, "float32")
    before = run.state.array.copy()
    run.update(gradients(9, "float32")[0], 0, count=0)
    assert (bits(run.state.array) == bits(before)).all()


@both_dtypes
@every_optimizer
def test_a_gradient_of_zero_leaves_zeros_alone(optimizer, dtype):
    run = Parameters(optimizer.optimizer(), 21, dtype)
    run.state.array[0, :21] = 0
    for step in range(STEPS):
        run.update(np.zeros(21, dtype), step)
    assert (run.state.array[:, :21] == 0).all()


@both_dtypes
def test_centered_rmsprop_of_a_constant_gradient_takes_no_root_of_a_negative(dtype):
    # The mean of squares less the squared mean is zero but for rounding once the means agree.
    options = {"rho": 0.0, "centered": True, "eps": 1e-3}
    run = Parameters(Case("rmsprop", options).optimizer(), 33, dtype)
    gradient = gradients(33, dtype)[0]
    for step in range(STEPS):
        run.update(gradient, step)
    assert np.isfinite(run.state.array[:, :33]).all()


@both_dtypes
@every_optimizer
def test_no_slot_decays_to_denormal_numbers(optimizer, dtype):
    """They are slow, and with a gradient of zero they would stay."""
    tiny = np.finfo(dtype).tiny
    run = Parameters(optimizer.optimizer(), 64, dtype)
    run.state.array[1:, :64] = tiny * np.linspace(1, 1.2, 64)
    for step in range(STEPS):
        run.update(np.zeros(64, dtype), step)
        slots = abs(run.state.array[1:, :64])
        assert ((slots == 0) | (slots >= tiny)).all()
