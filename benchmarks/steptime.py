"""How long a training step takes: fastbp in this process, other libraries in their own."""

import time
from dataclasses import fields, replace

from contenders.process import Worker
from suite.workloads import Workload

ROWS = 20_000  # of the data at the most, but for a larger batch: their place in memory counts too
LEAST_STEPS = 16  # of an epoch, where they fit: each begins with a copy of the parameters
FITS = 5  # in the time of a measurement, but 2 of those that are longer; the best of them counts


class TooSlowError(Exception):
    """A step takes longer than there is time for."""


class Here:
    """fastbp in this process, with the calls of a `Worker`: any loss, optimizer and dtype.

    Parameters
    ----------
    threads : int or None
        As of `fastbp.Network`.
    """

    def __init__(self, threads):
        self.threads, self.network = threads, None

    def prepare(self, cell):
        """Make the network and its data."""
        self.network = None  # frees its memory
        self.cell, self.data, self.network = cell, cell.data(), cell.network(self.threads)

    def run(self, epochs):
        """Train for so many epochs; return their seconds."""
        start = time.perf_counter()
        self.network.fit(*self.data, epochs=epochs, batch_size=self.cell.batch_size, progress=False)
        return time.perf_counter() - start

    def close(self):
        """Free the memory."""
        self.network = None


class Peer(Worker):
    """Another library; it trains float32 alone."""

    def prepare(self, cell):
        shared = {field.name: getattr(cell, field.name) for field in fields(Workload)}
        super().prepare(Workload(**shared))


class Training:
    """A cell in training; `seconds` measures its steps.

    Parameters
    ----------
    trainer : Here or Peer
        Who trains it.
    cell : Cell
        What to train; how many steps an epoch has is decided here.
    budget : float
        How many seconds FITS measurements take, roughly.
    longest : float
        Seconds of a step above which TooSlowError is raised.
    """

    def __init__(self, trainer, cell, budget, longest):
        self.trainer, self.steps = trainer, 1
        trainer.prepare(replace(cell, steps=1))
        trainer.run(1)  # compiles, and touches the memory
        one, target = trainer.run(1), budget / FITS
        if one > longest:
            raise TooSlowError
        self.steps = max(1, min(ROWS // cell.batch_size, max(LEAST_STEPS, int(target / one))))
        epoch = one
        if self.steps > 1:
            trainer.prepare(replace(cell, steps=self.steps))
            epoch = min(trainer.run(1), one * self.steps)  # the first may compile again
        self.epochs = max(1, round(target / epoch))
        self.fits = FITS if epoch <= target else 2

    def seconds(self):
        """Train for some epochs; return the seconds of each step."""
        return self.trainer.run(self.epochs) / (self.epochs * self.steps)
