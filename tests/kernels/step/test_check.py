"""The search for NaN and infinity finds them at any place, and nothing else."""

import numpy as np
import pytest
from cases import both_dtypes
from guarded import Guarded

from fastbp.kernels.step.check import check_finite

LENGTHS = [*range(1, 70), 127, 128, 129, 1000]


def found(values, behind):
    """What the kernel sets its flag to; `behind` stands after the values and must not count."""
    x = Guarded(np.concatenate([values, np.full(80, behind, values.dtype)]), 1)
    flag = Guarded(np.zeros(1, np.int64))
    check_finite.call(values.dtype)(x.at, len(values), flag.at)
    assert flag.intact()
    return flag.array.tolist()


@both_dtypes
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_is_found_wherever_it_lies(value, dtype):
    for n in LENGTHS:
        values = np.ones(n, dtype)
        for i in range(n):
            values[i] = value
            assert found(values, 0) == [1], (n, i)
            values[i] = 1


@both_dtypes
def test_finite_values_are_passed(dtype):
    largest = np.finfo(dtype).max
    for n in (0, *LENGTHS):
        for value in (0.0, -0.0, largest, -largest, np.finfo(dtype).smallest_subnormal):
            assert found(np.full(n, value, dtype), np.nan) == [0]
