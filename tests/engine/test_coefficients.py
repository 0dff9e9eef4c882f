"""Coefficients by step: those of the optimizer, whichever calls ask for which steps."""

import dataclasses

import numpy as np
import pytest
from cases import every_optimizer
from numba import carray, types

from fastbp.engine.coefficients import AHEAD, Coefficients
from fastbp.kernels.machine.jit import INT, Kernel, address
from fastbp.kernels.machine.pointers import pointer_maker

numbers_at = pointer_maker(types.float64)


def _copy(source, to, count):
    target = carray(numbers_at(to), (count,))
    values = carray(numbers_at(source), (count,))
    for i in range(count):
        target[i] = values[i]


COPY = Kernel(_copy, (INT, INT, INT), cached=False)


def read(kept, before, count):
    """The rows of so many steps, read from their address."""
    at, held = kept.steps(before, count)
    rows = np.empty((count, held.shape[1]))
    COPY.call()(at, address(rows), rows.size)
    return rows


@every_optimizer
def test_rows_have_the_bits_of_the_optimizers(optimizer):
    kept = Coefficients(optimizer.optimizer())
    every = optimizer.optimizer().coefficients(np.arange(1, 1001.0), optimizer.optimizer().lr)
    for before, count in (
        (0, 1), (1, 1), (2, 30), (32, 32), (64, 1), (63, 1), (10, 500), (500, 1), (501, 64),
        (565, 64), (0, 1), (0, AHEAD), (AHEAD, AHEAD), (900, 100), (999, 1),
    ):  # fmt: skip
        np.testing.assert_array_equal(read(kept, before, count), every[before : before + count])


@every_optimizer
def test_rows_of_other_rates(optimizer):
    """They are those of an optimizer with that rate, and nothing of them is kept."""
    made = optimizer.optimizer()
    kept, rates = Coefficients(made), np.array([0.5, 0.0, 0.125])
    read(kept, 0, 1)
    at, rows = kept.steps(3, 3, rates)
    assert at == address(rows)
    for step, rate in enumerate(rates):
        other = dataclasses.replace(made, lr=rate)
        alone = other.coefficients(np.array([4.0 + step]), other.lr)[0]
        np.testing.assert_allclose(rows[step], alone, rtol=1e-15)
    want = made.coefficients(np.arange(1, 11.0), made.lr)
    np.testing.assert_array_equal(read(kept, 3, 7), want[3:])


@pytest.mark.parametrize("count", [1, AHEAD])
def test_steps_one_after_the_other_are_seldom_computed(count):
    computed = []

    class Counting:
        lr = 0.1

        def coefficients(self, steps, rates):
            computed.append(len(steps))
            return steps[:, None]

    kept = Coefficients(Counting())
    for before in range(0, 10 * AHEAD, count):
        assert read(kept, before, count)[:, 0].tolist() == [*range(before + 1, before + count + 1)]
    assert computed == [AHEAD] * 10


def test_the_rows_of_a_long_call_are_not_kept():
    held = []

    class Holding:
        lr = 0.1

        def coefficients(self, steps, rates):
            held.append(steps[:, None] + 0)
            return held[-1]

    kept = Coefficients(Holding())
    kept.steps(0, 1)
    at, rows = kept.steps(AHEAD, AHEAD + 1)
    assert rows is held[1]
    assert kept.steps(3, 1)[1] is held[0]
    assert at == address(rows)


def test_no_trap_of_the_caller_gets_in_the_way():
    from fastbp import Adam

    with np.errstate(all="raise"):
        rows = read(Coefficients(Adam(beta1=1e-200, beta2=1e-300)), 0, 5)
    assert np.isfinite(rows).all()
