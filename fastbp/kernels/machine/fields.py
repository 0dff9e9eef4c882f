"""Records of int64 fields, and pointers to the numbers whose addresses stand in them."""

import numpy as np
from numba import types

from fastbp.kernels.machine.pointers import pointer_maker


def record(*names: str) -> np.dtype:
    """The dtype of a record of int64 fields."""
    return np.dtype([(name, np.int64) for name in names])


float64s_at = pointer_maker(types.float64)
words_at = pointer_maker(types.int64)
