"""The record of a fit: one number an epoch for each quantity."""

from collections.abc import Iterator, Mapping


class History(Mapping[str, list[float]]):
    """What `Network.fit` recorded: ``history["loss"]`` and the like, one value an epoch.

    With `validation_data` there is ``"val_loss"`` too, and ``"val_accuracy"`` where the targets
    are classes. Behaves as a read-only dictionary of lists.
    """

    def __init__(self) -> None:
        self._columns: dict[str, list[float]] = {"loss": []}

    @property
    def epochs(self) -> int:
        """How many epochs were completed."""
        return len(self._columns["loss"])

    def append(self, quantities: Mapping[str, float]) -> None:
        """Record the quantities of one more epoch."""
        for name, value in quantities.items():
            self._columns.setdefault(name, []).append(float(value))

    def __getitem__(self, name: str) -> list[float]:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.6g}" for name, values in self.items() if values)
        return f"History({self.epochs} epochs; last: {last})" if last else "History(0 epochs)"
