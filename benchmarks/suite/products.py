"""How long the matrix products of a layer take, as a training step calls them."""

import numpy as np

from fastbp.kernels.machine.jit import address
from fastbp.kernels.machine.sizes import address_of, current
from fastbp.kernels.product import ahead
from fastbp.kernels.product.gemm import gemm, panel_bytes
from fastbp.layout.aligned import aligned_zeros, row_stride

BATCH = 128
CALLS = 20  # of a sample: one alone is shorter than what surrounds it


class Products:
    """CALLS times a product of a layer: `X @ W + b`, `delta @ W.T` or `X.T @ delta`.

    shape: the layer's inputs and outputs.
    """

    params = (
        [(8, 64), (64, 64), (64, 10), (784, 128), (512, 512), (1024, 2048)],
        ["float32", "float64"],
    )
    param_names = ("shape", "dtype")
    repeat = (10, 200, 1.0)
    warmup_time = 0  # setup has done it

    def setup(self, shape, dtype):
        inputs, outputs = shape
        size = np.dtype(dtype).itemsize
        ld_in, ld_out = (row_stride(width, size) for width in shape)
        X, below = (self.matrix(BATCH, ld_in, dtype) for _ in range(2))
        delta, out = (self.matrix(BATCH, ld_out, dtype) for _ in range(2))
        W, gradient = (self.matrix(inputs + 1, ld_out, dtype) for _ in range(2))
        mirror = self.matrix(outputs, ld_in, dtype)
        zeros = aligned_zeros(max(ld_in, ld_out), np.dtype(dtype))
        queue = np.zeros(ahead.WORDS, np.int64)
        queue[ahead.SIZES] = address_of(current())
        panel = aligned_zeros(panel_bytes(current()), np.dtype(np.uint8))
        queue[ahead.PANEL] = address(panel)
        self.arrays = X, below, delta, out, W, gradient, mirror, zeros, queue, panel  # their memory
        last = size, address(queue), int(W.nbytes >= current().streaming)
        bias = address(W[inputs:])
        self.calls = {
            "forward": (
                address(X), ld_in, 1, address(W), ld_out, bias, 0, address(out), ld_out,
                BATCH, outputs, inputs, *last,
            ),
            "delta": (
                address(delta), ld_out, 1, address(mirror), ld_in, address(zeros), 0,
                address(below), ld_in, BATCH, inputs, outputs, *last,
            ),
            "gradient": (
                address(X), 1, ld_in, address(delta), ld_out, address(zeros), 0,
                address(gradient), ld_out, inputs, outputs, BATCH, size, address(queue), 0,
            ),
        }  # fmt: skip
        self.gemm = gemm.call(dtype)
        for product in self.calls:
            self.multiply(product)

    @staticmethod
    def matrix(rows, stride, dtype):
        """Return random rows at cache lines."""
        array = aligned_zeros(rows * stride, np.dtype(dtype)).reshape(rows, stride)
        np.random.default_rng(0).standard_normal(dtype=dtype, out=array)
        return array

    def multiply(self, product):
        """Call the kernel."""
        arguments = self.calls[product]
        for _ in range(CALLS):
            self.gemm(*arguments)

    def time_forward(self, shape, dtype):
        self.multiply("forward")

    def time_delta(self, shape, dtype):
        self.multiply("delta")

    def time_gradient(self, shape, dtype):
        self.multiply("gradient")
