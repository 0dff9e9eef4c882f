"""The callback that finds a learning rate by trying them all."""

import math

import numpy as np
from numpy.typing import NDArray

from fastbp.callbacks.base import Callback
from fastbp.callbacks.fit import Fit
from fastbp.history.snapshot import Snapshot
from fastbp.validation import positive_int, real

KEEP = 0.98  # of the running mean of the losses, each step
FEWEST = 5  # steps before the loss can be said to grow or to fall


class LearningRateFinder(Callback):
    """Raises the learning rate exponentially, step by step, and watches the loss (Smith 2017).

    The fit ends when the smoothed loss is far above its lowest value, when the loss is not finite,
    or when all rates were tried. Then the network and its random generator are put back as they
    were, so that the fit has changed nothing. ::

        finder = fastbp.callbacks.LearningRateFinder()
        net.fit(X, y, epochs=2, callbacks=[finder])
        print(finder.suggestion)

    It takes a call of the kernels for each step. The fit must not have a schedule of its own.

    Parameters
    ----------
    lowest, highest : float
        The rates of the first and of the last step.
    steps : int, optional
        How many; None for all of the fit. A fit must have so many.
    diverged : float
        How many times its lowest value the smoothed loss may reach.

    Attributes
    ----------
    rates, losses : (steps,) float64 ndarrays
        Of each step, its loss before the update.
    smoothed : (steps,) float64 ndarray
        The losses' running mean, exponentially weighted and without its bias.
    suggestion : float
        The rate around which the loss falls fastest over the logarithm of the rate, by a straight
        line through a tenth of all steps; NaN where there were too few or the loss never fell.
    """

    place = 2  # it puts the network back when the others have done with it

    def __init__(
        self,
        lowest: float = 1e-7,
        highest: float = 10.0,
        steps: int | None = None,
        *,
        diverged: float = 4.0,
    ) -> None:
        self._lowest = real(lowest, "lowest", low=0, low_open=True)
        self._highest = real(highest, "highest", low=self._lowest, low_open=True)
        self._wanted = None if steps is None else positive_int(steps, "steps")
        self._diverged = real(diverged, "diverged", low=1, low_open=True)
        self._start: Snapshot | None = None
        self._begin()

    def _begin(self) -> None:
        self.rates: NDArray[np.float64] = np.empty(0)
        self.losses: NDArray[np.float64] = np.empty(0)
        self.smoothed: NDArray[np.float64] = np.empty(0)
        self.suggestion = math.nan
        self._found: list[tuple[float, float, float]] = []
        self._mean, self._best = 0.0, math.inf

    def on_fit_begin(self, fit: Fit) -> None:
        """Let the rate rise."""
        total = fit.epochs * fit.steps_an_epoch
        steps = total if self._wanted is None else self._wanted
        if steps > total:
            raise ValueError(
                f"LearningRateFinder(steps={steps}) needs a fit of as many steps; this has {total}"
            )
        lr, rise = fit.network.optimizer.lr, self._highest / self._lowest
        if lr == 0:
            raise ValueError("LearningRateFinder needs an optimizer whose lr is not 0")
        last = max(steps - 1, 1)
        # The steps after the last one are never made, and their rates would be far above `highest`.
        fit.follow(lambda step: self._lowest / lr * rise ** (min(step, last) / last))
        self._begin()
        self._steps, self._start = steps, fit.snapshot()

    def on_step_end(self, fit: Fit) -> None:
        """Note the loss, and end the fit where there is no more to learn."""
        self._mean = KEEP * self._mean + (1 - KEEP) * fit.loss
        smoothed = self._mean / (1 - KEEP**fit.step)
        self._found.append((fit.learning_rate, fit.loss, smoothed))
        self._best = min(self._best, smoothed)
        if fit.step > FEWEST and smoothed > self._diverged * self._best:
            fit.stop(f"the loss has grown to {self._diverged:g} times its lowest value")
        elif fit.step == self._steps:
            fit.stop("all learning rates were tried")

    def on_fit_end(self, fit: Fit) -> None:
        """Put the network back, and look where the loss fell fastest."""
        if self._start is None:
            return
        fit.revert(self._start, generator=True)
        self._start = None
        if isinstance(fit.failure, FloatingPointError):
            fit.stop("the loss is not finite any more")
        found = np.array(self._found).reshape(-1, 3)
        self.rates, self.losses, self.smoothed = found.T.copy()
        self.suggestion = _steepest(self.rates, self.losses)


def _steepest(rates: NDArray[np.float64], losses: NDArray[np.float64]) -> float:
    """The rate around which a straight line through a tenth of the losses falls fastest."""
    width = max(len(losses) // 10, FEWEST)
    if len(losses) < 2 * FEWEST:
        return math.nan
    windows = np.lib.stride_tricks.sliding_window_view(losses, width)
    falling = windows[: windows.mean(axis=1).argmin() + 1]  # losses that diverge go up and down
    places = np.arange(width) - (width - 1) / 2  # the rates' logarithms are evenly spaced
    slopes = falling @ places  # least squares, but for a factor
    return float(rates[slopes.argmin() + width // 2]) if slopes.min() < 0 else math.nan
