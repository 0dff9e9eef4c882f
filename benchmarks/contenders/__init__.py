"""The libraries that train the same workloads side by side, each in a process of its own.

For who measures (`race.py`, `sweep.py`)::

    from contenders.process import Worker, NotPossibleError

    with Worker("jax-scan", threads=1) as worker:  # a name of CONTENDERS
        worker.prepare(workload)      # a suite.workloads.Workload; NotPossibleError where it cannot
        worker.run(1)                 # the first call compiles
        seconds = worker.run(epochs)  # of these epochs: order, gather, every step
        worker.loss()                 # over all rows as they are now, by NumPy in float64

`prepare` may be called again with another workload. All start from the same weights, see the same
rows in the same order, and use the optimizer's settings that `base.SETTINGS` lists.

For who adds a library: one file here, with a subclass of `base.Contender` called ``Contestant``
that has `run` and `parameters`, and a line in CONTENDERS.
"""

from importlib import metadata
from typing import NamedTuple


class Entry(NamedTuple):
    """A contender as it stands in tables, and what it needs."""

    title: str
    module: str
    packages: tuple[str, ...]  # by their names on PyPI

    def absent(self):
        """Return those of `packages` that are not installed."""
        return [package for package in self.packages if version(package) is None]


def version(package):
    """Return the version of an installed package; None where there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


CONTENDERS = {
    "fastbp": Entry("fastbp", "fastbp_fit", ("numba",)),
    "torch": Entry("torch", "torch_eager", ("torch",)),
    "torch-compile": Entry("torch.compile", "torch_compiled", ("torch",)),
    "jax-step": Entry("JAX step", "jax_step", ("jax", "jaxlib")),
    "jax-scan": Entry("JAX scan", "jax_scan", ("jax", "jaxlib")),
    "sklearn": Entry("scikit-learn", "sklearn_mlp", ("scikit-learn",)),
    "keras": Entry("Keras", "keras_fit", ("keras", "jax", "jaxlib")),
}

# Of many networks at once (`many.py`).
MANY = {
    "fit-many": Entry("fastbp `fit_many`", "many_fastbp", ("numba",)),
    "loop": Entry("fastbp, a loop over `fit`", "many_loop", ("numba",)),
    "torch-vmap": Entry("torch.func `vmap`", "many_torch", ("torch",)),
    "jax-vmap": Entry("JAX `vmap`, `scan`", "many_jax", ("jax", "jaxlib")),
    "sklearn-joblib": Entry("scikit-learn, joblib", "many_sklearn", ("scikit-learn", "joblib")),
}

# With products of bfloat16 (`bfloat16.py`).
ROUNDED = {
    "fastbp": CONTENDERS["fastbp"],
    "fastbp-bfloat16": Entry("fastbp, products of bfloat16", "fastbp_bfloat16", ("numba",)),
    "torch-autocast": Entry("torch, autocast to bfloat16", "torch_autocast", ("torch",)),
    "torch-bfloat16": Entry("torch, all of bfloat16", "torch_bfloat16", ("torch",)),
    "jax-bfloat16": Entry("JAX scan, products of bfloat16", "jax_bfloat16", ("jax", "jaxlib")),
}
