"""Cliffs: neighbouring shapes of which one is slower than what it computes explains.

A step costs its operations, which are the floating-point operations of the matrix products, and
whatever a step costs besides. Of two neighbours, the larger one may take longer, at most by as
much as it has more operations; and it cannot take less, for the smaller one could be padded. How
far a pair leaves this range is its excess; from some factor on it is a cliff.
"""

import itertools
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from suite.workloads import Workload

import fastbp
from fastbp import losses
from fastbp.activations import ACTIVATIONS
from fastbp.optimizers import OPTIMIZERS

LOSSES = [name for name in losses.LOSSES if name != "gaussian_nll"]  # of even widths alone
HIDDEN = [name for name, f in ACTIVATIONS.items() if not getattr(f, "output_only", False)]
LAYERS, WIDTH, BATCH = (3, 9), (2, 4096), (1, 20_000)  # bounds of random cells


@dataclass(frozen=True)
class Cell(Workload):
    """What one measurement trains, on data and at a learning rate that keep losses finite."""

    dtype: str = "float32"

    @property
    def state_bytes(self):
        """Bytes of parameters and optimizer slots, padding left out."""
        pairs = zip(self.layers[:-1], self.layers[1:], strict=True)
        parameters = sum((inputs + 1) * outputs for inputs, outputs in pairs)
        return parameters * (1 + OPTIMIZERS[self.optimizer]().slots) * np.dtype(self.dtype).itemsize

    def data(self):
        """Return X (steps * batch_size, features) and random targets that suit the loss."""
        rng = np.random.default_rng(0)
        rows, outputs = self.steps * self.batch_size, self.layers[-1]
        X = rng.standard_normal((rows, self.layers[0]), dtype=self.dtype)
        if self.loss == "cross_entropy":
            return X, rng.integers(outputs, size=rows)
        if self.loss == "kl_divergence":
            return X, rng.dirichlet(np.ones(outputs), rows).astype(self.dtype)
        return X, rng.integers(2, size=(rows, outputs)).astype(self.dtype)

    def network(self, threads=1, rng=0):
        """Return the untrained network."""
        return fastbp.Network(
            list(self.layers),
            activation=self.activation,
            loss=self.loss,
            optimizer=OPTIMIZERS[self.optimizer](lr=1e-6),
            dtype=self.dtype,
            rng=rng,
            threads=threads,
        )

    def __str__(self):
        """Widths (4 x 100: four layers of 100), batch and behaviours."""
        runs = [(width, len(list(run))) for width, run in itertools.groupby(self.layers)]
        widths = [str(width) if count == 1 else f"{count} x {width}" for width, count in runs]
        behaviours = f"{self.activation} {self.loss} {self.optimizer} {self.dtype}"
        return f"{', '.join(widths)}; batch {self.batch_size}; {behaviours}"


class Cliff(NamedTuple):
    """Two neighbours whose times differ by more than their operations explain."""

    smaller: Cell
    larger: Cell
    excess: float


def excess(times, smaller, larger):
    """How far a pair leaves the range of times that its operations explain; 1 within it."""
    growth = times[larger] / times[smaller]
    return max(1.0, growth * smaller.flops / larger.flops, 1 / growth)


def find_cliffs(times, pairs, factor):
    """Return the cliffs among the pairs (smaller, larger) that were both measured, worst first."""
    found = [
        Cliff(smaller, larger, excess(times, smaller, larger))
        for smaller, larger in pairs
        if smaller in times and larger in times
    ]
    return sorted((c for c in found if c.excess >= factor), key=lambda c: -c.excess)


def grid_pairs(cells):
    """Return the neighbours along both axes of {(width, batch): cell}, the smaller one first."""
    widths, batches = (sorted(set(axis)) for axis in zip(*cells, strict=True))
    longer = [((w, a), (w, b)) for w in widths for a, b in itertools.pairwise(batches)]
    wider = [((a, n), (b, n)) for n in batches for a, b in itertools.pairwise(widths)]
    return [(cells[smaller], cells[larger]) for smaller, larger in longer + wider]


def random_cell(rng, most_flops, **given):
    """Draw a shape that nobody tuned, every size evenly on a logarithmic scale.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws all but what is given.
    most_flops : float
        Operations of a step; what has more is drawn again.
    **given
        Fields of the cell that are not drawn; `depth` fixes the number of layers.
    """

    def size(low, high):
        return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))

    def draw():
        depth = given.get("depth", int(rng.integers(LAYERS[0], LAYERS[1] + 1)))
        drawn = {
            "layers": tuple(size(*WIDTH) for _ in range(depth)),
            "batch_size": size(*BATCH),
            "activation": str(rng.choice(HIDDEN)),
            "loss": str(rng.choice(LOSSES)),
            "optimizer": str(rng.choice(list(OPTIMIZERS))),
            "dtype": str(rng.choice(["float32", "float64"])),
        }
        return Cell(steps=1, **drawn | {k: v for k, v in given.items() if k != "depth"})

    cell = draw()
    while cell.flops > most_flops:
        cell = draw()
    return cell


def larger_neighbours(cell):
    """Cells with one row more, or one unit more in the first, widest, last or every layer."""
    layers = range(len(cell.layers))
    widest = max(layers, key=lambda i: cell.layers[i])
    wider = dict.fromkeys([(0,), (widest,), (layers[-1],), tuple(layers)])
    return [replace(cell, batch_size=cell.batch_size + 1)] + [
        replace(cell, layers=tuple(cell.layers[i] + (i in more) for i in layers)) for more in wider
    ]
