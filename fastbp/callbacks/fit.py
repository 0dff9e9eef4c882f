"""Fit: what a callback may see of a fit under way, and do to it."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastbp.history import History
from fastbp.history.snapshot import Snapshot

if TYPE_CHECKING:
    from fastbp.schedules import Schedule


class Fit(ABC):
    """A fit under way, as callbacks see it; what it shows cannot be set."""

    @property
    @abstractmethod
    def network(self) -> Any:
        """The `fastbp.Network`; between two steps it can be used and changed."""

    @property
    @abstractmethod
    def history(self) -> History:
        """What was recorded."""

    @property
    @abstractmethod
    def epoch(self) -> int:
        """Epochs completed."""

    @property
    @abstractmethod
    def epochs(self) -> int:
        """How many epochs there are to be."""

    @property
    @abstractmethod
    def step(self) -> int:
        """Steps made in this fit, and in the fit that it resumes."""

    @property
    @abstractmethod
    def steps_an_epoch(self) -> int:
        """How many steps an epoch has; 0 where batches have not told it yet."""

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Rows a step, the last one of an epoch excepted; of batches, those of the last one."""

    @property
    @abstractmethod
    def samples(self) -> int:
        """How many rows the network has been trained on, those of a resumed fit included."""

    @property
    @abstractmethod
    def loss(self) -> float:
        """Mean loss of the last epoch; after a step, the loss of this step. NaN at first."""

    @property
    @abstractmethod
    def learning_rate(self) -> float:
        """That of the last step, or before the first the optimizer's; `follow` decides on it."""

    @property
    @abstractmethod
    def quantities(self) -> tuple[str, ...]:
        """The names of what is recorded of each epoch."""

    @property
    @abstractmethod
    def failure(self) -> BaseException | None:
        """In `Callback.on_fit_end`, the exception that ended the fit."""

    @abstractmethod
    def expect(self, monitor: str, who: str) -> None:
        """Raise ValueError unless the quantity that `who` watches will be recorded."""

    @abstractmethod
    def follow(self, schedule: "Schedule | Callable[[int], float]") -> None:
        """Let the learning rate follow a schedule; to be called in `Callback.on_fit_begin`.

        Raises
        ------
        TypeError, ValueError
            It is no schedule, there is one already, or steps have been made.
        """

    @abstractmethod
    def stop(self, reason: str) -> None:
        """End the fit after this step or epoch; `History.stopped` keeps the first reason given.

        An epoch that is not complete is not recorded.
        """

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """A copy of the parameters, the optimizer's state and the step count."""

    @abstractmethod
    def expect_snapshot(self, snapshot: Snapshot) -> None:
        """Raise ValueError for a snapshot of another network; it may come from a file."""

    @abstractmethod
    def revert(self, snapshot: Snapshot, generator: bool = False) -> None:
        """Put the network back where it was, and with `generator` what shuffles the rows, too."""

    @abstractmethod
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network as `Network.save` does, and the state of this fit, to be resumed.

        To be called in `Callback.on_epoch_end`: a fit is resumed after a whole epoch.
        """

    @abstractmethod
    def check_save(self, path: str | os.PathLike[str]) -> None:
        """Raise what `save` would raise now; it writes nothing but an empty temporary file."""
