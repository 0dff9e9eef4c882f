"""The bits of a run depend neither on the threads nor on the width of the processor's vectors.

Run as a script it prints the width of the vectors and a hash of every run, as JSON.
"""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from cases import (
    ADAM,
    DTYPES,
    HIDDEN,
    LOSSES,
    MSE,
    OUTPUTS,
    SOLVERS,
    Case,
    assert_close,
    assert_same_parameters,
    data,
    parameters,
    twins,
)
from process import TESTS

import fastbp
from fastbp.engine import engine
from fastbp.kernels.machine.vectors import X86, vector_bytes
from fastbp.layout.cutting import Cut

# A processor with AVX2 and its fused multiply-add, one that has neither, and one with AVX-512 for
# which LLVM prefers vectors of 256 bits.
HASWELL = (
    "haswell",
    "+avx2,+fma,+avx,+sse4.2,+sse4.1,+ssse3,+sse3,+bmi,+bmi2,+lzcnt,+popcnt,+f16c,+cx16,+fxsr,+xsave",
)
NEHALEM = ("nehalem", "+sse4.2")
SERVER = ("skylake-avx512", "")
# What NumPy 1.26 to 2.4 call AVX-512, with which it computes powers and the like in another way.
NUMPYS = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V4"


@dataclass(frozen=True)
class Run:
    """A network, its data and how it is trained."""

    activation: str = "tanh"
    loss: Case = MSE
    optimizer: Case = ADAM
    output_activation: str | None = None
    layers: tuple = (5, 19, 9, 3)
    rows: int = 43
    batch: int = 24  # two batches, the last of 19: 2 and 3 threads share them unevenly
    epochs: int = 3
    weighted: bool = False  # the rows; of element-wise losses some targets are masked too
    regularization: dict = field(default_factory=dict)
    scaling: str | None = None  # of bytes
    sparse: bool = False
    products: str | None = None

    def network(self, dtype, threads):
        net = fastbp.Network(
            self.layers,
            activation=self.activation,
            loss=self.loss.loss(),
            output_activation=self.output_activation,
            optimizer=self.optimizer.optimizer(),
            dtype=dtype,
            rng=0,
            threads=threads,
            scaling=self.scaling,
            products=self.products,
            **self.regularization,
        )
        weights, biases = parameters(self.layers)
        for view, values in zip([*net.weights, *net.biases], [*weights, *biases], strict=True):
            view[:] = values
        return net

    def results(self, dtype, threads):
        """All numbers that a user sees: curve, parameters, outputs, gradients, single steps."""
        net = self.network(dtype, threads)
        X, y = data(self.rows, self.layers[0], self.layers[-1], self.loss.targets)
        if self.scaling:
            X = (X * 40 + 128).clip(0, 255).astype(np.uint8)
        if self.sparse:
            X = scipy.sparse.csr_array(X * (X > 1))
        options, own = {}, {}
        if self.weighted:
            weights = np.random.default_rng(2).exponential(size=self.rows)
            options, own = {"sample_weight": weights}, {"sample_weight": weights[1:]}
            if self.loss.name != "cross_entropy":
                y[np.random.default_rng(3).random(y.shape) < 0.3] = np.nan
                options["mask_nan"] = own["mask_nan"] = True
        history = net.fit(
            X, y, epochs=self.epochs, batch_size=self.batch, progress=False, **options
        )
        found = {"history": np.array(history["loss"])}
        found |= {f"fit.{i}": p.copy() for i, p in enumerate([*net.weights, *net.biases])}
        loss, gradients = net.loss_and_gradients(X[1:], y[1:], **own)
        found |= {f"gradient.{i}": g for i, g in enumerate([*gradients.weights, *gradients.biases])}
        single = net.evaluate(X, y, **options)["loss"], net.train_step(X, y, **options)
        found["losses"] = np.array([loss, *single])
        return found | {"predict": net.predict(X)}


WIDE = {"layers": (30, 620, 3), "epochs": 1}  # a layer in two column blocks
LONG = {"rows": 2003, "batch": 1501, "epochs": 2}  # batches in parts, the last one short
SPARSE = {"layers": (61, 19, 3), "sparse": True, "rows": 600, "batch": 300}
SLABS = {"layers": (20, 260, 260, 3), "rows": 900, "batch": 600, "epochs": 1}
EVERYTHING = {
    "dropout": (0.3, 0.0), "l1": 0.01, "l2": 0.02, "clip_value": 0.05, "clip_norm": 0.1,
    "max_norm": 0.8,
}  # fmt: skip
REGULARIZATIONS = [
    {"dropout": 0.3},
    {"l1": 0.01, "l2": 0.1, "clip_value": 0.03},
    {"clip_norm": 0.1},
    {"max_norm": 0.8},
    {"alpha": 5.0},
]
RUNS = {
    **{f"activation-{name}": Run(activation=name) for name in HIDDEN},
    **{f"output-{name}": Run(loss=LOSSES[2], output_activation=name) for name in OUTPUTS},
    **{f"loss-{loss}": Run(loss=loss) for loss in LOSSES},
    **{
        f"labels-{outputs}-{rows}": Run(
            loss=LOSSES[4], layers=(5, 9, outputs), rows=rows, batch=rows, epochs=5
        )
        for outputs in (2, 5, 10, 16, 17)
        for rows in (2, 8, 24, 40)
    },
    **{f"optimizer-{solver}": Run(optimizer=solver) for solver in SOLVERS},
    **{f"wide-{loss}": Run(loss=loss, **WIDE) for loss in (MSE, LOSSES[4])},
    **{f"long-{loss}": Run(loss=loss, **LONG) for loss in LOSSES},
    "parts-few-rows": Run(rows=1506, batch=1501, epochs=2),  # the last batch has fewer than parts
    **{f"slabs-{loss}": Run(loss=loss, **SLABS) for loss in (MSE, LOSSES[4])},
    **{f"weighted-{loss}": Run(loss=loss, weighted=True) for loss in LOSSES},
    **{
        f"weighted-{name}-{loss}": Run(loss=loss, weighted=True, **cut)
        for name, cut in (("long", LONG), ("slabs", SLABS))
        for loss in (MSE, LOSSES[4])
    },
    "deep": Run(layers=(1, 15, 16, 17, 1, 33, 7, 2), rows=100, batch=33),
    **{
        f"regularized-{'-'.join(options)}-{name}": Run(regularization=options, **shape)
        for name, shape in (("short", {}), ("long", LONG), ("slabs", SLABS), ("wide", WIDE))
        for options in REGULARIZATIONS
    },
    "everything": Run("gelu", regularization=EVERYTHING, weighted=True),
    "everything-long": Run("gelu", regularization=EVERYTHING, **LONG),
    "everything-slabs": Run("gelu", regularization=EVERYTHING, **SLABS),
    "bytes-scaled": Run(scaling="standard"),
    "sparse": Run(**SPARSE),
    "few-inputs": Run(layers=(1, 1), rows=10, batch=3),
    "rounded": Run(layers=(5, 71, 9, 3), products="bfloat16", weighted=True),
    **{
        f"rounded-{name}": Run(products="bfloat16", **how)
        for name, how in (("long", LONG), ("slabs", SLABS), ("wide", WIDE), ("sparse", SPARSE))
    },
    "rounded-everything": Run("gelu", products="bfloat16", regularization=EVERYTHING),
}
CASES = [
    (name, dtype)
    for name, run in RUNS.items()
    for dtype in DTYPES
    if run.products is None or dtype == "float32"
]


def same_bits(got, want):
    assert got.keys() == want.keys()
    different = [name for name in want if got[name].tobytes() != want[name].tobytes()]
    assert not different


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_threads_change_no_bit(name, dtype):
    one, two, three = (RUNS[name].results(dtype, threads) for threads in (1, 2, 3))
    same_bits(two, one)
    same_bits(three, one)


@pytest.mark.parametrize(
    "name", ["loss-mse", "sparse", "weighted-slabs-mse", "everything-slabs", "rounded"]
)
def test_slabs_change_no_bit(name, monkeypatch):
    def results(threads, slab):
        monkeypatch.setattr(engine, "cut_batch", lambda *_, **__: Cut(slab, 0))
        return RUNS[name].results("float32", threads)

    want = results(1, 608)
    for threads, slab in ((1, 16), (2, 48), (3, 112)):
        same_bits(results(threads, slab), want)


def test_more_threads_than_rows_change_no_bit():
    run = Run(rows=9, batch=9)
    same_bits(run.results("float32", 50), run.results("float32", 1))


# ---- other processors ---------------------------------------------------------------------------


def elsewhere(processor, *arguments):
    """What this file prints where Numba and NumPy are kept to another processor."""
    name, features = processor
    environment = os.environ | {
        "NUMBA_CPU_NAME": name,
        "NUMBA_CPU_FEATURES": features,
        "NPY_DISABLE_CPU_FEATURES": NUMPYS,
        "PYTHONPATH": os.pathsep.join([str(Path(fastbp.__file__).parents[1]), str(TESTS)]),
    }
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def hashes():
    """The hash of every run on one thread."""
    found = {}
    for name, dtype in CASES:
        digest = hashlib.sha256()
        for array in RUNS[name].results(dtype, 1).values():
            digest.update(array.tobytes())
        found[f"{name}-{dtype}"] = digest.hexdigest()
    return found


needs_avx512 = pytest.mark.skipif(
    not X86 or vector_bytes() != 64, reason="needs a processor with AVX-512"
)


def has_the_bits_of_here(processor, width):
    found, here = elsewhere(processor, "hashes"), hashes()
    assert found["vector_bytes"] == width
    assert [name for name in here if found["results"][name] != here[name]] == []


@pytest.mark.slow
@needs_avx512
def test_avx2_has_the_bits_of_avx512():
    has_the_bits_of_here(HASWELL, 32)


@pytest.mark.slow
@needs_avx512
def test_one_processor_with_avx512_has_the_bits_of_another():
    has_the_bits_of_here(SERVER, 64)


@pytest.mark.slow
@pytest.mark.skipif(not X86, reason="needs an x86 processor")
def test_without_fused_multiply_add_the_numbers_are_right():
    found = elsewhere(NEHALEM, "reference")
    assert found == {"vector_bytes": 16, "results": "right"}


def against_the_reference():
    """Gradients and a training run of several shapes; raises where they are wrong."""
    for layers in ((5, 17, 9, 4), (1, 3), (30, 620, 3)):
        for loss in (MSE, LOSSES[4], LOSSES[7]):
            net, ref = twins(layers, "gelu", loss)
            X, y = data(37, layers[0], layers[-1], loss.targets)
            (_, got), (_, dW, db) = net.loss_and_gradients(X, y), ref.loss_and_gradients(X, y)
            assert_close([*got.weights, *got.biases], [*dW, *db], 1e-11)
            net.fit(X, y, epochs=3, batch_size=16, shuffle=False, progress=False)
            ref.fit(X, y, 3, 16)
            assert_same_parameters(net, ref, 1e-10)
    return "right"


if __name__ == "__main__":
    results = hashes() if sys.argv[1] == "hashes" else against_the_reference()
    json.dump({"vector_bytes": vector_bytes(), "results": results}, sys.stdout)
