"""A network as it was between two steps."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from numpy.typing import NDArray


class Snapshot(NamedTuple):
    """What puts a network back.

    Attributes
    ----------
    state : ndarray
        Parameters and optimizer slots, flat.
    steps : int
        How many steps it had made.
    generator : mapping or None
        The state of what shuffles its rows.
    """

    state: NDArray[Any]
    steps: int
    generator: Mapping[str, Any] | None = None
