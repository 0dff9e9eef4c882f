"""The search for NaN and infinity."""

from fastbp.kernels.machine.jit import INT, REAL, kernel
from fastbp.kernels.machine.pointers import store_release
from fastbp.kernels.machine.simd import run_check


@kernel(REAL, INT, INT)
def check_finite(x, n, flag):
    """Set the int64 at the address `flag` to 1 if one of x[:n] is NaN or infinite."""
    if run_check(x, n) != 0:
        store_release(flag, 1)
