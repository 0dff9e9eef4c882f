"""Warnings as scikit-learn gives them, that point at the line of the user."""

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

OWN = ("fastbp", "sklearn")  # packages whose lines are not the user's
MODULE = "sklearn.neural_network._multilayer_perceptron"  # which filters of users name

Told = tuple[str, type[Warning]]

_of_thread = threading.local()


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn as scikit-learn's module, of the innermost line that is neither its nor fastbp's."""
    kept: list[Told] | None = getattr(_of_thread, "kept", None)
    if kept is not None:
        kept.append((message, category))
        return
    frame = sys._getframe(0)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in OWN:
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(
        message, category, frame.f_code.co_filename, frame.f_lineno, MODULE, registry
    )


@contextmanager
def keeping(told: list[Told]) -> Iterator[None]:
    """Within, what this thread would warn of is kept, for a thread that the user's line calls."""
    _of_thread.kept = told
    try:
        yield
    finally:
        del _of_thread.kept
