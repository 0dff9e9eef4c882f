"""The record of a fit: one number an epoch for each quantity."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATE = "learning_rate"  # the name under which the learning rate is recorded


class History(Mapping[str, list[float]]):
    """What `Network.fit` recorded: ``history["loss"]`` and the like, one value an epoch.

    With `validation_data` there is ``"val_loss"`` too, and ``"val_accuracy"`` where the targets
    are classes. Behaves as a read-only dictionary of lists.

    Parameters
    ----------
    columns : mapping of str to sequences of float, optional
        What was recorded so far, by an earlier history.

    Attributes
    ----------
    stopped : str or None
        Why the fit ended before its last epoch; None where it did not.
    failure : Exception or None
        By which the fit of one of many networks has failed; `Network.fit` raises it instead. It has
        no traceback, which would hold the data; where your own code was called, a note has it.
    """

    def __init__(self, columns: Mapping[str, Sequence[float]] | None = None) -> None:
        self._columns: dict[str, list[float]] = {"loss": []}
        if columns is not None:
            self._columns.update({name: list(values) for name, values in columns.items()})
        self.stopped: str | None = None
        self.failure: Exception | None = None

    @property
    def epochs(self) -> int:
        """How many epochs were completed."""
        return len(self._columns["loss"])

    def copy(self) -> "History":
        """A history of its own with the same epochs."""
        other = History(self._columns)
        other.stopped, other.failure = self.stopped, self.failure
        return other

    def append(self, quantities: Mapping[str, float]) -> None:
        """Record the quantities of one more epoch."""
        for name, value in quantities.items():
            self._columns.setdefault(name, []).append(float(value))

    def extend(self, losses: Sequence[float]) -> None:
        """Record more epochs, of which there is nothing but the loss."""
        self._columns["loss"].extend(losses)

    def to_frame(self) -> Any:
        """A pandas.DataFrame: a column for each quantity, a row an epoch, counted from 1.

        Raises
        ------
        ModuleNotFoundError
            There is no pandas.
        """
        import pandas  # noqa: ICN001 - its whole name reads well beside two uses

        epochs = pandas.RangeIndex(1, self.epochs + 1, name="epoch")
        return pandas.DataFrame(dict(self), index=epochs, dtype=float)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the losses over the epochs, and the learning rate where it was recorded.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to; None for those of a new figure. The learning rate has a logarithmic axis of
            its own on the right.

        Returns
        -------
        matplotlib.axes.Axes
            With the losses.

        Raises
        ------
        ModuleNotFoundError
            There is no matplotlib.
        """
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.figure().add_subplot()
        epochs = range(1, self.epochs + 1)
        lines = [
            ax.plot(epochs, self[name], label=name)[0]
            for name in ("loss", "val_loss")
            if name in self
        ]
        ax.set(xlabel="epoch", ylabel="loss")
        if RATE in self:
            right = ax.twinx()
            right.set(yscale="log", ylabel="learning rate")
            lines += right.plot(
                epochs, self[RATE], label="learning rate", color="gray", linestyle="dotted"
            )
        ax.legend(handles=lines)
        return ax

    def last(self, name: str) -> float:
        """The latest value of a quantity."""
        return self._columns[name][-1]

    def __getitem__(self, name: str) -> list[float]:
        return list(self._columns[name])  # the fit goes by its own

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.6g}" for name, values in self.items() if values)
        return f"History({self.epochs} epochs; last: {last})" if last else "History(0 epochs)"
