"""Trained: what a fit knows of the network that it trains."""

import os
from typing import Protocol

from fastbp.configuration import Configuration
from fastbp.engine.engine import Engine
from fastbp.fit.soundness import Soundness
from fastbp.history import History
from fastbp.history.state import FitState


class Trained(Protocol):
    """What a fit knows of the network that it trains."""

    configuration: Configuration
    engine: Engine
    history: History | None
    soundness: Soundness

    def write(self, path: str | os.PathLike[str], fit: FitState | None) -> None:
        """Write the network to a file, and the fit in whose midst it is."""

    def check_write(self, path: str | os.PathLike[str], fit: FitState | None) -> None:
        """Raise what `write` would raise now."""
