"""A training step allocates nothing: the machine code of its kernels names no allocator."""

import re

import numpy as np
import pytest
from cases import DTYPES, HIDDEN, LOSSES, MSE, OUTPUTS, SOLVERS, data, network
from numba import carray

import fastbp
from fastbp.kernels.machine.jit import INT, Kernel
from fastbp.kernels.panels.panels import FLOAT64S

# Numba's runtime (an array made in compiled code), the C library, Python's objects.
ALLOCATORS = re.compile(
    rb"\b(?:NRT_Allocate\w*|NRT_Realloc\w*|NRT_MemInfo_(?:alloc|new|varsize)\w*|NRT_Get_API"
    rb"|malloc|calloc|realloc|aligned_alloc|posix_memalign|_Znwm|_Znam|Py(?:Mem|Object)_\w*lloc)\b"
)
NAMES = {"gemm.gemm", "movement.gather", "transpose.transpose", "step.train", "panels.multiply"}
NAMES |= {"slabs.batch_in_slabs", "parts.batch_in_parts"}
NAMES |= {"dropout.drop", "dropout.drop_delta", "penalties.penalize", "clipping.finish"}
NAMES |= {"weighted.weighted", "huber.masked_loss", "tasks.several"}


def allocators(kernel, dtype):
    """The allocators that a kernel's machine code refers to, by the names in its symbol table."""
    compiled = kernel.compiled(dtype)
    # An object that came from the disk cache has been handed on to the linker: read it there.
    code = compiled._library._compiled_object or compiled._cache._path.read_bytes()
    assert kernel.function.__name__.encode() in code
    return sorted(set(ALLOCATORS.findall(code)))


def configurations():
    """Arguments of networks that use every behaviour."""
    yield from ({"activation": activation} for activation in HIDDEN)
    yield from ({"output_activation": name, "loss": MSE} for name in OUTPUTS)
    yield from ({"loss": loss} for loss in LOSSES)
    yield from ({"optimizer": optimizer} for optimizer in SOLVERS)
    yield {"dropout": 0.5, "l1": 0.1, "clip_norm": 1.0, "max_norm": 1.0}


@pytest.fixture(scope="module", params=DTYPES)
def used(request):
    """All kernels that training, gradients and prediction ask for, and their element type."""
    kernels = {}
    compiled = Kernel.compiled
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Kernel,
            "compiled",
            lambda k, dtype: (kernels.update({k.name: k}), compiled(k, dtype))[1],
        )
        for name in ("call", "address"):  # without what they have kept
            patch.setattr(Kernel, name, getattr(Kernel, name).__wrapped__)
        for arguments in configurations():
            net = network((3, 4, 2), dtype=request.param, **arguments)
            X, y = data(5, 3, 2, arguments.get("loss", MSE).targets)
            net.fit(X, y, epochs=1, batch_size=3, progress=False)
            net.loss_and_gradients(X, y)
            net.predict(X)
            net.fit(X, y, sample_weight=range(5), progress=False)
            if y.ndim == 2 and net.loss.elementwise:
                y[0] = np.nan
                net.fit(X, y, mask_nan=True, progress=False)
        fastbp.Network([100, 100], dtype=request.param).fit(np.eye(100), np.eye(100))  # by slabs
        net = fastbp.Network(
            [3, 3], loss={"a": "mae", "b": "mse"}, outputs={"a": 1, "b": 2}, dtype=request.param
        )
        net.fit(X, {"a": X[:, 0], "b": X[:, 1:]}, progress=False)
    return kernels, request.param


def test_no_kernel_of_a_step_refers_to_an_allocator(used):
    kernels, dtype = used
    assert kernels.keys() >= NAMES
    assert len(kernels) > 40
    found = {name: allocators(kernel, dtype) for name, kernel in kernels.items()}
    assert {name: names for name, names in found.items() if names} == {}


def _allocating(n, out):
    """What the test above is to find: an array made in compiled code."""
    carray(out, (1,))[0] = np.arange(n).sum() + np.ones(n)[n - 1]


def test_an_allocation_is_found():
    kernel = Kernel(_allocating, (INT, FLOAT64S), cached=False)
    assert any(name.startswith(b"NRT_MemInfo_alloc") for name in allocators(kernel, "float32"))
